//! Roles and who has them.

use serde_json::Value;

use super::{each, part};
use crate::validation::access::GROUP;
use crate::value::text;

/// A `RoleBinding`'s and a `ClusterRoleBinding`'s defaults: who says no group means the roles' own.
pub fn binding(object: &mut Value) {
    if let Some(role) = part(object, "roleRef") {
        group(role);
    }
    each(object, "subjects").filter(|subject| matches!(text(subject, "kind"), "User" | "Group")).for_each(group);
}

fn group(object: &mut Value) {
    if text(object, "apiGroup").is_empty() {
        object["apiGroup"] = GROUP.into();
    }
}
