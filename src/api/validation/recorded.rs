//! Objects that a recorded upstream refused or took, through the same steps as in the API server.

use serde_json::Value;

use super::field::{Error, ErrorList};
use crate::decode::Decoded;
use crate::scheme::{Resource, Scheme, Scope};
use crate::status::Status;
use crate::{meta, names};

/// What is wrong with a new object, admission left out.
fn errors(row: &Resource, object: Value) -> (String, ErrorList) {
    let Decoded { mut object, .. } = row.decode(object).unwrap();
    if row.scope == Scope::Namespaced {
        meta::set_namespace(&mut object, "rec");
    }
    let prefix = meta::generate_name(&object);
    if !prefix.is_empty() {
        let name = names::generated_name(prefix, "bcdfg");
        meta::set_name(&mut object, &name);
    }
    (row.strategy.defaults)(&mut object);
    (row.strategy.prepare_create)(&mut object);
    let mut errors = meta::validate_create(&object, row);
    errors.extend((row.strategy.validate)(&object));
    (meta::name(&object).to_owned(), errors)
}

#[test]
fn objects_are_refused_and_taken_as_a_recorded_upstream_did() {
    let recorded = include_str!("recorded.jsonl").lines().filter(|line| !line.starts_with('#'));
    for line in recorded {
        let case: Value = serde_json::from_str(line).unwrap();
        let (group, plural) = (case["group"].as_str().unwrap(), case["resource"].as_str().unwrap());
        let row = Scheme::builtin().resource(group, "v1", plural).unwrap();
        let (name, errors) = errors(row, case["object"].clone());
        if case["message"].is_null() {
            assert_eq!(errors.iter().map(Error::to_string).collect::<Vec<_>>(), Vec::<String>::new(), "{line}");
            continue;
        }
        let answer = Status::invalid(&row.group, &row.kind, &name, errors).to_value();
        assert_eq!(answer["message"], case["message"], "{line}");
        assert_eq!(answer["details"]["causes"], case["causes"], "{line}");
    }
}

#[test]
fn what_a_recorded_upstream_keeps_is_valid_and_may_stay_as_it_is() {
    let recorded = include_str!("../decode/recorded.jsonl").lines().filter(|line| !line.starts_with('#'));
    for line in recorded {
        let object: Value = serde_json::from_str(line).unwrap();
        let row = Scheme::builtin().by_api_version(meta::api_version(&object), meta::kind(&object));
        let Some(row) = row else { continue };
        let strategy = &row.strategy;
        let errors = [
            (strategy.validate)(&object),
            (strategy.validate_update)(&object, &object),
            (strategy.validate_status)(&object, &object),
        ];
        let errors: Vec<String> = errors.iter().flatten().map(Error::to_string).collect();
        assert_eq!(errors, Vec::<String>::new(), "{object}");
        assert_eq!((strategy.warnings)(&object), Vec::<String>::new(), "{object}");
    }
}
