//! What an expression may cost at least and at most, before there is a value to run it on.
//!
//! The arithmetic is upstream's, step by step, because the answer decides whether a definition is accepted.

mod calls;
mod span;

use std::collections::HashMap;
use std::sync::Arc;

use super::check::Checked;
use super::cost::{self, CHARACTER, Rule};
use super::decl::{Decl, FieldType, Shape};
use super::functions::Overload;
use super::syntax::{ACCUMULATOR, Call, Expr, Fold, Id, Kind, Literal, Select};
use super::types::Type;
pub(super) use span::Span;

/// The sizes of keys and values, or of items.
#[derive(Clone, Copy, Debug)]
struct Entries {
    is_list: bool,
    keys: Span,
    values: Span,
}

/// Where a node's value is found in the schema: names of fields, and what stands for all items, keys or values.
type Path = Vec<Arc<str>>;

/// A variable of a fold.
struct Local {
    name: Box<str>,
    path: Path,
    size: Option<Span>,
    entries: Option<Entries>,
}

/// What a call costs, and how large what it answers is.
struct Answer {
    cost: Span,
    size: Option<Span>,
}

/// A node as a call sees it.
struct Arg<'e> {
    expr: &'e Expr,
    path: Path,
    size: Option<Span>,
}

/// Estimates an expression's cost; `root` says how large the variable is that the schema is of.
pub(super) fn estimate(expr: &Expr, checked: &Checked, root: Option<&Decl>) -> Span {
    let mut estimator = Estimator {
        checked,
        root,
        paths: HashMap::new(),
        locals: Vec::new(),
        sizes: HashMap::new(),
        entries: HashMap::new(),
    };
    estimator.cost(expr)
}

struct Estimator<'e> {
    checked: &'e Checked,
    root: Option<&'e Decl>,
    paths: HashMap<Id, Path>,
    locals: Vec<Local>,
    sizes: HashMap<Id, Span>,
    entries: HashMap<Id, Entries>,
}

impl<'e> Estimator<'e> {
    fn cost(&mut self, expr: &'e Expr) -> Span {
        match &expr.kind {
            Kind::Literal(_) => Span::ZERO,
            Kind::Ident(name) => {
                let path = match self.local(name) {
                    Some(local) => local.path.clone(),
                    None => vec![name.as_ref().into()],
                };
                self.paths.insert(expr.id, path);
                Span::fixed(cost::SELECT)
            }
            Kind::Select(select) => self.select(expr, select),
            Kind::Call(call) => self.call(expr, call),
            Kind::List { items, .. } => {
                let mut sum = Span::fixed(cost::LIST);
                let mut values = if items.is_empty() { Span::ZERO } else { Span::NOTHING };
                for item in items {
                    sum = sum.plus(self.cost(item));
                    values = values.union(self.size_or_unknown(item));
                }
                self.entries.insert(expr.id, Entries { is_list: true, keys: Span::ONE, values });
                sum
            }
            Kind::Map(entries) => {
                let mut sum = Span::fixed(cost::MAP);
                let nothing = if entries.is_empty() { Span::ZERO } else { Span::NOTHING };
                let (mut keys, mut values) = (nothing, nothing);
                for entry in entries {
                    sum = sum.plus(self.cost(&entry.key)).plus(self.cost(&entry.value));
                    keys = keys.union(self.size_or_unknown(&entry.key));
                    values = values.union(self.size_or_unknown(&entry.value));
                }
                self.entries.insert(expr.id, Entries { is_list: false, keys, values });
                sum
            }
            Kind::Struct { fields, .. } => {
                let start = Span::fixed(cost::OBJECT);
                fields.iter().fold(start, |sum, field| sum.plus(self.cost(&field.value)))
            }
            Kind::Fold(fold) if fold.is_bind() => self.bind(expr, fold),
            Kind::Fold(fold) => self.fold(expr, fold),
        }
    }

    fn local(&self, name: &str) -> Option<&Local> {
        self.locals.iter().rev().find(|local| local.name.as_ref() == name)
    }

    fn path(&self, expr: &Expr) -> Path {
        if let Kind::Ident(name) = &expr.kind
            && let Some(local) = self.local(name)
        {
            return local.path.clone();
        }
        self.paths.get(&expr.id).cloned().unwrap_or_default()
    }

    fn path_with(&self, expr: &Expr, step: &str) -> Path {
        let mut path = self.path(expr);
        path.push(step.into());
        path
    }

    /// The size that the schema gives to a path.
    fn declared(&self, path: &[Arc<str>]) -> Option<Span> {
        let (_, steps) = path.split_first()?;
        let mut decl = self.root?;
        let mut steps = steps.iter();
        while let Some(step) = steps.next() {
            match step.as_ref() {
                "@items" | "@values" => decl = decl.element()?,
                // Keys have no size of their own.
                "@keys" => {
                    matches!(decl.shape, Shape::Map(_)).then_some(())?;
                    return steps.next().is_none().then_some(Span::ZERO);
                }
                name => match &decl.shape {
                    Shape::Object(object) => match &object.fields.get(name)?.decl {
                        FieldType::Declared(field) => decl = field,
                        FieldType::Plain(_) => return None,
                    },
                    _ => return None,
                },
            }
        }
        Some(Span { min: 0, max: decl.elements_max })
    }

