//! Text. Places are counted in characters.

use std::ops::Deref as _;

use super::super::cost::Rule;
use super::super::error::{Error, Outcome};
use super::super::meter::Meter;
use super::super::value::Value;
use super::{Row, format, lists, row};

/// How long a text may be that a function makes, in bytes. Replacing and joining can make a text of the product of
/// their arguments' lengths, which their costs do not see before it is made.
pub(super) const TEXT_BYTES_MAX: usize = 16 * 1024 * 1024;

pub(super) const ROWS: &[Row] = &[
    row("string_char_at_int", "string#charAt(int) -> string", Rule::One, char_at),
    row("string_index_of_string", "string#indexOf(string) -> int", Rule::Traverse, lists::index_of),
    row("string_index_of_string_int", "string#indexOf(string, int) -> int", Rule::Traverse, lists::index_of),
    row("string_last_index_of_string", "string#lastIndexOf(string) -> int", Rule::Traverse, lists::last_index_of),
    row(
        "string_last_index_of_string_int",
        "string#lastIndexOf(string, int) -> int",
        Rule::Traverse,
        lists::last_index_of,
    ),
    row("string_lower_ascii", "string#lowerAscii() -> string", Rule::Scan, lower),
    row("string_upper_ascii", "string#upperAscii() -> string", Rule::Scan, upper),
    row("string_replace_string_string", "string#replace(string, string) -> string", Rule::Replace, replace),
    row("string_replace_string_string_int", "string#replace(string, string, int) -> string", Rule::Replace, replace),
    row("string_split_string", "string#split(string) -> list(string)", Rule::Split, split),
    row("string_split_string_int", "string#split(string, int) -> list(string)", Rule::Split, split),
    row("string_substring_int", "string#substring(int) -> string", Rule::Scan, substring),
    row("string_substring_int_int", "string#substring(int, int) -> string", Rule::Scan, substring),
    row("string_trim", "string#trim() -> string", Rule::Scan, trim),
    row("string_format", "string#format(list(dyn)) -> string", Rule::Format, format::format),
    row("strings_quote", "strings.quote(string) -> string", Rule::Quote, quote),
    row("list_join", "list(string)#join() -> string", Rule::Join, join),
    row("list_join_string", "list(string)#join(string) -> string", Rule::Join, join),
    row("string_jsonpatch_escapeKey_string", "jsonpatch.escapeKey(string) -> string", Rule::Scan, escape_key),
];

fn out_of_range(index: i64) -> Error {
    Error::failed(format!("index out of range: {index}"))
}

/// The byte at which a character begins; the end is the place after the last.
fn byte_at(text: &str, index: i64) -> Result<usize, Error> {
    let wanted = usize::try_from(index).map_err(|_| out_of_range(index))?;
    let mut places = text.char_indices().map(|(place, _)| place).chain([text.len()]);
    places.nth(wanted).ok_or_else(|| out_of_range(index))
}

fn char_at<'a>(_: &mut Meter, args: &[Value<'a>]) -> Outcome<'a> {
    let [Value::String(text), Value::Int(index)] = args else {
        return Err(Error::no_such_overload());
    };
    let rest = text.get(byte_at(text, *index)?..).unwrap_or_default();
    Ok(rest.chars().next().map(String::from).unwrap_or_default().into())
}

fn characters(text: &str) -> i64 {
    i64::try_from(text.chars().count()).unwrap_or(i64::MAX)
}

pub(super) fn index_of<'a>(_: &mut Meter, args: &[Value<'a>]) -> Outcome<'a> {
    let (text, part, start) = match args {
        [Value::String(text), Value::String(part)] => (text, part, 0),
        [Value::String(text), Value::String(part), Value::Int(start)] => (text, part, *start),
        _ => return Err(Error::no_such_overload()),
    };
    if start < 0 {
        return Err(out_of_range(start));
    }
    if part.is_empty() {
        return Ok(Value::Int(start.min(characters(text))));
    }
    let Ok(from) = byte_at(text, start) else {
        return Ok(Value::Int(-1));
    };
    let found = text.get(from..).and_then(|rest| Some(rest.get(..rest.find(part.deref())?)?.chars().count()));
    Ok(Value::Int(found.and_then(|found| i64::try_from(found).ok()).map_or(-1, |found| start + found)))
}

pub(super) fn last_index_of<'a>(_: &mut Meter, args: &[Value<'a>]) -> Outcome<'a> {
    let (text, part, start) = match args {
        [Value::String(text), Value::String(part)] => (text, part, None),
        [Value::String(text), Value::String(part), Value::Int(start)] => (text, part, Some(*start)),
        _ => return Err(Error::no_such_overload()),
    };
    let length = characters(text);
    if let Some(start) = start.filter(|start| *start < 0) {
        return Err(out_of_range(start));
    }
    if part.is_empty() {
        return Ok(Value::Int(start.unwrap_or(length).min(length)));
    }
    if start.is_some_and(|start| start >= length) {
        return Ok(Value::Int(-1));
    }
    let end = match start {
        Some(start) => text.len().min(byte_at(text, start)?.saturating_add(part.len())),
        None => text.len(),
    };
    // The end may fall into a character, which no match of whole characters reaches.
    let end = (0..=end).rev().find(|end| text.is_char_boundary(*end)).unwrap_or_default();
    let before = text.get(..end).unwrap_or_default();
    let found = before.rfind(part.deref()).and_then(|place| before.get(..place));
    Ok(Value::Int(found.map_or(-1, characters)))
}

