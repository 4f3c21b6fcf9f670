//! What an object is called within its resource: a namespace and a name.

use std::fmt;
use std::sync::Arc;

use kube::Resource;

/// The namespace and name of an object; objects of the cluster have an empty namespace. Cheap to clone.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Key {
    /// Empty for an object of the cluster.
    pub namespace: Arc<str>,
    /// Unique in its namespace.
    pub name: Arc<str>,
}

impl Key {
    /// The key of an object in a namespace.
    #[must_use]
    pub fn new(namespace: &str, name: &str) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }

    /// The key of an object of the cluster.
    #[must_use]
    pub fn of_cluster(name: &str) -> Self {
        Self::new("", name)
    }

    /// The key of an object that came from the server, and so has a name.
    #[must_use]
    pub fn of(object: &impl Resource) -> Self {
        let meta = object.meta();
        Self::new(meta.namespace.as_deref().unwrap_or_default(), meta.name.as_deref().unwrap_or_default())
    }
}

/// `namespace/name`, or the name alone.
impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() { f.write_str(&self.name) } else { write!(f, "{}/{}", self.namespace, self.name) }
    }
}
