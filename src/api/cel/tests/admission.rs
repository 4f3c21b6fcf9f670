//! Expressions of webhooks and policies.

use serde_json::{Value as Json, json};

use super::super::admission::authorizer::{Asked, Authorizer, Decision, Resource, ServiceAccount};
use super::super::admission::{Answer, Answers, Compiler, Evaluation, Failure, Inputs, POLICY_COST_MAX, Scope};

const ALL: Scope = Scope { has_params: true, has_authorizer: true, has_patches: true };

/// Allows the verb `get` to all, and all to the service account `a` of the namespace `default`.
struct Gets;

impl Authorizer for Gets {
    fn authorize(&self, account: Option<&ServiceAccount>, asked: &Asked, verb: &str) -> Decision {
        let is_a = account.is_some_and(|account| account.name.as_ref() == "a");
        let reason = match asked {
            Asked::Path(path) => path.to_string(),
            Asked::Resource(resource) => format!("{}/{}", resource.group, resource.resource),
        };
        Decision { is_allowed: is_a || verb == "get", reason, error: None }
    }
}

fn request() -> Json {
    json!({
        "kind": {"group": "apps", "version": "v1", "kind": "Deployment"},
        "operation": "CREATE", "name": "d", "userInfo": {"username": "ann", "groups": ["g"]}, "options": {"a": 1},
    })
}

fn run(variables: &[(&str, &str)], expression: &str) -> Result<Answer, String> {
    let mut compiler = Compiler::new();
    for (name, source) in variables {
        compiler.add_variable(name, source, ALL)?;
    }
    let expression = compiler.compile(expression, ALL, Answers::Any)?;
    let variables = compiler.into_variables();
    let (object, request, params) = (json!({"spec": {"replicas": 3}}), request(), json!({"max": 2}));
    let namespace = json!({"metadata": {"name": "n", "creationTimestamp": "2024-01-01T00:00:00Z"}});
    let resource = Resource { resource: "deployments".into(), group: "apps".into(), ..Resource::default() };
    let inputs = Inputs {
        object: Some(&object),
        request: Some(&request),
        params: Some(&params),
        namespace: Some(&namespace),
        authorizer: Some((&Gets, &resource)),
        ..Inputs::default()
    };
    let mut evaluation = Evaluation::new(&variables, inputs, POLICY_COST_MAX);
    evaluation.run(&expression).map_err(|failure| failure.to_string())
}

#[test]
fn expressions_see_the_object_and_all_around_it() {
    for expression in [
        "object.spec.replicas > params.max",
        "oldObject == null",
        "!has(object.spec.paused)",
        "request.kind.kind == 'Deployment' && request.operation == 'CREATE'",
        "'g' in request.userInfo.groups && !has(request.namespace)",
        "request.options.a == 1",
        "namespaceObject.metadata.name == 'n'",
        "namespaceObject.metadata.creationTimestamp < timestamp('2025-01-01T00:00:00Z')",
        "authorizer.path('/healthz').check('get').allowed()",
        "authorizer.path('/healthz').check('get').reason() == '/healthz'",
        "!authorizer.group('apps').resource('deployments').namespace('n').check('create').allowed()",
        "authorizer.requestResource.check('get').reason() == 'apps/deployments'",
        "authorizer.serviceAccount('default', 'a').group('').resource('pods').check('create').allowed()",
        "!authorizer.requestResource.check('get').errored()",
    ] {
        assert_eq!(run(&[], expression), Ok(Answer::Bool(true)), "{expression}");
    }
}

#[test]
fn variables_see_those_before_them() {
    let variables = [("replicas", "object.spec.replicas"), ("double", "variables.replicas * 2")];
    assert_eq!(run(&variables, "variables.double == 6 && variables.replicas == 3"), Ok(Answer::Bool(true)));
    assert_eq!(run(&variables, "has(variables.double)"), Ok(Answer::Bool(true)));
    assert_eq!(run(&variables, "variables.?double.orValue(0) == 6"), Ok(Answer::Bool(true)));
    assert_eq!(
        run(&[("broken", "object.nothing")], "variables.broken == 1"),
        Err("expression 'variables.broken == 1' resulted in error: composited variable \"broken\" fails to evaluate: \
             no such key: nothing"
            .to_owned())
    );
    assert!(run(&[("self", "variables.self")], "true").is_err());
}

