//! Roles and their bindings as an index: who may do what, and by which binding.
//!
//! The index is made of the watch caches when somebody asks and something has changed since; what did not change is
//! not read again.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use api::access::Rule;
use api::scheme::Scheme;
use serde::Deserialize;
use serde_json::Value;
use store::Revision;

use crate::authentication::User;
use crate::cache::kept::Kept;
use crate::objects::Objects;

const GROUP: &str = "rbac.authorization.k8s.io";
const PLURALS: [&str; 4] = ["clusterroles", "roles", "clusterrolebindings", "rolebindings"];

/// The roles and bindings of the cluster at one moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Policy {
    /// By `name`, and by `namespace/name`.
    cluster_roles: Kept<Role>,
    roles: Kept<Role>,
    cluster_bindings: Kept<Binding>,
    bindings: Kept<Binding>,
    /// The bindings that name a subject, by namespace (empty for the cluster's) and [`subject_key`].
    by_subject: HashMap<(String, String), Vec<Arc<Binding>>>,
}

/// The rules of a role. One that aggregates holds what its controller has written into it.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct Role {
    #[serde(default)]
    rules: Vec<Rule>,
}

/// Who has which role.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Binding {
    #[serde(skip)]
    namespace: String,
    #[serde(skip)]
    name: String,
    role_ref: RoleRef,
    #[serde(default)]
    subjects: Vec<Subject>,
}

#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq)]
struct RoleRef {
    kind: String,
    name: String,
}

#[derive(Clone, Debug, Deserialize)]
struct Subject {
    kind: String,
    name: String,
    #[serde(default)]
    namespace: String,
}

/// Something that a rule of some binding says to a caller.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Grant<'a> {
    binding: &'a Binding,
    subject: &'a Subject,
    /// The rule that it gives.
    pub rule: &'a Rule,
}

/// The newest policy, made when it is asked for.
#[derive(Debug, Default)]
pub(crate) struct Policies {
    newest: Mutex<Arc<Policy>>,
}

impl Policies {
    /// The policy as the caches have it now.
    pub(crate) fn current(&self, objects: &Objects) -> Arc<Policy> {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        let snapshots = PLURALS.map(|plural| {
            let resource = Scheme::builtin().resource(GROUP, "v1", plural);
            resource.and_then(|resource| objects.cache(resource).ok()).map(|cache| cache.snapshot(Revision(0)))
        });
        let [Some(cluster_roles), Some(roles), Some(cluster_bindings), Some(bindings)] = snapshots else {
            return Arc::clone(&newest);
        };
        let is_current = newest.cluster_roles.revision == cluster_roles.revision
            && newest.roles.revision == roles.revision
            && newest.cluster_bindings.revision == cluster_bindings.revision
            && newest.bindings.revision == bindings.revision;
        if !is_current {
            let mut policy = Policy {
                cluster_roles: newest.cluster_roles.renewed(&cluster_roles, Role::read),
                roles: newest.roles.renewed(&roles, Role::read),
                cluster_bindings: newest.cluster_bindings.renewed(&cluster_bindings, Binding::read),
                bindings: newest.bindings.renewed(&bindings, Binding::read),
                by_subject: HashMap::new(),
            };
            policy.index();
            *newest = Arc::new(policy);
        }
        Arc::clone(&newest)
    }
}

impl Role {
    fn read(value: Value) -> Option<Self> {
        serde_json::from_value(value).ok()
    }
}

impl Binding {
    fn read(value: Value) -> Option<Self> {
        let (namespace, name) = (api::meta::namespace(&value).unwrap_or_default(), api::meta::name(&value));
        let (namespace, name) = (namespace.to_owned(), name.to_owned());
        let binding: Self = serde_json::from_value(value).ok()?;
        Some(Self { namespace, name, ..binding })
    }
}

/// A subject as callers are looked up by.
fn subject_key(subject: &Subject, namespace: &str) -> String {
    match subject.kind.as_str() {
        "Group" => format!("group:{}", subject.name),
        "ServiceAccount" => {
            let namespace = if subject.namespace.is_empty() { namespace } else { &subject.namespace };
            format!("user:system:serviceaccount:{namespace}:{}", subject.name)
        }
        _ => format!("user:{}", subject.name),
    }
}

impl Policy {
    fn index(&mut self) {
        for kept in [&self.cluster_bindings, &self.bindings] {
            for (_, binding) in kept.objects.values() {
                for subject in &binding.subjects {
                    let key = (binding.namespace.clone(), subject_key(subject, &binding.namespace));
                    self.by_subject.entry(key).or_default().push(Arc::clone(binding));
                }
            }
        }
    }

