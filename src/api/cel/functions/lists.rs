//! Lists and sets.

use std::collections::BTreeSet;

use super::super::cost::Rule;
use super::super::error::{Error, Outcome};
use super::super::meter::Meter;
use super::super::value::{List, Value};
use super::{Row, row, standard};

/// How many items `lists.range` makes at most: more cost more than any call may.
const RANGE_MAX: i64 = 1_000_000;

macro_rules! comparable {
    ($($kind:literal),*) => {
        &[$(
            row(
                concat!("list_", $kind, "_is_sorted_bool"),
                concat!("list(", $kind, ")#isSorted() -> bool"),
                Rule::Traverse,
                is_sorted,
            ),
            row(
                concat!("list_", $kind, "_max_", $kind),
                concat!("list(", $kind, ")#max() -> ", $kind),
                Rule::Traverse,
                max,
            ),
            row(
                concat!("list_", $kind, "_min_", $kind),
                concat!("list(", $kind, ")#min() -> ", $kind),
                Rule::Traverse,
                min,
            ),
            row(
                concat!("list_", $kind, "_sort"),
                concat!("list(", $kind, ")#sort() -> list(", $kind, ")"),
                Rule::Sort,
                sort,
            ),
            row(
                concat!("list_", $kind, "_sortByAssociatedKeys"),
                concat!("list(T)#@sortByAssociatedKeys(list(", $kind, ")) -> list(T)"),
                Rule::SortBy,
                sort_by,
            ),
        )*]
    };
}

/// What can be ordered, a group of functions a type.
pub(super) const COMPARABLE: &[Row] =
    comparable!("int", "uint", "double", "bool", "duration", "timestamp", "string", "bytes");

pub(super) const ROWS: &[Row] = &[
    row("list_int_sum_int", "list(int)#sum() -> int", Rule::Traverse, sum_of_ints),
    row("list_uint_sum_uint", "list(uint)#sum() -> uint", Rule::Traverse, sum_of_uints),
    row("list_double_sum_double", "list(double)#sum() -> double", Rule::Traverse, sum_of_doubles),
    row("list_duration_sum_duration", "list(duration)#sum() -> duration", Rule::Traverse, sum_of_durations),
    row("list_a_index_of_int", "list(A)#indexOf(A) -> int", Rule::Traverse, index_of),
    row("list_a_last_index_of_int", "list(A)#lastIndexOf(A) -> int", Rule::Traverse, last_index_of),
    row("list_slice", "list(T)#slice(int, int) -> list(T)", Rule::Slice, slice),
    row("list_flatten", "list(list(T))#flatten() -> list(T)", Rule::Flatten, flatten),
    row("list_flatten_int", "list(dyn)#flatten(int) -> list(dyn)", Rule::Flatten, flatten),
    row("lists_range", "lists.range(int) -> list(int)", Rule::Range, range),
    row("list_reverse", "list(T)#reverse() -> list(T)", Rule::Reverse, reverse),
    row("list_distinct", "list(T)#distinct() -> list(T)", Rule::Distinct, distinct),
    row("list_sets_contains_list", "sets.contains(list(T), list(T)) -> bool", Rule::Sets(1), contains_all),
    row("list_sets_equivalent_list", "sets.equivalent(list(T), list(T)) -> bool", Rule::Sets(2), is_equivalent),
    row("list_sets_intersects_list", "sets.intersects(list(T), list(T)) -> bool", Rule::Sets(1), intersects),
];

/// The only argument, as a list.
fn list<'l, 'a>(args: &'l [Value<'a>]) -> Result<&'l List<'a>, Error> {
    match args {
        [Value::List(list)] => Ok(list),
        _ => Err(Error::no_such_overload()),
    }
}

/// All items, each a step of work.
fn items<'a>(list: &List<'a>, meter: &mut Meter) -> Result<Vec<Value<'a>>, Error> {
    let mut items = Vec::new();
    for item in list.iter() {
        meter.step()?;
        items.push(item?);
    }
    Ok(items)
}

fn is_sorted<'a>(meter: &mut Meter, args: &[Value<'a>]) -> Outcome<'a> {
    let mut before: Option<Value<'a>> = None;
    for item in list(args)?.iter() {
        meter.step()?;
        let item = item?;
        if let Some(before) = before
            && standard::order(&[before, item.clone()])?.is_gt()
        {
            return Ok(false.into());
        }
        before = Some(item);
    }
    Ok(true.into())
}

