//! The names of a kind.

use serde_json::Value;

use super::super::field::{Error, ErrorList, Path};
use crate::names::label_1035;
use crate::value::{text, texts};

/// Names that are there are labels; a kind's may have capitals.
pub(super) fn check(errors: &mut ErrorList, path: &Path, names: &Value) {
    for field in ["plural", "singular"] {
        let name = text(names, field);
        let wrong = label_1035(name);
        if !name.is_empty() && !wrong.is_empty() {
            errors.push(Error::invalid(path.child(field), name, wrong.join(",")));
        }
    }
    for field in ["kind", "listKind"] {
        let name = text(names, field);
        let wrong = label_1035(&name.to_lowercase());
        if !name.is_empty() && !wrong.is_empty() {
            let detail = format!("may have mixed case, but should otherwise match: {}", wrong.join(","));
            errors.push(Error::invalid(path.child(field), name, detail));
        }
    }
    labels(errors, path, names, "shortNames");
    let (kind, list_kind) = (text(names, "kind"), text(names, "listKind"));
    if !kind.is_empty() && kind == list_kind {
        errors.push(Error::invalid(path.child("listKind"), list_kind, "kind and listKind may not be the same"));
    }
    labels(errors, path, names, "categories");
}

fn labels(errors: &mut ErrorList, path: &Path, names: &Value, field: &str) {
    for (index, name) in texts(names, field).enumerate() {
        let wrong = label_1035(name);
        if !wrong.is_empty() {
            errors.push(Error::invalid(path.child(field).index(index), name, wrong.join(",")));
        }
    }
}
