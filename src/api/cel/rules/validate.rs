//! Objects against their rules.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value as Json;

use super::super::decl::Decl;
use super::super::error::{Error as CelError, Outcome};
use super::super::eval::Inputs;
use super::super::meter::{CALL_COST_MAX, Meter};
use super::super::value::Value;
use super::compile::{Compiled, Rule, SELF};
use super::{Node, Rules};
use crate::validation::field::{Error, ErrorList, Path};

/// How long a message may be that an expression makes, in bytes; upstream's number.
const MESSAGE_BYTES_MAX: usize = 5 * 1024;

const OUT_OF_BUDGET: &str =
    "validation failed due to running out of cost budget, no further validation rules will be run";

impl Rules {
    /// What rules say of an object, and of the change from `old` if it is one. `budget` is what the rules may still
    /// cost ([`super::OBJECT_COST_MAX`] for a whole object); it is less afterwards, and negative when it ran out.
    #[must_use]
    pub fn validate(&self, new: &Json, old: Option<&Json>, path: &Path, budget: &mut i64) -> ErrorList {
        let mut run = Run { errors: Vec::new(), budget: *budget };
        if let Some(root) = &self.root {
            let correlation = Correlation { current: old.map(|old| (Some(old), new)), nearest: None };
            // What stopped the run is among the errors.
            let _ = run.node(root, path, new, old, correlation);
        }
        *budget = run.budget;
        run.errors
    }
}

/// No more rules are run.
struct Stopped;

struct Run {
    errors: ErrorList,
    budget: i64,
}

/// An old value beside the new one.
type Pair<'a> = (Option<&'a Json>, &'a Json);

/// What was before at this place. A rule that fails on what did not change does not stand in the way of an update.
#[derive(Clone, Copy)]
struct Correlation<'a> {
    current: Option<Pair<'a>>,
    nearest: Option<Pair<'a>>,
}

impl<'a> Correlation<'a> {
    const NONE: Self = Self { current: None, nearest: None };

    fn is_unchanged(self) -> bool {
        self.current.or(self.nearest).is_some_and(|(old, new)| old == Some(new))
    }

    fn member(self, node: &Node, name: &str) -> Self {
        let Some((old, new)) = self.current else {
            return self;
        };
        if self.nearest.is_none() && matches!(name, "apiVersion" | "kind") {
            return Self::NONE;
        }
        let current = match (old.and_then(Json::as_object), new.get(name)) {
            (Some(old), Some(new)) if node.has_own_members => Some((old.get(name), new)),
            _ => None,
        };
        Self { current, nearest: self.current }
    }

    fn item(self, old: Option<&'a Json>, new: &'a Json) -> Self {
        if self.current.is_none() {
            return self;
        }
        Self { current: old.map(|old| (Some(old), new)), nearest: self.current }
    }
}

/// `self` and `oldSelf`.
struct Selves<'a> {
    decl: Option<&'a Decl>,
    new: &'a Json,
    old: Option<&'a Json>,
    has_optional_old: bool,
}

impl<'a> Inputs<'a> for Selves<'a> {
    fn variable(&self, index: usize, _: &mut Meter) -> Outcome<'a> {
        let decl = self.decl.ok_or_else(CelError::no_such_overload)?;
        if index == SELF {
            return Value::typed(self.new, decl);
        }
        match self.old {
            Some(old) if self.has_optional_old => Ok(Value::Optional(Some(Arc::new(Value::typed(old, decl)?)))),
            Some(old) => Value::typed(old, decl),
            None if self.has_optional_old => Ok(Value::Optional(None)),
            None => Err(CelError::failed("no such attribute(s): oldSelf")),
        }
    }

    fn member(&self, _: usize, name: &str, _: &mut Meter) -> Outcome<'a> {
        Err(CelError::no_such_key(name))
    }
}

/// What became of a message's expression.
enum Message {
    Text(String),
    /// The rule's own message is told instead.
    None,
    /// Why no more rules are run.
    Stops(String),
}

