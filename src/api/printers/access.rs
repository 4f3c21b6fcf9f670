//! Roles and who has them.

use jiff::Timestamp;
use serde_json::Value;

use super::{AGE, Column, NAME, age, items, name, text, text_at, wide};

/// `Role`, `ClusterRole`, and others that tell when they were made instead of how old they are.
pub const CREATED_AT: &[Column] = &[NAME, Column { kind: "date", ..text("Created At", "When it was created.") }];

/// The cells under [`CREATED_AT`].
#[must_use]
pub fn created_at(object: &Value, _now: Timestamp) -> Vec<Value> {
    vec![name(object), text_at(object, "/metadata/creationTimestamp", "")]
}

/// `RoleBinding` and `ClusterRoleBinding`.
pub const BINDING: &[Column] = &[
    NAME,
    text("Role", "The role that is given."),
    AGE,
    wide("Users", "The users who get it."),
    wide("Groups", "The groups that get it."),
    wide("ServiceAccounts", "The service accounts that get it."),
];

/// A binding's cells.
#[must_use]
pub fn binding(object: &Value, now: Timestamp) -> Vec<Value> {
    let said = |value: &Value, field: &str| value.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
    let of_kind = |kind: &'static str| items(object, "/subjects").iter().filter(move |subject| subject["kind"] == kind);
    let names = |kind| of_kind(kind).map(|subject| said(subject, "name")).collect::<Vec<_>>().join(", ");
    let accounts: Vec<String> = of_kind("ServiceAccount")
        .map(|subject| match said(subject, "namespace") {
            namespace if namespace.is_empty() => said(subject, "name"),
            namespace => format!("{namespace}/{}", said(subject, "name")),
        })
        .collect();
    let role = &object["roleRef"];
    vec![
        name(object),
        format!("{}/{}", said(role, "kind"), said(role, "name")).into(),
        age(object, now),
        names("User").into(),
        names("Group").into(),
        accounts.join(", ").into(),
    ]
}
