//! The evaluator: walks a plan, charges for each step, and stops when the budget is spent.
//!
//! Plans are as deep as syntax trees at most, so recursion is bounded; walks over lists and maps are bounded by the
//! cost of their steps.

use std::collections::BTreeMap;
use std::ops::Deref as _;
use std::sync::Arc;

use super::cost;
use super::error::{Error, Outcome};
use super::functions::text::display;
use super::meter::Meter;
use super::plan::{Attribute, Function, Node, Qualifier, Root, Step, Walk};
use super::value::{List, Mapping, Value};

/// Where an evaluation finds its variables.
pub(super) trait Inputs<'a> {
    /// The variable of this number in the environment.
    fn variable(&self, index: usize, meter: &mut Meter) -> Outcome<'a>;

    /// A member of a variable of which only the members are there.
    fn member(&self, index: usize, name: &str, meter: &mut Meter) -> Outcome<'a>;
}

/// Evaluates a plan.
pub(super) fn evaluate<'a>(node: &'a Node, inputs: &dyn Inputs<'a>, meter: &mut Meter) -> Outcome<'a> {
    Machine { inputs, meter, locals: Vec::new() }.node(node)
}

/// A map of these entries; of two with the same key it fails.
pub(super) fn map_of<'a>(pairs: impl IntoIterator<Item = (Value<'a>, Value<'a>)>) -> Outcome<'a> {
    let mut entries = BTreeMap::new();
    for (key, value) in pairs {
        let Some(found) = key.key() else {
            return Err(Error::failed(format!("unsupported key type: {}", key.type_name())));
        };
        if entries.contains_key(&found) {
            return Err(Error::failed(format!("Failed with repeated key: {}", display(&key))));
        }
        entries.insert(found, (key, value));
    }
    Ok(Value::Map(Mapping::Owned(Arc::new(entries))))
}

struct Machine<'a, 'm> {
    inputs: &'m dyn Inputs<'a>,
    meter: &'m mut Meter,
    /// Variables of walks by place; what a walk collects may be a failure that a later step makes good.
    locals: Vec<Outcome<'a>>,
}

