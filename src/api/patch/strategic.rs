//! The strategic merge patch: like a merge patch, but lists are merged by the keys that the type declares.
//!
//! Directives, all of which upstream's clients use:
//!
//! ```text
//! {"$patch": "replace" | "delete"}          in a map, or in an item of a list
//! {"$retainKeys": [k, …]}                   drops the map's other keys
//! {"$deleteFromPrimitiveList/f": [v, …]}    takes values out of list f
//! {"$setElementOrder/f": [v or {k: v}, …]}  orders list f
//! ```
//!
//! A patch that cannot be merged is the client's mistake and so [`PatchError::Malformed`] or [`PatchError::Unfit`], also
//! where upstream answers 500 for an error that its handler does not know.

mod list;

use serde_json::{Map, Value};

use super::PatchError;
use crate::schema::{Id, Merge, Schemas, Type};

const PATCH: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const DELETE_FROM_LIST: &str = "$deleteFromPrimitiveList/";
const SET_ORDER: &str = "$setElementOrder/";

/// Applies a strategic merge patch to an object of a type.
///
/// # Errors
/// When the patch is none, uses a directive wrongly, or names list items without their key.
pub fn strategic(schemas: &Schemas, id: Id, document: &Value, patch: &Value) -> Result<Value, PatchError> {
    let (Value::Object(document), Value::Object(patch)) = (document, patch) else {
        return Err(PatchError::no_object(patch));
    };
    Merger { schemas }.map(Some(&Type::Object(id)), document.clone(), patch).map(Value::Object)
}

/// Merges by the rules of a schema. Below what the schema does not describe, maps merge and lists replace.
#[derive(Clone, Copy)]
struct Merger<'a> {
    schemas: &'a Schemas,
}

/// What is known of a field, an item or a value: its type, and how it merges.
#[derive(Clone, Copy)]
struct Known<'a> {
    kind: Option<&'a Type>,
    merge: Option<&'a Merge>,
}

impl<'a> Merger<'a> {
    fn map(
        self,
        kind: Option<&'a Type>,
        mut original: Map<String, Value>,
        patch: &Map<String, Value>,
    ) -> Result<Map<String, Value>, PatchError> {
        if let Some(directive) = patch.get(PATCH) {
            return replaced(directive, patch);
        }
        if let Some(keys) = patch.get(RETAIN_KEYS) {
            retain(keys, &mut original, patch)?;
        }
        for (name, value) in patch {
            if name == RETAIN_KEYS || name.starts_with(SET_ORDER) {
                continue;
            }
            if let Some(list) = name.strip_prefix(DELETE_FROM_LIST) {
                delete_from_list(&mut original, list, value)?;
                continue;
            }
            let order = patch.get(&format!("{SET_ORDER}{name}"));
            match original.remove(name) {
                _ if value.is_null() => {}
                Some(old) => {
                    original.insert(name.clone(), self.value(self.known(kind, name), old, value, order)?);
                }
                None => {
                    original.insert(name.clone(), without_directives(value));
                }
            }
        }
        for (name, order) in patch {
            // An order may come without a list to merge: it then orders what is there.
            let Some(name) = name.strip_prefix(SET_ORDER).filter(|name| !patch.contains_key(*name)) else { continue };
            if let Some(Value::Array(items)) = original.get_mut(name) {
                let key = self.known(kind, name).merge.and_then(|merge| merge.key.as_deref());
                *items = list::ordered(std::mem::take(items), list::items(order)?, key);
            }
        }
        Ok(original)
    }

    /// A value that is in both; `order` is the order directive beside it.
    fn value(
        self,
        known: Known<'a>,
        original: Value,
        patch: &Value,
        order: Option<&Value>,
    ) -> Result<Value, PatchError> {
        match (original, patch) {
            (Value::Object(original), Value::Object(patch)) => self.map(known.kind, original, patch).map(Value::Object),
            (Value::Array(original), Value::Array(patch)) if known.merge.is_some_and(|merge| merge.merges) => {
                let item = match known.kind {
                    Some(Type::List(item)) => Some(item.as_ref()),
                    _ => None,
                };
                let key = known.merge.and_then(|merge| merge.key.as_deref());
                let merged = self.list(item, key, original, patch)?;
                Ok(Value::Array(match order {
                    Some(order) => list::ordered(merged, list::items(order)?, key),
                    None => merged,
                }))
            }
            _ => Ok(without_directives(patch)),
        }
    }