    fn size(&mut self, expr: &Expr) -> Option<Span> {
        if let Some(size) = self.sizes.get(&expr.id) {
            return Some(*size);
        }
        let own = match &expr.kind {
            Kind::Literal(Literal::String(text)) => Some(text.chars().count()),
            Kind::Literal(Literal::Bytes(bytes)) => Some(bytes.len()),
            Kind::Literal(_) => Some(1),
            Kind::List { items, .. } => Some(items.len()),
            Kind::Map(entries) => Some(entries.len()),
            _ => None,
        };
        if let Some(size) = own {
            return Some(Span::fixed(size as u64));
        }
        if let Some(size) = self.declared(&self.path(expr)) {
            self.sizes.insert(expr.id, size);
            return Some(size);
        }
        if self.checked.kind(expr).is_scalar() {
            return Some(Span::ONE);
        }
        match &expr.kind {
            Kind::Ident(name) => self.local(name)?.size,
            _ => None,
        }
    }

    fn size_or_unknown(&mut self, expr: &Expr) -> Span {
        self.size(expr).unwrap_or(Span::UNKNOWN)
    }

    fn set_size(&mut self, expr: &Expr, size: Option<Span>) {
        if let Some(size) = size {
            self.sizes.insert(expr.id, size);
        }
    }

    fn entries(&self, expr: &Expr) -> Option<Entries> {
        if let Some(entries) = self.entries.get(&expr.id) {
            return Some(*entries);
        }
        match &expr.kind {
            Kind::Ident(name) => self.local(name)?.entries,
            _ => None,
        }
    }

    fn set_entries(&mut self, expr: &Expr, entries: Option<Entries>) {
        if let Some(entries) = entries {
            self.entries.insert(expr.id, entries);
        }
    }

    fn select(&mut self, expr: &'e Expr, select: &'e Select) -> Span {
        let sum = self.cost(&select.operand);
        if select.tests {
            return sum;
        }
        let path = self.path_with(&select.operand, &select.field);
        self.paths.insert(expr.id, path);
        match self.checked.kind(&select.operand) {
            Type::Map(_) | Type::Object(_) | Type::Library(_) if !is_opaque(self.checked.kind(&select.operand)) => {
                sum.plus(Span::fixed(cost::SELECT))
            }
            _ => sum,
        }
    }

    /// What is added to in a fold.
    fn accumulator(&mut self, fold: &'e Fold) -> Local {
        Local {
            name: fold.accumulator.clone(),
            path: self.path(&fold.start),
            size: self.size(&fold.start),
            entries: self.entries(&fold.start),
        }
    }

    fn fold(&mut self, expr: &'e Expr, fold: &'e Fold) -> Span {
        let mut sum = self.cost(&fold.range).plus(self.cost(&fold.start));
        let outer = self.locals.len();
        let local = self.accumulator(fold);
        self.locals.push(local);
        let entries = self.entries(&fold.range);
        let is_list = match entries {
            Some(entries) => entries.is_list,
            None => matches!(self.checked.kind(&fold.range), Type::List(_)),
        };
        let (keys, values) = (entries.map(|entries| entries.keys), entries.map(|entries| entries.values));
        let variable = |name: &str, path, size| Local { name: name.into(), path, size, entries: None };
        if let Some(second) = &fold.second {
            let (first, last) = if is_list { ("@indices", "@items") } else { ("@keys", "@values") };
            let first = variable(&fold.variable, self.path_with(&fold.range, first), keys);
            let last = variable(second, self.path_with(&fold.range, last), values);
            self.locals.extend([first, last]);
        } else {
            let (step, size) = if is_list { ("@items", values) } else { ("@keys", keys) };
            let only = variable(&fold.variable, self.path_with(&fold.range, step), size);
            self.locals.push(only);
        }
        let once = self.cost(&fold.condition).plus(self.cost(&fold.step));
        let collected = self.entries(&fold.step);
        self.locals.truncate(outer + 1);
        sum = sum.plus(self.cost(&fold.result));
        self.locals.truncate(outer);
        let count = self.size_or_unknown(&fold.range);
        match fold.start.kind {
            Kind::Literal(_) => {
                let size = self.size(&fold.start);
                self.set_size(expr, size);
            }
            Kind::List { .. } | Kind::Map(_) => {
                self.set_size(expr, Some(count));
                self.set_entries(expr, collected);
            }
            _ => {}
        }
        sum.plus(count.times(once))
    }

