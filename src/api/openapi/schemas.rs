//! The types of a document, with descriptions, list types and the kinds that they are.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use crate::scheme::Scheme;
use crate::schema::facts;
use crate::schema::generate::{self, REFERENCE};

/// Every definition that a served kind reaches, by name, in the form of OpenAPI v3.
pub(super) fn components(scheme: &Scheme) -> Map<String, Value> {
    let mut definitions = generate::definitions();
    for (name, definition) in &mut definitions {
        add_facts(name, definition);
        normalise(definition);
    }
    add_lists(scheme, &mut definitions);
    add_kinds(scheme, &mut definitions);
    definitions
}

/// Takes out what `paths` do not reach.
pub(super) fn keep_reached(definitions: &mut Map<String, Value>, paths: &Value) {
    let mut reached = BTreeSet::new();
    let mut waiting = references(paths);
    while let Some(name) = waiting.pop() {
        if reached.insert(name.clone())
            && let Some(definition) = definitions.get(&name)
        {
            waiting.extend(references(definition));
        }
    }
    definitions.retain(|name, _| reached.contains(name));
}

/// The names of all definitions that a value refers to.
fn references(value: &Value) -> Vec<String> {
    match value {
        Value::Object(fields) => {
            let own = fields.get("$ref").and_then(Value::as_str).and_then(|text| text.strip_prefix(REFERENCE));
            own.map(str::to_owned).into_iter().chain(fields.values().flat_map(references)).collect()
        }
        Value::Array(items) => items.iter().flat_map(references).collect(),
        _ => Vec::new(),
    }
}

/// Writes upstream's `x-kubernetes-*` facts and defaults into a definition's fields.
fn add_facts(name: &str, definition: &mut Value) {
    let Some(known) = facts::openapi(name) else { return };
    for (field, facts) in known {
        let place = if field.is_empty() { Some(&mut *definition) } else { definition.pointer_mut(&format!("/properties/{field}")) };
        if let (Some(Value::Object(place)), Some(facts)) = (place, facts.as_object()) {
            place.extend(facts.iter().map(|(key, value)| (key.clone(), value.clone())));
        }
    }
}

/// OpenAPI 3.0 has no type lists and no siblings of `$ref`: what is described beside a reference goes into `allOf`.
fn normalise(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            if fields.len() > 1
                && let Some(reference) = fields.remove("$ref")
            {
                fields.insert("allOf".into(), json!([{"$ref": reference}]));
                fields.entry("default").or_insert_with(|| json!({}));
            }
            fields.values_mut().for_each(normalise);
        }
        Value::Array(items) => items.iter_mut().for_each(normalise),
        _ => {}
    }
}

/// Adds the list type of each kind.
fn add_lists(scheme: &Scheme, definitions: &mut Map<String, Value>) {
    for row in scheme.resources() {
        let name = row.definition().to_owned();
        let list = json!({
            "type": "object",
            "description": format!("{} is a list of {}.", row.list_kind, row.kind),
            "required": ["items"],
            "properties": {
                "apiVersion": {"type": "string", "description": API_VERSION},
                "kind": {"type": "string", "description": KIND},
                "metadata": {"allOf": [{"$ref": format!("{REFERENCE}io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta")}],
                    "default": {}, "description": "Standard list metadata."},
                "items": {"type": "array", "description": "The objects of the list.",
                    "items": {"allOf": [{"$ref": format!("{REFERENCE}{name}")}], "default": {}}},
            },
        });
        definitions.insert(format!("{name}List"), list);
    }
}

const API_VERSION: &str = "The version of the schema in which this object is written.";
const KIND: &str = "The kind of this object, in CamelCase. It cannot be changed.";

/// Writes which kinds a definition is.
fn add_kinds(scheme: &Scheme, definitions: &mut Map<String, Value>) {
    let mut kinds: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for row in scheme.resources() {
        let kind = |kind: &str| json!({"group": row.group, "version": row.version, "kind": kind});
        kinds.entry(row.definition().to_owned()).or_default().push(kind(&row.kind));
        kinds.entry(format!("{}List", row.definition())).or_default().push(kind(&row.list_kind));
    }
    for (name, kinds) in kinds {
        if let Some(definition) = definitions.get_mut(&name).and_then(Value::as_object_mut) {
            definition.insert("x-kubernetes-group-version-kind".into(), kinds.into());
        }
    }
}
