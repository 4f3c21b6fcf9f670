//! Patterns, in the syntax of RE2.

use std::ops::Deref as _;

use regex::{Regex, RegexBuilder};

use super::super::cost::Rule;
use super::super::error::{Error, Outcome};
use super::super::meter::Meter;
use super::super::value::Value;
use super::{Row, row};

/// How large a constant pattern may become when compiled, in bytes. It is compiled once.
const CONSTANT_BYTES_MAX: usize = 4 * 1024 * 1024;
/// How large a pattern may become that an object brings along. It may be another one for each item of a list.
const DYNAMIC_BYTES_MAX: usize = 128 * 1024;
/// What compiling a pattern counts as, in steps of work.
const COMPILE_STEPS: u64 = 10_000;
/// How many groups may be nested; as in RE2.
const NESTING_MAX: u32 = 250;

pub(super) const ROWS: &[Row] = &[
    row("matches", "matches(string, string) -> bool", Rule::Matches, matches),
    row("matches_string", "string#matches(string) -> bool", Rule::Matches, matches),
    row("string_find_string", "string#find(string) -> string", Rule::Find, find),
    row("string_find_all_string", "string#findAll(string) -> list(string)", Rule::Find, find_all),
    row("string_find_all_string_int", "string#findAll(string, int) -> list(string)", Rule::Find, find_all),
];

/// A compiled pattern.
#[derive(Clone, Debug)]
pub(in crate::cel) struct Pattern(Regex);

impl Pattern {
    /// A pattern of the expression.
    pub(in crate::cel) fn constant(pattern: &str) -> Result<Self, Error> {
        compile(pattern, CONSTANT_BYTES_MAX).map(Self).map_err(Error::failed)
    }

    /// A pattern of the input; the last one is kept.
    fn dynamic(pattern: &str, meter: &mut Meter) -> Result<Self, String> {
        if let Some((_, known)) = meter.pattern.as_ref().filter(|(known, _)| known.as_ref() == pattern) {
            return Ok(known.clone());
        }
        meter.work(COMPILE_STEPS + pattern.len() as u64);
        let compiled = Self(compile(pattern, DYNAMIC_BYTES_MAX)?);
        meter.pattern = Some((pattern.into(), compiled.clone()));
        Ok(compiled)
    }

    /// Applies a function of this module to a text; further arguments are the call's.
    pub(in crate::cel) fn apply<'a>(&self, function: &str, text: &str, args: &[Value<'a>]) -> Outcome<'a> {
        match (function, args) {
            ("matches", _) => Ok(self.0.is_match(text).into()),
            ("find", _) => Ok(self.0.find(text).map_or("", |found| found.as_str()).to_owned().into()),
            (_, [_, _, Value::Int(limit)]) => Ok(self.all(text, usize::try_from(*limit).unwrap_or(usize::MAX))),
            _ => Ok(self.all(text, usize::MAX)),
        }
    }

    fn all<'a>(&self, text: &str, limit: usize) -> Value<'a> {
        let found = self.0.find_iter(text).take(limit).map(|found| found.as_str().to_owned().into());
        found.collect::<Vec<Value<'a>>>().into()
    }
}

/// Whether a pattern is one.
pub(in crate::cel) fn is_valid(pattern: &str) -> bool {
    compile(pattern, CONSTANT_BYTES_MAX).is_ok()
}

fn compile(pattern: &str, bytes_max: usize) -> Result<Regex, String> {
    RegexBuilder::new(&translate(pattern))
        .size_limit(bytes_max)
        .dfa_size_limit(bytes_max)
        .nest_limit(NESTING_MAX)
        .build()
        .map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => {
                format!("error parsing regexp: expression too large: `{pattern}`")
            }
            _ => format!("error parsing regexp: invalid or unsupported Perl syntax: `{pattern}`"),
        })
}

