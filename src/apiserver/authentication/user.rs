//! The caller, as rights are given to.

/// Who asks.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct User {
    /// `alice`, `system:node:a`, `system:serviceaccount:default:builder`.
    pub name: String,
    /// Empty where the credentials name none.
    pub uid: String,
    /// The groups, `system:authenticated` or `system:unauthenticated` among them.
    pub groups: Vec<String>,
}

impl User {
    /// The group that may do everything.
    pub const MASTERS: &'static str = "system:masters";

    /// A caller who showed who they are.
    #[must_use]
    pub fn authenticated(name: &str, mut groups: Vec<String>) -> Self {
        groups.push("system:authenticated".to_owned());
        Self { name: name.to_owned(), uid: String::new(), groups }
    }

    /// A caller who showed nothing.
    #[must_use]
    pub fn anonymous() -> Self {
        let groups = vec!["system:unauthenticated".to_owned()];
        Self { name: "system:anonymous".to_owned(), uid: String::new(), groups }
    }

    /// A component of this process that may do everything.
    #[must_use]
    pub fn master(name: &str) -> Self {
        Self::authenticated(name, vec![Self::MASTERS.to_owned()])
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
