//! Operators and what else the language has of its own, but conversions and times.

use std::cmp::Ordering;
use std::ops::Deref as _;
use std::sync::Arc;

use super::super::cost::Rule;
use super::super::error::{Error, Outcome};
use super::super::meter::Meter;
use super::super::value::{Mapping, Value};
use super::{Row, row, time};

/// Whatever the evaluator does itself: what need not evaluate all of its arguments, or costs by its parts.
fn built_in<'a>(_: &mut Meter, _: &[Value<'a>]) -> Outcome<'a> {
    Err(Error::no_such_overload())
}

pub(super) const ROWS: &[Row] = &[
    row("conditional", "_?_:_(bool, A, A) -> A", Rule::Conditional, built_in),
    row("logical_and", "_&&_(bool, bool) -> bool", Rule::Logical, built_in),
    row("logical_or", "_||_(bool, bool) -> bool", Rule::Logical, built_in),
    row("logical_not", "!_(bool) -> bool", Rule::One, not),
    row("not_strictly_false", "@not_strictly_false(bool) -> bool", Rule::One, built_in),
    row("equals", "_==_(A, A) -> bool", Rule::Equals, equals),
    row("not_equals", "_!=_(A, A) -> bool", Rule::Compare, not_equals),
    row("add_bytes", "_+_(bytes, bytes) -> bytes", Rule::AddText, add),
    row("add_double", "_+_(double, double) -> double", Rule::One, add),
    row("add_duration_duration", "_+_(duration, duration) -> duration", Rule::One, add),
    row("add_duration_timestamp", "_+_(duration, timestamp) -> timestamp", Rule::One, add),
    row("add_timestamp_duration", "_+_(timestamp, duration) -> timestamp", Rule::One, add),
    row("add_int64", "_+_(int, int) -> int", Rule::One, add),
    row("add_list", "_+_(list(A), list(A)) -> list(A)", Rule::AddList, add),
    row("add_string", "_+_(string, string) -> string", Rule::AddText, add),
    row("add_uint64", "_+_(uint, uint) -> uint", Rule::One, add),
    row("divide_double", "_/_(double, double) -> double", Rule::One, divide),
    row("divide_int64", "_/_(int, int) -> int", Rule::One, divide),
    row("divide_uint64", "_/_(uint, uint) -> uint", Rule::One, divide),
    row("modulo_int64", "_%_(int, int) -> int", Rule::One, modulo),
    row("modulo_uint64", "_%_(uint, uint) -> uint", Rule::One, modulo),
    row("multiply_double", "_*_(double, double) -> double", Rule::One, multiply),
    row("multiply_int64", "_*_(int, int) -> int", Rule::One, multiply),
    row("multiply_uint64", "_*_(uint, uint) -> uint", Rule::One, multiply),
    row("negate_double", "-_(double) -> double", Rule::One, negate),
    row("negate_int64", "-_(int) -> int", Rule::One, negate),
    row("subtract_double", "_-_(double, double) -> double", Rule::One, subtract),
    row("subtract_duration_duration", "_-_(duration, duration) -> duration", Rule::One, subtract),
    row("subtract_int64", "_-_(int, int) -> int", Rule::One, subtract),
    row("subtract_timestamp_duration", "_-_(timestamp, duration) -> timestamp", Rule::One, subtract),
    row("subtract_timestamp_timestamp", "_-_(timestamp, timestamp) -> duration", Rule::One, subtract),
    row("subtract_uint64", "_-_(uint, uint) -> uint", Rule::One, subtract),
    row("less_bool", "_<_(bool, bool) -> bool", Rule::One, less),
    row("less_int64", "_<_(int, int) -> bool", Rule::One, less),
    row("less_int64_double", "_<_(int, double) -> bool", Rule::One, less),
    row("less_int64_uint64", "_<_(int, uint) -> bool", Rule::One, less),
    row("less_uint64", "_<_(uint, uint) -> bool", Rule::One, less),
    row("less_uint64_double", "_<_(uint, double) -> bool", Rule::One, less),
    row("less_uint64_int64", "_<_(uint, int) -> bool", Rule::One, less),
    row("less_double", "_<_(double, double) -> bool", Rule::One, less),
    row("less_double_int64", "_<_(double, int) -> bool", Rule::One, less),
    row("less_double_uint64", "_<_(double, uint) -> bool", Rule::One, less),
    row("less_string", "_<_(string, string) -> bool", Rule::Compare, less),
    row("less_bytes", "_<_(bytes, bytes) -> bool", Rule::Compare, less),
    row("less_timestamp", "_<_(timestamp, timestamp) -> bool", Rule::One, less),
    row("less_duration", "_<_(duration, duration) -> bool", Rule::One, less),
    row("less_equals_bool", "_<=_(bool, bool) -> bool", Rule::One, less_equals),
    row("less_equals_int64", "_<=_(int, int) -> bool", Rule::One, less_equals),
    row("less_equals_int64_double", "_<=_(int, double) -> bool", Rule::One, less_equals),
    row("less_equals_int64_uint64", "_<=_(int, uint) -> bool", Rule::One, less_equals),
    row("less_equals_uint64", "_<=_(uint, uint) -> bool", Rule::One, less_equals),
    row("less_equals_uint64_double", "_<=_(uint, double) -> bool", Rule::One, less_equals),
    row("less_equals_uint64_int64", "_<=_(uint, int) -> bool", Rule::One, less_equals),
    row("less_equals_double", "_<=_(double, double) -> bool", Rule::One, less_equals),
    row("less_equals_double_int64", "_<=_(double, int) -> bool", Rule::One, less_equals),
    row("less_equals_double_uint64", "_<=_(double, uint) -> bool", Rule::One, less_equals),
    row("less_equals_string", "_<=_(string, string) -> bool", Rule::Compare, less_equals),
    row("less_equals_bytes", "_<=_(bytes, bytes) -> bool", Rule::Compare, less_equals),
    row("less_equals_timestamp", "_<=_(timestamp, timestamp) -> bool", Rule::One, less_equals),
    row("less_equals_duration", "_<=_(duration, duration) -> bool", Rule::One, less_equals),
    row("greater_bool", "_>_(bool, bool) -> bool", Rule::One, greater),
    row("greater_int64", "_>_(int, int) -> bool", Rule::One, greater),
    row("greater_int64_double", "_>_(int, double) -> bool", Rule::One, greater),
    row("greater_int64_uint64", "_>_(int, uint) -> bool", Rule::One, greater),
    row("greater_uint64", "_>_(uint, uint) -> bool", Rule::One, greater),
    row("greater_uint64_double", "_>_(uint, double) -> bool", Rule::One, greater),
    row("greater_uint64_int64", "_>_(uint, int) -> bool", Rule::One, greater),
    row("greater_double", "_>_(double, double) -> bool", Rule::One, greater),
    row("greater_double_int64", "_>_(double, int) -> bool", Rule::One, greater),
    row("greater_double_uint64", "_>_(double, uint) -> bool", Rule::One, greater),
    row("greater_string", "_>_(string, string) -> bool", Rule::Compare, greater),
    row("greater_bytes", "_>_(bytes, bytes) -> bool", Rule::Compare, greater),
    row("greater_timestamp", "_>_(timestamp, timestamp) -> bool", Rule::One, greater),
    row("greater_duration", "_>_(duration, duration) -> bool", Rule::One, greater),
    row("greater_equals_bool", "_>=_(bool, bool) -> bool", Rule::One, greater_equals),
    row("greater_equals_int64", "_>=_(int, int) -> bool", Rule::One, greater_equals),
    row("greater_equals_int64_double", "_>=_(int, double) -> bool", Rule::One, greater_equals),
    row("greater_equals_int64_uint64", "_>=_(int, uint) -> bool", Rule::One, greater_equals),
    row("greater_equals_uint64", "_>=_(uint, uint) -> bool", Rule::One, greater_equals),
    row("greater_equals_uint64_double", "_>=_(uint, double) -> bool", Rule::One, greater_equals),
    row("greater_equals_uint64_int64", "_>=_(uint, int) -> bool", Rule::One, greater_equals),
    row("greater_equals_double", "_>=_(double, double) -> bool", Rule::One, greater_equals),
    row("greater_equals_double_int64", "_>=_(double, int) -> bool", Rule::One, greater_equals),
    row("greater_equals_double_uint64", "_>=_(double, uint) -> bool", Rule::One, greater_equals),
    row("greater_equals_string", "_>=_(string, string) -> bool", Rule::Compare, greater_equals),
    row("greater_equals_bytes", "_>=_(bytes, bytes) -> bool", Rule::Compare, greater_equals),
    row("greater_equals_timestamp", "_>=_(timestamp, timestamp) -> bool", Rule::One, greater_equals),
    row("greater_equals_duration", "_>=_(duration, duration) -> bool", Rule::One, greater_equals),
    row("index_list", "_[_](list(A), int) -> A", Rule::IndexList, built_in),
    row("index_map", "_[_](map(A, B), A) -> B", Rule::IndexMap, built_in),
    row("in_list", "@in(A, list(A)) -> bool", Rule::InList, contained),
    row("in_map", "@in(A, map(A, B)) -> bool", Rule::One, contained),
    row("size_bytes", "size(bytes) -> int", Rule::One, size),
    row("bytes_size", "bytes#size() -> int", Rule::One, size),
    row("size_list", "size(list(A)) -> int", Rule::One, size),
    row("list_size", "list(A)#size() -> int", Rule::One, size),
    row("size_map", "size(map(A, B)) -> int", Rule::One, size),
    row("map_size", "map(A, B)#size() -> int", Rule::One, size),
    row("size_string", "size(string) -> int", Rule::One, size),
    row("string_size", "string#size() -> int", Rule::One, size),
    row("contains_string", "string#contains(string) -> bool", Rule::Contains, contains),
    row("ends_with_string", "string#endsWith(string) -> bool", Rule::StartsWith, ends_with),
    row("starts_with_string", "string#startsWith(string) -> bool", Rule::StartsWith, starts_with),
    row("@mapInsert_map_key_value", "cel.@mapInsert(map(K, V), K, V) -> map(K, V)", Rule::One, insert),
    row("@mapInsert_map_map", "cel.@mapInsert(map(K, V), map(K, V)) -> map(K, V)", Rule::One, insert),
];

