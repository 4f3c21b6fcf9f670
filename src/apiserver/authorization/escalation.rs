//! Nobody gives rights that they do not have: what is asked before a role or a binding is written.
//!
//! As upstream's `pkg/registry/rbac/*/policybased`: whoever may `escalate` a role or `bind` it may give more.

use api::access::{Rule, Wish, missing};
use api::meta;
use api::status::Status;
use serde_json::Value;

use super::{Facts as _, decide_wish};
use crate::authentication::User;
use crate::verbs::Call;

const GROUP: &str = "rbac.authorization.k8s.io";

/// Refuses a role, or a change of one, that gives what the caller does not have.
pub(crate) fn check_role(call: &Call, new: &Value, old: Option<&Value>) -> Result<(), Status> {
    let name = meta::name(new);
    let same = |field: &str| old.is_some_and(|old| old.get(field) == new.get(field));
    if may(call, "escalate", &call.resource.plural, name) || same("rules") && same("aggregationRule") {
        return Ok(());
    }
    let aggregates = new.get("aggregationRule").is_some_and(|rule| !rule.is_null());
    if aggregates && !same("aggregationRule") && unheld(call, &everything()).is_some() {
        let why = "must have cluster-admin privileges to use an aggregationRule";
        return Err(Status::forbidden(GROUP, &call.resource.plural, name, why));
    }
    refuse_unheld(call, name, &read_rules(new))
}

/// Refuses a binding of a role that gives what the caller does not have.
pub(crate) fn check_binding(call: &Call, new: &Value, old: Option<&Value>) -> Result<(), Status> {
    let said = |field: &str| new.pointer(&format!("/roleRef/{field}")).and_then(Value::as_str).unwrap_or_default();
    let (kind, role) = (said("kind"), said("name"));
    let plural = if kind == "ClusterRole" { "clusterroles" } else { "roles" };
    let is_same =
        old.is_some_and(|old| ["roleRef", "subjects"].into_iter().all(|field| old.get(field) == new.get(field)));
    if is_same || may(call, "bind", plural, role) {
        return Ok(());
    }
    let policy = call.server.policy();
    let rules = policy.role(kind, call.namespace().unwrap_or_default(), role);
    let rules = rules.ok_or_else(|| Status::not_found(GROUP, plural, role))?;
    refuse_unheld(call, meta::name(new), rules)
}

/// Whether the caller may do this to a role, whatever is in it.
fn may(call: &Call, verb: &str, resource: &str, name: &str) -> bool {
    let wish = Wish { verb, group: GROUP, resource, subresource: "", name };
    decide_wish(&call.server, &call.user, call.namespace(), &wish).is_allowed
}

fn refuse_unheld(call: &Call, name: &str, rules: &[Rule]) -> Result<(), Status> {
    let Some(unheld) = unheld(call, rules) else { return Ok(()) };
    let User { name: user, groups, .. } = &call.user;
    let groups: Vec<String> = groups.iter().map(|group| format!("{group:?}")).collect();
    let why = format!(
        "user {user:?} (groups=[{}]) is attempting to grant RBAC permissions not currently held:\n{unheld}",
        groups.join(" ")
    );
    Err(Status::forbidden(GROUP, &call.resource.plural, name, &why))
}

/// What of these rules the caller does not have; and which of their own roles are not there.
fn unheld(call: &Call, rules: &[Rule]) -> Option<String> {
    let policy = call.server.policy();
    let mut broken = Vec::new();
    let grants = policy.grants(&call.user, call.namespace(), &mut broken);
    let held: Vec<Rule> = grants.iter().map(|grant| grant.rule.clone()).collect();
    let missing = missing(&held, rules)?;
    Some(match broken.is_empty() {
        true => missing.to_string(),
        false => format!("{missing}; resolution errors: [{}]", broken.join(", ")),
    })
}

fn read_rules(role: &Value) -> Vec<Rule> {
    role.get("rules").cloned().and_then(|rules| serde_json::from_value(rules).ok()).unwrap_or_default()
}

/// Everything that there is to give.
fn everything() -> [Rule; 2] {
    let all = || vec!["*".to_owned()];
    [
        Rule { verbs: all(), api_groups: all(), resources: all(), ..Rule::default() },
        Rule { verbs: all(), non_resource_urls: all(), ..Rule::default() },
    ]
}
