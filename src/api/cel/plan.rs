//! A checked expression as what the evaluator walks: names are numbers, constants are values, patterns are compiled.

use std::collections::BTreeSet;
use std::ops::Deref as _;

use super::check::{Checked, Reference};
use super::cost::Rule;
use super::env::Env;
use super::error::Error;
use super::functions::{self, Overload, Run, regex::Pattern};
use super::meter::Meter;
use super::syntax::{ACCUMULATOR, Call, Entry, Expr, Fold, Kind, Literal, Select, operators};
use super::value::{Key, Text, Value};

/// A step of an evaluation.
#[derive(Debug)]
pub(super) enum Node {
    Constant(Value<'static>),
    Attribute(Box<Attribute>),
    Call(Box<Function>),
    And(Box<[Node; 2]>),
    Or(Box<[Node; 2]>),
    NotStrictlyFalse(Box<Node>),
    /// Whether a value is one of constants.
    IsOneOf(Box<Node>, BTreeSet<Key>),
    List {
        items: Vec<Node>,
        optional: Vec<usize>,
    },
    Map(Vec<(Node, Node, bool)>),
    Object(Box<str>, Vec<(Box<str>, Node, bool)>),
    Walk(Box<Walk>),
    /// A value under a name, for one expression.
    Bind(Box<(Node, Node)>),
    /// Items put at the end of what a walk collects, in place; and whether making their list costs.
    Append(usize, Vec<Node>, bool),
    /// An entry put into what a walk collects, in place.
    Insert(usize, Vec<Node>),
}

/// A variable or a value, and what is taken out of it.
#[derive(Debug)]
pub(super) struct Attribute {
    pub(super) root: Root,
    pub(super) qualifiers: Vec<Qualifier>,
}

#[derive(Debug)]
pub(super) enum Root {
    Variable(usize),
    /// A member of a variable of which only the members are there.
    Member(usize, Box<str>),
    /// The same, where what follows may be missing.
    OptionalMember(usize, Box<str>),
    /// A variable of a walk, by its place.
    Local(usize),
    Node(Node),
    Conditional(Box<(Node, Attribute, Attribute)>),
}

#[derive(Debug)]
pub(super) struct Qualifier {
    pub(super) step: Step,
    pub(super) is_optional: bool,
}

#[derive(Debug)]
pub(super) enum Step {
    Field(Box<str>),
    /// Whether there is such a field.
    Has(Box<str>),
    Constant(Value<'static>),
    Node(Node),
}

/// A call of a function.
#[derive(Debug)]
pub(super) struct Function {
    pub(super) name: Box<str>,
    pub(super) run: Run,
    pub(super) cost: Rule,
    pub(super) args: Vec<Node>,
    /// The second argument as a pattern, if it is a constant one.
    pub(super) pattern: Option<Pattern>,
}

#[derive(Debug)]
pub(super) struct Walk {
    pub(super) range: Node,
    pub(super) start: Node,
    pub(super) condition: Node,
    pub(super) step: Node,
    pub(super) result: Node,
    pub(super) has_second: bool,
    /// Whether later steps may make good what failed in an earlier one.
    pub(super) absorbs: bool,
}

/// Plans a checked expression; fails where a constant cannot be what it is converted to.
pub(super) fn plan(root: &Expr, checked: &Checked, env: &Env) -> Result<Node, Error> {
    Planner { checked, env, locals: Vec::new() }.node(root)
}

struct Planner<'p> {
    checked: &'p Checked,
    env: &'p Env,
    /// Names of the variables of walks by place.
    locals: Vec<Box<str>>,
}

impl Planner<'_> {
    fn node(&mut self, expr: &Expr) -> Result<Node, Error> {
        Ok(match &expr.kind {
            Kind::Literal(literal) => Node::Constant(constant(literal)),
            Kind::Ident(name) => match self.checked.reference(expr) {
                Some(Reference::Type(name)) => Node::Constant(Value::Type(Text::Owned(name.as_ref().into()))),
                Some(Reference::Variable(index)) => attribute(Root::Variable(*index)),
                _ => attribute(Root::Local(self.local(name))),
            },
            Kind::Select(select) => self.select(select)?,
            Kind::Call(call) => self.call(expr, call)?,
            Kind::List { items, optional } => self.list(items, optional)?,
            Kind::Map(entries) => self.map(entries)?,
            Kind::Struct { name, fields } => {
                let mut planned = Vec::with_capacity(fields.len());
                for field in fields {
                    planned.push((field.name.clone(), self.node(&field.value)?, field.is_optional));
                }
                Node::Object(name.clone(), planned)
            }
            Kind::Fold(fold) => self.fold(fold)?,
        })
    }

