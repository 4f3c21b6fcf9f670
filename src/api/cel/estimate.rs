//! What an expression may cost at least and at most, before there is a value to run it on.
//!
//! The arithmetic is upstream's, step by step, because the answer decides whether a definition is accepted.

use std::collections::HashMap;
use std::sync::Arc;

use super::check::Checked;
use super::cost::{self, CHARACTER, PATTERN_CHARACTER, Rule, scale};
use super::decl::{Decl, FieldType, Shape};
use super::functions::Overload;
use super::syntax::{ACCUMULATOR, Call, Expr, Fold, Id, Kind, Literal, Select};
use super::types::Type;

/// The least and the most of something.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Span {
    pub(super) min: u64,
    pub(super) max: u64,
}

impl Span {
    const ZERO: Self = Self::fixed(0);
    const ONE: Self = Self::fixed(1);
    const UNKNOWN: Self = Self { min: 0, max: u64::MAX };
    /// What nothing was added to yet by [`Span::union`].
    const NOTHING: Self = Self { min: u64::MAX, max: 0 };

    const fn fixed(size: u64) -> Self {
        Self { min: size, max: size }
    }

    fn plus(self, other: Self) -> Self {
        Self { min: self.min.saturating_add(other.min), max: self.max.saturating_add(other.max) }
    }

    fn times(self, other: Self) -> Self {
        Self { min: self.min.saturating_mul(other.min), max: self.max.saturating_mul(other.max) }
    }

    fn scale(self, factor: f64) -> Self {
        Self { min: scale(self.min, factor), max: scale(self.max, factor) }
    }

