//! What is wrong with a custom object by its schema, in the words of upstream's `kube-openapi` validators.
//!
//! On an update what did not change is not looked at (`CRDValidationRatcheting`): an object that was stored under an
//! older schema can still be changed elsewhere.

use std::fmt::Write as _;

use serde_json::{Map, Number, Value};

use super::formats;
use super::structural::{Additional, Checks, Kind, Structural, keys_of};
use crate::decode::Path;
use crate::schema::ListType;
use crate::validation::field::{self, Error, ErrorList};

/// Errors that are collected of one object: more would only fill the answer.
const ERRORS_MAX: usize = 100;

/// What is wrong with `value`, which was `old` before, under the field `root` (empty for a whole object).
pub(super) fn validate(value: &Value, old: Option<&Value>, schema: &Structural, root: &str) -> ErrorList {
    let mut validator = Validator { path: Path::default(), root, errors: ErrorList::new() };
    validator.value(value, old, schema);
    validator.errors
}

struct Validator<'r> {
    path: Path,
    /// The field that the paths of errors begin with; their texts begin below it, as upstream's.
    root: &'r str,
    errors: ErrorList,
}

impl Validator<'_> {
    fn value(&mut self, value: &Value, old: Option<&Value>, schema: &Structural) {
        if old == Some(value) || self.errors.len() >= ERRORS_MAX {
            return;
        }
        if value.is_null() {
            self.null(schema);
            return;
        }
        self.kind(value, schema);
        self.junctors(value, old, &schema.checks);
        match value {
            Value::String(text) => self.text(text, &schema.checks),
            Value::Number(number) => self.number(number, &schema.checks),
            Value::Array(items) => self.items(items, old, schema),
            Value::Null | Value::Bool(_) | Value::Object(_) => {}
        }
        self.choices(value, &schema.checks);
        if let Value::Object(fields) = value {
            self.fields(fields, old, schema);
        }
    }

    fn null(&mut self, schema: &Structural) {
        let allowed = types(schema);
        if !allowed.is_empty() && !schema.is_nullable {
            self.mismatch(&allowed, "null");
        }
        self.choices(&Value::Null, &schema.checks);
    }

    fn kind(&mut self, value: &Value, schema: &Structural) {
        let found = match value {
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::Number(number) if is_whole(number) => "integer",
            Value::Number(_) => "number",
            Value::String(_) => "string",
            Value::Array(_) => "array",
            Value::Object(_) => "object",
        };
        let fits = match schema.kind {
            None if schema.is_int_or_string => ["integer", "string"].contains(&found),
            None => true,
            Some(Kind::Number) => ["number", "integer"].contains(&found),
            Some(kind) => kind.as_str() == found,
        };
        if !fits {
            self.mismatch(&types(schema), found);
        }
    }

    /// A type that is not `wanted`.
    fn mismatch(&mut self, wanted: &str, found: &str) {
        let text = self.told(&format!("must be of type {wanted}: {}", field::quote(found)));
        self.add(Error::new(field::Kind::TypeInvalid, self.field(), found, text));
    }

    fn text(&mut self, text: &str, checks: &Checks) {
        let length = if checks.max_length.is_some() || checks.min_length.is_some() { text.chars().count() } else { 0 };
        if let Some(max) = checks.max_length.filter(|max| length > *max) {
            self.add(Error::too_long(self.field(), text, max));
            return;
        }
        if let Some(min) = checks.min_length.filter(|min| length < *min) {
            self.invalid(text, &format!("should be at least {min} chars long"));
            return;
        }
        if let Some((expression, _)) = checks.pattern.as_ref().filter(|(_, pattern)| !pattern.is_match(text)) {
            self.invalid(text, &format!("should match '{expression}'"));
        }
        if !formats::fits(&checks.format, text) {
            let message = self.told(&format!("must be of type {}: {}", checks.format, field::quote(text)));
            self.add(Error::new(field::Kind::TypeInvalid, self.field(), text, message));
        }
    }

    fn number(&mut self, number: &Number, checks: &Checks) {
        let value = as_float(number);
        if let Some(multiple) = checks.multiple_of.as_ref().filter(|multiple| !is_multiple(value, as_float(multiple))) {
            self.invalid(number.clone(), &format!("should be a multiple of {}", go_number(multiple)));
        }
        if let Some(max) = &checks.maximum {
            let (limit, is_exclusive) = (as_float(max), checks.is_maximum_exclusive);
            if value > limit || (is_exclusive && value >= limit) {
                let than = if is_exclusive { "less than" } else { "less than or equal to" };
                self.invalid(number.clone(), &format!("should be {than} {}", go_number(max)));
            }
        }
        if let Some(min) = &checks.minimum {
            let (limit, is_exclusive) = (as_float(min), checks.is_minimum_exclusive);
            if value < limit || (is_exclusive && value <= limit) {
                let than = if is_exclusive { "greater than" } else { "greater than or equal to" };
                self.invalid(number.clone(), &format!("should be {than} {}", go_number(min)));
            }
        }
    }

    fn items(&mut self, items: &[Value], old: Option<&Value>, schema: &Structural) {
        if let Some(item_schema) = schema.items.as_deref() {
            let before = old.and_then(Value::as_array);
            for (index, item) in items.iter().enumerate() {
                let old = before.and_then(|before| correlated(item, before, &schema.list, item_schema));
                self.path.push_index(index);
                self.value(item, old, item_schema);
                self.path.pop();
            }
        }
        if let Some(min) = schema.checks.min_items.filter(|min| items.len() < *min) {
            self.invalid(items.len(), &format!("should have at least {min} items"));
        }
        if let Some(max) = schema.checks.max_items.filter(|max| items.len() > *max) {
            self.add(Error::too_many(self.field(), items.len(), max));
        }
    }

    fn choices(&mut self, value: &Value, checks: &Checks) {
        if checks.choices.is_empty() || checks.choices.iter().any(|choice| is_equal(choice, value)) {
            return;
        }
        let choices = checks.choices.iter().map(|choice| match choice {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        });
        let choices: Vec<String> = choices.collect();
        let choices: Vec<&str> = choices.iter().map(String::as_str).collect();
        self.add(Error::not_supported(self.field(), value.clone(), &choices));
    }

    fn fields(&mut self, fields: &Map<String, Value>, old: Option<&Value>, schema: &Structural) {
        let checks = &schema.checks;
        if let Some(min) = checks.min_properties.filter(|min| fields.len() < *min) {
            self.invalid(min, &format!("should have at least {min} properties"));
            return;
        }
        if let Some(max) = checks.max_properties.filter(|max| fields.len() > *max) {
            self.add(Error::too_many(self.field(), fields.len(), max));
            return;
        }
        for name in &checks.required {
            if !fields.contains_key(&**name) {
                self.path.push_field(name);
                self.add(Error::required(self.field(), ""));
                self.path.pop();
            }
        }
        for (name, value) in fields {
            let known = match (schema.properties.get(name.as_str()), &schema.additional) {
                (Some(property), _) => property,
                (None, Some(Additional::Of(values))) => values,
                (None, _) => continue,
            };
            self.path.push_field(name);
            self.value(value, old.and_then(|old| old.get(name)), known);
            self.path.pop();
        }
    }

    fn junctors(&mut self, value: &Value, old: Option<&Value>, checks: &Checks) {
        if !checks.any_of.is_empty() {
            let (valid, best) = self.tried(value, old, &checks.any_of);
            if valid == 0 {
                self.whole("must validate at least one schema (anyOf)");
                self.errors.extend(best);
            }
        }
        if !checks.one_of.is_empty() {
            match self.tried(value, old, &checks.one_of) {
                (1, _) => {}
                (0, best) => {
                    self.whole("must validate one and only one schema (oneOf). Found none valid");
                    self.errors.extend(best);
                }
                (valid, _) => {
                    self.whole(&format!(
                        "must validate one and only one schema (oneOf). Found {valid} valid alternatives"
                    ));
                }
            }
        }
        if !checks.all_of.is_empty() {
            let failed: Vec<ErrorList> = checks.all_of.iter().map(|part| self.of_part(value, old, part)).collect();
            let valid = failed.iter().filter(|errors| errors.is_empty()).count();
            if valid < failed.len() {
                self.errors.extend(failed.into_iter().flatten());
                let none = if valid == 0 { ". None validated" } else { "" };
                self.whole(&format!("must validate all the schemas (allOf){none}"));
            }
        }
        if checks.not.as_deref().is_some_and(|not| self.of_part(value, None, not).is_empty()) {
            self.whole("must not validate the schema (not)");
        }
    }

    /// How many of the schemas the value satisfies, and the errors of the one that it misses least.
    fn tried(&self, value: &Value, old: Option<&Value>, schemas: &[Structural]) -> (usize, ErrorList) {
        let mut valid = 0;
        let mut best: Option<ErrorList> = None;
        for schema in schemas {
            let errors = self.of_part(value, old, schema);
            if errors.is_empty() {
                valid += 1;
            } else if best.as_ref().is_none_or(|best| errors.len() < best.len()) {
                best = Some(errors);
            }
        }
        (valid, best.unwrap_or_default())
    }

    fn of_part(&self, value: &Value, old: Option<&Value>, schema: &Structural) -> ErrorList {
        let mut part = Validator { path: self.path.clone(), root: self.root, errors: ErrorList::new() };
        part.value(value, old, schema);
        part.errors
    }

    /// An error about several schemas at once, which upstream tells without a field.
    fn whole(&mut self, text: &str) {
        let place = field::quote(&self.path.to_string());
        let path = if self.root.is_empty() { "<nil>" } else { self.root };
        self.add(Error::invalid(path, "", format!("{place} {text}")));
    }

    fn invalid(&mut self, value: impl Into<Value>, text: &str) {
        let text = self.told(text);
        self.add(Error::invalid(self.field(), value, text));
    }

    fn add(&mut self, error: Error) {
        self.errors.push(error);
    }

    /// The field's path in errors.
    fn field(&self) -> String {
        let path = self.path.to_string();
        match (self.root, path.as_str()) {
            ("", "") => "<nil>".to_owned(),
            ("", path) => path.to_owned(),
            (root, "") => root.to_owned(),
            (root, path) if path.starts_with('[') => format!("{root}{path}"),
            (root, path) => format!("{root}.{path}"),
        }
    }

    /// `spec.replicas in body …`
    fn told(&self, what: &str) -> String {
        let mut text = self.path.to_string();
        // Writing to a String does not fail.
        let _ = write!(text, " in body {what}");
        text
    }
}