/// A pattern in the syntax of RE2 as one that means the same here: classes by letters are of ASCII there, and what
/// combines classes is plain text.
fn translate(pattern: &str) -> String {
    let mut result = String::with_capacity(pattern.len() + 16);
    let mut characters = pattern.chars().peekable();
    let mut in_class = false;
    let mut is_first = false;
    while let Some(character) = characters.next() {
        let was_first = std::mem::take(&mut is_first);
        match character {
            '\\' => match characters.next() {
                Some('Q') => quote_literally(&mut result, &mut characters),
                Some(escape) => result.push_str(&translate_escape(escape, in_class)),
                None => result.push('\\'),
            },
            '[' if !in_class => {
                in_class = true;
                is_first = true;
                result.push('[');
                if characters.next_if_eq(&'^').is_some() {
                    result.push('^');
                }
            }
            '[' if characters.peek() == Some(&':') => result.push('['),
            '[' => result.push_str("\\["),
            ']' if in_class && was_first => result.push_str("\\]"),
            ']' if in_class => {
                // The end of `[:alpha:]` is not the end of the class.
                let is_named = result.ends_with(':')
                    && result.rfind("[:").is_some_and(|start| {
                        result.get(start + 2..result.len() - 1).is_some_and(|name| {
                            !name.is_empty() && name.trim_start_matches('^').chars().all(char::is_alphabetic)
                        })
                    });
                in_class = is_named;
                result.push(']');
            }
            '&' | '~' if in_class => {
                result.push('\\');
                result.push(character);
            }
            '-' if in_class && characters.peek() == Some(&'-') => result.push_str("\\-"),
            other => result.push(other),
        }
    }
    result
}

fn quote_literally(result: &mut String, characters: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    while let Some(character) = characters.next() {
        if character == '\\' && characters.next_if_eq(&'E').is_some() {
            return;
        }
        result.push_str(&regex::escape(character.encode_utf8(&mut [0; 4])));
    }
}

fn translate_escape(escape: char, in_class: bool) -> String {
    let class = match escape {
        'd' => "0-9",
        'D' => "^0-9",
        'w' => "0-9A-Za-z_",
        'W' => "^0-9A-Za-z_",
        's' => "\\t\\n\\f\\r ",
        'S' => "^\\t\\n\\f\\r ",
        'b' if !in_class => return "(?-u:\\b)".to_owned(),
        'B' if !in_class => return "(?-u:\\B)".to_owned(),
        other => return format!("\\{other}"),
    };
    format!("[{class}]")
}

fn dynamic<'a>(function: &str, meter: &mut Meter, args: &[Value<'a>]) -> Outcome<'a> {
    let [Value::String(text), Value::String(pattern), ..] = args else {
        return Err(Error::no_such_overload());
    };
    let pattern = Pattern::dynamic(pattern.deref(), meter).map_err(|error| {
        Error::failed(if function == "matches" { error } else { format!("Illegal regex: {error}") })
    })?;
    pattern.apply(function, text, args)
}

fn matches<'a>(meter: &mut Meter, args: &[Value<'a>]) -> Outcome<'a> {
    dynamic("matches", meter, args)
}

fn find<'a>(meter: &mut Meter, args: &[Value<'a>]) -> Outcome<'a> {
    dynamic("find", meter, args)
}

fn find_all<'a>(meter: &mut Meter, args: &[Value<'a>]) -> Outcome<'a> {
    dynamic("findAll", meter, args)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_mean_what_they_mean_in_re2() {
        for (pattern, text, expected) in [
            (r"^\d+$", "42", true),
            (r"^\d+$", "٤٢", false),
            (r"^\w$", "é", false),
            (r"^[\w-]+$", "a-b_c", true),
            (r"^[^\s]+$", "ab", true),
            (r"^[[:alpha:]]+$", "abc", true),
            (r"^[[:alpha:]&&]+$", "a&c", true),
            (r"^[a[]+$", "a[", true),
            (r"^[]a]+$", "]a", true),
            (r"\Qa.b\E", "a.b", true),
            (r"\Qa.b\E", "axb", false),
            (r"^\S$", "é", true),
            (r"\bfoo\b", "a foo b", true),
            (r"^(?i)ABC$", "abc", true),
        ] {
            assert_eq!(compile(pattern, CONSTANT_BYTES_MAX).unwrap().is_match(text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn a_giant_pattern_is_refused() {
        assert!(!is_valid(r"(\pL{1000}){1000}"));
        assert!(!is_valid(&"(".repeat(100_000)));
        assert!(!is_valid("(?=a)"));
    }
}
