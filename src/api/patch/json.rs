//! The JSON patch of RFC 6902.

use json_patch::Patch;
use serde_json::Value;

use super::PatchError;
use crate::decode::go_kind;

/// Operations of one patch, as upstream.
pub const OPERATIONS_MAX: usize = 10_000;

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
    let patch: Patch = serde_json::from_value(Value::Array(operations.clone()))
        .map_err(|error| PatchError::Malformed(format!("error decoding patch: {error}")))?;
    let mut patched = document.clone();
    json_patch::patch(&mut patched, &patch).map_err(|error| PatchError::Unfit(error.to_string()))?;
    Ok(patched)
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
        check(json!([{"op": "what"}]), Err(|e| matches!(e, PatchError::Malformed(_))));
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
}
