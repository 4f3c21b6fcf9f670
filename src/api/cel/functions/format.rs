//! `string.format`: values in the places of clauses.

use std::fmt::Write as _;
use std::ops::Deref as _;

use super::super::error::{Error, Outcome};
use super::super::meter::Meter;
use super::super::value::Value;
use super::strings::TEXT_BYTES_MAX;
use super::{text, time};
use crate::validation::field::quote;

/// How many decimals there are when a clause does not say.
const DECIMALS: usize = 6;
/// How many decimals a clause may ask for; upstream's number.
const DECIMALS_MAX: usize = 1000;

pub(super) fn format<'a>(meter: &mut Meter, args: &[Value<'a>]) -> Outcome<'a> {
    let [Value::String(pattern), Value::List(list)] = args else {
        return Err(Error::no_such_overload());
    };
    let mut result = String::new();
    let mut index = 0;
    let mut rest = pattern.deref();
    while let Some(start) = rest.find('%') {
        result.push_str(rest.get(..start).unwrap_or_default());
        rest = rest.get(start + 1..).unwrap_or_default();
        if let Some(after) = rest.strip_prefix('%') {
            result.push('%');
            rest = after;
            continue;
        }
        let (clause, decimals) = clause(&mut rest)?;
        let arg = list.item(index).ok_or_else(|| Error::failed(format!("index {index} out of range")))??;
        index += 1;
        write_clause(&mut result, &arg, clause, decimals, meter)?;
        if result.len() > TEXT_BYTES_MAX {
            return Err(Error::OverBudget);
        }
    }
    result.push_str(rest);
    Ok(result.into())
}

/// The letter of a clause and how many decimals it asks for.
fn clause(rest: &mut &str) -> Result<(char, usize), Error> {
    let mut decimals = DECIMALS;
    if let Some(after) = rest.strip_prefix('.') {
        let end = after.find(|digit: char| !digit.is_ascii_digit()).unwrap_or(after.len());
        let (digits, after) = after.split_at_checked(end).unwrap_or((after, ""));
        let wrong = |why: String| Error::failed(format!("error while parsing precision: {why}"));
        decimals = digits
            .parse()
            .map_err(|_| wrong(format!("error while converting precision to integer: {}", quote(digits))))?;
        if decimals > DECIMALS_MAX {
            let why = format!("precision {decimals} exceeds maximum allowed precision {DECIMALS_MAX}");
            return Err(wrong(why));
        }
        *rest = after;
    }
    let Some(letter) = rest.chars().next() else {
        return Err(Error::failed("unexpected end of string"));
    };
    if !matches!(letter, 's' | 'd' | 'f' | 'e' | 'b' | 'x' | 'X' | 'o') {
        return Err(Error::failed(format!(
            "could not parse formatting clause: unrecognized formatting clause \"{letter}\""
        )));
    }
    *rest = rest.get(letter.len_utf8()..).unwrap_or_default();
    Ok((letter, decimals))
}

fn write_clause(
    result: &mut String,
    arg: &Value<'_>,
    clause: char,
    decimals: usize,
    meter: &mut Meter,
) -> Result<(), Error> {
    let refused = |what: &str| Err(Error::failed(format!("{what}, was given {}", arg.type_name())));
    let written = match (clause, arg) {
        ('s', arg) => return write_string(result, arg, meter),
        ('d', Value::Int(number)) => write!(result, "{number}"),
        ('d', Value::Uint(number)) => write!(result, "{number}"),
        ('d', _) => return refused("decimal clause can only be used on integers"),
        ('f', Value::Double(number)) if number.is_finite() => write!(result, "{number:.decimals$}"),
        ('f' | 'e', Value::Double(number)) => {
            result.push_str(if number.is_nan() {
                "NaN"
            } else if *number > 0.0 {
                "∞"
            } else {
                "-∞"
            });
            Ok(())
        }
        ('f', _) => return refused("fixed-point clause can only be used on doubles"),
        ('e', _) => return refused("scientific clause can only be used on doubles"),
        ('b', Value::Bool(value)) => write!(result, "{}", u8::from(*value)),
        ('b', Value::Int(number)) => write!(result, "{}{:b}", sign(*number), number.unsigned_abs()),
        ('b', Value::Uint(number)) => write!(result, "{number:b}"),
        ('b', _) => return refused("only integers and bools can be formatted as binary"),
        ('o', Value::Int(number)) => write!(result, "{}{:o}", sign(*number), number.unsigned_abs()),
        ('o', Value::Uint(number)) => write!(result, "{number:o}"),
        ('o', _) => return refused("octal clause can only be used on integers"),
        (_, arg) => {
            let Some(digits) = hexadecimal(arg) else {
                return refused("only integers, byte buffers, and strings can be formatted as hex");
            };
            result.push_str(&if clause == 'X' { digits.to_uppercase() } else { digits });
            Ok(())
        }
    };
    written.map_err(|_| Error::no_such_overload())
}