fn not<'a>(_: &mut Meter, args: &[Value<'a>]) -> Outcome<'a> {
    match args {
        [Value::Bool(value)] => Ok(Value::Bool(!value)),
        _ => Err(Error::no_such_overload()),
    }
}

fn equals<'a>(meter: &mut Meter, args: &[Value<'a>]) -> Outcome<'a> {
    match args {
        [one, two] => Ok(one.equals(two, meter)?.into()),
        _ => Err(Error::no_such_overload()),
    }
}

fn not_equals<'a>(meter: &mut Meter, args: &[Value<'a>]) -> Outcome<'a> {
    match args {
        [one, two] => Ok((!one.equals(two, meter)?).into()),
        _ => Err(Error::no_such_overload()),
    }
}

pub(super) fn integer_overflow() -> Error {
    Error::failed("integer overflow")
}

pub(super) fn unsigned_overflow() -> Error {
    Error::failed("unsigned integer overflow")
}

pub(in crate::cel) fn add<'a>(meter: &mut Meter, args: &[Value<'a>]) -> Outcome<'a> {
    match args {
        [Value::Int(one), Value::Int(two)] => one.checked_add(*two).map(Value::Int).ok_or_else(integer_overflow),
        [Value::Uint(one), Value::Uint(two)] => one.checked_add(*two).map(Value::Uint).ok_or_else(unsigned_overflow),
        [Value::Double(one), Value::Double(two)] => Ok(Value::Double(one + two)),
        [Value::String(one), Value::String(two)] => {
            meter.work((one.len() + two.len()) as u64 / 64);
            Ok([one.deref(), two.deref()].concat().into())
        }
        [Value::Bytes(one), Value::Bytes(two)] => Ok(Value::Bytes([one.deref(), two.deref()].concat().into())),
        [Value::List(one), Value::List(two)] => Ok(Value::List(one.clone().join(two.clone(), meter)?)),
        [Value::Duration(one), Value::Duration(two)] => time::add_durations(*one, *two),
        [Value::Timestamp(point), Value::Duration(span)] | [Value::Duration(span), Value::Timestamp(point)] => {
            time::shift(*point, i128::from(*span))
        }
        _ => Err(Error::no_such_overload()),
    }
}