    fn union(self, other: Self) -> Self {
        Self { min: self.min.min(other.min), max: self.max.max(other.max) }
    }
}

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

    fn fold(&mut self, expr: &'e Expr, fold: &'e Fold) -> Span {
        let mut sum = self.cost(&fold.range).plus(self.cost(&fold.start));
        let outer = self.locals.len();
        let local = Local {
            name: fold.accumulator.clone(),
            path: self.path(&fold.start),
            size: self.size(&fold.start),
            entries: self.entries(&fold.start),
        };
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
        let local = Local {
            name: fold.accumulator.clone(),
            path: self.path(&fold.start),
            size: self.size(&fold.start),
            entries: self.entries(&fold.start),
        };
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

    /// What a call itself costs, where that is not 1.
    fn by_kind(&self, rule: Rule, target: Option<&Arg<'_>>, args: &[Arg<'_>]) -> Option<Answer> {
        let first = args.first();
        // What a function reads: its target, or else its first argument.
        let read = || target.or(first).map(|arg| self.arg_size(arg));
        let own = |arg: Option<&Arg<'_>>| arg.map(|arg| arg.size.unwrap_or(Span::UNKNOWN));
        let answer = |cost: Span| Some(Answer { cost, size: None });
        let sized = |cost: Span, size: Span| Some(Answer { cost, size: Some(size) });
        match rule {
            Rule::Fixed(cost) => answer(Span::fixed(cost)),
            Rule::InList => answer(own(args.get(1))?),
            Rule::Compare => answer(compare(own(first)?, own(args.get(1))?)),
            Rule::Equals => answer(self.equality(first?, args.get(1)?)),
            Rule::Matches => match target {
                Some(target) => {
                    let text = target.size.unwrap_or(Span::UNKNOWN).plus(Span::ONE).scale(CHARACTER);
                    answer(text.times(own(first)?.scale(PATTERN_CHARACTER)))
                }
                None => None,
            },
            Rule::Contains => answer(own(target)?.scale(CHARACTER).times(own(first)?.scale(CHARACTER))),
            Rule::StartsWith => answer(own(first)?.scale(CHARACTER)),
            Rule::Traverse => answer(self.traversal(target?)),
            Rule::Scan => {
                let size = read()?;
                sized(size.scale(CHARACTER), size)
            }
            Rule::Parse => answer(self.arg_size(first?).scale(CHARACTER)),
            Rule::ParseTwice => answer(self.arg_size(first?).scale(2.0 * CHARACTER)),
            Rule::Validate => {
                let text = self.arg_size(first?).scale(CHARACTER);
                #[expect(clippy::cast_precision_loss, reason = "it is 128")]
                answer(text.scale(cost::FORMAT_PATTERN_SIZE as f64 * PATTERN_CHARACTER))
            }
            Rule::Replace => self.replace(target?, args),
            Rule::Split => {
                let size = self.arg_size(target?);
                let max = match args.get(1).map(|arg| &arg.expr.kind) {
                    #[expect(clippy::cast_sign_loss, reason = "upstream casts so")]
                    Some(Kind::Literal(Literal::Int(limit))) => *limit as u64,
                    _ => size.max,
                };
                sized(size.scale(2.0 * CHARACTER), Span { min: 0, max })
            }
            Rule::Join => self.join(target?, first),
            Rule::Find => {
                let size = self.arg_size(target?);
                let text = size.plus(Span::ONE).scale(CHARACTER);
                let pattern = self.arg_size(first?).scale(PATTERN_CHARACTER);
                sized(text.times(pattern), Span { min: 0, max: size.max })
            }
            Rule::ContainsIp | Rule::ContainsIpString | Rule::ContainsCidr | Rule::ContainsCidrString => {
                answer(self.contains_address(rule, first?))
            }
            Rule::Sets(factor) => {
                let (one, two) = (self.arg_size(first?), self.arg_size(args.get(1)?));
                answer(one.times(two).times(Span::fixed(factor)).plus(Span::ONE))
            }
            Rule::Slice | Rule::Flatten | Rule::Range | Rule::Reverse | Rule::Distinct | Rule::Sort | Rule::SortBy => {
                self.list_made(rule, target, args)
            }
            _ => self.by_text(rule, target, first),
        }
    }

    /// What a call itself costs that makes a text of another, or a selector of one.
    fn by_text(&self, rule: Rule, target: Option<&Arg<'_>>, first: Option<&Arg<'_>>) -> Option<Answer> {
        let own = |arg: Option<&Arg<'_>>| arg.map(|arg| arg.size.unwrap_or(Span::UNKNOWN));
        let answer = |cost: Span| Some(Answer { cost, size: None });
        let sized = |cost: Span, size: Span| Some(Answer { cost, size: Some(size) });
        match rule {
            Rule::StringToBytes => {
                let size = own(first)?;
                sized(size.scale(CHARACTER), Span { min: size.min, max: size.max.saturating_mul(4) })
            }
            Rule::BytesToString => {
                let size = own(first)?;
                sized(size.scale(CHARACTER), Span { min: size.min / 4, max: size.max })
            }
            Rule::Quote => {
                let size = own(first)?;
                let max = size.max.saturating_mul(2).saturating_add(2);
                sized(size.scale(CHARACTER), Span { min: size.min.saturating_add(2), max })
            }
            Rule::Format => answer(own(target)?.scale(CHARACTER)),
            Rule::Selector => {
                let size = self.arg_size(first?);
                let each = Span::fixed(cost::LIST + cost::OBJECT);
                let requirements = size.scale(cost::REQUIREMENTS_PER_CHARACTER).times(each);
                answer(Span::fixed(cost::LIST).plus(size.scale(CHARACTER)).plus(requirements))
            }
            _ => None,
        }
    }

    fn equality(&self, one: &Arg<'_>, two: &Arg<'_>) -> Span {
        let kind = self.checked.kind(one.expr);
        if kind == self.checked.kind(two.expr) {
            match kind {
                kind if cost::compares_at_once(kind) => return Span::ONE,
                Type::Library("kubernetes.NamedFormat") => return Span { min: 1, max: 64 }.scale(CHARACTER),
                Type::Library("kubernetes.URL") => {
                    let max = two.size.map_or(1, |size| size.max);
                    return Span { min: 1, max }.scale(CHARACTER);
                }
                _ => {}
            }
        }
        compare(one.size.unwrap_or(Span::UNKNOWN), two.size.unwrap_or(Span::UNKNOWN))
    }

    /// The size of the items of a list, as far as types and the schema tell.
    fn item_size(&self, list: &Arg<'_>) -> Span {
        let mut path = list.path.clone();
        if path.is_empty() {
            return Span::UNKNOWN;
        }
        path.push("@items".into());
        self.declared(&path).unwrap_or(Span::UNKNOWN)
    }

    fn traversal(&self, target: &Arg<'_>) -> Span {
        let size = self.arg_size(target);
        match self.checked.kind(target.expr) {
            Type::List(item) => {
                let mut each = Span::ONE;
                if matches!(item.as_ref(), Type::String | Type::Bytes) {
                    each = each.plus(self.item_size(target).scale(CHARACTER));
                }
                size.times(each)
            }
            _ => size.scale(CHARACTER),
        }
    }

    fn replace(&self, target: &Arg<'_>, args: &[Arg<'_>]) -> Option<Answer> {
        let size = self.arg_size(target);
        let (old, new) = (self.arg_size(args.first()?), self.arg_size(args.get(1)?));
        let (mut count, mut kept) = (Span::ZERO, Span::ZERO);
        if old.min == 0 {
            count.max = size.max.saturating_add(1);
            kept.max = size.max;
        } else if new.max <= old.min {
            kept.max = size.max;
        } else {
            count.max = divide_up(size.max, old.min);
        }
        if old.max == 0 {
            count.min = size.min.saturating_add(1);
            kept.min = size.min;
        } else if old.max <= new.min {
            kept.min = size.min;
        } else {
            count.min = divide_up(size.min, old.max);
        }
        Some(Answer { cost: size.scale(2.0 * CHARACTER), size: Some(count.times(new).plus(kept)) })
    }

    fn join(&self, target: &Arg<'_>, separator: Option<&Arg<'_>>) -> Option<Answer> {
        let items = self.arg_size(target);
        let mut size = Span::ZERO;
        if matches!(self.checked.kind(target.expr), Type::List(_)) {
            size = items.times(self.item_size(target));
        }
        if let Some(separator) = separator {
            let gaps = Span { min: items.min.saturating_sub(1), max: items.max.saturating_sub(1) };
            size = size.plus(self.arg_size(separator).times(gaps));
        }
        Some(Answer { cost: size.scale(CHARACTER), size: Some(size) })
    }

    fn contains_address(&self, rule: Rule, arg: &Arg<'_>) -> Span {
        let bytes = Span { min: 4, max: 16 };
        let mut cost = bytes.plus(bytes).scale(CHARACTER);
        if matches!(rule, Rule::ContainsCidr | Rule::ContainsCidrString) {
            cost = cost.plus(bytes.scale(CHARACTER)).plus(Span::ONE);
        }
        if matches!(rule, Rule::ContainsIpString | Rule::ContainsCidrString) {
            cost = cost.plus(self.arg_size(arg).scale(CHARACTER));
        }
        cost
    }

    /// What makes a list of its own.
    fn list_made(&self, rule: Rule, target: Option<&Arg<'_>>, args: &[Arg<'_>]) -> Option<Answer> {
        let number = |arg: Option<&Arg<'_>>, unknown: u64| match arg.map(|arg| &arg.expr.kind) {
            Some(Kind::Literal(Literal::Int(number))) => u64::try_from(*number).unwrap_or_default(),
            _ => unknown,
        };
        let of_target = || target.map(|target| self.arg_size(target));
        let (factor, size) = match rule {
            Rule::Slice => {
                let size = of_target()?;
                let (start, end) = (number(args.first(), 0), number(args.get(1), size.max));
                (1.0, Span::fixed(end.wrapping_sub(start)))
            }
            Rule::Range => (1.0, Span::fixed(number(args.first(), u64::MAX))),
            Rule::Reverse => (1.0, of_target()?),
            #[expect(clippy::cast_precision_loss, reason = "upstream computes so")]
            Rule::Flatten => {
                let levels = if args.is_empty() { 1 } else { number(args.first(), u64::MAX) };
                (levels as f64, of_target()?)
            }
            Rule::Distinct => {
                let size = of_target()?;
                (2.0, size.times(size))
            }
            _ => {
                let keys = if rule == Rule::Sort { target? } else { args.first()? };
                let size = self.arg_size(keys);
                let is_text = match self.checked.kind(keys.expr) {
                    Type::List(item) => matches!(item.as_ref(), Type::String | Type::Bytes),
                    _ => false,
                };
                (if is_text { 2.0 + CHARACTER } else { 2.0 }, size.times(size))
            }
        };
        Some(Answer { cost: size.scale(factor).plus(Span::fixed(cost::LIST + 1)), size: Some(size) })
    }
}

fn compare(one: Span, two: Span) -> Span {
    let max = one.max.min(two.max);
    Span { min: u64::from(max > 0), max }.scale(CHARACTER)
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "upstream computes so, and the cast saturates"
)]
fn divide_up(size: u64, by: u64) -> u64 {
    (size as f64 / by as f64).ceil() as u64
}

/// Whether a library's type is opaque to upstream; the others are objects there, though without fields.
fn is_opaque(kind: &Type) -> bool {
    matches!(kind, Type::Library("net.IP" | "net.CIDR"))
}