fn sign(number: i64) -> &'static str {
    if number < 0 { "-" } else { "" }
}

fn hexadecimal(arg: &Value<'_>) -> Option<String> {
    let of_bytes = |bytes: &[u8]| {
        bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut digits, byte| {
            let _ = write!(digits, "{byte:02x}");
            digits
        })
    };
    Some(match arg {
        Value::Int(number) => format!("{}{:x}", sign(*number), number.unsigned_abs()),
        Value::Uint(number) => format!("{number:x}"),
        Value::String(text) => of_bytes(text.as_bytes()),
        Value::Bytes(bytes) => of_bytes(bytes),
        _ => return None,
    })
}

/// A value of any plain type; lists and maps are as deep as JSON or an expression at most.
fn write_string(result: &mut String, arg: &Value<'_>, meter: &mut Meter) -> Result<(), Error> {
    meter.step()?;
    match arg {
        Value::List(list) => {
            result.push('[');
            for (index, item) in list.iter().enumerate() {
                result.push_str(if index == 0 { "" } else { ", " });
                write_inner(result, &item?, meter)?;
            }
            result.push(']');
        }
        Value::Map(map) => {
            result.push('{');
            for (index, key) in map.keys().enumerate() {
                result.push_str(if index == 0 { "" } else { ", " });
                write_inner(result, &key, meter)?;
                result.push(':');
                if let Some(value) = map.find(&key) {
                    write_inner(result, &value?, meter)?;
                }
            }
            result.push('}');
        }
        Value::Duration(span) => result.push_str(&time::duration_text(*span)),
        Value::Null
        | Value::Bool(_)
        | Value::Int(_)
        | Value::Uint(_)
        | Value::Double(_)
        | Value::String(_)
        | Value::Bytes(_)
        | Value::Timestamp(_)
        | Value::Type(_) => result.push_str(&text::display(arg)),
        other => {
            let given = other.type_name();
            return Err(Error::failed(format!(
                "string clause can only be used on strings, bools, bytes, ints, doubles, maps, lists, types, \
                 durations, and timestamps, was given {given}"
            )));
        }
    }
    if result.len() > TEXT_BYTES_MAX { Err(Error::OverBudget) } else { Ok(()) }
}

/// A value within a list or map, which says what it is.
fn write_inner(result: &mut String, arg: &Value<'_>, meter: &mut Meter) -> Result<(), Error> {
    match arg {
        Value::String(text) => result.push_str(&quote(text)),
        Value::Bytes(bytes) => {
            result.push('b');
            result.push_str(&quote(&String::from_utf8_lossy(bytes)));
        }
        Value::Double(number) if number.is_finite() => drop(write!(result, "{number:.DECIMALS$}")),
        Value::Double(_) => result.push_str(&quote(&text::display(arg))),
        Value::Duration(span) => drop(write!(result, "duration(\"{}\")", time::duration_text(*span))),
        Value::Timestamp(point) => drop(write!(result, "timestamp(\"{point}\")")),
        other => write_string(result, other, meter)?,
    }
    Ok(())
}
