//! Conversions between types, by functions with the types' names.

use std::ops::Deref as _;

use super::super::cost::Rule;
use super::super::error::{Error, Outcome};
use super::super::meter::Meter;
use super::super::value::{Text, Value};
use super::library::Library;
use super::standard::{integer_overflow, unsigned_overflow};
use super::{Row, row, text, time};
use crate::durations;

pub(super) const ROWS: &[Row] = &[
    row("type", "type(A) -> type(A)", Rule::One, type_of),
    row("to_dyn", "dyn(A) -> dyn", Rule::One, itself),
    row("bool_to_bool", "bool(bool) -> bool", Rule::One, to_bool),
    row("string_to_bool", "bool(string) -> bool", Rule::One, to_bool),
    row("bytes_to_bytes", "bytes(bytes) -> bytes", Rule::One, to_bytes),
    row("string_to_bytes", "bytes(string) -> bytes", Rule::StringToBytes, to_bytes),
    row("double_to_double", "double(double) -> double", Rule::One, to_double),
    row("int64_to_double", "double(int) -> double", Rule::One, to_double),
    row("string_to_double", "double(string) -> double", Rule::One, to_double),
    row("uint64_to_double", "double(uint) -> double", Rule::One, to_double),
    row("duration_to_duration", "duration(duration) -> duration", Rule::One, to_duration),
    row("string_to_duration", "duration(string) -> duration", Rule::One, to_duration),
    row("int64_to_int64", "int(int) -> int", Rule::One, to_int),
    row("double_to_int64", "int(double) -> int", Rule::One, to_int),
    row("duration_to_int64", "int(duration) -> int", Rule::One, to_int),
    row("string_to_int64", "int(string) -> int", Rule::One, to_int),
    row("timestamp_to_int64", "int(timestamp) -> int", Rule::One, to_int),
    row("uint64_to_int64", "int(uint) -> int", Rule::One, to_int),
    row("string_to_string", "string(string) -> string", Rule::One, to_string),
    row("bool_to_string", "string(bool) -> string", Rule::One, to_string),
    row("bytes_to_string", "string(bytes) -> string", Rule::BytesToString, to_string),
    row("double_to_string", "string(double) -> string", Rule::One, to_string),
    row("duration_to_string", "string(duration) -> string", Rule::One, to_string),
    row("int64_to_string", "string(int) -> string", Rule::One, to_string),
    row("timestamp_to_string", "string(timestamp) -> string", Rule::One, to_string),
    row("uint64_to_string", "string(uint) -> string", Rule::One, to_string),
    row("ip_to_string", "string(net.IP) -> string", Rule::One, to_string),
    row("cidr_to_string", "string(net.CIDR) -> string", Rule::One, to_string),
    row("timestamp_to_timestamp", "timestamp(timestamp) -> timestamp", Rule::One, to_timestamp),
    row("int64_to_timestamp", "timestamp(int) -> timestamp", Rule::One, to_timestamp),
    row("string_to_timestamp", "timestamp(string) -> timestamp", Rule::One, to_timestamp),
    row("uint64_to_uint64", "uint(uint) -> uint", Rule::One, to_uint),
    row("double_to_uint64", "uint(double) -> uint", Rule::One, to_uint),
    row("int64_to_uint64", "uint(int) -> uint", Rule::One, to_uint),
    row("string_to_uint64", "uint(string) -> uint", Rule::One, to_uint),
];

/// Whether a function is a conversion; of a constant it is a constant.
pub(in crate::cel) fn is_conversion(function: &str) -> bool {
    ROWS.iter().any(|row| row.signature.strip_prefix(function).is_some_and(|rest| rest.starts_with('(')))
}

fn type_of<'a>(_: &mut Meter, args: &[Value<'a>]) -> Outcome<'a> {
    match args {
        [value] => Ok(Value::Type(Text::Owned(value.type_name().into()))),
        _ => Err(Error::no_such_overload()),
    }
}

fn itself<'a>(_: &mut Meter, args: &[Value<'a>]) -> Outcome<'a> {
    args.first().cloned().ok_or_else(Error::no_such_overload)
}

fn to_bool<'a>(_: &mut Meter, args: &[Value<'a>]) -> Outcome<'a> {
    match args {
        [Value::Bool(value)] => Ok((*value).into()),
        [value @ Value::String(text)] => match text.deref() {
            "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(true.into()),
            "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(false.into()),
            _ => Err(Error::conversion(value, "bool")),
        },
        _ => Err(Error::no_such_overload()),
    }
}