pub(super) fn subtract<'a>(_: &mut Meter, args: &[Value<'a>]) -> Outcome<'a> {
    match args {
        [Value::Int(one), Value::Int(two)] => one.checked_sub(*two).map(Value::Int).ok_or_else(integer_overflow),
        [Value::Uint(one), Value::Uint(two)] => one.checked_sub(*two).map(Value::Uint).ok_or_else(unsigned_overflow),
        [Value::Double(one), Value::Double(two)] => Ok(Value::Double(one - two)),
        [Value::Duration(one), Value::Duration(two)] => {
            one.checked_sub(*two).map(Value::Duration).ok_or_else(time::duration_overflow)
        }
        [Value::Timestamp(point), Value::Duration(span)] => time::shift(*point, -i128::from(*span)),
        [Value::Timestamp(one), Value::Timestamp(two)] => {
            i64::try_from(one.since(*two)).map(Value::Duration).map_err(|_| time::duration_overflow())
        }
        _ => Err(Error::no_such_overload()),
    }
}

fn multiply<'a>(_: &mut Meter, args: &[Value<'a>]) -> Outcome<'a> {
    match args {
        [Value::Int(one), Value::Int(two)] => one.checked_mul(*two).map(Value::Int).ok_or_else(integer_overflow),
        [Value::Uint(one), Value::Uint(two)] => one.checked_mul(*two).map(Value::Uint).ok_or_else(unsigned_overflow),
        [Value::Double(one), Value::Double(two)] => Ok(Value::Double(one * two)),
        _ => Err(Error::no_such_overload()),
    }
}