fn lower<'a>(_: &mut Meter, args: &[Value<'a>]) -> Outcome<'a> {
    match args {
        [Value::String(text)] => Ok(text.to_ascii_lowercase().into()),
        _ => Err(Error::no_such_overload()),
    }
}

fn upper<'a>(_: &mut Meter, args: &[Value<'a>]) -> Outcome<'a> {
    match args {
        [Value::String(text)] => Ok(text.to_ascii_uppercase().into()),
        _ => Err(Error::no_such_overload()),
    }
}

fn replace<'a>(_: &mut Meter, args: &[Value<'a>]) -> Outcome<'a> {
    let (text, old, new, limit) = match args {
        [Value::String(text), Value::String(old), Value::String(new)] => (text, old, new, -1),
        [Value::String(text), Value::String(old), Value::String(new), Value::Int(limit)] => (text, old, new, *limit),
        _ => return Err(Error::no_such_overload()),
    };
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let count = text.matches(old.deref()).take(limit).count();
    if text.len().saturating_add(count.saturating_mul(new.len())) > TEXT_BYTES_MAX {
        return Err(Error::OverBudget);
    }
    Ok(text.replacen(old.deref(), new, limit).into())
}

fn split<'a>(meter: &mut Meter, args: &[Value<'a>]) -> Outcome<'a> {
    let (text, separator, limit) = match args {
        [Value::String(text), Value::String(separator)] => (text, separator, -1),
        [Value::String(text), Value::String(separator), Value::Int(limit)] => (text, separator, *limit),
        _ => return Err(Error::no_such_overload()),
    };
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let parts: Vec<Value<'a>> = if limit == 0 {
        Vec::new()
    } else if separator.is_empty() {
        // Each character is a part, and the last part is what is left.
        let mut parts: Vec<&str> = Vec::new();
        let mut rest = text.deref();
        while let Some(first) = rest.chars().next() {
            let end = if parts.len() + 1 == limit { rest.len() } else { first.len_utf8() };
            let (part, after) = rest.split_at_checked(end).unwrap_or((rest, ""));
            parts.push(part);
            rest = after;
        }
        parts.into_iter().map(|part| part.to_owned().into()).collect()
    } else {
        text.splitn(limit, separator.deref()).map(|part| part.to_owned().into()).collect()
    };
    meter.work(parts.len() as u64);
    Ok(parts.into())
}

fn substring<'a>(_: &mut Meter, args: &[Value<'a>]) -> Outcome<'a> {
    let (text, start, end) = match args {
        [Value::String(text), Value::Int(start)] => (text, start, None),
        [Value::String(text), Value::Int(start), Value::Int(end)] if start > end => {
            let _ = text;
            return Err(Error::failed(format!("invalid substring range. start: {start}, end: {end}")));
        }
        [Value::String(text), Value::Int(start), Value::Int(end)] => (text, start, Some(*end)),
        _ => return Err(Error::no_such_overload()),
    };
    let start = byte_at(text, *start)?;
    let end = end.map_or(Ok(text.len()), |end| byte_at(text, end))?;
    Ok(text.get(start..end).unwrap_or_default().to_owned().into())
}

fn trim<'a>(_: &mut Meter, args: &[Value<'a>]) -> Outcome<'a> {
    match args {
        [Value::String(text)] => Ok(text.trim().to_owned().into()),
        _ => Err(Error::no_such_overload()),
    }
}

fn quote<'a>(_: &mut Meter, args: &[Value<'a>]) -> Outcome<'a> {
    let [Value::String(text)] = args else {
        return Err(Error::no_such_overload());
    };
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        match character {
            '\u{7}' => quoted.push_str("\\a"),
            '\u{8}' => quoted.push_str("\\b"),
            '\u{c}' => quoted.push_str("\\f"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\u{b}' => quoted.push_str("\\v"),
            '\\' => quoted.push_str("\\\\"),
            '"' => quoted.push_str("\\\""),
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    Ok(quoted.into())
}

fn join<'a>(meter: &mut Meter, args: &[Value<'a>]) -> Outcome<'a> {
    let (list, separator) = match args {
        [Value::List(list)] => (list, ""),
        [Value::List(list), Value::String(separator)] => (list, separator.deref()),
        _ => return Err(Error::no_such_overload()),
    };
    let mut joined = String::new();
    for (index, item) in list.iter().enumerate() {
        meter.step()?;
        if index > 0 {
            joined.push_str(separator);
        }
        match item? {
            Value::String(text) => joined.push_str(&text),
            other => return Err(Error::failed(format!("join: invalid input: {}", super::text::display(&other)))),
        }
        if joined.len() > TEXT_BYTES_MAX {
            return Err(Error::OverBudget);
        }
    }
    Ok(joined.into())
}

/// A key as a part of a JSON pointer.
fn escape_key<'a>(_: &mut Meter, args: &[Value<'a>]) -> Outcome<'a> {
    match args {
        [Value::String(text)] => Ok(text.replace('~', "~0").replace('/', "~1").into()),
        _ => Err(Error::no_such_overload()),
    }
}
