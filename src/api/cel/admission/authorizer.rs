//! What expressions ask for permissions through, and what they ask.

use std::fmt;
use std::sync::Arc;

/// Who answers whether something is allowed. The one who asked for the object is known to it.
pub trait Authorizer: Send + Sync {
    /// Whether `verb` is allowed: to the service account if one is given, else to who made the request.
    fn authorize(&self, account: Option<&ServiceAccount>, asked: &Asked, verb: &str) -> Decision;
}

/// An account of a namespace.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ServiceAccount {
    /// The namespace.
    pub namespace: Box<str>,
    /// The name.
    pub name: Box<str>,
}

/// What is asked about.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Asked {
    /// A path of the server.
    Path(Box<str>),
    /// A resource.
    Resource(Resource),
}

/// A resource that is asked about; what is empty is any or none.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Resource {
    /// The API group.
    pub group: Box<str>,
    /// The resource.
    pub resource: Box<str>,
    /// The subresource.
    pub subresource: Box<str>,
    /// The namespace.
    pub namespace: Box<str>,
    /// The name of an object.
    pub name: Box<str>,
    /// A field selector, as it was written.
    pub field_selector: Option<Box<str>>,
    /// A label selector, as it was written.
    pub label_selector: Option<Box<str>>,
}

/// An answer.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Decision {
    /// Whether it is allowed.
    pub is_allowed: bool,
    /// Why; may be empty.
    pub reason: String,
    /// What failed while deciding.
    pub error: Option<String>,
}

/// A step of asking.
#[derive(Clone, Debug)]
pub(crate) enum Check<'a> {
    /// `authorizer`
    Subject(Subject<'a>),
    /// `authorizer.group('')`
    Group(Subject<'a>, Box<str>),
    /// `authorizer.path('')` or `authorizer.group('').resource('')`
    Asked(Subject<'a>, Asked),
    /// What a check answered.
    Decision(Decision),
}

/// Who is asked, and for whom.
#[derive(Clone)]
pub(crate) struct Subject<'a> {
    pub(in crate::cel) authorizer: &'a dyn Authorizer,
    pub(in crate::cel) service_account: Option<Arc<ServiceAccount>>,
}

impl fmt::Debug for Subject<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subject").field("service_account", &self.service_account).finish_non_exhaustive()
    }
}

impl Check<'_> {
    pub(in crate::cel) fn type_name(&self) -> &'static str {
        match self {
            Self::Subject(_) => "kubernetes.authorization.Authorizer",
            Self::Group(..) => "kubernetes.authorization.GroupCheck",
            Self::Asked(_, Asked::Path(_)) => "kubernetes.authorization.PathCheck",
            Self::Asked(_, Asked::Resource(_)) => "kubernetes.authorization.ResourceCheck",
            Self::Decision(_) => "kubernetes.authorization.Decision",
        }
    }
}
