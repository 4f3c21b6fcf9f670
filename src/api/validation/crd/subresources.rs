//! Where the objects of a kind have their scale.

use serde_json::Value;

use super::super::field::{Error, ErrorList, Path};
use crate::value::{part, text};

/// The paths of the scale are in the spec and in the status.
pub(super) fn check(errors: &mut ErrorList, path: &Path, subresources: &Value) {
    let scale = part(subresources, "scale");
    if scale.is_null() {
        return;
    }
    for (field, under) in [("specReplicasPath", ".spec"), ("statusReplicasPath", ".status")] {
        let (at, said) = (path.child("scale").child(field), text(scale, field));
        if said.is_empty() {
            errors.push(Error::required(at, ""));
        } else if simple_path(errors, &at, said) && !said.starts_with(&format!("{under}.")) {
            errors.push(Error::invalid(at, said, format!("should be a json path under {under}")));
        }
    }
    let (at, said) = (path.child("scale").child("labelSelectorPath"), text(scale, "labelSelectorPath"));
    let is_under = |said: &str| said.starts_with(".spec.") || said.starts_with(".status.");
    if !said.is_empty() && simple_path(errors, &at, said) && !is_under(said) {
        errors.push(Error::invalid(at, said, "should be a json path under either .spec or .status"));
    }
}

/// A path from the object down; says whether it is one.
pub(super) fn simple_path(errors: &mut ErrorList, path: &Path, said: &str) -> bool {
    let is_path = said.starts_with('.');
    if !is_path {
        errors.push(Error::invalid(path, said, "must be a simple json path starting with ."));
    }
    is_path
}