fn divide<'a>(_: &mut Meter, args: &[Value<'a>]) -> Outcome<'a> {
    match args {
        [Value::Int(_), Value::Int(0)] | [Value::Uint(_), Value::Uint(0)] => Err(Error::failed("division by zero")),
        [Value::Int(one), Value::Int(two)] => one.checked_div(*two).map(Value::Int).ok_or_else(integer_overflow),
        [Value::Uint(one), Value::Uint(two)] => Ok(Value::Uint(one / two)),
        [Value::Double(one), Value::Double(two)] => Ok(Value::Double(one / two)),
        _ => Err(Error::no_such_overload()),
    }
}

fn modulo<'a>(_: &mut Meter, args: &[Value<'a>]) -> Outcome<'a> {
    match args {
        [Value::Int(_), Value::Int(0)] | [Value::Uint(_), Value::Uint(0)] => Err(Error::failed("modulus by zero")),
        [Value::Int(one), Value::Int(two)] => one.checked_rem(*two).map(Value::Int).ok_or_else(integer_overflow),
        [Value::Uint(one), Value::Uint(two)] => Ok(Value::Uint(one % two)),
        _ => Err(Error::no_such_overload()),
    }
}

fn negate<'a>(_: &mut Meter, args: &[Value<'a>]) -> Outcome<'a> {
    match args {
        [Value::Int(number)] => number.checked_neg().map(Value::Int).ok_or_else(integer_overflow),
        [Value::Double(number)] => Ok(Value::Double(-number)),
        _ => Err(Error::no_such_overload()),
    }
}

/// The order of two values, if they have one.
pub(super) fn order(args: &[Value<'_>]) -> Result<Ordering, Error> {
    Ok(match args {
        [Value::Bool(one), Value::Bool(two)] => one.cmp(two),
        [Value::String(one), Value::String(two)] => one.deref().cmp(two.deref()),
        [Value::Bytes(one), Value::Bytes(two)] => one.cmp(two),
        [Value::Timestamp(one), Value::Timestamp(two)] => one.cmp(two),
        [Value::Duration(one), Value::Duration(two)] => one.cmp(two),
        [Value::Double(number), _] | [_, Value::Double(number)] if number.is_nan() => {
            return Err(Error::failed("NaN values cannot be ordered"));
        }
        [one, two] => one.compare_numbers(two).ok_or_else(Error::no_such_overload)?,
        _ => return Err(Error::no_such_overload()),
    })
}

fn less<'a>(_: &mut Meter, args: &[Value<'a>]) -> Outcome<'a> {
    Ok(order(args)?.is_lt().into())
}