fn best<'a>(meter: &mut Meter, args: &[Value<'a>], name: &str, wanted: std::cmp::Ordering) -> Outcome<'a> {
    let mut best: Option<Value<'a>> = None;
    for item in list(args)?.iter() {
        meter.step()?;
        let item = item?;
        best = Some(match best {
            Some(best) if standard::order(&[item.clone(), best.clone()])? != wanted => best,
            _ => item,
        });
    }
    best.ok_or_else(|| Error::failed(format!("{name} called on empty list")))
}

fn max<'a>(meter: &mut Meter, args: &[Value<'a>]) -> Outcome<'a> {
    best(meter, args, "max", std::cmp::Ordering::Greater)
}

fn min<'a>(meter: &mut Meter, args: &[Value<'a>]) -> Outcome<'a> {
    best(meter, args, "min", std::cmp::Ordering::Less)
}

fn sum<'a>(meter: &mut Meter, args: &[Value<'a>], start: Value<'a>) -> Outcome<'a> {
    let mut sum = start;
    for item in list(args)?.iter() {
        meter.step()?;
        sum = standard::add(meter, &[sum, item?])?;
    }
    Ok(sum)
}

fn sum_of_ints<'a>(meter: &mut Meter, args: &[Value<'a>]) -> Outcome<'a> {
    sum(meter, args, Value::Int(0))
}

fn sum_of_uints<'a>(meter: &mut Meter, args: &[Value<'a>]) -> Outcome<'a> {
    sum(meter, args, Value::Uint(0))
}

fn sum_of_doubles<'a>(meter: &mut Meter, args: &[Value<'a>]) -> Outcome<'a> {
    sum(meter, args, Value::Double(0.0))
}

fn sum_of_durations<'a>(meter: &mut Meter, args: &[Value<'a>]) -> Outcome<'a> {
    sum(meter, args, Value::Duration(0))
}

/// The places of items that equal the second argument, in order.
fn places<'a>(meter: &mut Meter, args: &[Value<'a>], is_done: fn(usize) -> bool) -> Result<Option<usize>, Error> {
    let [Value::List(list), wanted] = args else {
        return Err(Error::no_such_overload());
    };
    let mut found = None;
    for (place, item) in list.iter().enumerate() {
        if item?.equals(wanted, meter)? {
            found = Some(place);
            if is_done(place) {
                break;
            }
        }
    }
    Ok(found)
}

fn place_value<'a>(place: Option<usize>) -> Value<'a> {
    Value::Int(place.and_then(|place| i64::try_from(place).ok()).unwrap_or(-1))
}

pub(super) fn index_of<'a>(meter: &mut Meter, args: &[Value<'a>]) -> Outcome<'a> {
    match args {
        [Value::String(_), ..] => super::strings::index_of(meter, args),
        _ => Ok(place_value(places(meter, args, |_| true)?)),
    }
}

pub(super) fn last_index_of<'a>(meter: &mut Meter, args: &[Value<'a>]) -> Outcome<'a> {
    match args {
        [Value::String(_), ..] => super::strings::last_index_of(meter, args),
        _ => Ok(place_value(places(meter, args, |_| false)?)),
    }
}

fn slice<'a>(meter: &mut Meter, args: &[Value<'a>]) -> Outcome<'a> {
    let [Value::List(list), Value::Int(start), Value::Int(end)] = args else {
        return Err(Error::no_such_overload());
    };
    let cannot = |why: &str| Err(Error::failed(format!("cannot slice({start}, {end}), {why}")));
    let (Ok(from), Ok(to)) = (usize::try_from(*start), usize::try_from(*end)) else {
        return cannot("negative indexes not supported");
    };
    if from > to {
        return cannot("start index must be less than or equal to end index");
    }
    if list.len() < to {
        return cannot(&format!("list is length {}", list.len()));
    }
    let mut items = Vec::new();
    for index in from..to {
        meter.step()?;
        items.extend(list.item(index).transpose()?);
    }
    Ok(items.into())
}

fn flatten<'a>(meter: &mut Meter, args: &[Value<'a>]) -> Outcome<'a> {
    let (list, levels) = match args {
        [Value::List(list)] => (list, 1),
        [Value::List(_), Value::Int(levels)] if *levels < 0 => {
            return Err(Error::failed("level must be non-negative"));
        }
        [Value::List(list), Value::Int(levels)] => (list, *levels),
        _ => return Err(Error::no_such_overload()),
    };
    let mut flat = Vec::new();
    flatten_into(&mut flat, list, levels, meter)?;
    Ok(flat.into())
}