impl Run {
    fn node<'a>(
        &mut self,
        node: &'a Node,
        path: &Path,
        new: &'a Json,
        old: Option<&'a Json>,
        correlation: Correlation<'a>,
    ) -> Result<(), Stopped> {
        if new.is_null() {
            return Ok(());
        }
        self.rules(node, path, new, old.filter(|old| !old.is_null()), correlation)?;
        for part in &node.all_of {
            let correlation = Correlation { current: None, nearest: correlation.nearest };
            self.node(part, path, new, old, correlation)?;
        }
        match new {
            Json::Array(items) => self.items(node, path, items, old, correlation),
            Json::Object(members) => self.members(node, path, members, old, correlation),
            _ => Ok(()),
        }
    }

    fn members<'a>(
        &mut self,
        node: &'a Node,
        path: &Path,
        members: &'a serde_json::Map<String, Json>,
        old: Option<&'a Json>,
        correlation: Correlation<'a>,
    ) -> Result<(), Stopped> {
        if node.additional.is_none() && node.properties.is_empty() {
            return Ok(());
        }
        for (name, value) in members {
            let old = old.and_then(|old| old.get(name)).filter(|_| node.has_correlatable_members);
            let correlation = correlation.member(node, name);
            if let Some(additional) = &node.additional {
                self.node(additional, &path.key(name), value, old, correlation)?;
            }
            if let Some(property) = node.properties.get(name.as_str()) {
                self.node(property, &path.child(name), value, old, correlation)?;
            }
        }
        Ok(())
    }

    fn items<'a>(
        &mut self,
        node: &'a Node,
        path: &Path,
        items: &'a [Json],
        old: Option<&'a Json>,
        correlation: Correlation<'a>,
    ) -> Result<(), Stopped> {
        let Some(rules) = &node.items else {
            return Ok(());
        };
        let old = by_keys(node, old);
        for (index, item) in items.iter().enumerate() {
            let old = node.list_keys.as_ref().and_then(|keys| old.get(&key(keys, item)).copied());
            self.node(rules, &path.index(index), item, old, correlation.item(old, item))?;
        }
        Ok(())
    }

    fn rules<'a>(
        &mut self,
        node: &'a Node,
        path: &Path,
        new: &'a Json,
        old: Option<&'a Json>,
        correlation: Correlation<'a>,
    ) -> Result<(), Stopped> {
        if node.rules.is_empty() {
            return Ok(());
        }
        let kind = node.kind.as_ref();
        if self.budget <= 0 {
            return self.stop(Error::invalid(shown(path), kind, OUT_OF_BUDGET));
        }
        for rule in &node.rules {
            let program = match &rule.program {
                None => continue,
                Some(Err(detail)) => {
                    self.errors.push(Error::invalid(shown(path), kind, format!("rule compile error: {detail}")));
                    continue;
                }
                Some(Ok(program)) => program,
            };
            if rule.uses_old && old.is_none() && !rule.has_optional_old {
                continue;
            }
            let selves = Selves { decl: node.decl.as_deref(), new, old, has_optional_old: rule.has_optional_old };
            if self.holds(rule, program, &selves, path, kind)? {
                continue;
            }
            self.failed(node, rule, &selves, path, correlation)?;
        }
        Ok(())
    }

    fn stop(&mut self, error: Error) -> Result<(), Stopped> {
        self.errors.push(error);
        self.budget = -1;
        Err(Stopped)
    }

    /// Whether a rule holds, or failed to say.
    fn holds<'a>(
        &mut self,
        rule: &Rule,
        program: &'a Compiled,
        selves: &Selves<'a>,
        path: &Path,
        kind: &str,
    ) -> Result<bool, Stopped> {
        let mut meter = Meter::new(CALL_COST_MAX);
        let outcome = program.program.run(selves, &mut meter);
        if !self.spend(meter.cost()) {
            self.stop(Error::invalid(shown(path), kind, OUT_OF_BUDGET))?;
        }
        let told = rule.told();
        match outcome {
            Ok(Value::Bool(holds)) => Ok(holds),
            Ok(_) => Ok(false),
            Err(error @ CelError::OverBudget) => {
                let detail = format!(
                    "'{error}': no further validation rules will be run due to call cost exceeds limit for rule: {told}"
                );
                self.stop(Error::invalid(shown(path), kind, detail)).map(|()| true)
            }
            Err(CelError::Failed(message)) => {
                let detail = if message.starts_with("no such overload") {
                    format!(
                        "'{message}': call arguments did not match a supported operator, function or macro signature \
                         for rule: {told}"
                    )
                } else {
                    format!("{message} evaluating rule: {told}")
                };
                self.errors.push(Error::invalid(shown(path), kind, detail));
                Ok(true)
            }
        }
    }

    /// Takes a cost from the budget, if it is there.
    fn spend(&mut self, cost: u64) -> bool {
        match i64::try_from(cost) {
            Ok(cost) if cost <= self.budget => {
                self.budget -= cost;
                true
            }
            _ => false,
        }
    }

    /// Tells that a rule does not hold, unless it did not hold before either.
    fn failed<'a>(
        &mut self,
        node: &Node,
        rule: &'a Rule,
        selves: &Selves<'a>,
        path: &Path,
        correlation: Correlation<'a>,
    ) -> Result<(), Stopped> {
        let path = rule.field_path.as_ref().map_or_else(|| path.clone(), |field| path.child(field));
        let kind = node.kind.as_ref();
        let is_excused = !rule.uses_old && correlation.is_unchanged();
        let detail = match self.message(rule, selves) {
            Message::Text(text) => text,
            Message::None if rule.message.is_empty() => format!("failed rule: {}", rule.told()),
            Message::None => rule.message.trim().to_owned(),
            Message::Stops(detail) => {
                if !is_excused {
                    self.errors.push(Error::invalid(shown(&path), kind, detail));
                }
                self.budget = -1;
                return Err(Stopped);
            }
        };
        if !is_excused {
            let value = if matches!(kind, "object" | "array") { None } else { Some(selves.new) };
            self.errors.push(error(&path, value, detail, rule.reason.as_deref()));
        }
        Ok(())
    }

    fn message<'a>(&mut self, rule: &'a Rule, selves: &Selves<'a>) -> Message {
        let Some(Ok(program)) = &rule.message_program else {
            return Message::None;
        };
        let mut meter = Meter::new(CALL_COST_MAX);
        let outcome = program.program.run(selves, &mut meter);
        if !self.spend(meter.cost()) {
            let detail = "messageExpression evaluation failed due to running out of cost budget, no further validation \
                          rules will be run";
            return Message::Stops(detail.to_owned());
        }
        match outcome {
            Ok(Value::String(text)) => {
                let text = text.trim();
                let is_usable = !text.is_empty() && text.len() <= MESSAGE_BYTES_MAX && !text.contains('\n');
                if is_usable { Message::Text(text.to_owned()) } else { Message::None }
            }
            Err(CelError::OverBudget) => Message::Stops(format!(
                "no further validation rules will be run due to call cost exceeds limit for messageExpression: {}",
                crate::validation::field::quote(&rule.message_source)
            )),
            _ => Message::None,
        }
    }
}

