//! Which objects of a resource a list, watch or deletion means: its namespace and selectors, checked once.

use api::scheme::{Resource, Scope};
use api::selectors::{FieldSelector, LabelSelector};
use api::status::Status;

use crate::cache::{Interest, Object};

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Selection {
    namespace: Option<String>,
    labels: LabelSelector,
    fields: FieldSelector,
    /// The one object that the path names.
    name: Option<String>,
    is_namespaced: bool,
}

impl Selection {
    /// A selection of `resource`.
    ///
    /// # Errors
    /// When a field selector names a field that the kind does not offer.
    pub(crate) fn new(
        resource: &Resource,
        namespace: Option<&str>,
        labels: &LabelSelector,
        fields: &FieldSelector,
    ) -> Result<Self, Status> {
        for requirement in fields.requirements() {
            resource.check_field(&requirement.field).map_err(Status::bad_request)?;
        }
        let is_namespaced = resource.scope == Scope::Namespaced;
        let in_fields = fields.equality("metadata.namespace");
        let namespace = namespace.or(in_fields.filter(|_| is_namespaced)).filter(|namespace| !namespace.is_empty());
        Ok(Self {
            namespace: namespace.map(str::to_owned),
            labels: labels.clone(),
            fields: fields.renamed(|field| resource.stored_field(field)),
            name: None,
            is_namespaced,
        })
    }

    /// The same, narrowed to the object that a path names.
    pub(crate) fn of_name(self, name: Option<&str>) -> Self {
        Self { name: name.map(str::to_owned), ..self }
    }

    /// Where in the order of keys the selection begins, or goes on from `start` (a key within its namespace, if it
    /// has one).
    pub(crate) fn first_key(&self, start: &str) -> String {
        match &self.namespace {
            Some(namespace) if !start.starts_with(&format!("{namespace}/")) => format!("{namespace}/{start}"),
            _ => start.to_owned(),
        }
    }

    /// Whether the walk may go on at `key`: false behind the end of the namespace.
    pub(crate) fn may_follow(&self, key: &str) -> bool {
        self.namespace
            .as_deref()
            .is_none_or(|namespace| key.strip_prefix(namespace).is_some_and(|rest| rest.starts_with('/')))
    }

    /// Whether nothing is filtered out but by namespace.
    pub(crate) fn is_everything(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    /// Whether the selection means this object.
    pub(crate) fn matches(&self, object: &Object) -> bool {
        self.may_follow(&object.key)
            && self.name.as_deref().is_none_or(|name| name == object.name())
            && (self.labels.is_empty() || self.labels.matches(&object.facts().labels))
            && (self.fields.is_empty() || self.fields.matches(|field| object.field(field)))
    }

    /// The equalities by which a watch's events are routed.
    pub(crate) fn interest(&self) -> Interest {
        let equality = |field: &str| self.fields.equality(field).filter(|value| !value.is_empty()).map(str::to_owned);
        Interest {
            namespace: self.namespace.clone().filter(|_| self.is_namespaced),
            name: self.name.clone().or_else(|| equality("metadata.name")),
            node: equality("spec.nodeName"),
        }
    }
}
