//! The JSON patch of RFC 6902.

use json_patch::{Patch, PatchOperation};
use serde_json::Value;

use super::PatchError;
use crate::decode::{DEPTH_MAX, go_kind};

/// Operations of one patch, as upstream.
pub const OPERATIONS_MAX: usize = 10_000;

/// What the `copy` operations of one patch may add, in bytes of JSON, as upstream: else a few lines that copy an object
/// into itself would fill the memory.
pub const COPIED_BYTES_MAX: usize = 3 << 20;

/// Applies a JSON patch: all of it, or nothing.
///
/// # Errors
/// When the patch is none, has too many operations, or does not fit the document.
pub fn json_patch(document: &Value, patch: &Value) -> Result<Value, PatchError> {
    let Value::Array(operations) = patch else {
        let found = go_kind(patch);
        let text = format!(
            "error decoding patch: json: cannot unmarshal {found} into Go value of type []handlers.jsonPatchOp"
        );
        return Err(PatchError::Malformed(text));
    };
    if operations.len() > OPERATIONS_MAX {
        return Err(PatchError::TooLarge { found: operations.len(), max: OPERATIONS_MAX });
    }
    if let Some(other) = operations.iter().find(|operation| !operation.is_object()) {
        let found = go_kind(other);
        let text =
            format!("error decoding patch: json: cannot unmarshal {found} into Go value of type handlers.jsonPatchOp");
        return Err(PatchError::Malformed(text));
    }
    // Upstream finds an operation that does not exist, or lacks its path, when it is to be done.
    let Patch(operations) =
        serde_json::from_value(patch.clone()).map_err(|error| PatchError::Unfit(error.to_string()))?;

    let mut patched = document.clone();
    let mut copied_bytes = 0;
    for operation in &operations {
        if let PatchOperation::Copy(copy) = operation {
            let source = patched.pointer(copy.from.as_str());
            copied_bytes += source.map_or(0, |source| source.to_string().len());
            if copied_bytes > COPIED_BYTES_MAX {
                return Err(PatchError::Unfit(format!(
                    "Unable to complete the copy, the accumulated size increase of copy is {copied_bytes}, exceeding the limit {COPIED_BYTES_MAX}"
                )));
            }
        }
        if is_test_of_absence(&patched, operation) {
            continue;
        }
        json_patch::patch(&mut patched, std::slice::from_ref(operation))
            .map_err(|error| PatchError::Unfit(error.to_string()))?;
    }
    if is_deeper(&patched, DEPTH_MAX) {
        return Err(PatchError::Unfit("exceeded max depth".to_owned()));
    }
    Ok(patched)
}

/// Whether the operation tests that a field is null and the object has no such field, which is the same to upstream.
/// Operators add their first finalizer by this, so that two do not overwrite one another.
fn is_test_of_absence(document: &Value, operation: &PatchOperation) -> bool {
    let PatchOperation::Test(test) = operation else { return false };
    let path = test.path.as_str();
    let Some((parent, _)) = path.rsplit_once('/') else { return false };
    let is_in_object = document.pointer(parent).is_some_and(Value::is_object);
    test.value.is_null() && is_in_object && document.pointer(path).is_none()
}

/// Whether values lie in one another more than `depth` times.
fn is_deeper(value: &Value, depth: usize) -> bool {
    let Some(below) = depth.checked_sub(1) else { return value.is_array() || value.is_object() };
    match value {
        Value::Array(items) => items.iter().any(|item| is_deeper(item, below)),
        Value::Object(fields) => fields.values().any(|value| is_deeper(value, below)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(patch: Value, expected: Result<Value, fn(&PatchError) -> bool>) {
        let document = json!({"data": {"a": "1", "l": [1, 2]}});
        match (json_patch(&document, &patch), expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found, expected),
            (Err(found), Err(is_expected)) => assert!(is_expected(&found), "{found:?}"),
            (found, _) => panic!("{patch}: {found:?}"),
        }
    }

    #[test]
    fn operations_are_applied_together_or_not_at_all() {
        check(
            json!([{"op": "test", "path": "/data/a", "value": "1"}, {"op": "add", "path": "/data/l/-", "value": 3},
                {"op": "move", "from": "/data/a", "path": "/data/b"}, {"op": "remove", "path": "/data/l/0"}]),
            Ok(json!({"data": {"b": "1", "l": [2, 3]}})),
        );
        check(json!([{"op": "test", "path": "/data/a", "value": "2"}]), Err(|e| matches!(e, PatchError::Unfit(_))));
        check(json!([{"op": "remove", "path": "/data/none"}]), Err(|e| matches!(e, PatchError::Unfit(_))));
        check(json!([{"op": "what"}]), Err(|e| matches!(e, PatchError::Unfit(_))));
        check(json!([5]), Err(|e| matches!(e, PatchError::Malformed(_))));
        check(
            json!({"a": 1}),
            Err(|e| {
                e.to_string()
                    == "error decoding patch: json: cannot unmarshal object into Go value of type []handlers.jsonPatchOp"
            }),
        );
        let many = vec![json!({"op": "remove", "path": "/x"}); OPERATIONS_MAX + 1];
        check(
            many.into(),
            Err(|e| e.to_string() == "The allowed maximum operations in a JSON patch is 10000, got 10001"),
        );
    }

    #[test]
    fn what_is_not_there_is_null() {
        let add = json!({"op": "add", "path": "/data/f", "value": ["x"]});
        check(
            json!([{"op": "test", "path": "/data/f", "value": null}, add]),
            Ok(json!({"data": {"a": "1", "l": [1, 2], "f": ["x"]}})),
        );
        for (path, value) in [
            ("/data/a", Value::Null),
            ("/data/f", json!("")),
            ("/data/none/f", Value::Null),
            ("/data/l/2", Value::Null),
        ] {
            check(
                json!([{"op": "test", "path": path, "value": value}]),
                Err(|error| matches!(error, PatchError::Unfit(_))),
            );
        }
    }

    #[test]
    fn a_patch_that_multiplies_the_object_is_refused() {
        let twice: Vec<Value> =
            (0..40).map(|n| json!({"op": "copy", "from": "/data", "path": format!("/data/{n}")})).collect();
        let refused = json_patch(&json!({"data": {"a": "1"}}), &twice.into()).unwrap_err();
        assert!(refused.to_string().starts_with("Unable to complete the copy"), "{refused}");

        let deeper: Vec<Value> = (1..300).map(|n| json!({"op": "add", "path": "/a".repeat(n), "value": {}})).collect();
        assert_eq!(json_patch(&json!({}), &deeper.into()).unwrap_err().to_string(), "exceeded max depth");
    }
}
