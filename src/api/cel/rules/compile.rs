//! One rule from its JSON to programs.

use std::sync::Arc;

use serde_json::Value;

use super::super::decl::Decl;
use super::super::env::Env;
use super::super::program::{Program, Refusal};
use super::super::types::Type;
use super::field_path;

/// The number of `self` in the environment of a rule.
pub(super) const SELF: usize = 0;
/// The number of `oldSelf`.
pub(super) const OLD_SELF: usize = 1;

/// A rule.
#[derive(Debug)]
pub(super) struct Rule {
    /// What must hold, as it is written.
    pub(super) source: Box<str>,
    pub(super) message: Box<str>,
    /// None if the source is empty; else the program, or what is wrong with it.
    pub(super) program: Option<Result<Compiled, String>>,
    pub(super) uses_old: bool,
    /// Whether `oldSelf` may be none.
    pub(super) has_optional_old: bool,
    pub(super) message_source: Box<str>,
    /// What makes the message, if anything does, or what is wrong with it.
    pub(super) message_program: Option<Result<Compiled, String>>,
    pub(super) reason: Option<Box<str>>,
    /// The field that is at fault, from `self` on.
    pub(super) field_path: Option<String>,
}

/// A program and the most that it may cost.
#[derive(Debug)]
pub(super) struct Compiled {
    pub(super) program: Program,
    pub(super) cost_max: u64,
}

impl Rule {
    /// How messages name the rule.
    pub(super) fn told(&self) -> &str {
        if self.message.is_empty() { self.source.trim() } else { self.message.trim() }
    }
}

fn text<'a>(rule: &'a Value, name: &str) -> &'a str {
    rule.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// Compiles a rule on values of a schema.
pub(super) fn compile(rule: &Value, decl: Option<&Arc<Decl>>, schema: &Value) -> Rule {
    let source = text(rule, "rule");
    let has_optional_old = rule.get("optionalOldSelf").and_then(Value::as_bool).unwrap_or_default();
    let field_path = text(rule, "fieldPath");
    let mut compiled = Rule {
        source: source.into(),
        message: text(rule, "message").into(),
        program: None,
        uses_old: false,
        has_optional_old,
        message_source: text(rule, "messageExpression").into(),
        message_program: None,
        reason: rule.get("reason").and_then(Value::as_str).map(Into::into),
        field_path: field_path::resolve(field_path, schema).ok().filter(|_| !field_path.is_empty()),
    };
    let Some(decl) = decl else {
        compiled.program = Some(Err("failed to convert to declType for CEL validation rules".to_owned()));
        return compiled;
    };
    if source.trim().is_empty() {
        return compiled;
    }
    let old = if has_optional_old { Type::optional(decl.kind()) } else { decl.kind() };
    let env = Env::default().variable("self", decl.kind()).variable("oldSelf", old);
    let program = compile_rule(source, &env, decl, &mut compiled.uses_old);
    let is_program = program.is_ok();
    compiled.program = Some(program);
    if is_program && !compiled.message_source.is_empty() {
        compiled.message_program = Some(compile_message(&compiled.message_source, &env, decl));
    }
    compiled
}

fn compile_rule(source: &str, env: &Env, decl: &Decl, uses_old: &mut bool) -> Result<Compiled, String> {
    let compiled = Program::compile(source, env).map_err(|refusal| match refusal {
        Refusal::Issues(issues) => format!("compilation failed: {issues}"),
        Refusal::Instantiation(error) => format!("program instantiation failed: {error}"),
    })?;
    if *compiled.kind() != Type::Bool {
        return Err("cel expression must evaluate to a bool".to_owned());
    }
    *uses_old = compiled.uses(OLD_SELF);
    Ok(Compiled { cost_max: compiled.cost_max(decl), program: compiled.program })
}

fn compile_message(source: &str, env: &Env, decl: &Decl) -> Result<Compiled, String> {
    let compiled = Program::compile(source, env).map_err(|refusal| match refusal {
        Refusal::Issues(issues) => format!("messageExpression compilation failed: {issues}"),
        Refusal::Instantiation(error) => format!("messageExpression instantiation failed: {error}"),
    })?;
    if *compiled.kind() != Type::String {
        return Err("messageExpression must evaluate to a string".to_owned());
    }
    Ok(Compiled { cost_max: compiled.cost_max(decl), program: compiled.program })
}
