//! Which fields an object has, and whether it can be applied at all.

use std::collections::BTreeSet;

use serde_json::Value;

use super::fields::{self, Fields, Node};
use super::shape::{Place, Shape, items};
use crate::schema::Type;

/// The fields that are in `value`: what an applier of it owns.
pub(super) fn owned(place: Place<'_>, value: &Value) -> Fields {
    node(place, value).inner
}

fn node(place: Place<'_>, value: &Value) -> Node {
    let mut inner = Fields::default();
    match place.shape_of([value]) {
        Shape::Leaf => return Node::leaf(),
        Shape::Struct(_) | Shape::Map(_) => {
            let is_map = matches!(place.shape(), Shape::Map(_));
            for (name, value) in value.as_object().into_iter().flatten() {
                let Some(place) = place.under(name) else { continue };
                let mut node = node(place, value);
                // A field that is an object has its parts for members, unless there are none.
                let is_nothing = value.is_null() || value.as_object().is_some_and(serde_json::Map::is_empty);
                node.is_member |= is_nothing || is_map;
                inner.put(fields::field(name), node);
            }
        }
        Shape::Set | Shape::Keyed(..) => {
            for (element, item) in items(&place, Some(value)) {
                let mut node = match place.shape() {
                    Shape::Keyed(_, item_type) => node(place.of_item(item_type), item),
                    _ => Node::leaf(),
                };
                node.is_member = true;
                inner.put(element, node);
            }
        }
    }
    Node { is_member: false, inner }
}

/// What keeps `value` from being applied, each with its path, in upstream's words.
pub(super) fn complaints(place: Place<'_>, value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    look(place, value, "", &mut found);
    found
}

fn look(place: Place<'_>, value: &Value, path: &str, found: &mut Vec<String>) {
    let mut complain = |text: String| found.push(if path.is_empty() { text } else { format!("{path}: {text}") });
    match (place.kind, value) {
        (Type::Raw | Type::Any | Type::Json | Type::SchemaOr(..), _) | (_, Value::Null) => {}
        (Type::Object(_) | Type::Map(_), Value::Object(parts)) => {
            let whole = Place { merge: Place::root(place.schemas, place.kind).merge, ..place };
            for (name, value) in parts {
                let path = format!("{path}.{name}");
                match inner_place(whole, name) {
                    Some(place) => look(place, value, &path, found),
                    None => found.push(format!("{path}: field not declared in schema")),
                }
            }
        }
        (Type::Object(_) | Type::Map(_), other) => complain(format!("expected map, got &{{{}}}", plain(other))),
        (Type::List(item_type), Value::Array(list)) => {
            let mut elements = BTreeSet::new();
            for (index, item) in list.iter().enumerate() {
                let element = match place.shape() {
                    Shape::Keyed(keys, item_type) => place.element_of(keys, item_type, item),
                    Shape::Set => Ok(fields::value(item)),
                    _ => Ok(format!("i:{index}").into()),
                };
                match element {
                    Err(text) => found.push(format!("{path}: element {index}: {text}")),
                    Ok(element) => {
                        let key = fields::spoken(&element);
                        if elements.insert(element) {
                            look(place.of_item(item_type), item, &format!("{path}{key}"), found);
                        } else {
                            found.push(format!("{path}: duplicate entries for key {key}"));
                        }
                    }
                }
            }
        }
        (Type::List(_), other) => complain(format!("expected list, got &{{{}}}", plain(other))),
        (Type::String | Type::Bytes | Type::Time | Type::MicroTime, Value::String(_)) => {}
        (Type::String | Type::Bytes | Type::Time | Type::MicroTime, other) => {
            complain(format!("expected string, got &value.valueUnstructured{{Value:{other}}}"));
        }
        (Type::Int32 | Type::Int64 | Type::Number, Value::Number(_)) | (Type::Boolean, Value::Bool(_)) => {}
        (Type::Int32 | Type::Int64 | Type::Number, other) => {
            complain(format!("expected numeric (int or float), got {}", crate::decode::go_kind(other)));
        }
        (Type::Boolean, other) => complain(format!("expected boolean, got &{{{}}}", plain(other))),
        (Type::Quantity | Type::IntOrString, Value::Object(_) | Value::Array(_)) => {
            complain(format!("expected scalar, got &{{{}}}", plain(value)));
        }
        (Type::Quantity | Type::IntOrString, _) => {}
    }
}

/// The paths of lists, maps and objects in `value` that have one owner as a whole.
pub(super) fn wholes(place: Place<'_>, value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    find_wholes(place, value, "", &mut found);
    found
}

fn find_wholes(place: Place<'_>, value: &Value, path: &str, found: &mut Vec<String>) {
    match (place.shape_of([value]), value) {
        (Shape::Leaf, Value::Object(_) | Value::Array(_)) => found.push(path.to_owned()),
        (Shape::Struct(_) | Shape::Map(_), Value::Object(parts)) => {
            for (name, value) in parts {
                if let Some(place) = place.under(name) {
                    find_wholes(place, value, &format!("{path}.{name}"), found);
                }
            }
        }
        (Shape::Keyed(_, item_type), Value::Array(items)) => {
            for (index, item) in items.iter().enumerate() {
                find_wholes(place.of_item(item_type), item, &format!("{path}[{index}]"), found);
            }
        }
        _ => {}
    }
}

/// The place under `name`, of an atomic object too.
fn inner_place<'a>(place: Place<'a>, name: &str) -> Option<Place<'a>> {
    match place.kind {
        Type::Object(id) => place.in_struct(place.schemas.get(*id), name),
        Type::Map(inner) => Some(place.of_item(inner)),
        _ => None,
    }
}

/// A value as Go prints it.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
