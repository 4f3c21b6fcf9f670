//! Policies as they are evaluated: each expression compiled once.

use api::cel::admission::{
    Answer, Answers, Compiler, Evaluation, Expression, Failure, Inputs, MATCH_CONDITIONS_COST_MAX, Scope, Variables,
};
use serde_json::Value;

/// A policy that validates.
#[derive(Debug)]
pub(super) struct Validating {
    pub spec: Value,
    /// What it is compiled to, or why it cannot be.
    pub compiled: Result<Rules<Validation>, String>,
}

/// A policy that changes.
#[derive(Debug)]
pub(super) struct Mutating {
    pub spec: Value,
    pub compiled: Result<Rules<Mutation>, String>,
}

/// The expressions of a policy.
#[derive(Debug)]
pub(super) struct Rules<R> {
    pub conditions: Conditions,
    pub variables: Variables,
    pub rules: Vec<R>,
}

/// Conditions under which a request is meant.
#[derive(Debug, Default)]
pub(crate) struct Conditions {
    conditions: Vec<(String, Expression)>,
    /// There are none, but an evaluation wants some.
    variables: Variables,
}

/// A rule that an object satisfies or not.
#[derive(Debug)]
pub(super) struct Validation {
    pub expression: Expression,
    /// What is told otherwise, if it can be made.
    pub message_expression: Option<Expression>,
    /// What is told else.
    pub message: String,
    pub reason: String,
}

/// A change.
#[derive(Debug)]
pub(super) enum Mutation {
    /// An object that is applied.
    Apply(Expression),
    /// The operations of a JSON patch.
    Patch(Expression),
}

impl Validating {
    pub(super) fn read(policy: Value) -> Option<Self> {
        let spec = policy.get("spec")?.clone();
        let compiled = Rules::compile(&spec, "validations", |compiler, scope, rule| {
            let text = |name: &str| rule.get(name).and_then(Value::as_str).unwrap_or_default();
            let source = text("expression");
            let told = Some(text("messageExpression")).filter(|source| !source.trim().is_empty());
            let message_scope = Scope { has_authorizer: false, ..scope };
            Ok(Validation {
                expression: compiler.compile(source, scope, Answers::Bool)?,
                message_expression: told
                    .map(|source| compiler.compile(source, message_scope, Answers::String))
                    .transpose()?,
                message: match text("message").trim() {
                    "" => format!("failed expression: {}", source.trim()),
                    message => message.to_owned(),
                },
                reason: text("reason").to_owned(),
            })
        });
        Some(Self { spec, compiled })
    }
}

impl Mutating {
    pub(super) fn read(policy: Value) -> Option<Self> {
        let spec = policy.get("spec")?.clone();
        let compiled = Rules::compile(&spec, "mutations", |compiler, scope, rule| {
            let scope = Scope { has_patches: true, ..scope };
            let text = |pointer: &str| rule.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
            Ok(match text("/patchType") {
                "JSONPatch" => {
                    Mutation::Patch(compiler.compile(text("/jsonPatch/expression"), scope, Answers::Patches)?)
                }
                _ => {
                    Mutation::Apply(compiler.compile(text("/applyConfiguration/expression"), scope, Answers::Object)?)
                }
            })
        });
        Some(Self { spec, compiled })
    }
}

impl<R> Rules<R> {
    fn compile(
        spec: &Value,
        field: &str,
        rule: impl Fn(&Compiler, Scope, &Value) -> Result<R, String>,
    ) -> Result<Self, String> {
        let has_params = spec.get("paramKind").is_some_and(|kind| !kind.is_null());
        let scope = Scope { has_params, has_authorizer: true, has_patches: false };
        let list = |field: &str| spec.get(field).and_then(Value::as_array).into_iter().flatten();
        let mut compiler = Compiler::new();
        for variable in list("variables") {
            let text = |name: &str| variable.get(name).and_then(Value::as_str).unwrap_or_default();
            compiler.add_variable(text("name"), text("expression"), scope)?;
        }
        let conditions: Vec<Value> = list("matchConditions").cloned().collect();
        let rules: Result<Vec<R>, String> = list(field).map(|found| rule(&compiler, scope, found)).collect();
        Ok(Self {
            conditions: Conditions::compile(&conditions, has_params)?,
            rules: rules?,
            variables: compiler.into_variables(),
        })
    }
}

impl Conditions {
    /// Compiles the `matchConditions` of a webhook or policy.
    ///
    /// # Errors
    /// What is wrong with one.
    pub(crate) fn compile(conditions: &[Value], has_params: bool) -> Result<Self, String> {
        let scope = Scope { has_params, has_authorizer: true, has_patches: false };
        let compiler = Compiler::new();
        let compiled = conditions.iter().map(|condition| {
            let text = |name: &str| condition.get(name).and_then(Value::as_str).unwrap_or_default();
            Ok((text("name").to_owned(), compiler.compile(text("expression"), scope, Answers::Bool)?))
        });
        Ok(Self { conditions: compiled.collect::<Result<_, String>>()?, variables: Variables::default() })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.conditions.is_empty()
    }
}

/// Whether all conditions hold. One that is false decides, whatever else failed.
///
/// # Errors
/// What failed, where none is false.
pub(crate) fn conditions_hold(conditions: &Conditions, inputs: Inputs<'_>) -> Result<bool, String> {
    let mut evaluation = Evaluation::new(&conditions.variables, inputs, MATCH_CONDITIONS_COST_MAX);
    let mut failures = Vec::new();
    for (name, expression) in &conditions.conditions {
        match evaluation.run(expression) {
            Ok(Answer::Bool(false)) => return Ok(false),
            Ok(_) => {}
            Err(Failure::OutOfBudget) => {
                return Err("match conditions failed due to running out of cost budget".to_owned());
            }
            Err(Failure::Failed(why)) => failures.push(format!("matchCondition {name:?}: {why}")),
        }
    }
    if failures.is_empty() { Ok(true) } else { Err(failures.join(", ")) }
}