/// Values are nested no deeper than JSON or an expression may be.
fn flatten_into<'a>(into: &mut Vec<Value<'a>>, list: &List<'a>, levels: i64, meter: &mut Meter) -> Result<(), Error> {
    for item in list.iter() {
        meter.step()?;
        match item? {
            Value::List(inner) if levels > 0 => flatten_into(into, &inner, levels - 1, meter)?,
            item => into.push(item),
        }
    }
    Ok(())
}

fn range<'a>(_: &mut Meter, args: &[Value<'a>]) -> Outcome<'a> {
    match args {
        [Value::Int(count)] if *count > RANGE_MAX => Err(Error::OverBudget),
        [Value::Int(count)] => Ok((0..*count).map(Value::Int).collect::<Vec<_>>().into()),
        _ => Err(Error::no_such_overload()),
    }
}

fn reverse<'a>(meter: &mut Meter, args: &[Value<'a>]) -> Outcome<'a> {
    let mut items = items(list(args)?, meter)?;
    items.reverse();
    Ok(items.into())
}

fn distinct<'a>(meter: &mut Meter, args: &[Value<'a>]) -> Outcome<'a> {
    let (mut seen, mut kept) = (BTreeSet::new(), Vec::<Value<'a>>::new());
    'items: for item in items(list(args)?, meter)? {
        match item.key() {
            Some(key) => {
                if !seen.insert(key) {
                    continue;
                }
            }
            None => {
                for other in &kept {
                    if item.equals(other, meter)? {
                        continue 'items;
                    }
                }
            }
        }
        kept.push(item);
    }
    Ok(kept.into())
}

fn sort<'a>(meter: &mut Meter, args: &[Value<'a>]) -> Outcome<'a> {
    let keys = items(list(args)?, meter)?;
    sorted(keys.clone(), keys)
}

fn sort_by<'a>(meter: &mut Meter, args: &[Value<'a>]) -> Outcome<'a> {
    let [Value::List(list), Value::List(keys)] = args else {
        return Err(Error::no_such_overload());
    };
    if list.len() != keys.len() {
        let (items, keys) = (list.len(), keys.len());
        return Err(Error::failed(format!(
            "@sortByAssociatedKeys() expected a list of the same size as the associated keys list, but got {items} \
             and {keys} elements respectively"
        )));
    }
    sorted(items(keys, meter)?, items(list, meter)?)
}

/// Items in the order of their keys.
fn sorted<'a>(keys: Vec<Value<'a>>, items: Vec<Value<'a>>) -> Outcome<'a> {
    let kind = keys.first().map(|key| key.type_name().to_owned()).unwrap_or_default();
    if keys.iter().any(|key| key.type_name() != kind) {
        return Err(Error::failed("list elements must have the same type"));
    }
    let mut pairs: Vec<_> = keys.into_iter().zip(items).collect();
    let mut failure = None;
    pairs.sort_by(|one, two| {
        standard::order(&[one.0.clone(), two.0.clone()]).unwrap_or_else(|error| {
            failure = Some(error);
            std::cmp::Ordering::Equal
        })
    });
    match failure {
        Some(_) => Err(Error::failed("list elements must be comparable")),
        None => Ok(pairs.into_iter().map(|(_, item)| item).collect::<Vec<_>>().into()),
    }
}

fn contains_list<'a>(one: &List<'a>, two: &List<'a>, meter: &mut Meter) -> Result<bool, Error> {
    for item in two.iter() {
        if !one.contains(&item?, meter)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn contains_all<'a>(meter: &mut Meter, args: &[Value<'a>]) -> Outcome<'a> {
    match args {
        [Value::List(one), Value::List(two)] => Ok(contains_list(one, two, meter)?.into()),
        _ => Err(Error::no_such_overload()),
    }
}

fn is_equivalent<'a>(meter: &mut Meter, args: &[Value<'a>]) -> Outcome<'a> {
    match args {
        [Value::List(one), Value::List(two)] => {
            Ok((contains_list(one, two, meter)? && contains_list(two, one, meter)?).into())
        }
        _ => Err(Error::no_such_overload()),
    }
}

fn intersects<'a>(meter: &mut Meter, args: &[Value<'a>]) -> Outcome<'a> {
    let [Value::List(one), Value::List(two)] = args else {
        return Err(Error::no_such_overload());
    };
    for item in one.iter() {
        if two.contains(&item?, meter)? {
            return Ok(true.into());
        }
    }
    Ok(false.into())
}
