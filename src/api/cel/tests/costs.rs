//! Costs, by the facts of upstream's own tests.

use serde_json::{Value as Json, json};

use super::super::decl::{Decl, Place};
use super::super::env::Env;
use super::super::estimate::Span;
use super::super::program::Program;
use super::super::types::Type;
use super::evaluate;

fn estimated(expression: &str) -> Span {
    let env = Env::default()
        .with_patches(Type::Dyn)
        .variable("authorizer", Type::Library("kubernetes.authorization.Authorizer"));
    Program::compile(expression, &env).ok().unwrap().cost(None)
}

/// Expressions, what they cost at least and at most, and what they cost.
#[test]
fn libraries_cost_what_they_cost_upstream() {
    for (expression, min, max, run) in [
        ("'ABCDEFGHIJ abcdefghij'.lowerAscii()", 3, 3, Some(3)),
        ("'ABCDEFGHIJ abcdefghij'.lowerAscii() == 'abcdefghij ABCDEFGHIJ'.lowerAscii()", 7, 9, Some(9)),
        ("strings.quote('ABCDEFGHIJ abcdefghij')", 3, 3, Some(3)),
        ("strings.quote('ABCDEFGHIJ abcdefghij') == strings.quote('ABCDEFGHIJ abcdefghij')", 7, 11, Some(9)),
        ("'abc 123 def 123'.replace('123', '456')", 3, 3, Some(3)),
        ("'abc 123 def 123'.replace('', 'x')", 3, 3, Some(3)),
        ("'abc 123 def 123'.split(' ')", 3, 3, Some(3)),
        ("'abc 123 def 123'.substring(5, 8)", 2, 2, Some(2)),
        ("'  abc 123 def 123  '.trim()", 2, 2, Some(2)),
        ("'abc 123 def 123'.find('123')", 2, 2, Some(2)),
        ("'abc 123 def 123'.findAll('123', 1)", 2, 2, Some(2)),
        ("jsonpatch.escapeKey('abc/def~ abc/def~')", 2, 2, None),
        ("authorizer.path('/healthz')", 2, 2, None),
        ("authorizer.path('/healthz').check('get').allowed()", 350_003, 350_003, None),
        (
            "authorizer.group('apps').resource('deployments').subresource('status').namespace('test').name('backend')",
            6,
            6,
            None,
        ),
        (
            "authorizer.group('').resource('pods').fieldSelector('spec.nodeName=example-node-name.fully.qualified.domain.name.example.com')",
            1821,
            1821,
            None,
        ),
        ("quantity(\"12Mi\")", 1, 1, Some(1)),
        ("quantity(\"200M\") == quantity(\"200M\")", 3, 3, Some(3)),
        ("quantity(\"200M\") == quantity(\"0.2G\") && quantity(\"0.2G\") == quantity(\"200M\")", 3, 6, Some(6)),
        ("quantity(\"200M\").compareTo(quantity(\"0.2G\")) > 0", 4, 4, Some(4)),
        ("quantity(\"50k\").add(20).sub(quantity(\"100k\")).sub(-50000).asInteger() > 0", 7, 7, Some(7)),
        ("format.named(\"dns1123subdomain\")", 1, 1, Some(1)),
        ("format.named(\"dns1123Subdomain\").value().validate(\"my-name\")", 34, 34, Some(17)),
        ("format.named(\"dns1123Label\").value().validate(\"my-name\")", 34, 34, Some(10)),
        ("format.named(\"dns1123Label\").value() == format.named(\"dns1123Label\").value()", 5, 11, Some(5)),
        ("sets.contains([1, 2, 3, 4], [2, 3])", 29, 29, None),
        ("!sets.contains([1], [1, 2])", 24, 24, None),
        ("sets.equivalent([1, 2, 3], [3, 2, 1])", 39, 39, None),
        ("url('https:://kubernetes.io/').getHost()", 4, 4, None),
    ] {
        assert_eq!(estimated(expression), Span { min, max }, "{expression}");
        if let Some(run) = run {
            assert_eq!(evaluate(expression, &Json::Null).1, run, "{expression}");
        }
    }
}

