//! Tables of expressions and what becomes of them.

mod admission;
mod costs;
mod hostile;
mod libraries;
mod rules;
mod values;

use serde_json::Value as Json;

use super::env::Env;
use super::error::{Error, Outcome};
use super::eval::Inputs;
use super::functions::text::display;
use super::meter::{CALL_COST_MAX, Meter};
use super::program::{Program, Refusal};
use super::types::Type;
use super::value::Value;

/// One variable: `self`.
struct One<'a>(Value<'a>);

impl<'a> Inputs<'a> for One<'a> {
    fn variable(&self, _: usize, _: &mut Meter) -> Outcome<'a> {
        Ok(self.0.clone())
    }

    fn member(&self, _: usize, name: &str, _: &mut Meter) -> Outcome<'a> {
        Err(Error::no_such_key(name))
    }
}

/// What an expression comes to, where `self` is a value without a schema, and what that cost.
fn evaluate(expression: &str, json: &Json) -> (String, u64) {
    let env = Env::default().variable("self", Type::Dyn);
    match Program::compile(expression, &env) {
        Err(Refusal::Issues(issues)) => (issues, 0),
        Err(Refusal::Instantiation(error)) => (format!("instantiation: {error}"), 0),
        Ok(compiled) => {
            let mut meter = Meter::new(CALL_COST_MAX);
            let text = match compiled.program.run(&One(Value::of_json(json)), &mut meter) {
                Ok(value) => display(&value),
                Err(error) => format!("error: {error}"),
            };
            (text, meter.cost())
        }
    }
}

/// Expressions and what they come to.
#[track_caller]
fn check(json: &Json, table: &[(&str, &str)]) {
    let wrong: Vec<String> = table
        .iter()
        .filter_map(|(expression, expected)| {
            let (found, _) = evaluate(expression, json);
            (found != *expected).then(|| format!("{expression}\n  is     {found}\n  wanted {expected}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
