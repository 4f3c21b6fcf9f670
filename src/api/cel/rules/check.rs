//! What is wrong with the rules of a definition when it is written.

use std::sync::Arc;

use serde_json::Value;

use super::super::decl::{Decl, Place, is_embedded};
use super::compile::{Rule, compile};
use super::{DEPTH_MAX, SELF_TYPE, field_path, is_correlatable};
use crate::validation::field::{Error, ErrorList, Path};

/// How much a rule may be estimated to cost; upstream's number.
const EXPRESSION_COST_MAX: u64 = 10_000_000;
/// How much all rules of a schema may be estimated to cost; upstream's number.
const SCHEMA_COST_MAX: u64 = 100_000_000;
/// How many of the most expensive rules are named when all together cost too much.
const EXPENSIVE_MAX: usize = 4;

/// Why rules may have; sorted.
const REASONS: [&str; 4] = ["FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired"];

/// Whether each expression has a limit of its own. It has none when a definition is updated whose rules were over it
/// before.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CostLimit {
    /// For each expression and for all.
    Each,
    /// For all only.
    All,
}

/// What is wrong with the rules of a structural schema; `path` is where the schema stands in the definition
/// (`spec.validation.openAPIV3Schema`). Rules are compiled only if the schema around them is otherwise right, so it has
/// to be checked before.
#[must_use]
pub fn check(schema: &Value, path: &Path, limit: CostLimit) -> ErrorList {
    let mut checker = Checker { limit, total: 0, expensive: Vec::new(), errors: Vec::new() };
    let context = Context { decl: None, cardinality: Some(1), uncorrelatable: None, is_compiled: true };
    checker.schema(schema, path, Place::Root, context, DEPTH_MAX);
    if checker.total > SCHEMA_COST_MAX {
        for (_, path) in std::mem::take(&mut checker.expensive) {
            let message = "contributed to estimated rule cost total exceeding cost limit for entire OpenAPIv3 schema";
            checker.errors.push(Error::forbidden(path, message));
        }
        let name = "x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema";
        checker.errors.push(Error::forbidden(path, too_expensive(name, checker.total, SCHEMA_COST_MAX)));
    }
    checker.errors
}

struct Checker {
    limit: CostLimit,
    total: u64,
    /// The most expensive rules, that first.
    expensive: Vec<(u64, String)>,
    errors: ErrorList,
}

/// What holds at a place in the schema.
#[derive(Clone)]
struct Context {
    /// What the values are, if there is a rule here or around.
    decl: Option<Arc<Decl>>,
    /// How many values there can be in one object, if anything limits them.
    cardinality: Option<u64>,
    /// Above which place old and new values cannot be told to belong together.
    uncorrelatable: Option<Path>,
    /// Whether rules are compiled here; within `allOf` and the like they are only looked at.
    is_compiled: bool,
}

impl Context {
    /// What holds in a schema at this place, but for what its values are.
    fn inner(&self, schema: &Value) -> Self {
        Self { cardinality: inner_cardinality(schema, self.cardinality), decl: None, ..self.clone() }
    }
}

impl Checker {
    /// Checks a schema and what is in it; whether all of its rules have the form of rules.
    fn schema(&mut self, schema: &Value, path: &Path, place: Place, mut context: Context, depth: usize) -> bool {
        let Some(depth) = depth.checked_sub(1) else {
            return true;
        };
        let rules = rules(schema);
        if context.decl.is_none() && context.is_compiled && !rules.is_empty() {
            context.decl = Decl::of(schema, place, SELF_TYPE);
        }
        let mut is_well_formed = self.members(schema, path, &context, depth);
        is_well_formed &= self.combinations(schema, path, &context, depth);
        if let Some(items) = schema.get("items").filter(|items| items.is_object()) {
            let mut inner = context.inner(schema);
            inner.decl = context.decl.as_ref().and_then(|decl| decl.element().cloned());
            if schema.get("x-kubernetes-list-type").and_then(Value::as_str) != Some("map") {
                inner.uncorrelatable.get_or_insert_with(|| path.clone());
            }
            is_well_formed &= self.schema(items, &path.child("items"), is_embedded(items), inner, depth);
        }
        for (index, rule) in rules.iter().enumerate() {
            is_well_formed &= self.form(rule, &path.child("x-kubernetes-validations").index(index), schema);
        }
        if is_well_formed && context.is_compiled && !rules.is_empty() {
            self.rules(schema, path, &context);
        }
        is_well_formed
    }