fn error(path: &Path, value: Option<&Json>, detail: String, reason: Option<&str>) -> Error {
    match (reason, value) {
        (Some("FieldValueForbidden"), _) => Error::forbidden(shown(path), detail),
        (Some("FieldValueRequired"), _) => Error::required(shown(path), detail),
        (Some("FieldValueDuplicate"), Some(value)) => Error::duplicate(shown(path), value.clone()),
        (Some("FieldValueDuplicate"), None) => Error::duplicate_unshown(shown(path)),
        (_, Some(value)) => Error::invalid(shown(path), value.clone(), detail),
        (_, None) => Error::invalid_unshown(shown(path), detail),
    }
}

/// A path as upstream tells it, which has a word for the root.
fn shown(path: &Path) -> &str {
    if path.as_str().is_empty() { "<nil>" } else { path.as_str() }
}

/// The old items of a list by their keys.
fn by_keys<'a>(node: &Node, old: Option<&'a Json>) -> HashMap<Vec<Option<String>>, &'a Json> {
    let Some(keys) = &node.list_keys else {
        return HashMap::new();
    };
    let old = old.and_then(Json::as_array).map(Vec::as_slice).unwrap_or_default();
    old.iter().map(|item| (key(keys, item), item)).collect()
}

fn key(names: &[Box<str>], item: &Json) -> Vec<Option<String>> {
    names.iter().map(|name| item.get(name.as_ref()).map(Json::to_string)).collect()
}