    /// What the schema says of a field of a map.
    fn known(self, kind: Option<&'a Type>, name: &str) -> Known<'a> {
        match kind {
            Some(Type::Object(id)) => {
                let field = self.schemas.get(*id).field(name);
                Known { kind: field.map(|field| &field.kind), merge: field.map(|field| &field.merge) }
            }
            Some(Type::Map(value)) => Known { kind: Some(value), merge: None },
            _ => Known { kind: None, merge: None },
        }
    }
}

/// What `$patch` makes of a map.
fn replaced(directive: &Value, patch: &Map<String, Value>) -> Result<Map<String, Value>, PatchError> {
    match directive.as_str() {
        Some("replace") => match without_directives(&Value::Object(patch.clone())) {
            Value::Object(map) => Ok(map),
            _ => Ok(Map::new()),
        },
        Some("delete") => Ok(Map::new()),
        _ => Err(unknown_directive(directive)),
    }
}

fn unknown_directive(directive: &Value) -> PatchError {
    PatchError::Malformed(format!("unknown patch type: {directive}"))
}

/// Applies `$retainKeys`, whose list must name all that the patch sets.
fn retain(keys: &Value, original: &mut Map<String, Value>, patch: &Map<String, Value>) -> Result<(), PatchError> {
    let Value::Array(keys) = keys else {
        return Err(PatchError::Malformed("invalid patch format of retainKeys".to_owned()));
    };
    let is_kept = |name: &str| keys.iter().any(|key| key == name);
    let is_set = |(name, value): (&String, &Value)| !value.is_null() && !name.starts_with('$') && !is_kept(name);
    if patch.iter().any(is_set) {
        return Err(PatchError::Unfit("patch content doesn't match retainKeys list".to_owned()));
    }
    original.retain(|name, _| is_kept(name));
    Ok(())
}

/// Applies `$deleteFromPrimitiveList`.
fn delete_from_list(original: &mut Map<String, Value>, name: &str, values: &Value) -> Result<(), PatchError> {
    let Value::Array(values) = values else {
        return Err(PatchError::Malformed("invalid patch format of primitive list".to_owned()));
    };
    if let Some(Value::Array(list)) = original.get_mut(name) {
        list.retain(|item| !values.contains(item));
    }
    Ok(())
}

/// A part of a patch as it is taken over where nothing was: no directives, no nulls.
fn without_directives(patch: &Value) -> Value {
    match patch {
        Value::Object(map) => {
            let kept = map.iter().filter(|(name, value)| !value.is_null() && !is_directive(name));
            Value::Object(kept.map(|(name, value)| (name.clone(), without_directives(value))).collect())
        }
        Value::Array(items) => {
            let is_deletion = |item: &&Value| item.get(PATCH).and_then(Value::as_str) == Some("delete");
            let is_marker =
                |item: &&Value| item.as_object().is_some_and(|map| map.len() == 1 && map.contains_key(PATCH));
            items.iter().filter(|item| !is_deletion(item) && !is_marker(item)).map(without_directives).collect()
        }
        scalar => scalar.clone(),
    }
}

fn is_directive(name: &str) -> bool {
    name == PATCH || name == RETAIN_KEYS || name.starts_with(DELETE_FROM_LIST) || name.starts_with(SET_ORDER)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn apply(document: Value, patch: Value) -> Result<Value, PatchError> {
        let schemas = Schemas::builtin();
        strategic(schemas, schemas.named("io.k8s.api.core.v1.Pod").unwrap(), &document, &patch)
    }

    #[track_caller]
    fn check(spec: Value, patch: Value, expected: Value) {
        let patched = apply(json!({"spec": spec}), json!({"spec": patch})).unwrap();
        assert_eq!(patched, json!({"spec": expected}));
    }

    #[test]
    fn maps_merge_and_null_removes() {
        check(
            json!({"nodeSelector": {"a": "1", "b": "2"}, "hostname": "h"}),
            json!({"nodeSelector": {"a": null, "c": "3"}, "hostname": null, "subdomain": "s", "dnsPolicy": null}),
            json!({"nodeSelector": {"b": "2", "c": "3"}, "subdomain": "s"}),
        );
        check(
            json!({"nodeSelector": {"a": "1"}}),
            json!({"nodeSelector": {"$patch": "replace", "b": "2"}}),
            json!({"nodeSelector": {"b": "2"}}),
        );
        check(
            json!({"nodeSelector": {"a": "1"}}),
            json!({"nodeSelector": {"$patch": "delete"}}),
            json!({"nodeSelector": {}}),
        );
    }

    #[test]
    fn lists_merge_by_their_keys() {
        check(
            json!({"containers": [{"name": "a", "image": "1"}, {"name": "b", "image": "1"}]}),
            json!({"containers": [{"name": "c", "image": "3"}, {"name": "b", "image": "2"}]}),
            json!({"containers": [{"name": "c", "image": "3"}, {"name": "a", "image": "1"}, {"name": "b", "image": "2"}]}),
        );
        check(
            json!({"containers": [{"name": "a"}, {"name": "b"}]}),
            json!({"containers": [{"$patch": "delete", "name": "a"}]}),
            json!({"containers": [{"name": "b"}]}),
        );
        check(
            json!({"containers": [{"name": "a"}, {"name": "b"}]}),
            json!({"containers": [{"$patch": "replace"}, {"name": "c"}]}),
            json!({"containers": [{"name": "c"}]}),
        );
        // `args` has no patch strategy, so it is replaced.
        check(
            json!({"containers": [{"name": "a", "args": ["x"]}]}),
            json!({"containers": [{"name": "a", "args": ["y"]}]}),
            json!({"containers": [{"name": "a", "args": ["y"]}]}),
        );
    }

    #[test]
    fn directives_for_order_and_keys_are_followed() {
        check(
            json!({"containers": [{"name": "a"}, {"name": "b"}, {"name": "server"}]}),
            json!({"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}], "containers": [{"name": "b", "image": "2"}]}),
            json!({"containers": [{"name": "b", "image": "2"}, {"name": "a"}, {"name": "server"}]}),
        );
        check(
            json!({"volumes": [{"name": "v", "emptyDir": {}}]}),
            json!({"volumes": [{"name": "v", "$retainKeys": ["name", "hostPath"], "hostPath": {"path": "/p"}}]}),
            json!({"volumes": [{"name": "v", "hostPath": {"path": "/p"}}]}),
        );
        let finalizers = apply(
            json!({"metadata": {"finalizers": ["a/x", "b/x"]}}),
            json!({"metadata": {"$deleteFromPrimitiveList/finalizers": ["a/x"], "finalizers": ["c/x"],
                "$setElementOrder/finalizers": ["c/x", "b/x"]}}),
        );
        assert_eq!(finalizers.unwrap(), json!({"metadata": {"finalizers": ["c/x", "b/x"]}}));
    }

    #[test]
    fn what_is_taken_over_holds_no_directive() {
        check(
            json!({}),
            json!({"containers": [{"name": "a", "$setElementOrder/env": [{"name": "E"}], "env": [{"name": "E", "value": null}]}]}),
            json!({"containers": [{"name": "a", "env": [{"name": "E"}]}]}),
        );
    }

    #[test]
    fn wrong_patches_are_refused_in_the_words_of_upstream() {
        let check = |patch: Value, expected: &str| {
            let document = json!({"spec": {"containers": [{"name": "a"}], "volumes": [{"name": "v"}]}});
            assert_eq!(apply(document, json!({"spec": patch})).unwrap_err().to_string(), expected);
        };
        check(
            json!({"containers": [{"image": "i"}]}),
            "map: {\"image\":\"i\"} does not contain declared merge key: name",
        );
        check(json!({"containers": [{"name": "b"}, "c"]}), "list element types are not identical");
        check(json!({"$patch": "other"}), "unknown patch type: \"other\"");
        check(json!({"$retainKeys": "x"}), "invalid patch format of retainKeys");
        check(json!({"$retainKeys": ["x"], "y": 1}), "patch content doesn't match retainKeys list");
        check(json!({"$deleteFromPrimitiveList/x": 1}), "invalid patch format of primitive list");
        check(json!({"$setElementOrder/containers": 1}), "invalid patch format of setElementOrder list");
        check(
            json!({"containers": [{"name": "a", "$patch": "merge"}]}),
            "merging lists cannot yet be specified in the patch",
        );
        assert!(apply(json!({}), json!([])).is_err());
    }
}
