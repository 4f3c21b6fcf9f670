//! What calls cost when they run. What they are estimated to cost before is in `estimate`; both are upstream's numbers,
//! since costs decide which rules a cluster accepts.

use super::error::Error;
use super::meter::Meter;
use super::types::Type;
use super::value::{List, Value};

/// The cost of reaching a variable or a field.
pub(super) const SELECT: u64 = 1;
/// The cost of making a list.
pub(super) const LIST: u64 = 10;
/// The cost of making a map.
pub(super) const MAP: u64 = 30;
/// The cost of making an object.
pub(super) const OBJECT: u64 = 40;
/// The cost of a character that is read once.
pub(super) const CHARACTER: f64 = 0.1;
/// The cost of a character of a pattern.
pub(super) const PATTERN_CHARACTER: f64 = 0.25;
/// How long the pattern of a named format is taken to be.
pub(super) const FORMAT_PATTERN_SIZE: u64 = 128;
/// How many requirements a selector may have a character.
pub(super) const REQUIREMENTS_PER_CHARACTER: f64 = 0.5;

/// How the cost of a call follows from its arguments.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Rule {
    /// 1.
    One,
    /// Always so much.
    Fixed(u64),
    /// By the parts; the evaluator charges those.
    Logical,
    /// By the condition and one of the branches.
    Conditional,
    IndexList,
    IndexMap,
    InList,
    /// By the smaller one.
    Compare,
    /// As `Compare`, but 1 for what libraries compare at once.
    Equals,
    AddText,
    AddList,
    Matches,
    Contains,
    /// By the target when run, by the part when estimated.
    StartsWith,
    StringToBytes,
    BytesToString,
    /// `string.format`, by its target.
    Format,
    /// `strings.quote`.
    Quote,
    /// Everything in a list is read.
    Traverse,
    /// A text is read, and the result is as long.
    Scan,
    /// A text is read to be something else.
    Parse,
    /// A text is read and told again.
    ParseTwice,
    Replace,
    Split,
    Join,
    Find,
    ContainsIp,
    ContainsIpString,
    ContainsCidr,
    ContainsCidrString,
    /// A named format on a text.
    Validate,
    Selector,
    /// Each item of one list beside each of another, so many times.
    Sets(u64),
    /// `lists.range` and what else makes as many items as it reads.
    Slice,
    Flatten,
    Range,
    Reverse,
    Distinct,
    Sort,
    SortBy,
    /// `first` and `last`.
    End,
}

impl Rule {
    /// Whether upstream looks for the rule by the overload, so that it does not hold while types leave several open.
    pub(super) fn needs_overload(self) -> bool {
        matches!(
            self,
            Self::InList
                | Self::Compare
                | Self::AddText
                | Self::AddList
                | Self::Matches
                | Self::Contains
                | Self::StartsWith
                | Self::StringToBytes
                | Self::BytesToString
                | Self::Format
                | Self::Quote
                | Self::Sets(_)
                | Self::Slice
                | Self::Flatten
                | Self::Range
                | Self::Reverse
                | Self::Distinct
                | Self::Sort
                | Self::SortBy
                | Self::End
        )
    }

