//! Named formats of text, and the formats that schemas give to text.

use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::super::cost::Rule;
use super::super::decl::Shape;
use super::super::error::{Error, Outcome};
use super::super::meter::Meter;
use super::super::value::Value;
use super::library::Library;
use super::{Row, row, time, urls};
use crate::{durations, names};

/// A named format.
#[derive(Debug)]
pub(crate) struct Format {
    /// How expressions name it.
    key: &'static str,
    /// How it is printed.
    pub(super) name: &'static str,
    check: fn(&str) -> Vec<String>,
    /// How long costs take its pattern to be.
    pub(super) pattern_size: u64,
}

impl PartialEq for Format {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

const fn format(key: &'static str, name: &'static str, pattern_size: u64, check: fn(&str) -> Vec<String>) -> Format {
    Format { key, name, check, pattern_size }
}

static FORMATS: [Format; 13] = [
    format("dns1123Label", "DNS1123Label", 30, names::label),
    format("dns1123Subdomain", "DNS1123Subdomain", 60, names::subdomain),
    format("dns1035Label", "DNS1035Label", 30, names::label_1035),
    format("qualifiedName", "QualifiedName", 60, names::qualified_name),
    format("dns1123LabelPrefix", "DNS1123LabelPrefix", 30, |text| names::NameRule::Label.check_prefix(text)),
    format("dns1123SubdomainPrefix", "DNS1123SubdomainPrefix", 60, |text| {
        names::NameRule::Subdomain.check_prefix(text)
    }),
    format("dns1035LabelPrefix", "DNS1035LabelPrefix", 30, |text| match text.strip_suffix('-') {
        Some(rest) if !rest.is_empty() => names::label_1035(&format!("{rest}a")),
        _ => names::label_1035(text),
    }),
    format("labelValue", "LabelValue", 40, names::label_value),
    format("uri", "URI", 1900, |text| urls::parse(text).err().into_iter().collect()),
    format("uuid", "uuid", 84, |text| unless(is_uuid(text), "does not match the UUID format")),
    format("byte", "byte", 84, |text| unless(BASE64_STANDARD.decode(text).is_ok(), "invalid base64")),
    format("date", "date", 92, |text| unless(parse_date(text).is_some(), "invalid date")),
    format("datetime", "datetime", 92, |text| unless(parse_time(text).is_some(), "invalid datetime")),
];

pub(super) const ROWS: &[Row] = &[
    row(
        "format-validate",
        "kubernetes.NamedFormat#validate(string) -> optional(list(string))",
        Rule::Validate,
        validate,
    ),
    row("format-named", "format.named(string) -> optional(kubernetes.NamedFormat)", Rule::One, named),
    row("format.dns1123Label", "format.dns1123Label() -> kubernetes.NamedFormat", Rule::One, |_, _| nth(0)),
    row("format.dns1123Subdomain", "format.dns1123Subdomain() -> kubernetes.NamedFormat", Rule::One, |_, _| nth(1)),
    row("format.dns1035Label", "format.dns1035Label() -> kubernetes.NamedFormat", Rule::One, |_, _| nth(2)),
    row("format.qualifiedName", "format.qualifiedName() -> kubernetes.NamedFormat", Rule::One, |_, _| nth(3)),
    row("format.dns1123LabelPrefix", "format.dns1123LabelPrefix() -> kubernetes.NamedFormat", Rule::One, |_, _| nth(4)),
    row(
        "format.dns1123SubdomainPrefix",
        "format.dns1123SubdomainPrefix() -> kubernetes.NamedFormat",
        Rule::One,
        |_, _| nth(5),
    ),
    row("format.dns1035LabelPrefix", "format.dns1035LabelPrefix() -> kubernetes.NamedFormat", Rule::One, |_, _| nth(6)),
    row("format.labelValue", "format.labelValue() -> kubernetes.NamedFormat", Rule::One, |_, _| nth(7)),
    row("format.uri", "format.uri() -> kubernetes.NamedFormat", Rule::One, |_, _| nth(8)),
    row("format.uuid", "format.uuid() -> kubernetes.NamedFormat", Rule::One, |_, _| nth(9)),
    row("format.byte", "format.byte() -> kubernetes.NamedFormat", Rule::One, |_, _| nth(10)),
    row("format.date", "format.date() -> kubernetes.NamedFormat", Rule::One, |_, _| nth(11)),
    row("format.datetime", "format.datetime() -> kubernetes.NamedFormat", Rule::One, |_, _| nth(12)),
];

fn nth<'a>(index: usize) -> Outcome<'a> {
    FORMATS.get(index).map(|format| Value::Library(Library::Format(format))).ok_or_else(Error::no_such_overload)
}

fn unless(is_right: bool, message: &str) -> Vec<String> {
    if is_right { Vec::new() } else { vec![message.to_owned()] }
}

fn is_uuid(text: &str) -> bool {
    let digits: String = text.chars().filter(|character| *character != '-').collect();
    let is_hyphenated = text.char_indices().all(|(place, character)| match place {
        8 | 13 | 18 | 23 => character == '-',
        _ => character.is_ascii_hexdigit(),
    });
    let is_long = digits.len() == 32 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    is_long && (text.len() == 32 || (text.len() == 36 && is_hyphenated))
}

fn named<'a>(_: &mut Meter, args: &[Value<'a>]) -> Outcome<'a> {
    let [Value::String(name)] = args else {
        return Err(Error::no_such_overload());
    };
    let found = FORMATS.iter().find(|format| format.key == &**name);
    Ok(Value::Optional(found.map(|format| Arc::new(Value::Library(Library::Format(format))))))
}