    /// Checks the members of an object or map.
    fn members(&mut self, schema: &Value, path: &Path, context: &Context, depth: usize) -> bool {
        let mut is_well_formed = true;
        if let Some(values) = schema.get("additionalProperties").filter(|values| values.is_object()) {
            let mut inner = context.inner(schema);
            inner.decl = context.decl.as_ref().and_then(|decl| decl.element().cloned());
            let path = path.child("additionalProperties");
            is_well_formed &= self.schema(values, &path, is_embedded(values), inner, depth);
        }
        for (name, property) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
            let mut inner = context.inner(schema);
            inner.decl = context.decl.as_ref().and_then(|decl| decl.property(name).cloned());
            if !is_correlatable(schema) {
                inner.uncorrelatable.get_or_insert_with(|| path.clone());
            }
            let path = path.child("properties").key(name);
            is_well_formed &= self.schema(property, &path, is_embedded(property), inner, depth);
        }
        is_well_formed
    }

    fn combinations(&mut self, schema: &Value, path: &Path, context: &Context, depth: usize) -> bool {
        let context = Context { is_compiled: false, ..context.clone() };
        let mut is_well_formed = true;
        if let Some(not) = schema.get("not") {
            is_well_formed &= self.schema(not, &path.child("not"), Place::Inside, context.clone(), depth);
        }
        for name in ["allOf", "oneOf", "anyOf"] {
            let schemas = schema.get(name).and_then(Value::as_array).into_iter().flatten();
            for (index, schema) in schemas.enumerate() {
                let path = path.child(name).index(index);
                is_well_formed &= self.schema(schema, &path, Place::Inside, context.clone(), depth);
            }
        }
        is_well_formed
    }

    /// Whether a rule has the form of one.
    fn form(&mut self, rule: &Value, path: &Path, schema: &Value) -> bool {
        let before = self.errors.len();
        let text = |name: &str| rule.get(name).and_then(Value::as_str).unwrap_or_default();
        let (source, message, message_source) = (text("rule"), text("message"), text("messageExpression"));
        let has_breaks = |text: &str| text.contains(['\n', '\r']);
        let (at_rule, at_message) = (path.child("rule"), path.child("message"));
        if source.trim().is_empty() {
            self.errors.push(Error::required(&at_rule, "rule is not specified"));
        } else if !message.is_empty() && message.trim().is_empty() {
            self.errors.push(Error::invalid(&at_message, message, "must be non-empty if specified"));
        } else if has_breaks(message.trim()) {
            self.errors.push(Error::invalid(&at_message, message, "must not contain line breaks"));
        } else if has_breaks(source.trim()) && message.trim().is_empty() {
            let detail = "message must be specified if rule contains line breaks";
            self.errors.push(Error::required(&at_message, detail));
        }
        if !message_source.is_empty() && message_source.trim().is_empty() {
            let detail = "messageExpression must be non-empty if specified";
            self.errors.push(Error::required(path.child("messageExpression"), detail));
        }
        if let Some(reason) = rule.get("reason").and_then(Value::as_str)
            && !REASONS.contains(&reason)
        {
            self.errors.push(Error::not_supported(path.child("reason"), reason, &REASONS));
        }
        let field = text("fieldPath");
        let mut wrong_field = |detail: &str| self.errors.push(Error::invalid(path.child("fieldPath"), field, detail));
        if !field.is_empty() && field.trim().is_empty() {
            wrong_field("must be non-empty if specified");
        }
        if has_breaks(field) {
            wrong_field("must not contain line breaks");
        }
        if !field.is_empty() && field_path::resolve(field, schema).is_err() {
            wrong_field("must be a valid path");
        }
        self.errors.len() == before
    }

    /// Compiles the rules of a schema.
    fn rules(&mut self, schema: &Value, path: &Path, context: &Context) {
        let at = path.child("x-kubernetes-validations");
        let Some(decl) = &context.decl else {
            self.errors.push(Error::internal(
                at,
                "internal error: failed to construct type information for x-kubernetes-validations rules: unable to \
                 convert structural schema to CEL declarations",
            ));
            return;
        };
        let cardinality = context.cardinality.unwrap_or_else(|| decl.cardinality_max());
        for (index, rule) in rules(schema).iter().enumerate() {
            let at = at.index(index);
            let compiled = compile(rule, Some(decl), schema);
            self.cost(&compiled, &at, cardinality);
            self.compiled(rule, &compiled, &at, context);
        }
    }

    fn cost(&mut self, rule: &Rule, at: &Path, cardinality: u64) {
        let cost = match &rule.program {
            Some(Ok(program)) => program.cost_max.saturating_mul(cardinality),
            _ => 0,
        };
        self.observe(&at.child("rule"), "estimated rule cost", cost);
    }

    fn observe(&mut self, at: &Path, name: &str, cost: u64) {
        if self.limit == CostLimit::Each && cost > EXPRESSION_COST_MAX {
            self.errors.push(Error::forbidden(at, too_expensive(name, cost, EXPRESSION_COST_MAX)));
        }
        self.total = self.total.saturating_add(cost);
        if cost >= SCHEMA_COST_MAX / 100 {
            self.expensive.push((cost, at.into()));
            self.expensive.sort_by_key(|(cost, _)| std::cmp::Reverse(*cost));
            self.expensive.truncate(EXPENSIVE_MAX);
        }
    }

    fn compiled(&mut self, rule: &Value, compiled: &Rule, at: &Path, context: &Context) {
        if let Some(Err(detail)) = &compiled.program {
            self.errors.push(invalid_rule(&at.child("rule"), rule, detail));
        }
        match &compiled.message_program {
            Some(Err(detail)) => self.errors.push(invalid_rule(&at.child("messageExpression"), rule, detail)),
            Some(Ok(program)) => {
                self.observe(&at.child("messageExpression"), "estimated messageExpression cost", program.cost_max);
            }
            None => {}
        }
        let optional_old = rule.get("optionalOldSelf").and_then(Value::as_bool);
        match (compiled.uses_old, &context.uncorrelatable, optional_old) {
            (true, Some(uncorrelatable), _) => {
                let detail = format!(
                    "oldSelf cannot be used on the uncorrelatable portion of the schema within {uncorrelatable}"
                );
                self.errors.push(Error::invalid(at.child("rule"), compiled.source.as_ref(), detail));
            }
            (false, _, Some(optional_old)) => {
                let detail = "may not be set if oldSelf is not used in rule";
                self.errors.push(Error::invalid(at.child("optionalOldSelf"), optional_old, detail));
            }
            _ => {}
        }
    }
}

