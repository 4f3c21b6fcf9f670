//! Expressions on the object under admission.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value as Json;

use super::super::error::{Error, Outcome};
use super::super::eval;
use super::super::meter::{CALL_COST_MAX, Meter};
use super::super::value::Value;
use super::authorizer::{Asked, Authorizer, Check, Resource, Subject};
use super::compile::{Expression, Variables, number};
use super::{native, types};

/// How deep variables may refer to variables; each is an evaluation within an evaluation.
const VARIABLE_DEPTH_MAX: usize = 32;

/// What expressions see.
#[derive(Clone, Copy, Default)]
pub struct Inputs<'a> {
    /// The object; none when it is deleted.
    pub object: Option<&'a Json>,
    /// The object as it was; none when it is created.
    pub old_object: Option<&'a Json>,
    /// The `AdmissionRequest` without its objects.
    pub request: Option<&'a Json>,
    /// What a binding gives to its policy.
    pub params: Option<&'a Json>,
    /// The namespace of a namespaced object.
    pub namespace: Option<&'a Json>,
    /// Who answers whether something is allowed, and what the request is about.
    pub authorizer: Option<(&'a dyn Authorizer, &'a Resource)>,
}

/// What an expression answered.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// True or false.
    Bool(bool),
    /// Text.
    String(String),
    /// Null.
    Null,
    /// Something else, by the name of its type.
    Other(String),
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Failure {
    /// The expression failed; others may still run.
    #[error("{0}")]
    Failed(String),
    /// The budget is spent; no more expressions run.
    #[error("validation failed due to running out of cost budget, no further validation rules will be run")]
    OutOfBudget,
}

/// One group of expressions on one object.
pub struct Evaluation<'a> {
    variables: &'a Variables,
    inputs: Inputs<'a>,
    budget: i64,
    /// Variables that were asked for.
    known: RefCell<HashMap<Box<str>, Outcome<'a>>>,
    /// What variables cost since an expression was started.
    variables_cost: Cell<u64>,
    depth: Cell<usize>,
}

impl<'a> Evaluation<'a> {
    /// An evaluation that may cost so much.
    #[must_use]
    pub fn new(variables: &'a Variables, inputs: Inputs<'a>, budget: i64) -> Self {
        Self { variables, inputs, budget, known: RefCell::default(), variables_cost: Cell::new(0), depth: Cell::new(0) }
    }

    /// What may still be spent.
    #[must_use]
    pub fn budget(&self) -> i64 {
        self.budget
    }

    /// Runs an expression.
    ///
    /// # Errors
    /// It failed, or the budget is spent.
    pub fn run(&mut self, expression: &'a Expression) -> Result<Answer, Failure> {
        Ok(match self.value(expression)? {
            Value::Bool(value) => Answer::Bool(value),
            Value::String(text) => Answer::String(text.to_string()),
            Value::Null => Answer::Null,
            other => Answer::Other(other.type_name().to_owned()),
        })
    }

    /// Runs an expression that makes an apply configuration.
    ///
    /// # Errors
    /// It failed, what it made is no object by its types' names, or the budget is spent.
    pub fn run_object(&mut self, expression: &'a Expression) -> Result<Json, Failure> {
        let value = self.value(expression)?;
        if !matches!(value, Value::Object(..)) {
            let kind = value.type_name();
            let message = format!("unsupported return type from ApplyConfiguration expression: {kind}");
            return Err(Failure::Failed(message));
        }
        native::check_names(&value).map_err(|error| Failure::Failed(format!("type mismatch: {error}")))?;
        native::to_json(&value).map_err(|error| Failure::Failed(error.to_string()))
    }

    /// Runs an expression that makes operations of a JSON patch.
    ///
    /// # Errors
    /// It failed, what it made are no operations, or the budget is spent.
    pub fn run_patches(&mut self, expression: &'a Expression) -> Result<Vec<Json>, Failure> {
        let value = self.value(expression)?;
        let Value::List(list) = &value else {
            let message = "type mismatch: JSONPatchType.expression should evaluate to array";
            return Err(Failure::Failed(message.to_owned()));
        };
        let mut operations = Vec::new();
        for operation in list.iter() {
            let operation = operation.map_err(|error| Failure::Failed(error.to_string()))?;
            operations.push(native::operation(&operation).map_err(Failure::Failed)?);
        }
        Ok(operations)
    }