    fn nodes<'e>(&mut self, exprs: impl IntoIterator<Item = &'e Expr>) -> Result<Vec<Node>, Error> {
        exprs.into_iter().map(|expr| self.node(expr)).collect()
    }

    fn local(&self, name: &str) -> usize {
        self.locals.iter().rposition(|local| local.as_ref() == name).unwrap_or_default()
    }

    fn select(&mut self, select: &Select) -> Result<Node, Error> {
        let operand = self.node(&select.operand)?;
        let field = select.field.clone();
        let step = if select.tests { Step::Has(field) } else { Step::Field(field) };
        Ok(self.qualified(operand, Qualifier { step, is_optional: false }))
    }

    /// What a qualifier takes out of a node.
    fn qualified(&self, operand: Node, qualifier: Qualifier) -> Node {
        let mut attribute = match operand {
            Node::Attribute(attribute) => attribute,
            node => Box::new(Attribute { root: Root::Node(node), qualifiers: Vec::new() }),
        };
        match (&attribute.root, qualifier) {
            (Root::Variable(index), Qualifier { step: Step::Field(name), is_optional: false })
                if attribute.qualifiers.is_empty() && self.env.is_composite(*index) =>
            {
                attribute.root = Root::Member(*index, name);
            }
            (Root::Variable(index), Qualifier { step: Step::Constant(Value::String(name)), is_optional: true })
                if attribute.qualifiers.is_empty() && self.env.is_composite(*index) =>
            {
                attribute.root = Root::OptionalMember(*index, name.deref().into());
            }
            // The checker has seen that there is such a member.
            (Root::Variable(index), Qualifier { step: Step::Has(_), .. })
                if attribute.qualifiers.is_empty() && self.env.is_composite(*index) =>
            {
                attribute.root = Root::Node(Node::Constant(Value::Bool(true)));
            }
            (_, qualifier) => attribute.qualifiers.push(qualifier),
        }
        Node::Attribute(attribute)
    }

    fn call(&mut self, expr: &Expr, call: &Call) -> Result<Node, Error> {
        match call.function.as_ref() {
            operators::CONDITIONAL => return self.conditional(call),
            operators::ADD | operators::MAP_INSERT => {
                if let Some(node) = self.collect(call)? {
                    return Ok(node);
                }
            }
            _ => {}
        }
        let mut args = self.nodes(call.target.as_deref().into_iter().chain(&call.args))?;
        match (call.function.as_ref(), args.len()) {
            (operators::AND, 2) | (operators::OR, 2) => {
                let (Some(second), Some(first)) = (args.pop(), args.pop()) else {
                    return Err(Error::no_such_overload());
                };
                let both = Box::new([first, second]);
                return Ok(if call.function.as_ref() == operators::AND { Node::And(both) } else { Node::Or(both) });
            }
            (operators::NOT_STRICTLY_FALSE, 1) => {
                let arg = args.pop().ok_or_else(Error::no_such_overload)?;
                return Ok(Node::NotStrictlyFalse(Box::new(arg)));
            }
            (operators::INDEX | operators::OPTIONAL_INDEX | operators::OPTIONAL_SELECT, 2) => {
                let (Some(index), Some(operand)) = (args.pop(), args.pop()) else {
                    return Err(Error::no_such_overload());
                };
                let step = match index {
                    Node::Constant(value) => Step::Constant(value),
                    node => Step::Node(node),
                };
                let is_optional = call.function.as_ref() != operators::INDEX;
                return Ok(self.qualified(operand, Qualifier { step, is_optional }));
            }
            _ => {}
        }
        self.function(expr, call, args)
    }

    fn function(&mut self, expr: &Expr, call: &Call, mut args: Vec<Node>) -> Result<Node, Error> {
        let overloads = self.checked.overloads(expr);
        let first: &Overload = overloads.first().ok_or_else(Error::no_such_overload)?;
        let is_known = overloads.len() == 1;
        // Equality has one overload only, and so it is always known.
        let cost = if is_known || !first.cost.needs_overload() { first.cost } else { Rule::One };
        if first.id == "in_list"
            && is_known
            && let Some(keys) = constant_keys(args.get(1))
        {
            args.truncate(1);
            let value = args.pop().ok_or_else(Error::no_such_overload)?;
            return Ok(Node::IsOneOf(Box::new(value), keys));
        }
        if let ([Node::Constant(arg)], true) = (args.as_slice(), functions::is_conversion(&call.function)) {
            return (first.run)(&mut Meter::new(u64::MAX), std::slice::from_ref(arg)).map(Node::Constant);
        }
        let pattern = match (args.get(1), matches!(first.cost, Rule::Matches | Rule::Find)) {
            (Some(Node::Constant(Value::String(pattern))), true) => Some(Pattern::constant(pattern)?),
            _ => None,
        };
        let name = call.function.clone();
        Ok(Node::Call(Box::new(Function { name, run: first.run, cost, args, pattern })))
    }

    fn conditional(&mut self, call: &Call) -> Result<Node, Error> {
        let [condition, first, second] = call.args.as_slice() else {
            return Err(Error::no_such_overload());
        };
        let condition = self.node(condition)?;
        let branches = (condition, as_attribute(self.node(first)?), as_attribute(self.node(second)?));
        Ok(attribute(Root::Conditional(Box::new(branches))))
    }

    /// What a walk's step does to what the walk collects, if it can be done in place.
    fn collect(&mut self, call: &Call) -> Result<Option<Node>, Error> {
        let Some((first, rest)) = call.args.split_first() else {
            return Ok(None);
        };
        if !matches!(&first.kind, Kind::Ident(name) if name.as_ref() == ACCUMULATOR) {
            return Ok(None);
        }
        let place = self.local(ACCUMULATOR);
        if call.function.as_ref() == operators::MAP_INSERT {
            return Ok(Some(Node::Insert(place, self.nodes(rest)?)));
        }
        let [Expr { kind: Kind::List { items, optional }, .. }] = rest else {
            return Ok(None);
        };
        if !optional.is_empty() {
            return Ok(None);
        }
        let items = self.nodes(items)?;
        let costs = !items.iter().all(|item| matches!(item, Node::Constant(_)));
        Ok(Some(Node::Append(place, items, costs)))
    }

    fn list(&mut self, items: &[Expr], optional: &[usize]) -> Result<Node, Error> {
        let items = self.nodes(items)?;
        if optional.is_empty() && items.iter().all(|item| matches!(item, Node::Constant(_))) {
            let values: Vec<Value<'static>> = items.into_iter().filter_map(constant_value).collect();
            return Ok(Node::Constant(values.into()));
        }
        Ok(Node::List { items, optional: optional.to_vec() })
    }

    fn map(&mut self, entries: &[Entry]) -> Result<Node, Error> {
        let mut planned = Vec::with_capacity(entries.len());
        for entry in entries {
            planned.push((self.node(&entry.key)?, self.node(&entry.value)?, entry.is_optional));
        }
        let is_constant = planned.iter().all(|(key, value, is_optional)| {
            matches!((key, value), (Node::Constant(_), Node::Constant(_))) && !is_optional
        });
        if !is_constant {
            return Ok(Node::Map(planned));
        }
        let pairs =
            planned.into_iter().filter_map(|(key, value, _)| Some((constant_value(key)?, constant_value(value)?)));
        super::eval::map_of(pairs).map(Node::Constant)
    }

    fn fold(&mut self, fold: &Fold) -> Result<Node, Error> {
        let range = self.node(&fold.range)?;
        let start = self.node(&fold.start)?;
        let outer = self.locals.len();
        self.locals.push(fold.accumulator.clone());
        if fold.is_bind() {
            let result = self.node(&fold.result)?;
            self.locals.truncate(outer);
            return Ok(Node::Bind(Box::new((start, result))));
        }
        self.locals.push(fold.variable.clone());
        self.locals.extend(fold.second.clone());
        let condition = self.node(&fold.condition)?;
        let step = self.node(&fold.step)?;
        self.locals.truncate(outer + 1);
        let result = self.node(&fold.result)?;
        self.locals.truncate(outer);
        let absorbs = matches!(fold.start.kind, Kind::Literal(Literal::Bool(_)));
        let has_second = fold.second.is_some();
        Ok(Node::Walk(Box::new(Walk { range, start, condition, step, result, has_second, absorbs })))
    }
}