fn to_bytes<'a>(_: &mut Meter, args: &[Value<'a>]) -> Outcome<'a> {
    match args {
        [value @ Value::Bytes(_)] => Ok(value.clone()),
        [Value::String(text)] => Ok(Value::Bytes(text.as_bytes().into())),
        _ => Err(Error::no_such_overload()),
    }
}

#[expect(clippy::cast_precision_loss, reason = "the nearest double is what the conversion is")]
fn to_double<'a>(_: &mut Meter, args: &[Value<'a>]) -> Outcome<'a> {
    Ok(Value::Double(match args {
        [Value::Double(number)] => *number,
        [Value::Int(number)] => *number as f64,
        [Value::Uint(number)] => *number as f64,
        [value @ Value::String(text)] => text.parse().map_err(|_| Error::conversion(value, "double"))?,
        _ => return Err(Error::no_such_overload()),
    }))
}

fn to_duration<'a>(_: &mut Meter, args: &[Value<'a>]) -> Outcome<'a> {
    match args {
        [value @ Value::Duration(_)] => Ok(value.clone()),
        [value @ Value::String(text)] => match durations::parse(text).ok() {
            Some(span) => Ok(Value::Duration(span)),
            None => Err(Error::conversion(value, "google.protobuf.Duration")),
        },
        _ => Err(Error::no_such_overload()),
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the range is checked")]
fn to_int<'a>(_: &mut Meter, args: &[Value<'a>]) -> Outcome<'a> {
    Ok(Value::Int(match args {
        [Value::Int(number)] => *number,
        [Value::Uint(number)] => i64::try_from(*number).map_err(|_| integer_overflow())?,
        // Both ends of the range of doubles are themselves refused, as upstream does.
        [Value::Double(number)] if number.abs() < 9_223_372_036_854_775_807.0 => *number as i64,
        [Value::Double(_)] => return Err(integer_overflow()),
        [Value::Duration(span)] => *span,
        [Value::Timestamp(point)] => point.seconds(),
        [value @ Value::String(text)] => text.parse().map_err(|_| Error::conversion(value, "int"))?,
        _ => return Err(Error::no_such_overload()),
    }))
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range is checked")]
fn to_uint<'a>(_: &mut Meter, args: &[Value<'a>]) -> Outcome<'a> {
    Ok(Value::Uint(match args {
        [Value::Uint(number)] => *number,
        [Value::Int(number)] => u64::try_from(*number).map_err(|_| unsigned_overflow())?,
        [Value::Double(number)] if *number >= 0.0 && *number < 18_446_744_073_709_551_615.0 => *number as u64,
        [Value::Double(_)] => return Err(unsigned_overflow()),
        [value @ Value::String(text)] => text.parse().map_err(|_| Error::conversion(value, "uint"))?,
        _ => return Err(Error::no_such_overload()),
    }))
}

fn to_string<'a>(_: &mut Meter, args: &[Value<'a>]) -> Outcome<'a> {
    Ok(match args {
        [value @ Value::String(_)] => value.clone(),
        [Value::Bytes(bytes)] => match std::str::from_utf8(bytes) {
            Ok(text) => text.to_owned().into(),
            Err(_) => return Err(Error::failed("invalid UTF-8 in bytes, cannot convert to string")),
        },
        [Value::Bool(value)] => value.to_string().into(),
        [Value::Int(number)] => number.to_string().into(),
        [Value::Uint(number)] => number.to_string().into(),
        [Value::Double(number)] => text::double(*number).into(),
        [Value::Duration(span)] => time::duration_text(*span).into(),
        [Value::Timestamp(point)] => point.to_string().into(),
        [Value::Library(Library::Ip(ip))] => ip.to_string().into(),
        [Value::Library(Library::Cidr(cidr))] => cidr.to_string().into(),
        _ => return Err(Error::no_such_overload()),
    })
}

fn to_timestamp<'a>(_: &mut Meter, args: &[Value<'a>]) -> Outcome<'a> {
    match args {
        [value @ Value::Timestamp(_)] => Ok(value.clone()),
        [Value::Int(seconds)] => {
            time::Point::of_seconds(*seconds).map(Value::Timestamp).ok_or_else(|| Error::failed("timestamp overflow"))
        }
        [value @ Value::String(text)] => match time::Point::parse(text) {
            Some(point) => Ok(Value::Timestamp(point)),
            None => Err(Error::conversion(value, "google.protobuf.Timestamp")),
        },
        _ => Err(Error::no_such_overload()),
    }
}
