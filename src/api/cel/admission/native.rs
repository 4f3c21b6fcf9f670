//! What changing expressions made, as JSON.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Map, Value as Json, json};

use super::super::error::Error;
use super::super::functions::time;
use super::super::value::Value;
use crate::validation::field::quote;

/// A value as JSON. Values are no deeper than JSON or an expression may be.
pub(super) fn to_json(value: &Value<'_>) -> Result<Json, Error> {
    Ok(match value {
        Value::Null => Json::Null,
        Value::Bool(value) => json!(value),
        Value::Int(number) => json!(number),
        Value::Uint(number) => json!(number),
        Value::Double(number) => json!(number),
        Value::String(text) => json!(&**text),
        Value::Bytes(bytes) => json!(BASE64_STANDARD.encode(bytes)),
        Value::Duration(span) => json!(time::duration_text(*span)),
        Value::Timestamp(point) => json!(point.to_string()),
        Value::List(list) => {
            let items = list.iter().map(|item| to_json(&item?)).collect::<Result<Vec<_>, Error>>()?;
            Json::Array(items)
        }
        Value::Map(map) => {
            let mut fields = Map::new();
            for key in map.keys() {
                let Value::String(name) = &key else {
                    return Err(Error::failed(format!(
                        "map key {} is of type {}, not string",
                        quote(&super::super::functions::text::display(&key)),
                        key.type_name()
                    )));
                };
                if let Some(value) = map.find(&key) {
                    fields.insert(name.to_string(), to_json(&value?)?);
                }
            }
            Json::Object(fields)
        }
        Value::Object(_, fields) => {
            let fields = fields.iter().map(|(name, value)| {
                let value = to_json(value)
                    .map_err(|error| Error::failed(format!("fail to convert field {}: {error}", quote(name))))?;
                Ok((name.to_string(), value))
            });
            Json::Object(fields.collect::<Result<_, Error>>()?)
        }
        other => return Err(Error::failed(format!("unsupported type {}", other.type_name()))),
    })
}

/// Whether objects are named by the paths at which they stand: `Object.spec` at `spec`.
pub(super) fn check_names(value: &Value<'_>) -> Result<(), String> {
    let mut wrong = Vec::new();
    check_at(value, "Object", &mut wrong);
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n")) }
}

fn check_at(value: &Value<'_>, path: &str, wrong: &mut Vec<String>) {
    match value {
        Value::Object(name, fields) => {
            if name.as_ref() != path {
                let (name, path) = (quote(name), quote(path));
                wrong.push(format!(
                    "unexpected type name {name}, expected {path}, which matches field name path from root Object type"
                ));
            }
            for (field, value) in fields.iter() {
                check_at(value, &format!("{path}.{field}"), wrong);
            }
        }
        Value::List(list) => list.iter().flatten().for_each(|item| check_at(&item, path, wrong)),
        Value::Map(map) => {
            for key in map.keys() {
                if let Some(Ok(value)) = map.find(&key) {
                    check_at(&value, path, wrong);
                }
            }
        }
        _ => {}
    }
}

/// An operation of a JSON patch.
pub(super) fn operation(value: &Value<'_>) -> Result<Json, String> {
    let Value::Object(_, fields) = value else {
        let kind = value.type_name();
        return Err(format!(
            "type mismatch: JSONPatchType.expression should evaluate to array of JSONPatch, got element of {kind}"
        ));
    };
    let mut operation = Map::new();
    for name in ["op", "path", "from"] {
        let text = match fields.get(name) {
            Some(Value::String(text)) => text.to_string(),
            Some(other) => {
                let kind = other.type_name();
                return Err(format!("unexpected type {kind} for JSONPatchType '{name}' field"));
            }
            None => String::new(),
        };
        if name != "from" || !text.is_empty() {
            operation.insert(name.to_owned(), Json::String(text));
        }
    }
    if let Some(value) = fields.get("value") {
        if let Value::Object(name, _) = value {
            // A patch puts an object at a path of its own, so that its name has to be that of its own parts only.
            let mut wrong = Vec::new();
            check_at(value, name, &mut wrong);
            if !wrong.is_empty() {
                return Err(format!("type mismatch: {}", wrong.join("\n")));
            }
        }
        let value = to_json(value).map_err(|error| {
            format!("JSONPath valueExpression evaluated to a type that could not marshal to JSON: {error}")
        })?;
        operation.insert("value".to_owned(), value);
    }
    Ok(Json::Object(operation))
}
