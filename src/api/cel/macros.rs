//! Macros: calls that are another expression in short, expanded while parsing as upstream expands them.
//!
//! The expansions are upstream's to the node, since costs are counted over them.

use super::parser::{Parser, Result};
use super::syntax::{ACCUMULATOR, Call, Expr, Fold, Kind, Literal, Select, operators};

/// The name under which `optMap` binds what the optional holds when nothing is walked.
const UNUSED: &str = "#unused";

/// Whether `target.function(..)` with so many arguments is a macro.
pub(super) fn is_receiver(function: &str, args: usize) -> bool {
    match function {
        "all" | "exists" | "exists_one" | "existsOne" => args == 2 || args == 3,
        "filter" | "optMap" | "optFlatMap" | "sortBy" => args == 2,
        "map" => args == 2 || args == 3,
        "transformList" | "transformMap" | "transformMapEntry" => args == 3 || args == 4,
        _ => false,
    }
}

/// `has(a.b)`.
pub(super) fn expand_has(parser: &mut Parser, place: u32, args: Vec<Expr>) -> Result<Expr> {
    let Some(arg) = args.into_iter().next() else {
        return Err(super::parser::Failed);
    };
    match arg.kind {
        Kind::Select(select) if !select.tests => {
            let select = Select { tests: true, ..select };
            parser.node(place, Kind::Select(select))
        }
        _ => parser.misused(&arg, "invalid argument to has() macro"),
    }
}

/// A macro for which [`is_receiver`] holds.
pub(super) fn expand_receiver(
    parser: &mut Parser,
    place: u32,
    function: &str,
    target: Expr,
    args: Vec<Expr>,
) -> Result<Expr> {
    let mut args = args;
    match function {
        "optMap" | "optFlatMap" => expand_optional(parser, place, function, target, args),
        "sortBy" => expand_sort_by(parser, place, target, args),
        "all" | "exists" | "exists_one" | "existsOne" | "filter" | "map" if !has_two_variables(function, &args) => {
            let (Some(body), Some(last)) = (args.pop(), args.pop()) else {
                return Err(super::parser::Failed);
            };
            let (variable, filter) = match args.pop() {
                Some(variable) => (variable, Some(last)),
                None => (last, None),
            };
            let names = (iteration_name(parser, &variable)?, None);
            expand_fold(parser, place, function, Walk { target, names, filter, body })
        }
        _ => {
            let mut args = args.into_iter();
            let (Some(first), Some(second), Some(third)) = (args.next(), args.next(), args.next()) else {
                return Err(super::parser::Failed);
            };
            let names = (iteration_name(parser, &first)?, Some(iteration_name(parser, &second)?));
            if Some(&names.0) == names.1.as_ref() {
                return parser.misused(&second, format!("duplicate variable name: {}", names.0));
            }
            let (filter, body) = match args.next() {
                Some(body) => (Some(third), body),
                None => (None, third),
            };
            expand_fold(parser, place, function, Walk { target, names, filter, body })
        }
    }
}

/// The parts of a macro that walks.
struct Walk {
    target: Expr,
    names: (Box<str>, Option<Box<str>>),
    filter: Option<Expr>,
    body: Expr,
}

/// How a macro collects.
struct Collect {
    start: Expr,
    condition: Expr,
    step: Expr,
    result: Expr,
}

fn has_two_variables(function: &str, args: &[Expr]) -> bool {
    args.len() == 3 && !matches!(function, "map" | "filter")
}

fn iteration_name(parser: &mut Parser, expr: &Expr) -> Result<Box<str>> {
    match &expr.kind {
        Kind::Ident(name) if name.as_ref() == "__result__" => {
            parser.misused(expr, "iteration variable overwrites accumulator variable")
        }
        Kind::Ident(name) => Ok(name.clone()),
        _ => parser.misused(expr, "argument must be a simple name"),
    }
}

fn expand_fold(parser: &mut Parser, place: u32, function: &str, walk: Walk) -> Result<Expr> {
    let Walk { target, names, filter, body } = walk;
    let collect = match function {
        "all" => all(parser, place, body)?,
        "exists" => exists(parser, place, body)?,
        "exists_one" | "existsOne" => exists_one(parser, place, body)?,
        "filter" => {
            let item = parser.ident(place, &names.0)?;
            gather_list(parser, place, Some(body), item)?
        }
        "map" | "transformList" => gather_list(parser, place, filter, body)?,
        "transformMap" => {
            let key = parser.ident(place, &names.0)?;
            gather_map(parser, place, filter, vec![key, body])?
        }
        _ => gather_map(parser, place, filter, vec![body])?,
    };
    let Collect { start, condition, step, result } = collect;
    let (variable, second) = names;
    let accumulator = ACCUMULATOR.into();
    parser.node(
        place,
        Kind::Fold(Box::new(Fold { variable, second, range: target, accumulator, start, condition, step, result })),
    )
}

fn accumulator(parser: &mut Parser, place: u32) -> Result<Expr> {
    parser.ident(place, ACCUMULATOR)
}

fn all(parser: &mut Parser, place: u32, body: Expr) -> Result<Collect> {
    let start = parser.literal(place, Literal::Bool(true))?;
    let so_far = accumulator(parser, place)?;
    let condition = parser.call(place, operators::NOT_STRICTLY_FALSE, vec![so_far])?;
    let so_far = accumulator(parser, place)?;
    let step = parser.call(place, operators::AND, vec![so_far, body])?;
    Ok(Collect { start, condition, step, result: accumulator(parser, place)? })
}