    fn bind(&mut self, expr: &'e Expr, fold: &'e Fold) -> Span {
        let mut sum = self.cost(&fold.range).plus(self.cost(&fold.start));
        let local = self.accumulator(fold);
        self.locals.push(local);
        sum = sum.plus(self.cost(&fold.result));
        self.locals.pop();
        let size = self.size(&fold.result);
        self.set_size(expr, size);
        let entries = self.entries(&fold.result);
        self.set_entries(expr, entries);
        sum
    }

    fn call(&mut self, expr: &'e Expr, call: &'e Call) -> Span {
        if let ("dyn", [arg]) = (call.function.as_ref(), call.args.as_slice()) {
            let sum = Span::ONE.plus(self.cost(arg));
            let size = self.size(arg);
            self.set_size(expr, size);
            let entries = self.entries(arg);
            self.set_entries(expr, entries);
            return sum;
        }
        let costs: Vec<Span> = call.args.iter().map(|arg| self.cost(arg)).collect();
        let args: Vec<Arg<'_>> = call.args.iter().map(|arg| self.arg(arg)).collect();
        let overloads = self.checked.overloads(expr);
        if overloads.is_empty() {
            return Span::ZERO;
        }
        let mut sum = Span::ZERO;
        let mut target = None;
        if let Some(node) = call.target.as_deref() {
            sum = self.cost(node);
            target = Some(self.arg(node));
        }
        let mut least_and_most = Span::NOTHING;
        let mut result: Option<Span> = None;
        for overload in overloads {
            let answer = self.overload(expr, overload, target.as_ref(), &args, &costs);
            least_and_most = least_and_most.union(answer.cost);
            if let Some(size) = answer.size {
                result = Some(result.map_or(size, |known| known.union(size)));
            }
            let items = match overload.cost {
                Rule::IndexList => Some("@items"),
                Rule::IndexMap => Some("@values"),
                _ => None,
            };
            if let (Some(step), Some(first)) = (items, call.args.first()) {
                result = self.entries(first).map(|entries| entries.values);
                let path = self.path_with(first, step);
                self.paths.insert(expr.id, path);
            }
            if result.is_none() {
                result = self.size(expr);
            }
        }
        self.set_size(expr, result);
        sum.plus(least_and_most)
    }

    fn arg(&mut self, expr: &'e Expr) -> Arg<'e> {
        let mut path = self.path(expr);
        if path.first().is_some_and(|first| first.as_ref() == ACCUMULATOR) {
            path.clear();
        }
        Arg { expr, path, size: self.size(expr) }
    }

    /// The size that an argument has, or else the schema gives it.
    fn arg_size(&self, arg: &Arg<'_>) -> Span {
        arg.size.or_else(|| self.declared(&arg.path)).unwrap_or(Span::UNKNOWN)
    }

    /// What a call costs if it is of this overload, its arguments included.
    fn overload(
        &mut self,
        expr: &Expr,
        overload: &Overload,
        target: Option<&Arg<'_>>,
        args: &[Arg<'_>],
        costs: &[Span],
    ) -> Answer {
        let sum = costs.iter().fold(Span::ZERO, |sum, cost| sum.plus(*cost));
        match (overload.cost, args, costs) {
            (Rule::Logical, _, [first, second]) => {
                let cost = Span { min: first.min, max: first.max.saturating_add(second.max) };
                return Answer { cost, size: None };
            }
            (Rule::Conditional, [_, first, second], [condition, first_cost, second_cost]) => {
                let size = first.size.unwrap_or(Span::UNKNOWN).union(second.size.unwrap_or(Span::UNKNOWN));
                let entries = self.union_of_entries(first.expr, second.expr);
                self.set_entries(expr, entries);
                return Answer { cost: condition.plus(first_cost.union(*second_cost)), size: Some(size) };
            }
            (Rule::AddList | Rule::AddText, [first, second], _) => {
                let size = first.size.unwrap_or(Span::UNKNOWN).plus(second.size.unwrap_or(Span::UNKNOWN));
                let entries = self.union_of_entries(first.expr, second.expr);
                self.set_entries(expr, entries);
                let cost = if overload.cost == Rule::AddList { Span::ONE } else { size.scale(CHARACTER) };
                return Answer { cost: cost.plus(sum), size: Some(size) };
            }
            _ => {}
        }
        let Answer { cost, size } =
            self.by_kind(overload.cost, target, args).unwrap_or(Answer { cost: Span::ONE, size: None });
        Answer { cost: cost.plus(sum), size }
    }

    fn union_of_entries(&self, one: &Expr, two: &Expr) -> Option<Entries> {
        let (one, two) = (self.entries(one)?, self.entries(two)?);
        Some(Entries { is_list: one.is_list, keys: one.keys.union(two.keys), values: one.values.union(two.values) })
    }
}

/// Whether a library's type is opaque to upstream; the others are objects there, though without fields.
fn is_opaque(kind: &Type) -> bool {
    matches!(kind, Type::Library("net.IP" | "net.CIDR"))
}
