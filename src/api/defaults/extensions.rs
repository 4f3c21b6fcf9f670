//! What extends the API: webhooks and policies that look at requests, and definitions of kinds.

use serde_json::{Value, json};

use super::{each, made, part, set};
use crate::value;

/// Seconds that a webhook may take.
const WEBHOOK_TIMEOUT_SECONDS: i64 = 10;
/// Where services serve webhooks.
const WEBHOOK_PORT: i64 = 443;

/// A `ValidatingWebhookConfiguration`'s defaults.
pub fn validating_webhooks(object: &mut Value) {
    for hook in each(object, "webhooks") {
        set(hook, "failurePolicy", "Fail");
        set(hook, "timeoutSeconds", WEBHOOK_TIMEOUT_SECONDS);
        matched(hook);
        each(hook, "rules").for_each(rule);
        if let Some(client) = part(hook, "clientConfig") {
            client_config(client);
        }
    }
}

/// A `MutatingWebhookConfiguration`'s defaults.
pub fn mutating_webhooks(object: &mut Value) {
    validating_webhooks(object);
    each(object, "webhooks").for_each(|hook| set(hook, "reinvocationPolicy", "Never"));
}

/// The defaults of policies of both kinds.
pub fn policy(object: &mut Value) {
    let Some(spec) = made(object, "spec") else { return };
    set(spec, "failurePolicy", "Fail");
    if let Some(resources) = part(spec, "matchConstraints") {
        match_resources(resources);
    }
}

/// The defaults of bindings of both kinds.
pub fn policy_binding(object: &mut Value) {
    if let Some(resources) = part(object, "spec").and_then(|spec| part(spec, "matchResources")) {
        match_resources(resources);
    }
}

/// A `CustomResourceDefinition`'s defaults: names that follow from the kind, and no conversion.
pub fn definition(object: &mut Value) {
    let Some(spec) = made(object, "spec") else { return };
    if let Some(names) = made(spec, "names") {
        let kind = value::text(names, "kind").to_owned();
        if value::text(names, "singular").is_empty() {
            names["singular"] = kind.to_lowercase().into();
        }
        if value::text(names, "listKind").is_empty() && !kind.is_empty() {
            names["listKind"] = format!("{kind}List").into();
        }
    }
    set(spec, "conversion", json!({"strategy": "None"}));
    let client = part(spec, "conversion").and_then(|conversion| part(conversion, "webhook"));
    if let Some(client) = client.and_then(|webhook| part(webhook, "clientConfig")) {
        client_config(client);
    }
    store_version(object);
}

/// An `APIService`'s defaults.
pub fn api_service(object: &mut Value) {
    if let Some(service) = part(object, "spec").and_then(|spec| part(spec, "service")) {
        set(service, "port", WEBHOOK_PORT);
    }
}

/// The version in which objects are stored is among those in which some are, if none was told yet.
fn store_version(object: &mut Value) {
    let versions = value::list(value::part(object, "spec"), "versions");
    let stored = versions.iter().find(|version| value::flag(version, "storage"));
    let Some(name) = stored.map(|version| value::part(version, "name").clone()) else { return };
    if let Some(status) = made(object, "status")
        && value::list(status, "storedVersions").is_empty()
    {
        status["storedVersions"] = json!([name]);
    }
}

fn match_resources(resources: &mut Value) {
    matched(resources);
    for field in ["resourceRules", "excludeResourceRules"] {
        each(resources, field).for_each(rule);
    }
}

/// What is not narrowed down is everything.
fn matched(object: &mut Value) {
    set(object, "matchPolicy", "Equivalent");
    set(object, "namespaceSelector", json!({}));
    set(object, "objectSelector", json!({}));
}

fn rule(rule: &mut Value) {
    set(rule, "scope", "*");
}

fn client_config(client: &mut Value) {
    if let Some(service) = part(client, "service") {
        set(service, "port", WEBHOOK_PORT);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_webhook_looks_at_everything_unless_it_says_otherwise() {
        let mut given = json!({"webhooks": [{"rules": [{}], "clientConfig": {"service": {}}}]});
        mutating_webhooks(&mut given);
        let expected = json!({"webhooks": [{"failurePolicy": "Fail", "timeoutSeconds": 10, "matchPolicy": "Equivalent",
            "namespaceSelector": {}, "objectSelector": {}, "rules": [{"scope": "*"}], "reinvocationPolicy": "Never",
            "clientConfig": {"service": {"port": 443}}}]});
        assert_eq!(given, expected);
    }

    #[test]
    fn a_definitions_names_follow_from_its_kind() {
        let mut given = json!({"spec": {"names": {"kind": "Boat"}, "versions": [{"name": "v1", "storage": true}]}});
        definition(&mut given);
        assert_eq!(given["spec"]["names"], json!({"kind": "Boat", "singular": "boat", "listKind": "BoatList"}));
        assert_eq!(given["spec"]["conversion"], json!({"strategy": "None"}));
        assert_eq!(given["status"], json!({"storedVersions": ["v1"]}));
    }
}