    fn value(&mut self, expression: &'a Expression) -> Result<Value<'a>, Failure> {
        let mut meter = Meter::new(CALL_COST_MAX);
        self.variables_cost.set(0);
        let outcome = expression.program.run(&*self, &mut meter);
        self.spend(self.variables_cost.get())?;
        self.spend(meter.cost())?;
        outcome
            .map_err(|error| Failure::Failed(format!("expression '{}' resulted in error: {error}", expression.source)))
    }

    fn spend(&mut self, cost: u64) -> Result<(), Failure> {
        match i64::try_from(cost) {
            Ok(cost) if cost <= self.budget => {
                self.budget -= cost;
                Ok(())
            }
            _ => {
                self.budget = -1;
                Err(Failure::OutOfBudget)
            }
        }
    }

    fn check(&self, index: usize) -> Outcome<'a> {
        let missing = if index == number::AUTHORIZER { "authorizer" } else { "authorizer.requestResource" };
        let Some((authorizer, resource)) = self.inputs.authorizer else {
            return Err(Error::failed(format!("no such attribute(s): {missing}")));
        };
        let subject = Subject { authorizer, service_account: None };
        let check = if index == number::AUTHORIZER {
            Check::Subject(subject)
        } else {
            Check::Asked(subject, Asked::Resource(resource.clone()))
        };
        Ok(Value::Check(Arc::new(check)))
    }

    fn variable_named(&self, name: &str) -> Outcome<'a> {
        let found = self.variables.variables.iter().rev().find(|variable| variable.name.as_ref() == name);
        let variable = found.ok_or_else(|| Error::no_such_key(name))?;
        let told = crate::validation::field::quote(name);
        let expression = match &variable.expression {
            Ok(expression) => expression,
            Err(message) => {
                return Err(Error::failed(format!("composited variable {told} fails to compile: {message}")));
            }
        };
        if self.depth.get() >= VARIABLE_DEPTH_MAX {
            return Err(Error::failed(format!("composited variable {told} is nested too deeply")));
        }
        self.depth.set(self.depth.get() + 1);
        let mut meter = Meter::new(CALL_COST_MAX);
        let outcome = expression.program.run(self, &mut meter);
        self.depth.set(self.depth.get() - 1);
        self.variables_cost.set(self.variables_cost.get().saturating_add(meter.cost()));
        outcome.map_err(|error| Error::failed(format!("composited variable {told} fails to evaluate: {error}")))
    }
}

impl<'a> eval::Inputs<'a> for Evaluation<'a> {
    fn variable(&self, index: usize, _: &mut Meter) -> Outcome<'a> {
        let plain = |json: Option<&'a Json>| Ok(json.map_or(Value::Null, Value::of_json));
        match index {
            number::OBJECT => plain(self.inputs.object),
            number::OLD_OBJECT => plain(self.inputs.old_object),
            number::PARAMS => plain(self.inputs.params),
            number::NAMESPACE => {
                self.inputs.namespace.map_or(Ok(Value::Null), |json| Value::typed(json, &types::NAMESPACE))
            }
            number::REQUEST => self.inputs.request.map_or(Ok(Value::Null), |json| Value::typed(json, &types::REQUEST)),
            number::AUTHORIZER | number::REQUEST_RESOURCE => self.check(index),
            _ => Err(Error::failed("no such attribute(s): variables")),
        }
    }

    fn member(&self, _: usize, name: &str, _: &mut Meter) -> Outcome<'a> {
        if let Some(known) = self.known.borrow().get(name) {
            return known.clone();
        }
        let outcome = self.variable_named(name);
        self.known.borrow_mut().insert(name.into(), outcome.clone());
        outcome
    }
}