    /// What a call with these arguments (the target first) and this result costs.
    pub(super) fn charge(self, args: &[Value<'_>], result: &Value<'_>, meter: &mut Meter) -> Result<(), Error> {
        let cost = match self {
            Self::One | Self::Logical | Self::Conditional | Self::IndexList | Self::IndexMap | Self::AddList => 1,
            Self::End => 1,
            Self::Fixed(cost) => cost,
            Self::Equals if matches!(args.first(), Some(Value::Library(_) | Value::Check(_))) => 1,
            Self::Traverse => args.first().map_or(Ok(0), |value| traversal(value, meter))?,
            _ => self.by_sizes(args, result, meter),
        };
        meter.charge(cost)
    }

    fn by_sizes(self, args: &[Value<'_>], result: &Value<'_>, meter: &mut Meter) -> u64 {
        let mut size = |index: usize| args.get(index).map_or(1, |value| value.size(meter));
        match self {
            Self::InList => size(1),
            Self::Compare | Self::Equals => scale(size(0).min(size(1)), CHARACTER),
            Self::AddText => scale(size(0) + size(1), CHARACTER),
            Self::Matches | Self::Find => scale(size(0) + 1, CHARACTER) * scale(size(1), PATTERN_CHARACTER),
            Self::Contains => scale(size(0), CHARACTER).saturating_mul(scale(size(1), CHARACTER)),
            Self::Replace | Self::Split | Self::ParseTwice => scale(size(0), 2.0 * CHARACTER),
            Self::Join => scale(result.size(meter), 2.0 * CHARACTER),
            Self::ContainsIp => scale(2 * size(0), CHARACTER),
            Self::ContainsIpString => scale(2 * size(0), CHARACTER) + scale(size(1), CHARACTER),
            Self::ContainsCidr => scale(2 * size(0), CHARACTER) + scale(size(0), CHARACTER) + 1,
            Self::ContainsCidrString => {
                scale(2 * size(0), CHARACTER) + scale(size(0), CHARACTER) + 1 + scale(size(1), CHARACTER)
            }
            Self::Validate => {
                let pattern = match args.first() {
                    Some(Value::Library(format)) => format.pattern_size(),
                    _ => FORMAT_PATTERN_SIZE,
                };
                scale(size(1) + 1, CHARACTER) * scale(pattern, PATTERN_CHARACTER)
            }
            Self::Selector => {
                let length = size(1);
                let requirements = scale(length, REQUIREMENTS_PER_CHARACTER);
                LIST + scale(length, CHARACTER) + requirements * (LIST + OBJECT)
            }
            Self::Sets(factor) => size(0).saturating_mul(size(1)).saturating_mul(factor).saturating_add(1),
            Self::Slice | Self::Range | Self::Reverse => LIST + 1 + result.size(meter),
            Self::Flatten => {
                let levels = match args {
                    [_, Value::Int(levels)] => u64::try_from(*levels).unwrap_or_default(),
                    _ => 1,
                };
                size(0).saturating_mul(levels).saturating_add(LIST + 1)
            }
            Self::Distinct | Self::Sort => self_compare(args.first()),
            Self::SortBy => self_compare(args.get(1)),
            // Reading a text, for whatever it becomes.
            _ => scale(size(0), CHARACTER),
        }
    }
}

/// The cost of comparing each item of a list with each.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "upstream computes so, and the cast saturates"
)]
fn self_compare(list: Option<&Value<'_>>) -> u64 {
    let Some(Value::List(list)) = list else {
        return LIST + 1;
    };
    let items = list.len() as u64;
    let is_text = matches!(list.item(0), Some(Ok(Value::String(_) | Value::Bytes(_))));
    let factor = if is_text { 2.0 + CHARACTER } else { 2.0 };
    ((items.saturating_mul(items) as f64 * factor) as u64).saturating_add(LIST + 1)
}

/// A size by a factor, rounded up.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "upstream computes so, and the cast saturates"
)]
pub(super) fn scale(size: u64, factor: f64) -> u64 {
    (size as f64 * factor).ceil() as u64
}

/// The cost of reading all of a value.
fn traversal(value: &Value<'_>, meter: &mut Meter) -> Result<u64, Error> {
    meter.step()?;
    Ok(match value {
        Value::String(text) => text.len() as u64 / 10,
        Value::Bytes(bytes) => bytes.len() as u64 / 10,
        Value::List(list) => sum_of_list(list, meter)?,
        Value::Map(map) => {
            let mut cost = 0;
            for key in map.keys() {
                cost += traversal(&key, meter)?;
                if let Some(value) = map.find(&key) {
                    cost += traversal(&value?, meter)?;
                }
            }
            cost
        }
        _ => 1,
    })
}

fn sum_of_list(list: &List<'_>, meter: &mut Meter) -> Result<u64, Error> {
    let mut cost = 0;
    for item in list.iter() {
        cost += traversal(&item?, meter)?;
    }
    Ok(cost)
}

/// Whether equality of values of a type is a single step, by the type.
pub(super) fn compares_at_once(kind: &Type) -> bool {
    matches!(kind, Type::Library(name) if !matches!(*name, "kubernetes.NamedFormat" | "kubernetes.URL"))
}
