//! Rules of definitions, when they are written and when objects are.

use serde_json::{Value as Json, json};

use super::super::rules::{CostLimit, OBJECT_COST_MAX, Rules, check};
use crate::validation::field::{ErrorList, Path};

fn told(errors: ErrorList) -> Vec<String> {
    errors.iter().map(ToString::to_string).collect()
}

fn written(schema: &Json) -> Vec<String> {
    told(check(schema, &Path::new("schema"), CostLimit::Each))
}

fn validated(schema: &Json, new: &Json, old: Option<&Json>) -> Vec<String> {
    let mut budget = OBJECT_COST_MAX;
    told(Rules::compile(schema).validate(new, old, &Path::default(), &mut budget))
}

/// A definition whose `spec` has these properties and rules.
fn definition(properties: Json, rules: Json) -> Json {
    json!({"type": "object", "properties": {"spec": {
        "type": "object", "properties": properties, "x-kubernetes-validations": rules,
    }}})
}

#[test]
fn a_rule_that_does_not_hold_is_told() {
    let properties = json!({"min": {"type": "integer"}, "max": {"type": "integer"}});
    let new = json!({"spec": {"min": 5, "max": 3}});
    for (rule, expected) in [
        (json!({"rule": "self.min <= self.max"}), "spec: Invalid value: failed rule: self.min <= self.max"),
        (json!({"rule": "self.min <= self.max", "message": "too small"}), "spec: Invalid value: too small"),
        (
            json!({"rule": "self.min <= self.max", "messageExpression": "'max is ' + string(self.max)"}),
            "spec: Invalid value: max is 3",
        ),
        (
            json!({"rule": "self.min <= self.max", "message": "m", "messageExpression": "string(1 / (self.max - 3))"}),
            "spec: Invalid value: m",
        ),
        (
            json!({"rule": "self.min <= self.max", "reason": "FieldValueForbidden", "fieldPath": ".min"}),
            "spec.min: Forbidden: failed rule: self.min <= self.max",
        ),
        (
            json!({"rule": "self.min / (self.max - 3) == 1"}),
            "spec: Invalid value: \"object\": division by zero evaluating rule: self.min / (self.max - 3) == 1",
        ),
    ] {
        assert_eq!(validated(&definition(properties.clone(), json!([rule])), &new, None), [expected]);
    }
}

#[test]
fn scalars_are_shown_and_lists_are_not() {
    let schema = json!({"type": "object", "properties": {
        "s": {"type": "string", "x-kubernetes-validations": [{"rule": "self.size() < 2", "message": "long"}]},
        "l": {"type": "array", "items": {"type": "integer", "x-kubernetes-validations": [{"rule": "self > 1"}]},
              "x-kubernetes-validations": [{"rule": "self.size() > 3", "message": "short"}]},
        "m": {"type": "object", "additionalProperties": {
            "type": "string", "x-kubernetes-validations": [{"rule": "self != 'x'", "message": "x"}]}},
    }});
    assert_eq!(
        validated(&schema, &json!({"s": "abc", "l": [1, 2], "m": {"k": "x"}}), None),
        [
            "l: Invalid value: short",
            "l[0]: Invalid value: 1: failed rule: self > 1",
            "m[k]: Invalid value: \"x\": x",
            "s: Invalid value: \"abc\": long",
        ]
    );
}

#[test]
fn rules_about_changes_run_on_changes_only() {
    let properties = json!({"a": {"type": "string"}});
    let schema = definition(properties.clone(), json!([{"rule": "self.a == oldSelf.a", "message": "immutable"}]));
    let (one, two) = (json!({"spec": {"a": "1"}}), json!({"spec": {"a": "2"}}));
    assert_eq!(validated(&schema, &one, None), [""; 0]);
    assert_eq!(validated(&schema, &one, Some(&two)), ["spec: Invalid value: immutable"]);
    let rule = json!({"rule": "oldSelf.hasValue() || self.a == '1'", "optionalOldSelf": true, "message": "new"});
    let schema = definition(properties, json!([rule]));
    assert_eq!(validated(&schema, &two, None), ["spec: Invalid value: new"]);
    assert_eq!(validated(&schema, &two, Some(&one)), [""; 0]);
}

