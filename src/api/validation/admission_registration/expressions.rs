//! What is written in CEL, a function for each place in which an expression may stand.

use super::super::field::{Error, ErrorList, Path};

/// Bytes of an expression for an annotation, as upstream.
const ANNOTATION_BYTES_MAX: usize = 5 << 10;

/// Whether a request is meant: a condition over the request, its objects, `params` and `authorizer`.
pub(super) fn match_condition(errors: &mut ErrorList, path: &Path, expression: &str) {
    written(errors, path, expression, "");
}

/// A variable of a policy: a value of any type, over those before it.
pub(super) fn variable(errors: &mut ErrorList, path: &Path, expression: &str) {
    written(errors, path, expression, "expression is not specified");
}

/// Whether an object is taken: a condition.
pub(super) fn validation(errors: &mut ErrorList, path: &Path, expression: &str) {
    written(errors, path, expression, "expression is not specified");
}

/// What is told of an object that is not taken: text, without `authorizer`.
pub(super) fn message(errors: &mut ErrorList, path: &Path, expression: &str) {
    if !expression.is_empty() && expression.trim().is_empty() {
        errors.push(Error::invalid(path, expression, "must be non-empty if specified"));
    }
}

/// The value of an annotation for the audit: text or null.
pub(super) fn annotation(errors: &mut ErrorList, path: &Path, expression: &str) {
    if expression.trim().len() > ANNOTATION_BYTES_MAX {
        // Upstream calls it required, too.
        errors.push(Error::required(path, format!("must not exceed {ANNOTATION_BYTES_MAX} bytes in length")));
    } else {
        written(errors, path, expression, "valueExpression is not specified");
    }
}

/// What is changed: an object that is applied, or the steps of a JSON patch.
pub(super) fn mutation(errors: &mut ErrorList, path: &Path, expression: &str) {
    written(errors, path, expression, "");
}

fn written(errors: &mut ErrorList, path: &Path, expression: &str, detail: &str) {
    if expression.trim().is_empty() {
        errors.push(Error::required(path, detail));
    }
}
