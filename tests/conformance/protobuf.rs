//! Answers in protobuf as the tables show them: as JSON, without what JSON leaves out.

use api::decode::{self, canonicalize};
use api::protobuf;
use api::schema::{Id, Schemas};
use api::scheme::Scheme;
use serde_json::Value;

/// Where the types that all kinds share are defined.
const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1";

/// The object or list of an answer.
pub(crate) fn shown(body: &[u8]) -> Value {
    let mut value = protobuf::decode_any(body).unwrap();
    let (api_version, kind) = (text(&value, "apiVersion"), text(&value, "kind"));
    let item = kind.strip_suffix("List").and_then(|item| definition(&api_version, item));
    if let (Some(item), Some(items)) = (item, value.get_mut("items").and_then(Value::as_array_mut)) {
        for object in items {
            *object = canonical(item, object.take(), &kind);
        }
        settle(&mut value["metadata"], "ListMeta");
        return value;
    }
    if let Some(id) = definition(&api_version, &kind) {
        return canonical(id, value, &kind);
    }
    settle(&mut value["metadata"], "ObjectMeta");
    value
}

fn settle(metadata: &mut Value, kind: &str) {
    let id = Schemas::builtin().named(&format!("{META}.{kind}")).unwrap();
    canonicalize(Schemas::builtin(), id, metadata);
}

fn definition(api_version: &str, kind: &str) -> Option<Id> {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let row = Scheme::builtin().by_kind(group, version, kind).map(|row| row.schema.id());
    row.or_else(|| Schemas::builtin().named(&format!("{META}.{kind}")))
}

fn canonical(id: Id, value: Value, kind: &str) -> Value {
    decode::decode(Schemas::builtin(), id, value, kind).unwrap().object
}

fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_default().to_owned()
}