#[test]
fn items_of_a_list_by_keys_have_their_old_ones() {
    let schema = json!({"type": "object", "properties": {"l": {
        "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"],
        "items": {"type": "object", "required": ["k"], "properties": {"k": {"type": "string"}, "v": {"type": "integer"}},
            "x-kubernetes-validations": [{"rule": "self.v >= oldSelf.v", "message": "less"}]},
    }}});
    let old = json!({"l": [{"k": "a", "v": 5}, {"k": "b", "v": 5}]});
    let new = json!({"l": [{"k": "b", "v": 6}, {"k": "c", "v": 1}, {"k": "a", "v": 4}]});
    assert_eq!(validated(&schema, &new, Some(&old)), ["l[2]: Invalid value: less"]);
}

#[test]
fn what_did_not_change_does_not_stand_in_the_way_of_an_update() {
    let schema = definition(
        json!({"a": {"type": "integer", "x-kubernetes-validations": [{"rule": "self > 5"}]}, "b": {"type": "integer"}}),
        json!([]),
    );
    let (old, new) = (json!({"spec": {"a": 1, "b": 1}}), json!({"spec": {"a": 1, "b": 2}}));
    assert_eq!(validated(&schema, &new, Some(&old)), [""; 0]);
    assert_eq!(validated(&schema, &new, None), ["spec.a: Invalid value: 1: failed rule: self > 5"]);
}

#[test]
fn the_budget_is_for_the_whole_object() {
    let schema = json!({"type": "object", "properties": {"l": {"type": "array", "items": {
        "type": "integer", "x-kubernetes-validations": [{"rule": "[1, 2, 3].all(x, x + self > 0)"}]}}}});
    let rules = Rules::compile(&schema);
    let mut budget = 100;
    let errors = told(rules.validate(&json!({"l": vec![1; 100]}), None, &Path::default(), &mut budget));
    assert_eq!(
        errors,
        ["l[4]: Invalid value: \"integer\": validation failed due to running out of cost budget, no further \
          validation rules will be run"]
    );
    assert!(budget < 0);
}

#[test]
fn one_rule_may_not_spend_everything() {
    let schema = json!({"type": "array", "items": {"type": "integer"}, "x-kubernetes-validations": [
        {"rule": "self.all(x, self.all(y, true))"}]});
    assert_eq!(
        validated(&schema, &json!(vec![1; 2000]), None),
        ["Invalid value: \"array\": 'operation cancelled: actual cost limit exceeded': no further validation rules \
          will be run due to call cost exceeds limit for rule: self.all(x, self.all(y, true))"]
        .map(|message| format!("<nil>: {message}"))
    );
}

#[test]
fn resources_have_a_name_and_formats_have_types() {
    let schema = json!({"type": "object", "properties": {
        "when": {"type": "string", "format": "date-time"},
        "a-b": {"type": "string"},
        "either": {"x-kubernetes-int-or-string": true},
    }, "x-kubernetes-validations": [
        {"rule": "self.metadata.name == 'a'", "message": "name"},
        {"rule": "self.when.getFullYear() == 2024", "message": "when"},
        {"rule": "self.a__dash__b == 'x'", "message": "dash"},
        {"rule": "type(self.either) == int ? self.either > 1 : self.either.startsWith('x')", "message": "either"},
    ]});
    let metadata = json!({"name": "a"});
    let good = json!({"metadata": metadata, "when": "2024-01-01T00:00:00Z", "a-b": "x", "either": 2});
    assert_eq!(validated(&schema, &good, None), [""; 0]);
    let bad = json!({"metadata": {"name": "b"}, "when": "2023-01-01T00:00:00Z", "a-b": "y", "either": "y"});
    let expected = ["name", "when", "dash", "either"].map(|message| format!("<nil>: Invalid value: {message}"));
    assert_eq!(validated(&schema, &bad, None), expected);
}

