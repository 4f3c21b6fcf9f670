//! Patterns, in the syntax of RE2.

use std::ops::Deref as _;

use regex::Regex;

use super::super::cost::Rule;
use super::super::error::{Error, Outcome};
use super::super::meter::Meter;
use super::super::value::Value;
use super::{Row, row};
use crate::pattern;

/// How large a constant pattern may become when compiled, in bytes. It is compiled once.
const CONSTANT_BYTES_MAX: usize = 4 * 1024 * 1024;
/// How large a pattern may become that an object brings along. It may be another one for each item of a list.
const DYNAMIC_BYTES_MAX: usize = 128 * 1024;
/// What compiling a pattern counts as, in steps of work.
const COMPILE_STEPS: u64 = 10_000;

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
    pattern::compile_within(pattern, bytes_max).map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => format!("error parsing regexp: expression too large: `{pattern}`"),
        _ => format!("error parsing regexp: invalid or unsupported Perl syntax: `{pattern}`"),
    })
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
    fn a_giant_pattern_is_refused() {
        assert!(!is_valid(r"(\pL{1000}){1000}"));
        assert!(!is_valid(&"(".repeat(100_000)));
        assert!(!is_valid("(?=a)"));
    }
}
