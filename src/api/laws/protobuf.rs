//! Laws of protobuf.

use std::sync::{Arc, LazyLock};

use serde_json::Value;

use crate::protobuf::{decode, decode_any, encode, envelope, message};
use crate::scheme::{Resource, Scheme};

/// Kinds that have a message, in the order of the table.
static ROWS: LazyLock<Vec<Arc<Resource>>> = LazyLock::new(|| Scheme::builtin().resources().cloned().collect());

/// A message that is read as an object is written and comes back. The first byte chooses the kind of the message; all of
/// the bytes are read as an envelope too.
pub fn protobuf(bytes: &[u8]) {
    if let Ok(value) = decode_any(bytes) {
        // What was read may still be no object of its kind, and then cannot always be written.
        _ = encode(&value);
    }
    let Some((choice, inner)) = bytes.split_first() else { return };
    let Some(row) = ROWS.get(usize::from(*choice) % ROWS.len()) else { return };
    let Ok(parsed) = decode(row.schema.id(), &envelope(&row.api_version(), &row.kind, inner)) else { return };
    let Some(object) = read(row, parsed.value) else { return };
    let written = encode(&object).expect("an object of a builtin kind can be written");
    let text = message(row.schema.id(), object.to_string().as_bytes()).expect("the same as text");
    assert!(envelope(&row.api_version(), &row.kind, &text) == written, "text and value differ: {object}");
    let back = decode(row.schema.id(), &written).expect("what was written can be read");
    let again = read(row, back.value).expect("what was an object is one");
    assert_eq!(again, object);
    assert!(encode(&again).is_ok_and(|again| again == written), "written otherwise: {object}");
}

/// The object in canonical form, with its kind.
fn read(row: &Resource, value: Value) -> Option<Value> {
    let mut object = row.decode(value).ok()?.object;
    let parts = object.as_object_mut()?;
    parts.insert("apiVersion".to_owned(), row.api_version().into());
    parts.insert("kind".to_owned(), row.kind.as_ref().into());
    Some(object)
}