/// The types that a schema allows, as messages list them.
fn types(schema: &Structural) -> String {
    match schema.kind {
        Some(kind) => kind.as_str().to_owned(),
        None if schema.is_int_or_string => "integer,string".to_owned(),
        None => String::new(),
    }
}

/// The item of `before` that `item` was, where the list tells its items apart.
fn correlated<'v>(item: &Value, before: &'v [Value], list: &ListType, schema: &Structural) -> Option<&'v Value> {
    match list {
        ListType::Map(keys) => {
            let wanted = keys_of(keys, schema, item)?;
            before.iter().find(|before| keys_of(keys, schema, before).as_ref() == Some(&wanted))
        }
        ListType::Set | ListType::Atomic => None,
    }
}

/// Whether two values are the same; numbers by their value.
pub(super) fn is_equal(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => as_float(one) == as_float(other),
        (one, other) => one == other,
    }
}

fn is_whole(number: &Number) -> bool {
    number.is_i64() || number.is_u64() || number.as_f64().is_some_and(|value| value.fract() == 0.0)
}

fn as_float(number: &Number) -> f64 {
    number.as_f64().unwrap_or(f64::NAN)
}

fn is_multiple(value: f64, factor: f64) -> bool {
    factor > 0.0 && (value / factor).fract() == 0.0
}