fn less_equals<'a>(_: &mut Meter, args: &[Value<'a>]) -> Outcome<'a> {
    Ok(order(args)?.is_le().into())
}

fn greater<'a>(_: &mut Meter, args: &[Value<'a>]) -> Outcome<'a> {
    Ok(order(args)?.is_gt().into())
}

fn greater_equals<'a>(_: &mut Meter, args: &[Value<'a>]) -> Outcome<'a> {
    Ok(order(args)?.is_ge().into())
}

fn contained<'a>(meter: &mut Meter, args: &[Value<'a>]) -> Outcome<'a> {
    match args {
        [value, Value::List(list)] => Ok(list.contains(value, meter)?.into()),
        [key, Value::Map(map)] => Ok(map.find(key).transpose()?.is_some().into()),
        [Value::String(name), Value::Object(_, fields)] => Ok(fields.contains_key(name.deref()).into()),
        _ => Err(Error::no_such_overload()),
    }
}

fn size<'a>(meter: &mut Meter, args: &[Value<'a>]) -> Outcome<'a> {
    match args {
        [value @ (Value::String(_) | Value::Bytes(_) | Value::List(_) | Value::Map(_))] => {
            Ok(Value::Int(i64::try_from(value.size(meter)).unwrap_or(i64::MAX)))
        }
        _ => Err(Error::no_such_overload()),
    }
}

fn contains<'a>(_: &mut Meter, args: &[Value<'a>]) -> Outcome<'a> {
    match args {
        [Value::String(text), Value::String(part)] => Ok(text.contains(part.deref()).into()),
        _ => Err(Error::no_such_overload()),
    }
}

fn ends_with<'a>(_: &mut Meter, args: &[Value<'a>]) -> Outcome<'a> {
    match args {
        [Value::String(text), Value::String(part)] => Ok(text.ends_with(part.deref()).into()),
        _ => Err(Error::no_such_overload()),
    }
}

fn starts_with<'a>(_: &mut Meter, args: &[Value<'a>]) -> Outcome<'a> {
    match args {
        [Value::String(text), Value::String(part)] => Ok(text.starts_with(part.deref()).into()),
        _ => Err(Error::no_such_overload()),
    }
}

/// Puts an entry, or all entries of a map, into a map that has none of these keys. The map is changed in place when
/// nobody else holds it.
pub(in crate::cel) fn insert<'a>(meter: &mut Meter, args: &[Value<'a>]) -> Outcome<'a> {
    let [Value::Map(map), rest @ ..] = args else {
        return Err(Error::no_such_overload());
    };
    insert_into(map.clone(), rest, meter)
}

/// As [`insert`], of a map that is given away.
pub(in crate::cel) fn insert_into<'a>(map: Mapping<'a>, entry: &[Value<'a>], meter: &mut Meter) -> Outcome<'a> {
    let mut entries = match map {
        Mapping::Owned(entries) => entries,
        Mapping::Json(_) => {
            let mut copied = std::collections::BTreeMap::new();
            for key in map.keys() {
                meter.step()?;
                if let (Some(found), Some(value)) = (key.key(), map.find(&key)) {
                    copied.insert(found, (key, value?));
                }
            }
            Arc::new(copied)
        }
    };
    let pairs = match entry {
        [Value::Map(more)] => {
            let keys = more.keys().collect::<Vec<_>>();
            let value = |key: Value<'a>| Some(more.find(&key)?.map(|value| (key, value)));
            keys.into_iter().filter_map(value).collect::<Result<Vec<_>, _>>()?
        }
        [key, value] => vec![(key.clone(), value.clone())],
        _ => return Err(Error::no_such_overload()),
    };
    let target = Arc::make_mut(&mut entries);
    for (key, value) in pairs {
        meter.step()?;
        let found = key.key().ok_or_else(Error::no_such_overload)?;
        if target.contains_key(&found) {
            let key = super::text::display(&key);
            return Err(Error::failed(format!("insert failed: key {key} already exists")));
        }
        target.insert(found, (key, value));
    }
    Ok(Value::Map(Mapping::Owned(entries)))
}
