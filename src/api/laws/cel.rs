//! Laws of expressions.

use std::sync::LazyLock;

use serde_json::{Value, json};

use crate::cel::admission::authorizer::{Asked, Authorizer, Decision, Resource, ServiceAccount};
use crate::cel::admission::{Answer, Answers, Compiler, Evaluation, Failure, Inputs, POLICY_COST_MAX, Scope};
use crate::cel::rules::{CostLimit, OBJECT_COST_MAX, Rules, check};
use crate::validation::field::Path;

/// What is cheaper than this is run twice.
const REPEATED_COST_MAX: i64 = 50_000;

const ALL: Scope = Scope { has_params: true, has_authorizer: true, has_patches: true };

/// An object with something of every type.
static OBJECT: LazyLock<Value> = LazyLock::new(|| {
    json!({"apiVersion": "example.com/v1", "kind": "Thing", "metadata": {"name": "a", "labels": {"a": "1"}}, "spec": {
        "i": 3, "n": 1.5, "b": true, "s": "h\u{e9}llo", "at": "2026-11-28T08:00:00Z", "d": "1h30m", "l": [3, 1, 2],
        "set": ["a", "b"], "m": {"a": "1", "b": "2"}, "items": [{"name": "a", "x": 1}, {"name": "b"}], "x": "80%",
        "any": {"deep": [1, "a", null, {"k": 0.5}]}, "bytes": "AAEC/w=="}})
});

/// What its types are.
static PROPERTIES: LazyLock<Value> = LazyLock::new(|| {
    json!({
        "i": {"type": "integer", "maximum": 10}, "n": {"type": "number"}, "b": {"type": "boolean"},
        "s": {"type": "string", "maxLength": 20}, "at": {"type": "string", "format": "date-time"},
        "d": {"type": "string", "format": "duration"}, "bytes": {"type": "string", "format": "byte", "maxLength": 20},
        "l": {"type": "array", "maxItems": 5, "items": {"type": "integer"}},
        "set": {"type": "array", "maxItems": 5, "x-kubernetes-list-type": "set",
            "items": {"type": "string", "maxLength": 9}},
        "m": {"type": "object", "maxProperties": 5, "additionalProperties": {"type": "string", "maxLength": 9}},
        "items": {"type": "array", "maxItems": 5, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
            "items": {"type": "object", "required": ["name"],
                "properties": {"name": {"type": "string", "maxLength": 9}, "x": {"type": "integer"}}}},
        "x": {"x-kubernetes-int-or-string": true},
        "any": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
    })
});

/// Allows what is said briefly.
struct Brief;

impl Authorizer for Brief {
    fn authorize(&self, _: Option<&ServiceAccount>, _: &Asked, verb: &str) -> Decision {
        Decision { is_allowed: verb.len() < 5, ..Decision::default() }
    }
}

/// A source is refused or compiles; what compiles runs within its budget, and twice to the same.
pub fn cel(bytes: &[u8]) {
    let Ok(source) = std::str::from_utf8(bytes) else { return };
    as_rule(source);
    as_expression(source);
}

fn as_rule(source: &str) {
    let rules = json!([{"rule": source, "messageExpression": source, "optionalOldSelf": true}, {"rule": source}]);
    let spec = json!({"type": "object", "properties": *PROPERTIES, "x-kubernetes-validations": rules});
    let schema = json!({"type": "object", "properties": {"spec": spec}});
    let refused = check(&schema, &Path::new("schema"), CostLimit::Each);
    let rules = Rules::compile(&schema);
    let mut old = OBJECT.clone();
    old["spec"]["i"] = 4.into();
    for before in [None, Some(&old)] {
        let run = || {
            let mut budget = OBJECT_COST_MAX;
            let errors = rules.validate(&OBJECT, before, &Path::default(), &mut budget);
            (errors.iter().map(ToString::to_string).collect::<Vec<_>>(), budget)
        };
        let (errors, budget) = run();
        assert!(budget <= OBJECT_COST_MAX, "{source:?} gained {budget}");
        if refused.is_empty() {
            let is_uncompiled = errors.iter().any(|error| error.contains("compilation failed"));
            assert!(!is_uncompiled, "{source:?} was accepted, and then: {errors:?}");
        }
        if OBJECT_COST_MAX - budget < REPEATED_COST_MAX {
            assert_eq!(run(), (errors, budget), "{source:?} differs from run to run");
        }
    }
}

fn as_expression(source: &str) {
    let mut compiler = Compiler::new();
    let all = [Answers::Any, Answers::Bool, Answers::StringOrNull, Answers::Object, Answers::Patches];
    let compiled = all.map(|answers| compiler.compile(source, ALL, answers).ok());
    let [any, bool, text, object, patches] = &compiled;
    let is_variable = compiler.add_variable("v", source, ALL).is_ok();
    assert_eq!(is_variable, any.is_some(), "{source:?}");
    let asked = compiler.compile("variables.v", ALL, Answers::Any).expect("a variable can be asked for");
    let variables = compiler.into_variables();

    let namespace = json!({"metadata": {"name": "n", "creationTimestamp": "2024-01-01T00:00:00Z"}});
    let request = json!({"kind": {"group": "g", "version": "v1", "kind": "Thing"}, "operation": "CREATE", "name": "a",
        "userInfo": {"username": "ann", "groups": ["g"]}});
    let resource = Resource { resource: "things".into(), ..Resource::default() };
    let inputs = Inputs {
        object: Some(&OBJECT),
        request: Some(&request),
        params: Some(&OBJECT),
        namespace: Some(&namespace),
        authorizer: Some((&Brief, &resource)),
        ..Inputs::default()
    };
    let begin = || Evaluation::new(&variables, inputs, POLICY_COST_MAX);
    let run = |expression| {
        let mut evaluation = begin();
        let answer = evaluation.run(expression);
        assert!(evaluation.budget() <= POLICY_COST_MAX, "{source:?} gained {}", evaluation.budget());
        (answer, POLICY_COST_MAX - evaluation.budget())
    };
    let Some(any) = any else { return };
    let (answer, cost) = run(any);
    if cost < REPEATED_COST_MAX {
        assert_eq!(run(any), (answer.clone(), cost), "{source:?} differs from run to run");
        if answer.is_ok() {
            assert_eq!(run(&asked).0, answer, "{source:?} differs as a variable");
        }
        if bool.is_some() {
            assert!(matches!(answer, Ok(Answer::Bool(_)) | Err(_)), "{source:?} is a bool, and yet {answer:?}");
        }
        if text.is_some() {
            assert!(matches!(answer, Ok(Answer::String(_) | Answer::Null) | Err(_)), "{source:?} is text: {answer:?}");
        }
        if object.as_ref().is_some_and(|object| begin().run_object(object).is_ok_and(|made| !made.is_object())) {
            unreachable!("{source:?} made an object that is none");
        }
        if let Some(Ok(made)) = patches.as_ref().map(|patches| begin().run_patches(patches)) {
            assert!(made.iter().all(Value::is_object), "{source:?} made operations that are none: {made:?}");
        }
    }
    if cost > 1 {
        let mut poor = Evaluation::new(&variables, inputs, 0);
        assert_eq!(poor.run(any), Err(Failure::OutOfBudget), "{source:?} runs without a budget");
    }
}
