//! Objects of other kinds within a custom object (`x-kubernetes-embedded-resource`): their `apiVersion`, `kind` and
//! `metadata` are those of any object.

use serde_json::Value;

use super::structural::Structural;
use crate::decode::{self, DecodeError};
use crate::meta;
use crate::schema::Schemas;
use crate::validation::field::{Error, ErrorList, Path};

const OBJECT_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";

/// Reads a `metadata` as such, and says which fields it does not know.
///
/// # Errors
/// When a field has another type.
pub(super) fn read_metadata(metadata: Value) -> Result<decode::Decoded, DecodeError> {
    let Some(id) = Schemas::builtin().named(OBJECT_META) else {
        return Err(DecodeError::Value("the schema has no ObjectMeta".to_owned()));
    };
    decode::decode(Schemas::builtin(), id, metadata, "ObjectMeta")
}

/// Reads the metadata of all embedded objects in `value`.
///
/// # Errors
/// When one has no form that metadata has.
pub(super) fn read(value: &mut Value, schema: &Structural) -> Result<Vec<String>, DecodeError> {
    let mut unknown = Vec::new();
    walk_mut(value, schema, &Path::default(), &mut unknown)?;
    Ok(unknown)
}

fn walk_mut(value: &mut Value, schema: &Structural, path: &Path, unknown: &mut Vec<String>) -> Result<(), DecodeError> {
    match value {
        Value::Object(fields) => {
            if schema.is_embedded
                && let Some(metadata) = fields.remove("metadata")
            {
                let read = read_metadata(metadata)?;
                let inner = path.child("metadata");
                unknown.extend(read.unknown.iter().map(|told| told.replacen('"', &format!("\"{inner}."), 1)));
                fields.insert("metadata".to_owned(), read.object);
            }
            for (name, value) in fields.iter_mut() {
                if let Some(known) = schema.under(name) {
                    walk_mut(value, known, &path.child(name), unknown)?;
                }
            }
        }
        Value::Array(items) => {
            let Some(item_schema) = schema.items.as_deref() else { return Ok(()) };
            for (index, item) in items.iter_mut().enumerate() {
                walk_mut(item, item_schema, &path.index(index), unknown)?;
            }
        }
        _ => {}
    }
    Ok(())
}

/// What embedded objects lack.
pub(super) fn validate(value: &Value, schema: &Structural) -> ErrorList {
    let mut errors = ErrorList::new();
    look(value, schema, &Path::default(), &mut errors);
    errors
}

fn look(value: &Value, schema: &Structural, path: &Path, errors: &mut ErrorList) {
    match value {
        Value::Object(fields) => {
            if schema.is_embedded {
                if meta::api_version(value).is_empty() {
                    errors.push(Error::required(path.child("apiVersion"), "must not be empty"));
                }
                if meta::kind(value).is_empty() {
                    errors.push(Error::required(path.child("kind"), "must not be empty"));
                }
                errors.extend(meta::validate_embedded(value, &path.child("metadata")));
            }
            for (name, value) in fields {
                if let Some(known) = schema.under(name) {
                    look(value, known, &path.child(name), errors);
                }
            }
        }
        Value::Array(items) => {
            let Some(item_schema) = schema.items.as_deref() else { return };
            for (index, item) in items.iter().enumerate() {
                look(item, item_schema, &path.index(index), errors);
            }
        }
        _ => {}
    }
}
