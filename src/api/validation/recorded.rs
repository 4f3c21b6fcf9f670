//! Objects that a recorded upstream refused, through the same steps as in the API server.

use serde_json::{Value, json};

use crate::decode::{self, Decoded};
use crate::meta;
use crate::schema::Schemas;
use crate::scheme::{Scheme, Scope};
use crate::status::Status;

/// What the API server answers to the creation of an object, admission left out.
fn refusal(plural: &str, object: Value) -> Value {
    let row = Scheme::builtin().resource("", "v1", plural).unwrap();
    let Decoded { mut object, .. } = decode::decode(Schemas::builtin(), row.schema, object, &row.kind).unwrap();
    if row.scope == Scope::Namespaced {
        meta::set_namespace(&mut object, "rec");
    }
    (row.strategy.defaults)(&mut object);
    (row.strategy.prepare_create)(&mut object);
    let mut errors = meta::validate_create(&object, row);
    errors.extend((row.strategy.validate)(&object));
    Status::invalid(&row.group, &row.kind, meta::name(&object), errors).to_value()
}

#[test]
fn objects_are_refused_as_a_recorded_upstream_refused_them() {
    let recorded = include_str!("recorded.jsonl").lines().filter(|line| !line.starts_with('#'));
    for line in recorded {
        let case: Value = serde_json::from_str(line).unwrap();
        let answer = refusal(case["resource"].as_str().unwrap(), case["object"].clone());
        assert_eq!(
            json!({"message": answer["message"], "causes": answer["details"]["causes"]}),
            json!({"message": case["message"], "causes": case["causes"]}),
            "{}",
            case["object"]
        );
    }
}
