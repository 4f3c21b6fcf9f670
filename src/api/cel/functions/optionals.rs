//! Values that may be none.

use std::sync::Arc;

use super::super::cost::Rule;
use super::super::error::{Error, Outcome};
use super::super::meter::Meter;
use super::super::value::Value;
use super::{Row, row};

/// The evaluator takes out of optionals itself.
fn built_in<'a>(_: &mut Meter, _: &[Value<'a>]) -> Outcome<'a> {
    Err(Error::no_such_overload())
}

pub(super) const ROWS: &[Row] = &[
    row("optional_of", "optional.of(V) -> optional(V)", Rule::One, of),
    row("optional_ofNonZeroValue", "optional.ofNonZeroValue(V) -> optional(V)", Rule::One, of_non_zero),
    row("optional_none", "optional.none() -> optional(V)", Rule::One, none),
    row("optional_value", "optional(V)#value() -> V", Rule::One, value),
    row("optional_hasValue", "optional(V)#hasValue() -> bool", Rule::One, has_value),
    row("optional_or_optional", "optional(V)#or(optional(V)) -> optional(V)", Rule::One, or),
    row("optional_orValue_value", "optional(V)#orValue(V) -> V", Rule::One, or_value),
    row("select_optional_field", "_?._(dyn, string) -> optional(V)", Rule::One, built_in),
    row("list_optindex_optional_int", "_[?_](list(V), int) -> optional(V)", Rule::One, built_in),
    row("optional_list_optindex_optional_int", "_[?_](optional(list(V)), int) -> optional(V)", Rule::One, built_in),
    row("map_optindex_optional_value", "_[?_](map(K, V), K) -> optional(V)", Rule::One, built_in),
    row("optional_map_optindex_optional_value", "_[?_](optional(map(K, V)), K) -> optional(V)", Rule::One, built_in),
    row("optional_list_index_int", "_[_](optional(list(V)), int) -> optional(V)", Rule::One, built_in),
    row("optional_map_index_value", "_[_](optional(map(K, V)), K) -> optional(V)", Rule::One, built_in),
    row("list_first", "list(V)#first() -> optional(V)", Rule::End, first),
    row("list_last", "list(V)#last() -> optional(V)", Rule::End, last),
    row("optional_unwrap", "optional.unwrap(list(optional(V))) -> list(V)", Rule::One, unwrap),
    row("optional_unwrapOpt", "list(optional(V))#unwrapOpt() -> list(V)", Rule::One, unwrap),
];

fn some(value: Value<'_>) -> Value<'_> {
    Value::Optional(Some(Arc::new(value)))
}

fn of<'a>(_: &mut Meter, args: &[Value<'a>]) -> Outcome<'a> {
    args.first().cloned().map(some).ok_or_else(Error::no_such_overload)
}

fn of_non_zero<'a>(meter: &mut Meter, args: &[Value<'a>]) -> Outcome<'a> {
    let [value] = args else {
        return Err(Error::no_such_overload());
    };
    let is_zero = match value {
        Value::Null | Value::Optional(None) => true,
        Value::Bool(value) => !value,
        Value::Int(number) => *number == 0,
        Value::Uint(number) => *number == 0,
        Value::Double(number) => *number == 0.0,
        Value::Duration(span) => *span == 0,
        Value::String(_) | Value::Bytes(_) | Value::List(_) | Value::Map(_) => value.size(meter) == 0,
        Value::Object(_, fields) => fields.is_empty(),
        _ => false,
    };
    Ok(if is_zero { Value::Optional(None) } else { some(value.clone()) })
}

fn none<'a>(_: &mut Meter, _: &[Value<'a>]) -> Outcome<'a> {
    Ok(Value::Optional(None))
}

fn value<'a>(_: &mut Meter, args: &[Value<'a>]) -> Outcome<'a> {
    match args {
        [Value::Optional(Some(inner))] => Ok(inner.as_ref().clone()),
        [Value::Optional(None)] => Err(Error::failed("optional.none() dereference")),
        _ => Err(Error::no_such_overload()),
    }
}

fn has_value<'a>(_: &mut Meter, args: &[Value<'a>]) -> Outcome<'a> {
    match args {
        [Value::Optional(inner)] => Ok(inner.is_some().into()),
        _ => Err(Error::no_such_overload()),
    }
}

fn or<'a>(_: &mut Meter, args: &[Value<'a>]) -> Outcome<'a> {
    match args {
        [first @ Value::Optional(Some(_)), _] | [Value::Optional(None), first] => Ok(first.clone()),
        _ => Err(Error::no_such_overload()),
    }
}

fn or_value<'a>(_: &mut Meter, args: &[Value<'a>]) -> Outcome<'a> {
    match args {
        [Value::Optional(Some(inner)), _] => Ok(inner.as_ref().clone()),
        [Value::Optional(None), other] => Ok(other.clone()),
        _ => Err(Error::no_such_overload()),
    }
}

fn first<'a>(_: &mut Meter, args: &[Value<'a>]) -> Outcome<'a> {
    match args {
        [Value::List(list)] => Ok(Value::Optional(list.item(0).transpose()?.map(Arc::new))),
        _ => Err(Error::no_such_overload()),
    }
}

fn last<'a>(_: &mut Meter, args: &[Value<'a>]) -> Outcome<'a> {
    match args {
        [Value::List(list)] => {
            let last = list.len().checked_sub(1).and_then(|index| list.item(index)).transpose()?;
            Ok(Value::Optional(last.map(Arc::new)))
        }
        _ => Err(Error::no_such_overload()),
    }
}

fn unwrap<'a>(meter: &mut Meter, args: &[Value<'a>]) -> Outcome<'a> {
    let [Value::List(list)] = args else {
        return Err(Error::no_such_overload());
    };
    let mut items = Vec::new();
    for item in list.iter() {
        meter.step()?;
        match item? {
            Value::Optional(inner) => items.extend(inner.map(|inner| inner.as_ref().clone())),
            _ => return Err(Error::no_such_overload()),
        }
    }
    Ok(items.into())
}