fn rules(schema: &Value) -> &[Value] {
    schema.get("x-kubernetes-validations").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// How many values there can be of what is in a schema of which there can be so many.
fn inner_cardinality(schema: &Value, outer: Option<u64>) -> Option<u64> {
    let outer = outer?;
    let limit = |name: &str| {
        let limit = schema.get(name).and_then(Value::as_i64)?;
        Some(outer.saturating_mul(u64::try_from(limit).unwrap_or_default()))
    };
    match schema.get("type").and_then(Value::as_str) {
        Some("object") if schema.get("additionalProperties").is_some() => limit("maxProperties"),
        Some("array") => limit("maxItems"),
        _ => Some(outer),
    }
}

#[expect(clippy::cast_precision_loss, reason = "it is a factor for people")]
fn too_expensive(name: &str, cost: u64, max: u64) -> String {
    let factor = cost as f64 / max as f64;
    let factor = if factor > 100.0 {
        "more than 100x".to_owned()
    } else if factor < 1.5 {
        format!("{factor:.6}x")
    } else {
        format!("{factor:.1}x")
    };
    format!(
        "{name} exceeds budget by factor of {factor} (try simplifying the rule, or adding maxItems, maxProperties, and \
         maxLength where arrays, maps, and strings are declared)"
    )
}

/// An error that shows the whole rule, with its fields in the order of upstream's type.
fn invalid_rule(at: &Path, rule: &Value, detail: &str) -> Error {
    let mut shown = Vec::new();
    for (go_name, name, empty) in [
        ("Rule", "rule", Value::from("")),
        ("Message", "message", Value::from("")),
        ("MessageExpression", "messageExpression", Value::from("")),
        ("Reason", "reason", Value::Null),
        ("FieldPath", "fieldPath", Value::from("")),
        ("OptionalOldSelf", "optionalOldSelf", Value::Null),
    ] {
        let value = rule.get(name).unwrap_or(&empty).to_string();
        let value = value.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026");
        shown.push(format!("\"{go_name}\":{value}"));
    }
    Error::invalid_unshown(at, format!("{{{}}}: {detail}", shown.join(",")))
}