#[test]
fn wrong_rules_are_refused_in_the_words_of_upstream() {
    let properties = json!({"a": {"type": "string", "maxLength": 10}});
    let at = "schema.properties[spec].x-kubernetes-validations[0]";
    for (rule, expected) in [
        (json!({"rule": " "}), format!("{at}.rule: Required value: rule is not specified")),
        (
            json!({"rule": "true", "message": " "}),
            format!("{at}.message: Invalid value: \" \": must be non-empty if specified"),
        ),
        (
            json!({"rule": "true\n&& true"}),
            format!("{at}.message: Required value: message must be specified if rule contains line breaks"),
        ),
        (
            json!({"rule": "true", "reason": "Because"}),
            format!(
                "{at}.reason: Unsupported value: \"Because\": supported values: \"FieldValueDuplicate\", \
                 \"FieldValueForbidden\", \"FieldValueInvalid\", \"FieldValueRequired\""
            ),
        ),
        (
            json!({"rule": "true", "fieldPath": ".b"}),
            format!("{at}.fieldPath: Invalid value: \".b\": must be a valid path"),
        ),
        (
            json!({"rule": "self.a"}),
            format!(
                "{at}.rule: Invalid value: {{\"Rule\":\"self.a\",\"Message\":\"\",\"MessageExpression\":\"\",\
                 \"Reason\":null,\"FieldPath\":\"\",\"OptionalOldSelf\":null}}: cel expression must evaluate to a bool"
            ),
        ),
        (
            json!({"rule": "self.b == 'x'"}),
            format!(
                "{at}.rule: Invalid value: {{\"Rule\":\"self.b == 'x'\",\"Message\":\"\",\"MessageExpression\":\"\",\
                 \"Reason\":null,\"FieldPath\":\"\",\"OptionalOldSelf\":null}}: compilation failed: ERROR: \
                 <input>:1:5: undefined field 'b'\n | self.b == 'x'\n | ....^"
            ),
        ),
        (
            json!({"rule": "true", "messageExpression": "1"}),
            format!(
                "{at}.messageExpression: Invalid value: {{\"Rule\":\"true\",\"Message\":\"\",\"MessageExpression\":\
                 \"1\",\"Reason\":null,\"FieldPath\":\"\",\"OptionalOldSelf\":null}}: messageExpression must evaluate \
                 to a string"
            ),
        ),
        (
            json!({"rule": "true", "optionalOldSelf": true}),
            format!("{at}.optionalOldSelf: Invalid value: true: may not be set if oldSelf is not used in rule"),
        ),
    ] {
        assert_eq!(written(&definition(properties.clone(), json!([rule]))), [expected]);
    }
}

#[test]
fn rules_about_changes_need_values_that_belong_together() {
    let schema = json!({"type": "object", "properties": {"l": {"type": "array", "maxItems": 5, "items": {
        "type": "string", "maxLength": 5, "x-kubernetes-validations": [{"rule": "self == oldSelf"}]}}}});
    assert_eq!(
        written(&schema),
        ["schema.properties[l].items.x-kubernetes-validations[0].rule: Invalid value: \"self == oldSelf\": oldSelf \
          cannot be used on the uncorrelatable portion of the schema within schema.properties[l]"]
    );
}

#[test]
fn rules_that_may_cost_too_much_are_refused() {
    let list = |max: Option<u64>| {
        let mut schema = json!({"type": "array", "items": {"type": "integer"}, "x-kubernetes-validations": [
            {"rule": "self.all(x, self.all(y, x == y))"}]});
        if let Some(max) = max {
            schema["maxItems"] = json!(max);
        }
        json!({"type": "object", "properties": {"l": schema}})
    };
    let hint = "(try simplifying the rule, or adding maxItems, maxProperties, and maxLength where arrays, maps, and \
                strings are declared)";
    let at = "schema.properties[l].x-kubernetes-validations[0].rule";
    assert_eq!(
        written(&list(None)),
        [
            format!("{at}: Forbidden: estimated rule cost exceeds budget by factor of more than 100x {hint}"),
            format!(
                "{at}: Forbidden: contributed to estimated rule cost total exceeding cost limit for entire OpenAPIv3 schema"
            ),
            format!(
                "schema: Forbidden: x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema \
                 exceeds budget by factor of more than 100x {hint}"
            ),
        ]
    );
    assert_eq!(written(&list(Some(100))), [""; 0]);
}
