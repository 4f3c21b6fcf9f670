//! The columns in which objects of a kind are printed.

use serde_json::Value;

use super::super::field::{Error, ErrorList, Path};
use super::subresources::simple_path;
use crate::value::text;

const TYPES: [&str; 5] = ["boolean", "date", "integer", "number", "string"];
const FORMATS: [&str; 8] = ["byte", "date", "date-time", "double", "float", "int32", "int64", "password"];

/// Columns have a name, a type and a path.
pub(super) fn check(errors: &mut ErrorList, path: &Path, columns: &Value) {
    for (index, column) in columns.as_array().into_iter().flatten().enumerate() {
        let path = path.index(index);
        if text(column, "name").is_empty() {
            errors.push(Error::required(path.child("name"), ""));
        }
        let (at, kind) = (path.child("type"), text(column, "type"));
        let types = format!("must be one of {}", TYPES.join(","));
        if kind.is_empty() {
            errors.push(Error::required(at, types));
        } else if !TYPES.contains(&kind) {
            errors.push(Error::invalid(at, kind, types));
        }
        let format = text(column, "format");
        if !format.is_empty() && !FORMATS.contains(&format) {
            let detail = format!("must be one of {}", FORMATS.join(","));
            errors.push(Error::invalid(path.child("format"), format, detail));
        }
        // Upstream's form spells it so.
        let at = path.child("JSONPath");
        if text(column, "jsonPath").is_empty() {
            errors.push(Error::required(at, ""));
        } else {
            simple_path(errors, &at, text(column, "jsonPath"));
        }
    }
}
