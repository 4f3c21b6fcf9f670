//! The rules of a custom resource: `x-kubernetes-validations` of a structural schema.
//!
//! [`check()`] tells what is wrong with the rules of a definition; [`Rules`] are those of a definition that was
//! accepted, compiled once, to validate objects with.

mod check;
mod compile;
pub(crate) mod field_path;
mod validate;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::decl::{Decl, Place, is_embedded};
pub use check::{CostLimit, check};
use compile::{Rule, compile};

/// How much all rules may cost on one object; upstream's number.
pub const OBJECT_COST_MAX: i64 = 10_000_000;

/// How deep a schema may be; deeper parts have no rules.
const DEPTH_MAX: usize = 200;

/// What types of selves are called in messages. Upstream's name has a random number in it, so that nobody uses it.
const SELF_TYPE: &str = "selfType";

/// The compiled rules of a schema.
#[derive(Debug, Default)]
pub struct Rules {
    root: Option<Box<Node>>,
}

/// The rules of a schema and of what is in it.
#[derive(Debug)]
struct Node {
    /// The schema's `type`, which messages show instead of large values.
    kind: Box<str>,
    rules: Vec<Rule>,
    /// What `self` is; none if expressions may not see it.
    decl: Option<Arc<Decl>>,
    all_of: Vec<Node>,
    items: Option<Box<Node>>,
    additional: Option<Box<Node>>,
    properties: BTreeMap<Box<str>, Node>,
    /// Whether old and new members belong together by their names.
    has_correlatable_members: bool,
    /// Whether a change to one member leaves the others unchanged (`x-kubernetes-map-type` is not `atomic`).
    has_own_members: bool,
    /// By which fields old and new items belong together.
    list_keys: Option<Vec<Box<str>>>,
}

impl Rules {
    /// Compiles all rules of the schema of a custom resource. Rules of a definition that was accepted compile; should
    /// one not, objects are told so.
    #[must_use]
    pub fn compile(schema: &Value) -> Self {
        Self { root: build(schema, schema, (Place::Root, None), DEPTH_MAX).map(Box::new) }
    }

    /// Whether there is no rule.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.root.is_none()
    }
}

/// The rules in `rules`, a part of an `allOf` or the schema itself, on values that `schema` is of; where that stands,
/// and what its values are if a schema around it has rules.
fn build(rules: &Value, schema: &Value, place: (Place, Option<&Arc<Decl>>), depth: usize) -> Option<Node> {
    let depth = depth.checked_sub(1)?;
    let has_rules = rules.get("x-kubernetes-validations").and_then(Value::as_array).is_some_and(|own| !own.is_empty());
    let decl = match place.1 {
        Some(decl) => Some(Arc::clone(decl)),
        None if has_rules => Decl::of(schema, place.0, SELF_TYPE),
        None => None,
    };
    let child = |rules: &Value, schema: &Value, decl| build(rules, schema, (is_embedded(schema), decl), depth);
    let both = |name: &str| {
        let is_schema = |value: &&Value| value.is_object();
        let rules = rules.get(name).filter(is_schema)?;
        let element = decl.as_ref().and_then(|decl| decl.element());
        child(rules, schema.get(name).filter(is_schema)?, element).map(Box::new)
    };
    let mut properties = BTreeMap::new();
    for (name, rules) in rules.get("properties").and_then(Value::as_object).into_iter().flatten() {
        let Some(schema) = schema.get("properties").and_then(|properties| properties.get(name)) else {
            continue;
        };
        if let Some(node) = child(rules, schema, decl.as_ref().and_then(|decl| decl.property(name))) {
            properties.insert(name.as_str().into(), node);
        }
    }
    let all_of = rules.get("allOf").and_then(Value::as_array).into_iter().flatten();
    let all_of: Vec<Node> = all_of.filter_map(|rules| build(rules, schema, (place.0, decl.as_ref()), depth)).collect();
    let (items, additional) = (both("items"), both("additionalProperties"));
    let own = rules.get("x-kubernetes-validations").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    if own.is_empty() && all_of.is_empty() && items.is_none() && additional.is_none() && properties.is_empty() {
        return None;
    }
    let map_type = schema.get("x-kubernetes-map-type").and_then(Value::as_str);
    Some(Node {
        kind: schema.get("type").and_then(Value::as_str).unwrap_or_default().into(),
        rules: own.iter().map(|rule| compile(rule, decl.as_ref(), schema)).collect(),
        decl,
        all_of,
        items,
        additional,
        properties,
        has_correlatable_members: is_correlatable(schema),
        has_own_members: map_type.is_none_or(|map_type| map_type == "granular"),
        list_keys: list_keys(schema),
    })
}

/// Whether old and new members of an object belong together by their names.
fn is_correlatable(schema: &Value) -> bool {
    let map_type = schema.get("x-kubernetes-map-type").and_then(Value::as_str);
    map_type.is_none_or(|map_type| matches!(map_type, "granular" | "atomic"))
}

fn list_keys(schema: &Value) -> Option<Vec<Box<str>>> {
    if schema.get("x-kubernetes-list-type").and_then(Value::as_str) != Some("map") {
        return None;
    }
    let keys = schema.get("x-kubernetes-list-map-keys").and_then(Value::as_array)?;
    Some(keys.iter().filter_map(Value::as_str).map(Into::into).collect())
}
