//! What a schema says that has no effect.

use std::collections::BTreeSet;

use serde_json::Value;

use super::super::field::quote;
use super::spec::Spec;
use crate::custom::formats;
use crate::value::{entries, list, part, text};

/// A warning for each unknown format and for sets whose items are no scalars.
pub(super) fn warnings(spec: &Spec<'_>) -> Vec<String> {
    let (mut unknown, mut sets) = (Vec::new(), BTreeSet::new());
    spec.schemas().for_each(|schema| look(schema, &mut unknown, &mut sets));
    let formats = unknown.into_iter().map(|format| format!("unrecognized format {}", quote(&format)));
    formats.chain(sets).collect()
}

fn look(schema: &Value, unknown: &mut Vec<String>, sets: &mut BTreeSet<String>) {
    if !schema.is_object() {
        return;
    }
    let format = text(schema, "format");
    if !format.is_empty() && !is_known(text(schema, "type"), format) {
        unknown.push(format.to_owned());
    }
    let items = text(part(schema, "items"), "type");
    if text(schema, "x-kubernetes-list-type") == "set" && ["object", "array"].contains(&items) {
        sets.insert(format!(
            "x-kubernetes-list-type: set for items of type {} is not supported by server-side apply or CEL validation rules",
            quote(items)
        ));
    }
    for field in ["items", "not", "additionalProperties"] {
        look(part(schema, field), unknown, sets);
    }
    for field in ["allOf", "anyOf", "oneOf"] {
        list(schema, field).iter().for_each(|inner| look(inner, unknown, sets));
    }
    entries(schema, "properties").for_each(|(_, inner)| look(inner, unknown, sets));
}

fn is_known(kind: &str, format: &str) -> bool {
    match kind {
        "" | "string" => formats::is_known(format),
        "integer" => ["int32", "int64"].contains(&format),
        "number" => ["float", "double"].contains(&format),
        _ => false,
    }
}
