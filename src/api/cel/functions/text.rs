//! Values as text, as Go prints them.

use std::fmt::Write as _;
use std::ops::Deref as _;

use super::super::value::Value;
use super::time;

/// The shortest text of a double that reads back as it (`%g`).
pub(in crate::cel) fn double(number: f64) -> String {
    if number.is_nan() {
        return "NaN".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let scientific = format!("{number:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    if number != 0.0 && !(-4..6).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{mantissa}e{sign}{:02}", exponent.abs());
    }
    number.to_string()
}

/// A value for messages.
pub(in crate::cel) fn display(value: &Value<'_>) -> String {
    let mut text = String::new();
    write_value(&mut text, value);
    text
}

fn write_value(text: &mut String, value: &Value<'_>) {
    match value {
        Value::Null => text.push_str("null"),
        Value::Bool(value) => text.push_str(if *value { "true" } else { "false" }),
        Value::Int(number) => drop(write!(text, "{number}")),
        Value::Uint(number) => drop(write!(text, "{number}")),
        Value::Double(number) => text.push_str(&double(*number)),
        Value::String(value) | Value::Type(value) => text.push_str(value.deref()),
        Value::Bytes(bytes) => text.push_str(&String::from_utf8_lossy(bytes)),
        Value::Duration(span) => text.push_str(&time::duration_go_text(*span)),
        Value::Timestamp(point) => drop(write!(text, "{point}")),
        Value::List(list) => {
            text.push('[');
            for (index, item) in list.iter().flatten().enumerate() {
                text.push_str(if index == 0 { "" } else { ", " });
                write_value(text, &item);
            }
            text.push(']');
        }
        Value::Map(map) => {
            text.push('{');
            for (index, key) in map.keys().enumerate() {
                text.push_str(if index == 0 { "" } else { ", " });
                write_value(text, &key);
                text.push_str(": ");
                if let Some(Ok(value)) = map.find(&key) {
                    write_value(text, &value);
                }
            }
            text.push('}');
        }
        Value::Optional(None) => text.push_str("optional.none()"),
        Value::Optional(Some(inner)) => {
            text.push_str("optional(");
            write_value(text, inner);
            text.push(')');
        }
        Value::Library(value) => drop(write!(text, "{value}")),
        Value::Check(_) | Value::Object(..) => text.push_str(value.type_name()),
    }
}
