//! Admission as values: what a request is to webhooks and policies, which of them it concerns, and what their answers
//! say. The texts are those of `k8s.io/apiserver/pkg/admission`.
//!
//! Reading order: [`Attributes`] (a request), [`rules`] (whom it concerns), [`review`] (what is asked and answered),
//! [`type_check`] (what a policy's status says of its expressions).

pub mod review;
pub mod rules;
pub mod type_check;

use std::collections::BTreeMap;

use serde_json::Value;

use crate::meta;
use crate::scheme::{GroupVersionKind, Resource};

/// What a request does.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Operation {
    /// Makes an object.
    Create,
    /// Changes one.
    Update,
    /// Removes one.
    Delete,
    /// Opens a connection to one.
    Connect,
}

/// A request as webhooks and policies see it: in the version in which it was made.
#[derive(Clone, Debug)]
pub struct Attributes<'a> {
    /// What it does.
    pub operation: Operation,
    /// The resource that its path names.
    pub resource: &'a Resource,
    /// The subresource; empty for the resource itself.
    pub subresource: &'a str,
    /// What its body holds.
    pub kind: GroupVersionKind,
    /// The namespace; a namespace's own for requests about it.
    pub namespace: &'a str,
    /// The object's name; empty where it is still to be generated.
    pub name: &'a str,
    /// The object as it shall be; `None` for deletions.
    pub object: Option<&'a Value>,
    /// The object as it is; `None` for new ones.
    pub old: Option<&'a Value>,
    /// Its `CreateOptions`, `UpdateOptions`, `PatchOptions` or `DeleteOptions`.
    pub options: &'a Value,
    /// Whether nothing will be kept.
    pub is_dry_run: bool,
    /// Who asks, as `authentication.k8s.io/v1 UserInfo`.
    pub user: &'a Value,
}

impl Operation {
    /// Its name in rules and reviews.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "CREATE",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
            Self::Connect => "CONNECT",
        }
    }
}

impl Attributes<'_> {
    /// Whether the request is about a namespace itself.
    #[must_use]
    pub fn is_of_namespace(&self) -> bool {
        self.resource.group.is_empty() && self.resource.plural == "namespaces"
    }

    /// Whether neither webhooks nor policies are asked: what they are made of must stay changeable when they fail.
    #[must_use]
    pub fn is_exempt(&self) -> bool {
        const EXEMPT: [&str; 6] = [
            "mutatingwebhookconfigurations",
            "validatingwebhookconfigurations",
            "validatingadmissionpolicies",
            "validatingadmissionpolicybindings",
            "mutatingadmissionpolicies",
            "mutatingadmissionpolicybindings",
        ];
        self.resource.group == "admissionregistration.k8s.io" && EXEMPT.contains(&&*self.resource.plural)
    }

    /// Whether policies are not asked.
    #[must_use]
    pub fn is_exempt_from_policies(&self) -> bool {
        self.is_exempt() || is_question(self.resource)
    }
}

/// Whether policies are not asked either: who asks who somebody is, or what they may do, must have an answer, or nobody
/// would get in any more. As upstream's `pkg/kubeapiserver/admission/exclusion`.
fn is_question(resource: &Resource) -> bool {
    match &*resource.group {
        "authentication.k8s.io" => ["selfsubjectreviews", "tokenreviews"].contains(&&*resource.plural),
        "authorization.k8s.io" => true,
        _ => false,
    }
}

/// The labels of an object, in the form that selectors ask.
#[must_use]
pub fn labels(object: &Value) -> BTreeMap<String, String> {
    meta::labels(object).map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}
