//! Which bindings of policies a request concerns, and with which parameters.

use std::sync::Arc;

use api::admission::{Attributes, labels, rules};
use api::cel::admission::authorizer;
use api::scheme::{Resource, Scheme, Scope};
use api::selectors::LabelSelector;
use serde_json::Value;
use store::Revision;

use crate::objects::key_in_cache;
use crate::verbs::Call;

/// Parameters that a binding may select. Upstream has no bound; each costs an evaluation of the policy.
const PARAMS_MAX: usize = 256;

/// The form of the request that a policy and its binding are about; `None` when they are not about it.
///
/// # Errors
/// When a selector cannot be read.
pub(super) fn matched<'s>(
    call: &Call,
    (policy, binding): (&Value, &Value),
    attributes: &Attributes<'s>,
    scheme: &'s Scheme,
) -> Result<Option<&'s Resource>, String> {
    let constraints = policy.get("matchConstraints").unwrap_or(&Value::Null);
    let Some(form) = one(call, constraints, attributes, scheme)? else { return Ok(None) };
    match binding.pointer("/spec/matchResources").filter(|resources| !resources.is_null()) {
        // The policy's form counts, and the binding narrows it.
        Some(resources) => Ok(one(call, resources, attributes, scheme)?.map(|_| form)),
        None => Ok(Some(form)),
    }
}

fn one<'s>(
    call: &Call,
    resources: &Value,
    attributes: &Attributes<'s>,
    scheme: &'s Scheme,
) -> Result<Option<&'s Resource>, String> {
    let list = |name: &str| resources.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let is_equivalent = resources.get("matchPolicy").and_then(Value::as_str) != Some("Exact");
    let excluded = list("excludeResourceRules");
    if !excluded.is_empty() && rules::matched(excluded, is_equivalent, attributes, scheme).is_some() {
        return Ok(None);
    }
    let wanted = list("resourceRules");
    // A binding may leave out which resources it is about.
    let form = match wanted.is_empty() {
        true => Some(attributes.resource),
        false => rules::matched(wanted, is_equivalent, attributes, scheme),
    };
    let Some(form) = form else { return Ok(None) };
    let namespace = call.namespace_object(attributes.namespace);
    Ok(rules::selects(resources, attributes, namespace.as_deref())?.then_some(form))
}

/// The parameters of a binding: one evaluation for each; a policy without parameters is evaluated once.
///
/// # Errors
/// When they cannot be had and the binding insists.
pub(super) fn params(
    call: &Call,
    policy: &Value,
    binding: &Value,
    attributes: &Attributes<'_>,
) -> Result<Vec<Option<Arc<Value>>>, String> {
    let Some(kind) = policy.get("paramKind").filter(|kind| !kind.is_null()) else { return Ok(vec![None]) };
    let Some(reference) = binding.pointer("/spec/paramRef").filter(|reference| !reference.is_null()) else {
        return Ok(vec![None]);
    };
    let text = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (api_version, kind) = (text(kind, "apiVersion"), text(kind, "kind"));
    let scheme = call.server.scheme();
    let Some(row) = scheme.by_api_version(&api_version, &kind) else {
        return Err(format!("failed to find resource referenced by paramKind: '{api_version}, Kind={kind}'"));
    };
    let namespace = match (row.scope, text(reference, "namespace")) {
        (Scope::Cluster, said) if !said.is_empty() => {
            return Err("paramRef.namespace must not be provided for a cluster-scoped `paramKind`".to_owned());
        }
        (Scope::Cluster, _) => None,
        (Scope::Namespaced, said) if !said.is_empty() => Some(said),
        (Scope::Namespaced, _) if attributes.namespace.is_empty() => {
            return Err(
                "cannot use namespaced paramRef in policy binding that matches cluster-scoped resources".to_owned()
            );
        }
        (Scope::Namespaced, _) => Some(attributes.namespace.to_owned()),
    };
    let found = find(call, row, namespace.as_deref(), reference)?;
    if !found.is_empty() {
        return Ok(found.into_iter().map(|param| Some(Arc::new(param))).collect());
    }
    match text(reference, "parameterNotFoundAction").as_str() {
        "Allow" => Ok(Vec::new()),
        _ => Err("no params found for policy binding with `Deny` parameterNotFoundAction".to_owned()),
    }
}

fn find(call: &Call, row: &Resource, namespace: Option<&str>, reference: &Value) -> Result<Vec<Value>, String> {
    let cache = call.objects().cache(row).map_err(|status| status.message)?;
    let read = |object: &crate::cache::Object| object.to_value().map_err(|error| error.to_string());
    if let Some(name) = reference.get("name").and_then(Value::as_str).filter(|name| !name.is_empty()) {
        return cache.find(&key_in_cache(namespace, name)).iter().map(|object| read(object)).collect();
    }
    let selector = LabelSelector::from_value(reference.get("selector").unwrap_or(&Value::Null));
    let selector = selector.map_err(|error| error.to_string())?;
    let prefix = namespace.map(|namespace| format!("{namespace}/")).unwrap_or_default();
    let snapshot = cache.snapshot(Revision(0));
    let within = snapshot.from(prefix.clone()).take_while(|(key, _)| key.starts_with(&prefix));
    let chosen = within.map(|(_, object)| read(object)).filter(|object| match object {
        Ok(object) => selector.is_empty() || selector.matches(&labels(object)),
        Err(_) => true,
    });
    let chosen: Vec<Value> = chosen.take(PARAMS_MAX + 1).collect::<Result<_, _>>()?;
    if chosen.len() > PARAMS_MAX {
        return Err(format!("paramRef selects more than {PARAMS_MAX} objects: name one, or narrow the selector"));
    }
    Ok(chosen)
}

/// What a request is about, as expressions ask for rights on it.
pub(crate) fn resource(attributes: &Attributes<'_>) -> authorizer::Resource {
    authorizer::Resource {
        group: attributes.resource.group.as_ref().into(),
        resource: attributes.resource.plural.as_ref().into(),
        subresource: attributes.subresource.into(),
        namespace: attributes.namespace.into(),
        name: attributes.name.into(),
        field_selector: None,
        label_selector: None,
    }
}
