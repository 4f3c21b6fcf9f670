//! Lists of a strategic merge patch: merged by key or by value, and put in order.

use serde_json::Value;

use super::{Merger, PATCH, PatchError, Type, unknown_directive, without_directives};

impl<'a> Merger<'a> {
    /// Merges a list whose type declares that it merges; `key` tells items that are maps apart.
    pub(super) fn list(
        self,
        item: Option<&'a Type>,
        key: Option<&str>,
        original: Vec<Value>,
        patch: &[Value],
    ) -> Result<Vec<Value>, PatchError> {
        let has_lists = original.iter().chain(patch).any(Value::is_array);
        if has_lists {
            return Err(PatchError::Unfit("lists of lists are not supported".to_owned()));
        }
        let mut kinds = original.iter().chain(patch).filter(|item| !item.is_null()).map(std::mem::discriminant);
        let first = kinds.next();
        if kinds.any(|kind| Some(kind) != first) {
            return Err(PatchError::Unfit("list element types are not identical".to_owned()));
        }
        let Some(object) = patch.iter().chain(&original).find(|item| item.is_object()) else {
            let mut merged: Vec<Value> = Vec::new();
            for value in original.iter().chain(patch).filter(|value| !value.is_null()) {
                if !merged.contains(value) {
                    merged.push(value.clone());
                }
            }
            return Ok(ordered_beside(merged, patch, &original, None));
        };
        let key = key.ok_or_else(|| no_key(object, ""))?;
        let (original, patch) = apply_directives(original, patch, key)?;
        let mut merged = original.clone();
        for item_patch in &patch {
            let value = item_patch.get(key).ok_or_else(|| no_key(item_patch, key))?;
            let place = merged.iter_mut().find(|there| there.get(key) == Some(value));
            match (place, item_patch) {
                (Some(there), Value::Object(fields)) => {
                    if let Value::Object(old) = there.take() {
                        *there = Value::Object(self.map(item, old, fields)?);
                    }
                }
                _ => merged.push(without_directives(item_patch)),
            }
        }
        Ok(ordered_beside(merged, &patch, &original, Some(key)))
    }
}

/// The list of an order directive.
pub(super) fn items(order: &Value) -> Result<&[Value], PatchError> {
    let wrong = || PatchError::Malformed("invalid patch format of setElementOrder list".to_owned());
    order.as_array().map(Vec::as_slice).ok_or_else(wrong)
}

/// A list in the order of `order`; items that it does not name keep their places as well as possible.
pub(super) fn ordered(items: Vec<Value>, order: &[Value], key: Option<&str>) -> Vec<Value> {
    let before = items.clone();
    ordered_beside(items, order, &before, key)
}

/// Takes `$patch` items out of a patch and applies them: `delete` to the original's items, `replace` to all of it.
fn apply_directives(
    mut original: Vec<Value>,
    patch: &[Value],
    key: &str,
) -> Result<(Vec<Value>, Vec<Value>), PatchError> {
    let mut rest = Vec::new();
    let mut is_replaced = false;
    for item in patch {
        let Some(directive) = item.get(PATCH) else {
            rest.push(item.clone());
            continue;
        };
        match directive.as_str() {
            Some("delete") => {
                let value = item.get(key).ok_or_else(|| no_key(item, key))?;
                original.retain(|there| there.get(key) != Some(value));
            }
            Some("replace") => is_replaced = true,
            Some("merge") => {
                return Err(PatchError::Malformed("merging lists cannot yet be specified in the patch".to_owned()));
            }
            _ => return Err(unknown_directive(directive)),
        }
    }
    Ok(if is_replaced { (rest.iter().map(without_directives).collect(), Vec::new()) } else { (original, rest) })
}

fn no_key(item: &Value, key: &str) -> PatchError {
    PatchError::Malformed(format!("map: {item} does not contain declared merge key: {key}"))
}

/// Puts the items that `patch` names in its order, and weaves the others in by where they stood in `original`: each
/// comes before the first item of the patch that stood behind it.
fn ordered_beside(items: Vec<Value>, patch: &[Value], original: &[Value], key: Option<&str>) -> Vec<Value> {
    let identity = |item: &Value| key.map_or_else(|| item.clone(), |key| item.get(key).cloned().unwrap_or_default());
    let position = |list: &[Value], item: &Value| {
        let wanted = identity(item);
        list.iter().position(|other| identity(other) == wanted)
    };
    let (mut named, others): (Vec<Value>, Vec<Value>) =
        items.into_iter().partition(|item| position(patch, item).is_some());
    named.sort_by_key(|item| position(patch, item));

    let mut woven = Vec::with_capacity(named.len() + others.len());
    let mut others = others.into_iter().peekable();
    for item in named {
        let place = position(original, &item);
        while let Some(other) =
            others.next_if(|other| place.is_some_and(|place| position(original, other).is_some_and(|at| at < place)))
        {
            woven.push(other);
        }
        woven.push(item);
    }
    woven.extend(others);
    woven
}
