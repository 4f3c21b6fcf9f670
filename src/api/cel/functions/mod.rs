//! The functions of expressions: a row an overload, from which type checker, costs and evaluator derive.
//!
//! `standard` has the language's own, the other modules the libraries that Kubernetes adds. Rows are written as
//! signatures: `string#indexOf(string) -> int` is called on a string, `sets.contains(list(T), list(T)) -> bool` is not;
//! a single capital is a type to be found out.

pub(super) use convert::is_conversion;
pub(super) use standard::insert_into;

mod convert;
mod format;
pub(super) mod formats;
pub(super) mod library;
mod lists;
mod network;
mod optionals;
mod permissions;
mod quantities;
pub(super) mod regex;
mod semver;
mod standard;
mod strings;
pub(super) mod text;
pub(super) mod time;
mod urls;

use std::collections::HashMap;
use std::sync::LazyLock;

use super::cost::Rule;
use super::error::Outcome;
use super::meter::Meter;
use super::types::{Parameter, Type};
use super::value::Value;

/// What computes a call; the target is the first argument.
pub(super) type Run = for<'a> fn(&mut Meter, &[Value<'a>]) -> Outcome<'a>;

/// An overload as it is written down.
#[derive(Clone, Copy)]
pub(super) struct Row {
    id: &'static str,
    signature: &'static str,
    cost: Rule,
    run: Run,
}

const fn row(id: &'static str, signature: &'static str, cost: Rule, run: Run) -> Row {
    Row { id, signature, cost, run }
}

/// One form of a function.
pub(super) struct Overload {
    pub(super) id: &'static str,
    pub(super) function: &'static str,
    pub(super) is_member: bool,
    /// The target first.
    pub(super) args: Vec<Type>,
    pub(super) result: Type,
    pub(super) cost: Rule,
    pub(super) run: Run,
}

/// The overloads of a function; none if there is no such function.
pub(super) fn named(function: &str) -> &'static [Overload] {
    TABLE.get(function).map(Vec::as_slice).unwrap_or_default()
}

static TABLE: LazyLock<HashMap<&'static str, Vec<Overload>>> = LazyLock::new(|| {
    let mut table: HashMap<_, Vec<Overload>> = HashMap::new();
    for overload in rows().filter_map(|row| overload(*row)) {
        table.entry(overload.function).or_default().push(overload);
    }
    table
});

fn rows() -> impl Iterator<Item = &'static Row> {
    [
        standard::ROWS,
        convert::ROWS,
        time::ROWS,
        strings::ROWS,
        lists::ROWS,
        lists::COMPARABLE,
        optionals::ROWS,
        regex::ROWS,
        urls::ROWS,
        quantities::ROWS,
        network::ROWS,
        formats::ROWS,
        semver::ROWS,
        permissions::ROWS,
    ]
    .into_iter()
    .flatten()
}

/// A row with its signature read.
fn overload(row: Row) -> Option<Overload> {
    let (call, result) = row.signature.split_once(" -> ")?;
    // A target's type may have parentheses of its own.
    let (target, call) = match call.split_once('#') {
        Some((target, call)) => (Some(target), call),
        None => (None, call),
    };
    let (function, args) = call.strip_suffix(')')?.split_once('(')?;
    let args = target.into_iter().chain(split_types(args)).map(parse_type).collect::<Option<_>>()?;
    let Row { id, cost, run, .. } = row;
    Some(Overload { id, function, is_member: target.is_some(), args, result: parse_type(result)?, cost, run })
}

/// The types between the commas that stand in no parentheses.
fn split_types(list: &'static str) -> impl Iterator<Item = &'static str> {
    let mut depth = 0_usize;
    list.split(move |character| {
        match character {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        character == ',' && depth == 0
    })
    .map(str::trim)
    .filter(|part| !part.is_empty())
}

fn parse_type(text: &'static str) -> Option<Type> {
    if let Some((name, rest)) = text.split_once('(') {
        let mut inner = split_types(rest.strip_suffix(')')?).map(parse_type);
        return Some(match name {
            "list" => Type::list(inner.next()??),
            "map" => Type::map(inner.next()??, inner.next()??),
            "optional" => Type::optional(inner.next()??),
            "type" => Type::Meta(Some(inner.next()??.into())),
            _ => return None,
        });
    }
    Some(match text {
        "dyn" => Type::Dyn,
        "null" => Type::Null,
        "bool" => Type::Bool,
        "int" => Type::Int,
        "uint" => Type::Uint,
        "double" => Type::Double,
        "string" => Type::String,
        "bytes" => Type::Bytes,
        "duration" => Type::Duration,
        "timestamp" => Type::Timestamp,
        name => match name.chars().next().filter(|first| first.is_ascii_uppercase() && name.len() == 1) {
            Some(parameter) => Type::Parameter(Parameter::Declared(parameter)),
            None if name.contains('.') => Type::Library(name),
            None => return None,
        },
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_row_can_be_read_and_has_an_id_of_its_own() {
        let mut ids = BTreeSet::new();
        for row in rows() {
            assert!(overload(*row).is_some(), "{}", row.signature);
            assert!(ids.insert((row.id, row.signature)), "{} is there twice", row.id);
        }
    }
}