#[test]
fn variables_cost_once() {
    let mut compiler = Compiler::new();
    compiler.add_variable("big", "lists.range(1000).all(x, x >= 0)", Scope::default()).unwrap();
    let expression = compiler.compile("variables.big", Scope::default(), Answers::Bool).unwrap();
    let variables = compiler.into_variables();
    let mut evaluation = Evaluation::new(&variables, Inputs::default(), POLICY_COST_MAX);
    assert_eq!(evaluation.run(&expression), Ok(Answer::Bool(true)));
    let first = POLICY_COST_MAX - evaluation.budget();
    assert_eq!(evaluation.run(&expression), Ok(Answer::Bool(true)));
    assert_eq!(POLICY_COST_MAX - evaluation.budget() - first, 2);
    assert_eq!(Evaluation::new(&variables, Inputs::default(), 100).run(&expression), Err(Failure::OutOfBudget));
}

#[test]
fn long_chains_of_variables_end() {
    let mut compiler = Compiler::new();
    compiler.add_variable("v0", "1", Scope::default()).unwrap();
    for number in 1..200 {
        let source = format!("variables.v{} + 1", number - 1);
        compiler.add_variable(&format!("v{number}"), &source, Scope::default()).unwrap();
    }
    let expression = compiler.compile("variables.v199 == 200", Scope::default(), Answers::Bool).unwrap();
    let variables = compiler.into_variables();
    let outcome = Evaluation::new(&variables, Inputs::default(), POLICY_COST_MAX).run(&expression);
    assert!(outcome.unwrap_err().to_string().ends_with("is nested too deeply"));
}

#[test]
fn wrong_expressions_are_refused_in_the_words_of_upstream() {
    let compile = |source: &str, scope, answers| Compiler::new().compile(source, scope, answers).err();
    for (source, scope, answers, expected) in [
        ("1", ALL, Answers::Bool, "must evaluate to bool but got int"),
        ("object", ALL, Answers::Bool, "must evaluate to bool but got dyn"),
        ("1", ALL, Answers::StringOrNull, "must evaluate to one of [string null_type] but got int"),
        ("null", ALL, Answers::String, "must evaluate to string but got null_type"),
        ("Object.spec{}", ALL, Answers::Object, "must evaluate to Object but got Object.spec"),
        (
            "params.a",
            Scope::default(),
            Answers::Any,
            "compilation failed: ERROR: <input>:1:1: undeclared reference to 'params' (in container '')\n | params.a\n | ^",
        ),
        (
            "request.nothing == ''",
            ALL,
            Answers::Bool,
            "compilation failed: ERROR: <input>:1:8: undefined field 'nothing'\n | request.nothing == ''\n | .......^",
        ),
        (
            "Object{}",
            Scope::default(),
            Answers::Any,
            "compilation failed: ERROR: <input>:1:7: undeclared reference to 'Object' (in container '')\n | Object{}\n | ......^",
        ),
    ] {
        assert_eq!(compile(source, scope, answers).as_deref(), Some(expected), "{source}");
    }
}

#[test]
fn changes_are_objects_or_patches() {
    let compiler = Compiler::new();
    let variables = Compiler::new().into_variables();
    let object = json!({"spec": {"replicas": 3}});
    let inputs = Inputs { object: Some(&object), ..Inputs::default() };
    let source = "Object{spec: Object.spec{replicas: object.spec.replicas + 1, ?paused: optional.none(), \
                  items: [Object.spec.items{name: 'a'}]}}";
    let expression = compiler.compile(source, ALL, Answers::Object).unwrap();
    assert_eq!(
        Evaluation::new(&variables, inputs, POLICY_COST_MAX).run_object(&expression),
        Ok(json!({"spec": {"replicas": 4, "items": [{"name": "a"}]}}))
    );
    let expression = compiler.compile("Object{spec: Object.other{}}", ALL, Answers::Object).unwrap();
    assert_eq!(
        Evaluation::new(&variables, inputs, POLICY_COST_MAX).run_object(&expression).unwrap_err().to_string(),
        "type mismatch: unexpected type name \"Object.other\", expected \"Object.spec\", which matches field name path \
         from root Object type"
    );
    let source = "[JSONPatch{op: 'add', path: '/metadata/labels/' + jsonpatch.escapeKey('a/b~'), value: 'x'}, \
                  JSONPatch{op: 'copy', path: '/a', from: '/b'}]";
    let expression = compiler.compile(source, ALL, Answers::Patches).unwrap();
    assert_eq!(
        Evaluation::new(&variables, inputs, POLICY_COST_MAX).run_patches(&expression),
        Ok(vec![
            json!({"op": "add", "path": "/metadata/labels/a~1b~0", "value": "x"}),
            json!({"op": "copy", "path": "/a", "from": "/b"}),
        ])
    );
}