fn validate<'a>(_: &mut Meter, args: &[Value<'a>]) -> Outcome<'a> {
    let [Value::Library(Library::Format(format)), Value::String(text)] = args else {
        return Err(Error::no_such_overload());
    };
    let wrong: Vec<Value<'a>> = (format.check)(text).into_iter().map(Into::into).collect();
    Ok(Value::Optional((!wrong.is_empty()).then(|| Arc::new(wrong.into()))))
}

fn parse_date(text: &str) -> Option<time::Point> {
    let date: jiff::civil::Date = text.parse().ok().filter(|_| text.len() == 10)?;
    Some(time::Point::of_civil(date.at(0, 0, 0, 0)))
}

/// A date and time as schemas allow: RFC 3339, where the offset may be missing.
fn parse_time(text: &str) -> Option<time::Point> {
    time::Point::parse(text).or_else(|| time::Point::parse(&format!("{text}Z")))
}

/// A span as schemas allow: Go's, or numbers before names of units.
fn parse_span(text: &str) -> Option<i64> {
    if let Ok(span) = durations::parse(text) {
        return Some(span);
    }
    let mut total: i64 = 0;
    let mut rest = text.trim();
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let end = rest.find(|digit: char| !digit.is_ascii_digit())?;
        let (number, after) = rest.split_at_checked(end)?;
        let after = after.trim_start();
        let end = after.find(|letter: char| !letter.is_alphabetic()).unwrap_or(after.len());
        let (unit, after) = after.split_at_checked(end)?;
        let unit: i64 = match unit {
            "ns" | "nano" | "nanos" | "nanosecond" | "nanoseconds" => 1,
            "us" | "µs" | "micro" | "micros" | "microsecond" | "microseconds" => 1_000,
            "ms" | "milli" | "millis" | "millisecond" | "milliseconds" => 1_000_000,
            "s" | "sec" | "secs" | "second" | "seconds" => 1_000_000_000,
            "m" | "min" | "mins" | "minute" | "minutes" => 60_000_000_000,
            "h" | "hr" | "hour" | "hours" => 3_600_000_000_000,
            "d" | "day" | "days" => 86_400_000_000_000,
            "w" | "week" | "weeks" => 604_800_000_000_000,
            _ => return None,
        };
        total = total.checked_add(number.parse::<i64>().ok()?.checked_mul(unit)?)?;
        rest = after.trim_start();
    }
    Some(total)
}

/// Text of a schema's format as the value that it stands for.
pub(in crate::cel) fn typed_text<'a>(shape: &Shape, text: &str) -> Outcome<'a> {
    let (value, what) = match shape {
        Shape::Duration => (parse_span(text).map(Value::Duration), "duration"),
        Shape::Date => (parse_date(text).map(Value::Timestamp), "date formatted string"),
        Shape::Timestamp => (parse_time(text).map(Value::Timestamp), "date-time formatted string"),
        _ => (BASE64_STANDARD.decode(text).ok().map(|bytes| Value::Bytes(bytes.into())), "byte formatted string"),
    };
    value.ok_or_else(|| Error::failed(format!("Invalid {what} {text}: it has not the form of one")))
}
