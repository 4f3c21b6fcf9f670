//! The caller, as rights are given to.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

/// Who asks.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct User {
    /// `alice`, `system:node:a`, `system:serviceaccount:default:builder`.
    pub name: String,
    /// Empty where the credentials name none.
    pub uid: String,
    /// The groups, `system:authenticated` or `system:unauthenticated` among them.
    pub groups: Vec<String>,
    /// What else the credentials say: which pod a token is bound to, say.
    pub extra: BTreeMap<String, Vec<String>>,
}

impl User {
    /// Which of a user's credentials was shown, in [`User::extra`].
    pub const CREDENTIAL_ID: &'static str = "authentication.kubernetes.io/credential-id";

    /// Whoever shows nothing.
    pub const ANONYMOUS: &'static str = "system:anonymous";

    /// The group that may do everything.
    pub const MASTERS: &'static str = "system:masters";

    /// A caller who showed who they are.
    #[must_use]
    pub fn authenticated(name: &str, mut groups: Vec<String>) -> Self {
        groups.push("system:authenticated".to_owned());
        Self { name: name.to_owned(), groups, ..Self::default() }
    }

    /// A caller who showed nothing.
    #[must_use]
    pub fn anonymous() -> Self {
        let groups = vec!["system:unauthenticated".to_owned()];
        Self { name: Self::ANONYMOUS.to_owned(), groups, ..Self::default() }
    }

    /// A component of this process that may do everything.
    #[must_use]
    pub fn master(name: &str) -> Self {
        Self::authenticated(name, vec![Self::MASTERS.to_owned()])
    }

    /// As `authentication.k8s.io/v1 UserInfo`.
    #[must_use]
    pub fn to_value(&self) -> Value {
        let mut value = Map::new();
        value.insert("username".to_owned(), json!(self.name));
        value.insert("groups".to_owned(), json!(self.groups));
        if !self.uid.is_empty() {
            value.insert("uid".to_owned(), json!(self.uid));
        }
        if !self.extra.is_empty() {
            value.insert("extra".to_owned(), json!(self.extra));
        }
        Value::Object(value)
    }

    /// Whether they are in a group.
    #[must_use]
    pub fn is_in(&self, group: &str) -> bool {
        self.groups.iter().any(|own| own == group)
    }

    /// The name of the node that asks, if it is a node.
    #[must_use]
    pub fn node(&self) -> Option<&str> {
        self.name.strip_prefix("system:node:").filter(|_| self.is_in("system:nodes"))
    }
}
