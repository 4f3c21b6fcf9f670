//! What kinds of objects there are and can be deleted, by discovery: what works on all kinds knows none by name.

use client::Key;
use kube::core::{DynamicObject, PartialObjectMeta};
use kube::discovery::{ApiResource, Discovery, Scope, verbs};
use kube::{Api, Client};

/// An object of whatever kind, reduced to its metadata.
pub(crate) type Metadata = PartialObjectMeta<DynamicObject>;

/// A kind of objects that can be deleted.
#[derive(Clone, Debug)]
pub(crate) struct Kind {
    pub(crate) resource: ApiResource,
    pub(crate) is_namespaced: bool,
    verbs: Vec<String>,
}

impl Kind {
    /// All kinds that can be deleted, each in the version that the server prefers.
    ///
    /// # Errors
    /// When the server does not tell.
    pub(crate) async fn discover(client: &Client) -> kube::Result<Vec<Self>> {
        let discovery = Discovery::new(client.clone()).run_aggregated().await?;
        let all = discovery.groups().flat_map(|group| group.recommended_resources());
        let kinds = all.filter(|(_, capabilities)| capabilities.supports_operation(verbs::DELETE));
        Ok(kinds
            .map(|(resource, capabilities)| Self {
                resource,
                is_namespaced: capabilities.scope == Scope::Namespaced,
                verbs: capabilities.operations,
            })
            .collect())
    }

    /// Whether the server offers a verb on it.
    pub(crate) fn can(&self, verb: &str) -> bool {
        self.verbs.iter().any(|offered| offered == verb)
    }

    /// `plural.group`, as upstream names a resource to people; the core group's has a dot at its end there, too.
    pub(crate) fn name(&self) -> String {
        format!("{}.{}", self.resource.plural, self.resource.group)
    }

    /// Whether `api_version` and `kind` mean this kind, in whatever version.
    pub(crate) fn is_meant_by(&self, api_version: &str, kind: &str) -> bool {
        let group = api_version.rsplit_once('/').map_or("", |(group, _)| group);
        self.resource.group == group && self.resource.kind == kind
    }

    /// The metadata of its objects, in one namespace or all (an empty one).
    pub(crate) fn metadata(&self, client: &Client, namespace: &str) -> Api<Metadata> {
        if namespace.is_empty() {
            Api::all_with(client.clone(), &self.resource)
        } else {
            Api::namespaced_with(client.clone(), namespace, &self.resource)
        }
    }

    /// Its objects around `key`: those of the key's namespace.
    pub(crate) fn objects(&self, client: &Client, key: &Key) -> Api<DynamicObject> {
        if key.namespace.is_empty() {
            Api::all_with(client.clone(), &self.resource)
        } else {
            Api::namespaced_with(client.clone(), &key.namespace, &self.resource)
        }
    }
}

#[cfg(test)]
impl Kind {
    /// A namespaced kind for which the server offers everything.
    pub(crate) fn for_test(resource: ApiResource) -> Self {
        Self { resource, is_namespaced: true, verbs: Vec::new() }
    }
}
