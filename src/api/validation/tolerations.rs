//! Tolerations of pods and taints of nodes.

use serde_json::{Value, json};

use super::checks::{one_of, qualified_name};
use super::field::{Error, ErrorList, Path};
use crate::names;
use crate::value::{has, part, text};

/// What a taint does to pods that do not tolerate it.
const EFFECTS: [&str; 3] = ["NoSchedule", "PreferNoSchedule", "NoExecute"];

/// What is wrong with tolerations.
pub(super) fn check(errors: &mut ErrorList, path: &Path, tolerations: &[Value]) {
    for (index, toleration) in tolerations.iter().enumerate() {
        let path = path.index(index);
        let said = |field: &str| text(toleration, field);
        if !said("key").is_empty() {
            qualified_name(errors, &path.child("key"), said("key"));
        } else if said("operator") != "Exists" {
            let detail = "operator must be Exists when `key` is empty, which means \"match all values and all keys\"";
            errors.push(Error::invalid(path.child("operator"), said("operator"), detail));
        }
        if has(toleration, "tolerationSeconds") && said("effect") != "NoExecute" {
            let detail = "effect must be 'NoExecute' when `tolerationSeconds` is set";
            errors.push(Error::invalid(path.child("effect"), said("effect"), detail));
        }
        match said("operator") {
            "" | "Equal" => check_value(errors, &path.child("operator"), said("value")),
            "Exists" if !said("value").is_empty() => {
                let detail = "value must be empty when `operator` is 'Exists'";
                errors.push(Error::invalid(path.child("operator"), said("value"), detail));
            }
            "Exists" => {}
            other => errors.push(Error::not_supported(path.child("operator"), other, &["Equal", "Exists"])),
        }
        if !said("effect").is_empty() {
            one_of(errors, &path.child("effect"), said("effect"), &EFFECTS);
        }
    }
}

/// What is wrong with taints.
pub(super) fn check_taints(errors: &mut ErrorList, path: &Path, taints: &[Value]) {
    for (index, taint) in taints.iter().enumerate() {
        let path = path.index(index);
        qualified_name(errors, &path.child("key"), text(taint, "key"));
        check_value(errors, &path.child("value"), text(taint, "value"));
        one_of(errors, &path.child("effect"), text(taint, "effect"), &EFFECTS);
        let is_same = |other: &Value| ["key", "effect"].iter().all(|field| part(other, field) == part(taint, field));
        if taints.iter().take(index).any(is_same) {
            let mut error = Error::duplicate(path, as_upstream_prints(taint));
            error.detail = "taints must be unique by key and effect pair".to_owned();
            errors.push(error);
        }
    }
}

fn check_value(errors: &mut ErrorList, path: &Path, value: &str) {
    let wrong = names::label_value(value);
    if !wrong.is_empty() {
        errors.push(Error::invalid(path, value, wrong.join(";")));
    }
}

/// Upstream's errors print its internal type, whose fields have Go's names.
fn as_upstream_prints(taint: &Value) -> Value {
    json!({"Key": text(taint, "key"), "Value": text(taint, "value"), "Effect": text(taint, "effect"),
        "TimeAdded": part(taint, "timeAdded")})
}

#[cfg(test)]
mod tests {
    use super::super::testing;
    use super::*;

    fn tolerations(tolerations: &Value, expected: &[&str]) {
        let mut errors = ErrorList::new();
        check(&mut errors, &Path::new("t"), tolerations.as_array().unwrap());
        testing::check(&errors, expected);
    }

    #[test]
    fn a_toleration_must_be_able_to_match() {
        tolerations(&json!([{"operator": "Exists"}, {"key": "a", "value": "b", "effect": "NoSchedule"}]), &[]);
        tolerations(
            &json!([{"value": "x"}]),
            &[
                "t[0].operator: Invalid value: \"\": operator must be Exists when `key` is empty, which means \"match all values and all keys\"",
            ],
        );
        tolerations(
            &json!([{"key": "a", "operator": "Exists", "value": "x"}, {"key": "a", "operator": "Lt", "effect": "No"}]),
            &[
                "t[0].operator: Invalid value: \"x\": value must be empty when `operator` is 'Exists'",
                "t[1].operator: Unsupported value: \"Lt\": supported values: \"Equal\", \"Exists\"",
                "t[1].effect: Unsupported value: \"No\": supported values: \"NoSchedule\", \"PreferNoSchedule\", \"NoExecute\"",
            ],
        );
        tolerations(
            &json!([{"key": "a", "tolerationSeconds": 5}]),
            &["t[0].effect: Invalid value: \"\": effect must be 'NoExecute' when `tolerationSeconds` is set"],
        );
    }

    #[test]
    fn taints_are_unique_by_key_and_effect() {
        let mut errors = ErrorList::new();
        let taints = json!([{"key": "a", "effect": "NoSchedule"}, {"key": "a", "effect": "NoExecute"},
            {"key": "a", "value": "b", "effect": "NoSchedule"}]);
        check_taints(&mut errors, &Path::new("t"), taints.as_array().unwrap());
        testing::check(
            &errors,
            &[
                "t[2]: Duplicate value: {\"Effect\":\"NoSchedule\",\"Key\":\"a\",\"TimeAdded\":null,\"Value\":\"b\"}: taints must be unique by key and effect pair",
            ],
        );
    }
}
