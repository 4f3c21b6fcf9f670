//! Expressions that mean harm.

use std::fmt::Write as _;

use serde_json::{Value as Json, json};

use super::evaluate;

const OVER_BUDGET: &str = "error: operation cancelled: actual cost limit exceeded";

#[test]
fn deep_sources_are_refused() {
    for source in [
        "(".repeat(50_000),
        "[".repeat(50_000),
        "{1:".repeat(20_000),
        "-".repeat(50_001) + "a",
        "1".to_owned() + &"+1".repeat(40_000),
        "a".to_owned() + &".b".repeat(40_000),
        "a".to_owned() + &"[0]".repeat(30_000),
        "true?".repeat(15_000),
        "[[1]]".to_owned() + &".map(x,x".repeat(10_000),
        "optional.of(1)".to_owned() + &".optMap(x, x)".repeat(60),
        "'".to_owned() + &"x".repeat(100_000),
    ] {
        let (told, _) = evaluate(&source, &Json::Null);
        assert!(told.contains("ERROR: <input>:"), "{} told {told:.200}", source.get(..20).unwrap());
    }
}

#[test]
fn sources_just_within_the_limits_run() {
    for source in [
        "(".repeat(249) + "true" + &")".repeat(249),
        "[".repeat(120) + "true" + &"]".repeat(120) + &"[0]".repeat(120),
        "0".to_owned() + &"+1".repeat(240) + " == 240",
        "false ? false : ".repeat(200) + "true",
        "[[1]]".to_owned() + &".filter(x, true)".repeat(200) + " == [[1]]",
        "[1].all(x, ".repeat(80) + "true" + &")".repeat(80),
    ] {
        let (told, _) = evaluate(&source, &Json::Null);
        assert_eq!(told, "true", "{}", source.get(..20).unwrap());
    }
}

#[test]
fn long_chains_of_logic_are_flat() {
    let source = vec!["true"; 10_000].join(" && ");
    assert_eq!(evaluate(&source, &Json::Null).0, "true");
}

#[test]
fn many_comparisons_are_checked_fast() {
    let source = vec!["1 == 1"; 9_000].join(" && ");
    assert_eq!(evaluate(&source, &Json::Null).0, "true");
}

#[test]
fn walks_within_walks_end_at_the_budget() {
    let json = json!({"list": vec![1; 100_000], "text": "x".repeat(1_000_000)});
    for expression in [
        "self.list.all(a, self.list.all(b, self.list.all(c, true)))",
        "self.list.map(a, self.list)",
        "self.list.map(a, self.list + self.list).size() > 0",
        "self.list.all(a, self.list == self.list)",
        "self.list.all(a, self.text.size() > 0)",
        "self.list.all(a, sets.contains(self.list, self.list))",
        "lists.range(1000000000000).size() == 0",
        "self.text.replace('', self.text).size() > 0",
        "self.list.map(a, 'a').join(self.text).size() > 0",
        "[self.list].map(a, a + a).map(a, a[0] + a[0]).size() == 1 && self.list.all(a, self == self)",
        "self.list.transformMap(i, a, a).size() == self.list.map(a, self.list.sum()).size()",
    ] {
        assert_eq!(evaluate(expression, &json).0, OVER_BUDGET, "{expression}");
    }
}

#[test]
fn lists_that_double_cost_no_memory() {
    let mut source = "[[1, 2]]".to_owned();
    for _ in 0..60 {
        let _ = write!(source, ".map(x, x + x)");
    }
    assert_eq!(evaluate(&format!("{source}[0].size() > 1000000"), &Json::Null).0, "true");
    assert_eq!(evaluate(&format!("{source}[0].all(x, x > 0)"), &Json::Null).0, OVER_BUDGET);
    assert_eq!(evaluate(&format!("{source}[0].sum() > 0"), &Json::Null).0, OVER_BUDGET);
    assert_eq!(evaluate(&format!("{source} == {source}"), &Json::Null).0, OVER_BUDGET);
}

#[test]
fn patterns_of_the_input_are_bounded() {
    let patterns: Vec<String> = (0..100_000).map(|number| format!("(\\pL{{50}}){{10}}{number}")).collect();
    let json = json!({ "list": patterns });
    assert_eq!(evaluate("self.list.all(p, !'x'.matches(p))", &json).0, OVER_BUDGET);
    let told = evaluate("'x'.matches(self)", &json!("(\\pL{1000}){1000}")).0;
    assert!(told.starts_with("error: error parsing regexp: "), "{told}");
}

#[test]
fn what_is_compiled_is_for_all_threads() {
    fn assert<T: Send + Sync>() {}
    assert::<super::super::rules::Rules>();
    assert::<super::super::admission::Expression>();
    assert::<super::super::admission::Variables>();
}

#[test]
fn deep_schemas_with_rules_everywhere_are_checked_fast() {
    let mut schema = json!({"type": "object", "properties": {"a": {"type": "string"}}});
    for number in 0..2_000 {
        schema["properties"][format!("p{number}")] = json!({"type": "string", "maxLength": 5});
    }
    for _ in 0..150 {
        let rules = json!([{"rule": "has(self.a)"}]);
        schema = json!({"type": "object", "properties": {"a": schema}, "x-kubernetes-validations": rules});
    }
    let path = crate::validation::field::Path::new("schema");
    let limit = super::super::rules::CostLimit::Each;
    assert_eq!(super::super::rules::check(&schema, &path, limit), []);
    assert!(!super::super::rules::Rules::compile(&schema).is_empty());
}