fn exists(parser: &mut Parser, place: u32, body: Expr) -> Result<Collect> {
    let start = parser.literal(place, Literal::Bool(false))?;
    let so_far = accumulator(parser, place)?;
    let not = parser.call(place, operators::NOT, vec![so_far])?;
    let condition = parser.call(place, operators::NOT_STRICTLY_FALSE, vec![not])?;
    let so_far = accumulator(parser, place)?;
    let step = parser.call(place, operators::OR, vec![so_far, body])?;
    Ok(Collect { start, condition, step, result: accumulator(parser, place)? })
}

fn exists_one(parser: &mut Parser, place: u32, body: Expr) -> Result<Collect> {
    let start = parser.literal(place, Literal::Int(0))?;
    let condition = parser.literal(place, Literal::Bool(true))?;
    let so_far = accumulator(parser, place)?;
    let one = parser.literal(place, Literal::Int(1))?;
    let more = parser.call(place, operators::ADD, vec![so_far, one])?;
    let step = conditional(parser, place, body, more)?;
    let so_far = accumulator(parser, place)?;
    let one = parser.literal(place, Literal::Int(1))?;
    let result = parser.call(place, operators::EQUALS, vec![so_far, one])?;
    Ok(Collect { start, condition, step, result })
}

fn gather_list(parser: &mut Parser, place: u32, filter: Option<Expr>, item: Expr) -> Result<Collect> {
    let start = parser.node(place, Kind::List { items: Vec::new(), optional: Vec::new() })?;
    let condition = parser.literal(place, Literal::Bool(true))?;
    let so_far = accumulator(parser, place)?;
    let item = parser.node(place, Kind::List { items: vec![item], optional: Vec::new() })?;
    let mut step = parser.call(place, operators::ADD, vec![so_far, item])?;
    if let Some(filter) = filter {
        step = conditional(parser, place, filter, step)?;
    }
    Ok(Collect { start, condition, step, result: accumulator(parser, place)? })
}

fn gather_map(parser: &mut Parser, place: u32, filter: Option<Expr>, entry: Vec<Expr>) -> Result<Collect> {
    let start = parser.node(place, Kind::Map(Vec::new()))?;
    let condition = parser.literal(place, Literal::Bool(true))?;
    let so_far = accumulator(parser, place)?;
    let args = std::iter::once(so_far).chain(entry).collect();
    let mut step = parser.call(place, operators::MAP_INSERT, args)?;
    if let Some(filter) = filter {
        step = conditional(parser, place, filter, step)?;
    }
    Ok(Collect { start, condition, step, result: accumulator(parser, place)? })
}

/// The step if the filter lets it through, else what there is so far.
fn conditional(parser: &mut Parser, place: u32, filter: Expr, step: Expr) -> Result<Expr> {
    let so_far = accumulator(parser, place)?;
    parser.call(place, operators::CONDITIONAL, vec![filter, step, so_far])
}

/// `target.sortBy(name, body)`: the items in the order of what the body makes of them.
fn expand_sort_by(parser: &mut Parser, place: u32, target: Expr, args: Vec<Expr>) -> Result<Expr> {
    const INPUT: &str = "@__sortBy_input__";
    let (input, keys) = (parser.ident(place, INPUT)?, parser.ident(place, INPUT)?);
    let keys = expand_receiver(parser, place, "map", keys, args)?;
    let function = "@sortByAssociatedKeys".into();
    let sorted = Call { target: Some(Box::new(input)), function, args: vec![keys] };
    let result = parser.node(place, Kind::Call(sorted))?;
    let range = parser.node(place, Kind::List { items: Vec::new(), optional: Vec::new() })?;
    let condition = parser.literal(place, Literal::Bool(false))?;
    let step = parser.ident(place, INPUT)?;
    let (variable, accumulator) = (UNUSED.into(), INPUT.into());
    let fold = Fold { variable, second: None, range, accumulator, start: target, condition, step, result };
    parser.node(place, Kind::Fold(Box::new(fold)))
}

/// `target.optMap(name, body)`: what the body makes of the value, if there is one.
fn expand_optional(parser: &mut Parser, place: u32, function: &str, target: Expr, args: Vec<Expr>) -> Result<Expr> {
    let mut args = args.into_iter();
    let (Some(name), Some(body)) = (args.next(), args.next()) else {
        return Err(super::parser::Failed);
    };
    let Kind::Ident(accumulator) = name.kind else {
        let message = format!("{function}() variable name must be a simple identifier");
        return parser.misused(&name, message);
    };
    let method = |parser: &mut Parser, target: Expr, function: &str| {
        let call = Call { target: Some(Box::new(target)), function: function.into(), args: Vec::new() };
        parser.node(place, Kind::Call(call))
    };
    let copy = parser.copy(&target)?;
    let has_value = method(parser, target, "hasValue")?;
    let start = method(parser, copy, "value")?;
    let range = parser.node(place, Kind::List { items: Vec::new(), optional: Vec::new() })?;
    let condition = parser.literal(place, Literal::Bool(false))?;
    let step = parser.ident(place, &accumulator)?;
    let variable = UNUSED.into();
    let fold = Fold { variable, second: None, range, accumulator, start, condition, step, result: body };
    let mut value = parser.node(place, Kind::Fold(Box::new(fold)))?;
    if function == "optMap" {
        value = parser.call(place, "optional.of", vec![value])?;
    }
    let none = parser.call(place, "optional.none", Vec::new())?;
    parser.call(place, operators::CONDITIONAL, vec![has_value, value, none])
}
