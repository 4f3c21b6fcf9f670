//! Amounts as Kubernetes writes them.

use std::cmp::Ordering;

use super::super::cost::Rule;
use super::super::error::{Error, Outcome};
use super::super::meter::Meter;
use super::super::value::Value;
use super::library::Library;
use super::{Row, row};
use crate::quantity::{Format, Quantity};

pub(super) const ROWS: &[Row] = &[
    row("string_to_quantity", "quantity(string) -> kubernetes.Quantity", Rule::Parse, quantity),
    row("is_quantity_string", "isQuantity(string) -> bool", Rule::Parse, is_quantity),
    row("quantity_sign", "sign(kubernetes.Quantity) -> int", Rule::One, sign),
    row(
        "quantity_is_greater_than",
        "kubernetes.Quantity#isGreaterThan(kubernetes.Quantity) -> bool",
        Rule::One,
        is_greater,
    ),
    row("quantity_is_less_than", "kubernetes.Quantity#isLessThan(kubernetes.Quantity) -> bool", Rule::One, is_less),
    row("quantity_compare_to", "kubernetes.Quantity#compareTo(kubernetes.Quantity) -> int", Rule::One, compare),
    row("quantity_get_float", "kubernetes.Quantity#asApproximateFloat() -> double", Rule::One, as_float),
    row("quantity_get_int", "kubernetes.Quantity#asInteger() -> int", Rule::One, as_integer),
    row("quantity_is_integer", "kubernetes.Quantity#isInteger() -> bool", Rule::One, is_integer),
    row("quantity_add", "kubernetes.Quantity#add(kubernetes.Quantity) -> kubernetes.Quantity", Rule::One, add),
    row("quantity_add_int", "kubernetes.Quantity#add(int) -> kubernetes.Quantity", Rule::One, add),
    row("quantity_sub", "kubernetes.Quantity#sub(kubernetes.Quantity) -> kubernetes.Quantity", Rule::One, subtract),
    row("quantity_sub_int", "kubernetes.Quantity#sub(int) -> kubernetes.Quantity", Rule::One, subtract),
];

fn quantity<'a>(_: &mut Meter, args: &[Value<'a>]) -> Outcome<'a> {
    match args {
        [Value::String(text)] => match Quantity::parse(text) {
            Ok(quantity) => Ok(Value::Library(Library::Quantity(quantity))),
            Err(error) => Err(Error::failed(error.to_string())),
        },
        _ => Err(Error::no_such_overload()),
    }
}

fn is_quantity<'a>(_: &mut Meter, args: &[Value<'a>]) -> Outcome<'a> {
    match args {
        [Value::String(text)] => Ok(Quantity::parse(text).is_ok().into()),
        _ => Err(Error::no_such_overload()),
    }
}

fn sign<'a>(_: &mut Meter, args: &[Value<'a>]) -> Outcome<'a> {
    match args {
        [Value::Library(Library::Quantity(quantity))] => Ok(ordering(quantity.cmp(&Quantity::default()))),
        _ => Err(Error::no_such_overload()),
    }
}

fn ordering<'a>(ordering: Ordering) -> Value<'a> {
    Value::Int(ordering as i64)
}

/// The order of two amounts or two versions, since both have functions of the same names.
fn order(args: &[Value<'_>]) -> Result<Ordering, Error> {
    match args {
        [Value::Library(Library::Quantity(one)), Value::Library(Library::Quantity(two))] => Ok(one.cmp(two)),
        [Value::Library(Library::Semver(one)), Value::Library(Library::Semver(two))] => Ok(one.compare(two)),
        _ => Err(Error::no_such_overload()),
    }
}

pub(super) fn is_greater<'a>(_: &mut Meter, args: &[Value<'a>]) -> Outcome<'a> {
    Ok(order(args)?.is_gt().into())
}

pub(super) fn is_less<'a>(_: &mut Meter, args: &[Value<'a>]) -> Outcome<'a> {
    Ok(order(args)?.is_lt().into())
}

pub(super) fn compare<'a>(_: &mut Meter, args: &[Value<'a>]) -> Outcome<'a> {
    Ok(ordering(order(args)?))
}

fn as_float<'a>(_: &mut Meter, args: &[Value<'a>]) -> Outcome<'a> {
    match args {
        [Value::Library(Library::Quantity(quantity))] => Ok(Value::Double(quantity.to_float())),
        _ => Err(Error::no_such_overload()),
    }
}

/// The amount as a whole number, if it is one.
fn whole(quantity: Quantity) -> Option<i64> {
    let units = quantity.to_units();
    (Quantity::from_units(units, Format::Decimal) == quantity).then_some(units)
}

fn as_integer<'a>(_: &mut Meter, args: &[Value<'a>]) -> Outcome<'a> {
    match args {
        [Value::Library(Library::Quantity(quantity))] => {
            whole(*quantity).map(Value::Int).ok_or_else(|| Error::failed("cannot convert value to integer"))
        }
        _ => Err(Error::no_such_overload()),
    }
}

fn is_integer<'a>(_: &mut Meter, args: &[Value<'a>]) -> Outcome<'a> {
    match args {
        [Value::Library(Library::Quantity(quantity))] => Ok(whole(*quantity).is_some().into()),
        _ => Err(Error::no_such_overload()),
    }
}

/// Both amounts; the second may be a number.
fn both(args: &[Value<'_>]) -> Result<(Quantity, Quantity), Error> {
    match args {
        [Value::Library(Library::Quantity(one)), Value::Library(Library::Quantity(two))] => Ok((*one, *two)),
        [Value::Library(Library::Quantity(one)), Value::Int(two)] => {
            Ok((*one, Quantity::from_units(*two, Format::Decimal)))
        }
        _ => Err(Error::no_such_overload()),
    }
}

fn add<'a>(_: &mut Meter, args: &[Value<'a>]) -> Outcome<'a> {
    let (one, two) = both(args)?;
    Ok(Value::Library(Library::Quantity(one.plus(two))))
}

fn subtract<'a>(_: &mut Meter, args: &[Value<'a>]) -> Outcome<'a> {
    let (one, two) = both(args)?;
    Ok(Value::Library(Library::Quantity(one.minus(two))))
}