fn attribute(root: Root) -> Node {
    Node::Attribute(Box::new(Attribute { root, qualifiers: Vec::new() }))
}

fn as_attribute(node: Node) -> Attribute {
    match node {
        Node::Attribute(attribute) => *attribute,
        node => Attribute { root: Root::Node(node), qualifiers: Vec::new() },
    }
}

fn constant_value(node: Node) -> Option<Value<'static>> {
    match node {
        Node::Constant(value) => Some(value),
        _ => None,
    }
}

/// The items of a constant list, if all of them are plain.
fn constant_keys(node: Option<&Node>) -> Option<BTreeSet<Key>> {
    let Some(Node::Constant(Value::List(list))) = node else {
        return None;
    };
    list.iter().map(|item| item.ok()?.key()).collect()
}

fn constant(literal: &Literal) -> Value<'static> {
    match literal {
        Literal::Null => Value::Null,
        Literal::Bool(value) => Value::Bool(*value),
        Literal::Int(number) => Value::Int(*number),
        Literal::Uint(number) => Value::Uint(*number),
        Literal::Double(number) => Value::Double(*number),
        Literal::String(text) => Value::String(Text::Owned(text.as_ref().into())),
        Literal::Bytes(bytes) => Value::Bytes(bytes.as_ref().into()),
    }
}