    /// Everything that bindings give to a caller: the cluster's, then those of the namespace. Bindings whose role is not
    /// there give nothing, and are told to `broken`.
    pub(crate) fn grants<'a>(
        &'a self,
        user: &User,
        namespace: Option<&str>,
        broken: &mut Vec<String>,
    ) -> Vec<Grant<'a>> {
        let keys: Vec<String> = std::iter::once(format!("user:{}", user.name))
            .chain(user.groups.iter().map(|group| format!("group:{group}")))
            .collect();
        let mut grants = Vec::new();
        for place in std::iter::once("").chain(namespace.filter(|namespace| !namespace.is_empty())) {
            let mut found: Vec<&Arc<Binding>> = Vec::new();
            for key in &keys {
                let named = self.by_subject.get(&(place.to_owned(), key.clone())).into_iter().flatten();
                found.extend(named);
            }
            found.sort_by(|a, b| a.name.cmp(&b.name));
            found.dedup_by(|a, b| Arc::ptr_eq(a, b));
            for binding in found {
                let subject = binding.subjects.iter().find(|subject| keys.contains(&subject_key(subject, place)));
                let (Some(subject), Some(rules)) = (subject, self.rules(binding, broken)) else { continue };
                grants.extend(rules.iter().map(|rule| Grant { binding, subject, rule }));
            }
        }
        grants
    }

    /// The rules of a role; `None`, and a word of it, where there is none of that name.
    fn rules(&self, binding: &Binding, broken: &mut Vec<String>) -> Option<&[Rule]> {
        let (role, name) = (&binding.role_ref, &binding.role_ref.name);
        let found = self.role(&role.kind, &binding.namespace, name);
        if found.is_none() {
            broken.push(format!("{}.{GROUP} \"{name}\" not found", role.kind.to_lowercase()));
        }
        found
    }

    /// The rules of the role of this kind and name, as a binding in `namespace` refers to it.
    pub(crate) fn role(&self, kind: &str, namespace: &str, name: &str) -> Option<&[Rule]> {
        let role = match kind {
            "ClusterRole" => self.cluster_roles.get(name),
            _ => self.roles.get(&format!("{namespace}/{name}")),
        };
        role.map(|role| role.rules.as_slice())
    }
}

impl fmt::Display for Grant<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (binding, subject) = (self.binding, self.subject);
        let (kind, name) = match binding.namespace.is_empty() {
            true => ("ClusterRoleBinding", binding.name.clone()),
            false => ("RoleBinding", format!("{}/{}", binding.name, binding.namespace)),
        };
        let who = match subject.kind.as_str() {
            "ServiceAccount" => {
                let namespace = if subject.namespace.is_empty() { &binding.namespace } else { &subject.namespace };
                format!("{}/{namespace}", subject.name)
            }
            _ => subject.name.clone(),
        };
        let role = &binding.role_ref;
        write!(f, "{kind} {name:?} of {} {:?} to {} {who:?}", role.kind, role.name, subject.kind)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::json;

    use super::*;

    /// A policy of these roles and bindings.
    pub(in crate::authorization) fn policy(objects: &[Value]) -> Policy {
        fn kept<T>(objects: &[Value], kind: &str, read: fn(Value) -> Option<T>) -> Kept<T> {
            let of_kind = objects.iter().filter(|object| api::meta::kind(object) == kind);
            let keyed = of_kind.map(|object| {
                let name = api::meta::name(object);
                let key = api::meta::namespace(object).map_or(name.to_owned(), |place| format!("{place}/{name}"));
                (Arc::from(key), (Revision(1), Arc::new(read(object.clone()).unwrap())))
            });
            Kept { revision: Revision(1), objects: keyed.collect() }
        }
        let mut policy = Policy {
            cluster_roles: kept(objects, "ClusterRole", Role::read),
            roles: kept(objects, "Role", Role::read),
            cluster_bindings: kept(objects, "ClusterRoleBinding", Binding::read),
            bindings: kept(objects, "RoleBinding", Binding::read),
            by_subject: HashMap::new(),
        };
        policy.index();
        policy
    }

    fn bound(kind: &str, namespace: &str, role: (&str, &str), subject: Value) -> Value {
        let mut metadata = json!({"name": "b"});
        if !namespace.is_empty() {
            metadata["namespace"] = namespace.into();
        }
        json!({"kind": kind, "metadata": metadata, "roleRef": {"kind": role.0, "name": role.1}, "subjects": [subject]})
    }

    #[test]
    fn a_binding_gives_its_role_to_its_subjects_where_it_is() {
        let role = json!({"kind": "ClusterRole", "metadata": {"name": "reader"},
            "rules": [{"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}]});
        let check = |binding: Value, user: &User, namespace: Option<&str>, expected: &[&str]| {
            let policy = policy(&[role.clone(), binding]);
            let mut broken = Vec::new();
            let grants = policy.grants(user, namespace, &mut broken);
            let told: Vec<String> = grants.iter().map(Grant::to_string).chain(broken).collect();
            assert_eq!(told, expected);
        };
        let reader = ("ClusterRole", "reader");
        let alice = User::authenticated("alice", vec!["dev".into()]);
        let builder = User::authenticated("system:serviceaccount:n:builder", Vec::new());
        let told = r#"ClusterRoleBinding "b" of ClusterRole "reader" to Group "dev""#;
        check(bound("ClusterRoleBinding", "", reader, json!({"kind": "Group", "name": "dev"})), &alice, None, &[told]);
        let local = bound("RoleBinding", "n", reader, json!({"kind": "User", "name": "alice"}));
        check(local.clone(), &alice, Some("n"), &[r#"RoleBinding "b/n" of ClusterRole "reader" to User "alice""#]);
        check(local.clone(), &alice, Some("other"), &[]);
        check(local.clone(), &alice, None, &[]);
        check(local, &builder, Some("n"), &[]);
        let account = bound("RoleBinding", "n", reader, json!({"kind": "ServiceAccount", "name": "builder"}));
        let told = r#"RoleBinding "b/n" of ClusterRole "reader" to ServiceAccount "builder/n""#;
        check(account, &builder, Some("n"), &[told]);
        let lost = bound("RoleBinding", "n", ("Role", "gone"), json!({"kind": "User", "name": "alice"}));
        check(lost, &alice, Some("n"), &[r#"role.rbac.authorization.k8s.io "gone" not found"#]);
    }
}