impl<'a> Machine<'a, '_> {
    fn node(&mut self, node: &'a Node) -> Outcome<'a> {
        match node {
            Node::Constant(value) => Ok(value.clone()),
            Node::Attribute(attribute) => self.attribute(attribute),
            Node::Call(function) => self.call(function),
            Node::And(both) => self.logical(both, false),
            Node::Or(both) => self.logical(both, true),
            Node::NotStrictlyFalse(inner) => self.not_strictly_false(inner),
            Node::IsOneOf(value, keys) => {
                let value = self.node(value)?;
                Ok(value.key().is_some_and(|key| keys.contains(&key)).into())
            }
            Node::List { items, optional } => self.list(items, optional),
            Node::Map(entries) => self.map(entries),
            Node::Object(name, fields) => self.object(name, fields),
            Node::Walk(walk) => self.walk(walk),
            Node::Bind(both) => self.bind(both),
            Node::Append(place, items, costs) => self.append(*place, items, *costs),
            Node::Insert(place, entry) => self.insert(*place, entry),
        }
    }

    fn attribute(&mut self, attribute: &'a Attribute) -> Outcome<'a> {
        let value = self.resolve(attribute);
        let is_test = matches!(attribute.qualifiers.last(), Some(Qualifier { step: Step::Has(_), .. }));
        let is_conditional = matches!(attribute.root, Root::Conditional(_));
        if !is_test && !is_conditional {
            self.meter.charge(cost::SELECT)?;
        }
        value
    }

    fn resolve(&mut self, attribute: &'a Attribute) -> Outcome<'a> {
        let mut value = match &attribute.root {
            Root::Variable(index) => self.inputs.variable(*index, self.meter)?,
            Root::Member(index, name) => {
                self.meter.charge(cost::SELECT)?;
                self.inputs.member(*index, name, self.meter)?
            }
            Root::OptionalMember(index, name) => {
                self.meter.charge(cost::SELECT)?;
                Value::Optional(Some(Arc::new(self.inputs.member(*index, name, self.meter)?)))
            }
            Root::Local(place) => self.local(*place)?,
            Root::Node(node) => self.node(node)?,
            Root::Conditional(parts) => {
                let (condition, first, second) = parts.as_ref();
                match self.node(condition)? {
                    Value::Bool(true) => self.resolve(first)?,
                    Value::Bool(false) => self.resolve(second)?,
                    _ => return Err(Error::no_such_overload()),
                }
            }
        };
        if attribute.qualifiers.is_empty() {
            return Ok(value);
        }
        let mut is_optional = false;
        if let Value::Optional(inner) = value {
            let Some(inner) = inner else {
                return Ok(Value::Optional(None));
            };
            value = inner.as_ref().clone();
            is_optional = true;
        }
        for qualifier in &attribute.qualifiers {
            is_optional |= qualifier.is_optional;
            match self.qualify(&value, &qualifier.step, is_optional)? {
                Some(found) => value = found,
                None => return Ok(Value::Optional(None)),
            }
        }
        Ok(if is_optional { Value::Optional(Some(Arc::new(value))) } else { value })
    }

    fn local(&self, place: usize) -> Outcome<'a> {
        self.locals.get(place).cloned().unwrap_or_else(|| Err(Error::no_such_overload()))
    }

    /// What a step takes out of a value. What is not there is none if it may be so, else an error.
    fn qualify(&mut self, value: &Value<'a>, step: &'a Step, may_lack: bool) -> Result<Option<Value<'a>>, Error> {
        match step {
            Step::Field(name) => {
                self.meter.charge(cost::SELECT)?;
                present(field(value, name).transpose()?, may_lack, || Error::no_such_key(name))
            }
            Step::Has(name) => {
                self.meter.charge(cost::SELECT)?;
                Ok(Some(field(value, name).transpose()?.is_some().into()))
            }
            Step::Constant(key) => {
                self.meter.charge(cost::SELECT)?;
                present(item(value, key, may_lack)?, may_lack, || missing(value, key))
            }
            Step::Node(node) => {
                let key = match node {
                    Node::Attribute(attribute) => self.resolve(attribute)?,
                    node => self.node(node)?,
                };
                self.meter.charge(cost::SELECT)?;
                present(item(value, &key, may_lack)?, may_lack, || missing(value, &key))
            }
        }
    }

    fn call(&mut self, function: &'a Function) -> Outcome<'a> {
        let args = function.args.as_slice();
        match args {
            [] => self.run(function, &[]),
            [one] => {
                let one = self.node(one);
                self.with(function, [one])
            }
            // Both are evaluated even if the first fails: their costs count.
            [one, two] => {
                let (one, two) = (self.node(one), self.node(two));
                self.with(function, [one, two])
            }
            args => {
                let mut values = Vec::with_capacity(args.len());
                for arg in args {
                    values.push(self.node(arg)?);
                }
                self.run(function, &values)
            }
        }
    }

    fn with<const N: usize>(&mut self, function: &'a Function, args: [Outcome<'a>; N]) -> Outcome<'a> {
        let mut values = [const { Value::Null }; N];
        for (place, arg) in values.iter_mut().zip(args) {
            match arg {
                Ok(value) => *place = value,
                Err(error) => {
                    self.meter.charge(1)?;
                    return Err(error);
                }
            }
        }
        self.run(function, &values)
    }

    fn run(&mut self, function: &'a Function, args: &[Value<'a>]) -> Outcome<'a> {
        let result = match (&function.pattern, args) {
            (Some(pattern), [Value::String(text), ..]) => pattern.apply(&function.name, text, args),
            _ => (function.run)(self.meter, args),
        };
        match result {
            Ok(result) => {
                function.cost.charge(args, &result, self.meter)?;
                Ok(result)
            }
            Err(Error::OverBudget) => Err(Error::OverBudget),
            Err(Error::Failed(message)) => {
                function.cost.charge(args, &Value::Null, self.meter)?;
                if message.as_ref() != "no such overload" {
                    return Err(Error::Failed(message));
                }
                let types: Vec<&str> = args.iter().map(Value::type_name).collect();
                Err(Error::failed(format!("no such overload: {}({})", function.name, types.join(", "))))
            }
        }
    }

    /// Both as one truth; `decisive` decides whatever the other is, even a failure.
    fn logical(&mut self, both: &'a [Node; 2], decisive: bool) -> Outcome<'a> {
        let [first, second] = both;
        let first = truth(self.node(first));
        match first {
            Ok(value) if value == decisive => return Ok(decisive.into()),
            Err(Error::OverBudget) => return Err(Error::OverBudget),
            _ => {}
        }
        match (first, truth(self.node(second))) {
            (_, Ok(value)) if value == decisive => Ok(decisive.into()),
            (_, Err(Error::OverBudget)) => Err(Error::OverBudget),
            (Err(error), _) | (_, Err(error)) => Err(error),
            (Ok(_), Ok(_)) => Ok((!decisive).into()),
        }
    }

    fn not_strictly_false(&mut self, inner: &'a Node) -> Outcome<'a> {
        let value = self.node(inner);
        self.meter.charge(1)?;
        match value {
            Err(Error::OverBudget) => Err(Error::OverBudget),
            Ok(Value::Bool(false)) => Ok(false.into()),
            _ => Ok(true.into()),
        }
    }

    fn list(&mut self, items: &'a [Node], optional: &[usize]) -> Outcome<'a> {
        let mut values = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            match (self.node(item)?, optional.contains(&index)) {
                (value, false) => values.push(value),
                (Value::Optional(inner), true) => values.extend(inner.map(|inner| inner.as_ref().clone())),
                (value, true) => {
                    let value = display(&value);
                    let message = format!("cannot initialize optional list element from non-optional value {value}");
                    return Err(Error::failed(message));
                }
            }
        }
        self.meter.charge(cost::LIST)?;
        Ok(values.into())
    }

    fn map(&mut self, entries: &'a [(Node, Node, bool)]) -> Outcome<'a> {
        let mut pairs = Vec::with_capacity(entries.len());
        for (key, value, is_optional) in entries {
            let key = self.node(key)?;
            let value = self.node(value)?;
            if let Some(value) = initial(|| display(&key), value, *is_optional)? {
                pairs.push((key, value));
            }
        }
        self.meter.charge(cost::MAP)?;
        map_of(pairs)
    }

    fn object(&mut self, name: &str, fields: &'a [(Box<str>, Node, bool)]) -> Outcome<'a> {
        let mut values = BTreeMap::new();
        for (field, value, is_optional) in fields {
            let value = self.node(value)?;
            if let Some(value) = initial(|| field.to_string(), value, *is_optional)? {
                values.insert(field.clone(), value);
            }
        }
        self.meter.charge(cost::OBJECT)?;
        Ok(Value::Object(name.into(), Arc::new(values)))
    }

    fn walk(&mut self, walk: &'a Walk) -> Outcome<'a> {
        let start = self.node(&walk.start)?;
        let range = self.node(&walk.range)?;
        let place = self.locals.len();
        self.locals.push(Ok(start));
        let result = self.steps(walk, &range, place);
        self.locals.truncate(place + 1);
        let result = result.and_then(|()| self.node(&walk.result));
        self.locals.truncate(place);
        result
    }

    fn steps(&mut self, walk: &'a Walk, range: &Value<'a>, place: usize) -> Result<(), Error> {
        match range {
            Value::List(list) => {
                for (index, item) in list.iter().enumerate() {
                    let index = Value::Int(i64::try_from(index).unwrap_or(i64::MAX));
                    let variables = if walk.has_second { (Ok(index), Some(item)) } else { (item, None) };
                    if !self.step(walk, place, variables)? {
                        break;
                    }
                }
            }
            Value::Map(map) => {
                for key in map.keys() {
                    let value = walk.has_second.then(|| map.find(&key)).flatten();
                    if !self.step(walk, place, (Ok(key), value))? {
                        break;
                    }
                }
            }
            other => {
                let message = format!("unsupported comprehension range type: {}", other.type_name());
                return Err(Error::failed(message));
            }
        }
        Ok(())
    }

    /// One step of a walk; whether there may be more.
    fn step(
        &mut self,
        walk: &'a Walk,
        place: usize,
        variables: (Outcome<'a>, Option<Outcome<'a>>),
    ) -> Result<bool, Error> {
        self.meter.step()?;
        self.locals.truncate(place + 1);
        self.locals.push(variables.0);
        self.locals.extend(variables.1);
        if matches!(self.node(&walk.condition), Ok(Value::Bool(false))) {
            return Ok(false);
        }
        let collected = self.node(&walk.step);
        match &collected {
            Err(Error::OverBudget) => return Err(Error::OverBudget),
            Err(error) if !walk.absorbs => return Err(error.clone()),
            _ => {}
        }
        if let Some(local) = self.locals.get_mut(place) {
            *local = collected;
        }
        Ok(true)
    }

    fn bind(&mut self, both: &'a (Node, Node)) -> Outcome<'a> {
        let value = self.node(&both.0);
        if matches!(value, Err(Error::OverBudget)) {
            return value;
        }
        let place = self.locals.len();
        self.locals.push(value);
        let result = self.node(&both.1);
        self.locals.truncate(place);
        result
    }

    /// Takes what a walk collects, to be given back changed.
    fn take(&mut self, place: usize) -> Outcome<'a> {
        self.meter.charge(cost::SELECT)?;
        match self.locals.get_mut(place) {
            Some(local) => std::mem::replace(local, Ok(Value::Null)),
            None => Err(Error::no_such_overload()),
        }
    }

    fn append(&mut self, place: usize, items: &'a [Node], costs: bool) -> Outcome<'a> {
        let mut values = Vec::with_capacity(items.len());
        for item in items {
            values.push(self.node(item)?);
        }
        self.meter.charge(if costs { cost::LIST + 1 } else { 1 })?;
        match self.take(place)? {
            Value::List(List::Owned(mut list)) => {
                match Arc::get_mut(&mut list) {
                    Some(list) => list.extend(values),
                    None => list = Arc::new(list.iter().cloned().chain(values).collect()),
                }
                Ok(Value::List(List::Owned(list)))
            }
            _ => Err(Error::no_such_overload()),
        }
    }

    fn insert(&mut self, place: usize, entry: &'a [Node]) -> Outcome<'a> {
        let mut values = Vec::with_capacity(entry.len());
        for part in entry {
            values.push(self.node(part)?);
        }
        self.meter.charge(1)?;
        match self.take(place)? {
            Value::Map(map) => super::functions::insert_into(map, &values, self.meter),
            _ => Err(Error::no_such_overload()),
        }
    }
}

fn truth(value: Outcome<'_>) -> Result<bool, Error> {
    match value? {
        Value::Bool(value) => Ok(value),
        _ => Err(Error::no_such_overload()),
    }
}

/// What an entry is made of; an optional one may be left out.
fn initial<'a>(name: impl Fn() -> String, value: Value<'a>, is_optional: bool) -> Result<Option<Value<'a>>, Error> {
    match value {
        value if !is_optional => Ok(Some(value)),
        Value::Optional(inner) => Ok(inner.map(|inner| inner.as_ref().clone())),
        value => {
            let (name, value) = (name(), display(&value));
            Err(Error::failed(format!("cannot initialize optional entry '{name}' from non-optional value {value}")))
        }
    }
}

/// A field of a value, if it has it.
fn field<'a>(value: &Value<'a>, name: &str) -> Option<Outcome<'a>> {
    match value {
        Value::Map(map) => map.find_named(name),
        Value::Object(_, fields) => fields.get(name).cloned().map(Ok),
        _ => None,
    }
}

/// An item of a list or the value of a key.
fn item<'a>(value: &Value<'a>, key: &Value<'_>, may_lack: bool) -> Result<Option<Value<'a>>, Error> {
    match value {
        Value::List(list) => {
            let index = match key {
                Value::Int(index) => *index,
                Value::Uint(index) => i64::try_from(*index).unwrap_or(-1),
                Value::Double(_) => match key.key() {
                    Some(super::value::Key::Number(index)) => i64::try_from(index).unwrap_or(-1),
                    _ => return Err(Error::failed(format!("unsupported index value {} in list", display(key)))),
                },
                other => {
                    return Err(Error::failed(format!("unsupported index type '{}' in list", other.type_name())));
                }
            };
            usize::try_from(index).ok().and_then(|index| list.item(index)).transpose()
        }
        Value::Map(map) => map.find(key).transpose(),
        Value::Object(_, fields) => match key {
            Value::String(name) => Ok(fields.get(name.deref()).cloned()),
            _ => Ok(None),
        },
        _ if may_lack => Ok(None),
        _ => Err(Error::no_such_key(display(key))),
    }
}

/// What was found, unless it is missing and may not be.
fn present<'a>(
    found: Option<Value<'a>>,
    may_lack: bool,
    missing: impl Fn() -> Error,
) -> Result<Option<Value<'a>>, Error> {
    if found.is_none() && !may_lack { Err(missing()) } else { Ok(found) }
}

fn missing(value: &Value<'_>, key: &Value<'_>) -> Error {
    match value {
        Value::List(_) => Error::failed(format!("index out of bounds: {}", display(key))),
        _ => Error::no_such_key(display(key)),
    }
}