#[test]
fn reaching_costs_a_variable_and_each_field() {
    let json = json!({"a": {"b": [1, 2, 3]}, "i": 0});
    for (expression, expected) in [
        ("self", 1),
        ("self.a.b", 3),
        ("self.a.b[0]", 4),
        ("self.a.b[self.i]", 5),
        ("has(self.a.b)", 2),
        ("self.i == 0 ? self.a : self.i", 4),
        ("self.a.b.all(x, true)", 13),
        ("self.a.b.exists(x, x == 3)", 22),
        ("self.a.b.map(x, x)", 43),
        ("self.i in [0, 1]", 2),
        ("'a' + 'b' == 'ab'", 2),
        ("[1, 2, 3]", 0),
        ("int('5')", 0),
    ] {
        assert_eq!(evaluate(expression, &json).1, expected, "{expression}");
    }
}

fn cost_max(schema: &Json, rule: &str) -> u64 {
    let decl = Decl::of(schema, Place::Inside, "selfType").unwrap();
    let env = Env::default().variable("self", decl.kind());
    Program::compile(rule, &env).ok().unwrap().cost_max(&decl)
}

/// Schemas and rules with the cost where nothing limits sizes, and where a limit does.
#[test]
fn estimates_follow_the_sizes_that_a_schema_allows() {
    let array = |item: Json| json!({"type": "array", "items": item});
    let map = |value: Json| json!({"type": "object", "additionalProperties": value});
    let kind = |kind: &str| json!({"type": kind});
    let format = |format: &str| json!({"type": "string", "format": format});
    let either = json!({"x-kubernetes-int-or-string": true});
    let object = json!({"type": "object", "required": ["required"], "properties": {
        "required": {"type": "string"}, "optional": {"type": "string"}}});
    for (schema, rule, free, limited) in [
        (array(kind("number")), "self.all(x, true)", 4_718_591, Some((10, 32))),
        (array(kind("string")), "self.all(x, true)", 3_145_727, Some((20, 62))),
        (array(kind("boolean")), "self.all(x, true)", 1_887_437, Some((5, 17))),
        (array(array(kind("number"))), "self.all(x, true)", 3_145_727, Some((100, 302))),
        (array(object.clone()), "self.all(x, true)", 555_128, Some((50, 152))),
        (map(kind("number")), "self.all(x, true)", 1_348_169, Some((10, 32))),
        (map(kind("string")), "self.all(x, true)", 1_179_647, Some((3, 11))),
        (kind("string"), "self.contains('test')", 314_574, Some((10, 5))),
        (kind("string"), "self.startsWith('test')", 2, Some((15, 2))),
        (kind("string"), "size(self + \"hello\") > size(\"hello\")", 314_578, Some((5, 7))),
        (array(kind("number")), "self[1] == 0.0", 2, Some((5, 2))),
        (array(kind("string")), "self[1] == self[1]", 314_577, Some((5, 314_577))),
        (array(kind("number")), "self.all(x, self.all(y, true))", u64::MAX, Some((10, 352))),
        (kind("string"), "self.matches(\"x\")", 314_574, Some((50, 22))),
        (kind("string"), "\"\".matches(\"(((((((((())))))))))[0-9]\")", 7, Some((10, 7))),
        (kind("string"), "self.matches(\"\")", 1, Some((10, 1))),
        (map(kind("string")), "self.all(x, x.contains(self[x]))", 2_752_507, None),
        (kind("string"), "self == \"x\"", 2, Some((0, 1))),
        (format("byte"), "self == b\"x\"", 2, Some((0, 1))),
        (array(kind("number")), "self.all(x, x == 0.0)", 6_291_454, None),
        (array(either.clone()), "self.all(x, true)", 4_718_591, Some((10, 32))),
        (array(either), "self[0] == 5", 3, Some((5, 3))),
        (array(object), "self[0] == null", 2, Some((5, 2))),
        (array(format("duration")), "self.all(x, true)", 2_359_295, Some((5, 17))),
        (array(format("duration")), "self[0].getHours() == 2", 4, Some((5, 4))),
        (array(format("date")), "self.all(x, true)", 725_936, Some((15, 47))),
        (array(format("date")), "self[2].getDayOfMonth() == 13", 4, Some((5, 4))),
    ] {
        if free != u64::MAX {
            assert_eq!(cost_max(&schema, rule), free, "{rule} on {schema}");
        }
        if let Some((limit, cost)) = limited {
            let mut schema = schema;
            for name in ["maxItems", "maxProperties", "maxLength"] {
                schema[name] = json!(limit);
            }
            assert_eq!(cost_max(&schema, rule), cost, "{rule} on {schema}");
        }
    }
}