/// A number as Go prints a float: `10`, `0.5`, `1e+06`.
fn go_number(number: &Number) -> String {
    let value = as_float(number);
    let digits = format!("{value:e}");
    match digits.split_once('e').and_then(|(digits, exponent)| Some((digits, exponent.parse::<i32>().ok()?))) {
        // Go changes its form at these exponents.
        Some((digits, exponent)) if !(-4..21).contains(&exponent) => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{digits}e{sign}{:02}", exponent.abs())
        }
        _ => format!("{value}"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(schema: Value, value: Value, expected: &[&str]) {
        let schema = Structural::of(&json!({"type": "object", "properties": {"spec": schema}}));
        let found = validate(&json!({ "spec": value }), None, &schema, "");
        let found: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn types_are_refused_in_upstreams_words() {
        check(
            json!({"type": "integer"}),
            json!("x"),
            &["spec: Invalid value: \"string\": spec in body must be of type integer: \"string\""],
        );
        check(json!({"type": "integer"}), json!(3.0), &[]);
        check(json!({"type": "number"}), json!(3), &[]);
        check(
            json!({"type": "object", "properties": {"a": {"type": "array", "items": {"type": "string"}}}}),
            json!({"a": ["x", true, null]}),
            &[
                "spec.a[1]: Invalid value: \"boolean\": spec.a[1] in body must be of type string: \"boolean\"",
                "spec.a[2]: Invalid value: \"null\": spec.a[2] in body must be of type string: \"null\"",
            ],
        );
        check(json!({"type": "string", "nullable": true}), json!(null), &[]);
        check(
            json!({"x-kubernetes-int-or-string": true}),
            json!(true),
            &["spec: Invalid value: \"boolean\": spec in body must be of type integer,string: \"boolean\""],
        );
    }

    #[test]
    fn what_values_must_satisfy_is_told() {
        check(
            json!({"type": "string", "maxLength": 2}),
            json!("abc"),
            &["spec: Too long: may not be more than 2 bytes"],
        );
        check(
            json!({"type": "string", "pattern": "^a"}),
            json!("b"),
            &["spec: Invalid value: \"b\": spec in body should match '^a'"],
        );
        check(
            json!({"type": "integer", "minimum": 1, "maximum": 10}),
            json!(11),
            &["spec: Invalid value: 11: spec in body should be less than or equal to 10"],
        );
        check(
            json!({"type": "string", "enum": ["a", "b"]}),
            json!("c"),
            &["spec: Unsupported value: \"c\": supported values: \"a\", \"b\""],
        );
        check(
            json!({"type": "object", "required": ["a"], "properties": {"a": {}}}),
            json!({}),
            &["spec.a: Required value"],
        );
        check(json!({"type": "array", "maxItems": 1}), json!([1, 2]), &["spec: Too many: 2: must have at most 1 item"]);
        check(
            json!({"type": "string", "format": "ipv4"}),
            json!("x"),
            &["spec: Invalid value: \"x\": spec in body must be of type ipv4: \"x\""],
        );
    }

    #[test]
    fn several_schemas_are_told_without_a_field() {
        check(
            json!({"type": "object", "oneOf": [{"required": ["a"]}, {"required": ["b"]}]}),
            json!({}),
            &[
                "<nil>: Invalid value: \"\": \"spec\" must validate one and only one schema (oneOf). Found none valid",
                "spec.a: Required value",
            ],
        );
        check(
            json!({"type": "object", "not": {"required": ["a"]}}),
            json!({"a": 1}),
            &["<nil>: Invalid value: \"\": \"spec\" must not validate the schema (not)"],
        );
    }

    #[test]
    fn what_did_not_change_is_not_looked_at() {
        let schema = Structural::of(&json!({"type": "object", "properties": {
            "a": {"type": "integer"}, "b": {"type": "integer"}}}));
        let (old, new) = (json!({"a": "x", "b": 1}), json!({"a": "x", "b": "y"}));
        assert_eq!(validate(&new, Some(&old), &schema, "").len(), 1);
        assert_eq!(validate(&new, None, &schema, "").len(), 2);
    }

    #[test]
    fn numbers_are_printed_as_go_does() {
        let check = |number: Value, expected: &str| assert_eq!(go_number(number.as_number().unwrap()), expected);
        check(json!(10), "10");
        check(json!(0.5), "0.5");
        check(json!(1e21), "1e+21");
        check(json!(0.00001), "1e-05");
    }
}
