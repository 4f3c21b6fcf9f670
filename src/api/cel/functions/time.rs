//! Points and spans of time. All time is given: nothing here reads a clock.

use std::fmt;
use std::ops::Deref as _;

use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone};
use jiff::{SignedDuration, Timestamp};

use super::super::cost::Rule;
use super::super::error::{Error, Outcome};
use super::super::meter::Meter;
use super::super::value::Value;
use super::{Row, row};

/// The first and the last second of a timestamp: the years 1 to 9999.
const SECONDS: std::ops::RangeInclusive<i128> = -62_135_596_800..=253_402_300_799;
const SECOND: i128 = 1_000_000_000;
const EPOCH: DateTime = DateTime::constant(1970, 1, 1, 0, 0, 0, 0);

/// A point in time, in nanoseconds since 1970. Unlike jiff's it reaches to the end of the year 9999, which is how
/// people write that something never ends.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Point(i128);

impl Point {
    /// RFC 3339 as Go reads it: an offset is needed, and capitals.
    pub(in crate::cel) fn parse(text: &str) -> Option<Self> {
        let (civil, rest) = text.split_at_checked(19)?;
        let has_form = civil.bytes().enumerate().all(|(place, byte)| match place {
            4 | 7 => byte == b'-',
            10 => byte == b'T',
            13 | 16 => byte == b':',
            _ => byte.is_ascii_digit(),
        });
        let civil: DateTime = civil.parse().ok().filter(|_| has_form && !civil.ends_with("60"))?;
        let (fraction, zone) = match rest.strip_prefix(['.', ',']) {
            Some(rest) => {
                let end = rest.find(|digit: char| !digit.is_ascii_digit())?;
                (rest.get(..end.min(9)).filter(|digits| !digits.is_empty())?, rest.get(end..)?)
            }
            None => ("0", rest),
        };
        let digits = u32::try_from(fraction.len()).ok()?;
        let nanoseconds = fraction.parse::<i128>().ok()? * 10_i128.pow(9 - digits);
        let offset = match zone.as_bytes() {
            b"Z" => 0,
            [sign @ (b'+' | b'-'), _, _, b':', _, _] => {
                let hours: i128 = zone.get(1..3)?.parse().ok().filter(|hours| *hours < 24)?;
                let minutes: i128 = zone.get(4..6)?.parse().ok().filter(|minutes| *minutes < 60)?;
                (hours * 3600 + minutes * 60) * if *sign == b'-' { -1 } else { 1 }
            }
            _ => return None,
        };
        Self::of_civil(civil).shift(nanoseconds - offset * SECOND)
    }

    /// A time in UTC.
    pub(super) fn of_civil(civil: DateTime) -> Self {
        Self(civil.duration_since(EPOCH).as_nanos())
    }

    pub(super) fn of_seconds(seconds: i64) -> Option<Self> {
        Self(0).shift(i128::from(seconds) * SECOND)
    }

    pub(super) fn seconds(self) -> i64 {
        i64::try_from(self.0.div_euclid(SECOND)).unwrap_or_default()
    }

    /// So many nanoseconds later, if that is within the range of timestamps.
    pub(super) fn shift(self, nanoseconds: i128) -> Option<Self> {
        let moved = self.0.checked_add(nanoseconds)?;
        SECONDS.contains(&moved.div_euclid(SECOND)).then_some(Self(moved))
    }

    /// The nanoseconds from another point to this.
    pub(super) fn since(self, other: Self) -> i128 {
        self.0 - other.0
    }

    /// The date and time in a zone.
    fn civil(self, zone: &TimeZone) -> DateTime {
        // Beyond what jiff knows the zone's offset is that of the last time that it knows.
        let known = Timestamp::from_nanosecond(self.0).unwrap_or(Timestamp::MAX);
        let offset = i64::from(zone.to_offset(known).seconds());
        let nanoseconds = i32::try_from(self.0.rem_euclid(SECOND)).unwrap_or_default();
        EPOCH.saturating_add(SignedDuration::new(self.seconds() + offset, nanoseconds))
    }
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}Z", self.civil(&TimeZone::UTC))
    }
}

pub(super) const ROWS: &[Row] = &[
    row("timestamp_to_year", "timestamp#getFullYear() -> int", Rule::One, year),
    row("timestamp_to_year_with_tz", "timestamp#getFullYear(string) -> int", Rule::One, year),
    row("timestamp_to_month", "timestamp#getMonth() -> int", Rule::One, month),
    row("timestamp_to_month_with_tz", "timestamp#getMonth(string) -> int", Rule::One, month),
    row("timestamp_to_day_of_year", "timestamp#getDayOfYear() -> int", Rule::One, day_of_year),
    row("timestamp_to_day_of_year_with_tz", "timestamp#getDayOfYear(string) -> int", Rule::One, day_of_year),
    row("timestamp_to_day_of_month", "timestamp#getDayOfMonth() -> int", Rule::One, day_of_month),
    row("timestamp_to_day_of_month_with_tz", "timestamp#getDayOfMonth(string) -> int", Rule::One, day_of_month),
    row("timestamp_to_day_of_month_1_based", "timestamp#getDate() -> int", Rule::One, date),
    row("timestamp_to_day_of_month_1_based_with_tz", "timestamp#getDate(string) -> int", Rule::One, date),
    row("timestamp_to_day_of_week", "timestamp#getDayOfWeek() -> int", Rule::One, day_of_week),
    row("timestamp_to_day_of_week_with_tz", "timestamp#getDayOfWeek(string) -> int", Rule::One, day_of_week),
    row("timestamp_to_hours", "timestamp#getHours() -> int", Rule::One, hours),
    row("timestamp_to_hours_with_tz", "timestamp#getHours(string) -> int", Rule::One, hours),
    row("duration_to_hours", "duration#getHours() -> int", Rule::One, hours),
    row("timestamp_to_minutes", "timestamp#getMinutes() -> int", Rule::One, minutes),
    row("timestamp_to_minutes_with_tz", "timestamp#getMinutes(string) -> int", Rule::One, minutes),
    row("duration_to_minutes", "duration#getMinutes() -> int", Rule::One, minutes),
    row("timestamp_to_seconds", "timestamp#getSeconds() -> int", Rule::One, seconds),
    row("timestamp_to_seconds_tz", "timestamp#getSeconds(string) -> int", Rule::One, seconds),
    row("duration_to_seconds", "duration#getSeconds() -> int", Rule::One, seconds),
    row("timestamp_to_milliseconds", "timestamp#getMilliseconds() -> int", Rule::One, milliseconds),
    row("timestamp_to_milliseconds_with_tz", "timestamp#getMilliseconds(string) -> int", Rule::One, milliseconds),
    row("duration_to_milliseconds", "duration#getMilliseconds() -> int", Rule::One, milliseconds),
];

pub(super) fn duration_overflow() -> Error {
    Error::failed("duration overflow")
}

pub(super) fn add_durations<'a>(one: i64, two: i64) -> Outcome<'a> {
    one.checked_add(two).map(Value::Duration).ok_or_else(duration_overflow)
}

/// A point in time so many nanoseconds later.
pub(super) fn shift<'a>(point: Point, nanoseconds: i128) -> Outcome<'a> {
    point.shift(nanoseconds).map(Value::Timestamp).ok_or_else(|| Error::failed("timestamp overflow"))
}

/// A span in seconds: `90s`, `0.5s`.
pub(in crate::cel) fn duration_text(span: i64) -> String {
    let sign = if span < 0 { "-" } else { "" };
    let (whole, rest) = (span.unsigned_abs() / 1_000_000_000, span.unsigned_abs() % 1_000_000_000);
    if rest == 0 {
        return format!("{sign}{whole}s");
    }
    let fraction = format!("{rest:09}");
    format!("{sign}{whole}.{}s", fraction.trim_end_matches('0'))
}

/// A span as Go prints it: `1h30m0s`.
pub(super) fn duration_go_text(span: i64) -> String {
    let sign = if span < 0 { "-" } else { "" };
    let nanoseconds = span.unsigned_abs();
    let decimals = |unit: u64, name: &str| {
        let (whole, rest) = (nanoseconds / unit, nanoseconds % unit);
        let digits = unit.ilog10() as usize;
        let fraction = format!("{rest:0digits$}");
        let fraction = if rest == 0 { String::new() } else { format!(".{}", fraction.trim_end_matches('0')) };
        format!("{sign}{whole}{fraction}{name}")
    };
    match nanoseconds {
        0 => "0s".to_owned(),
        1..1_000 => format!("{sign}{nanoseconds}ns"),
        1_000..1_000_000 => decimals(1_000, "µs"),
        1_000_000..1_000_000_000 => decimals(1_000_000, "ms"),
        _ => {
            let whole = nanoseconds / 1_000_000_000;
            let seconds = duration_text(
                i64::try_from(whole % 60 * 1_000_000_000 + nanoseconds % 1_000_000_000).unwrap_or_default(),
            );
            match (whole / 3600, whole / 60 % 60) {
                (0, 0) => format!("{sign}{seconds}"),
                (0, minutes) => format!("{sign}{minutes}m{seconds}"),
                (hours, minutes) => format!("{sign}{hours}h{minutes}m{seconds}"),
            }
        }
    }
}

/// A zone by name or offset.
fn zone(name: &str) -> Result<TimeZone, Error> {
    let unknown = || Error::failed(format!("unknown time zone {name}"));
    if let Some((hours, minutes)) = name.split_once(':') {
        let invalid = || Error::failed(format!("timezone offset minutes out of range [0, 59]: {minutes}"));
        let whole: i32 = hours.parse().map_err(|_| unknown())?;
        let part: i32 = minutes.parse().map_err(|_| unknown())?;
        if !(0..60).contains(&part) {
            return Err(invalid());
        }
        let part = if hours.starts_with('-') { -part } else { part };
        let offset = whole.checked_mul(3600).map(|seconds| seconds + part * 60).ok_or_else(unknown)?;
        return Offset::from_seconds(offset).map(TimeZone::fixed).map_err(|_| unknown());
    }
    match name {
        "" | "UTC" | "Z" => Ok(TimeZone::UTC),
        name => TimeZone::get(name).map_err(|_| unknown()),
    }
}

/// A part of a point in time in its zone.
fn part<'a>(args: &[Value<'a>], of: impl Fn(&DateTime) -> i64) -> Outcome<'a> {
    let (point, zone) = match args {
        [Value::Timestamp(point)] => (point, TimeZone::UTC),
        [Value::Timestamp(point), Value::String(name)] => (point, zone(name.deref())?),
        _ => return Err(Error::no_such_overload()),
    };
    Ok(Value::Int(of(&point.civil(&zone))))
}

fn year<'a>(_: &mut Meter, args: &[Value<'a>]) -> Outcome<'a> {
    part(args, |time| time.year().into())
}

fn month<'a>(_: &mut Meter, args: &[Value<'a>]) -> Outcome<'a> {
    part(args, |time| i64::from(time.month()) - 1)
}

fn day_of_year<'a>(_: &mut Meter, args: &[Value<'a>]) -> Outcome<'a> {
    part(args, |time| i64::from(time.day_of_year()) - 1)
}

fn day_of_month<'a>(_: &mut Meter, args: &[Value<'a>]) -> Outcome<'a> {
    part(args, |time| i64::from(time.day()) - 1)
}

fn date<'a>(_: &mut Meter, args: &[Value<'a>]) -> Outcome<'a> {
    part(args, |time| time.day().into())
}

fn day_of_week<'a>(_: &mut Meter, args: &[Value<'a>]) -> Outcome<'a> {
    part(args, |time| time.weekday().to_sunday_zero_offset().into())
}

fn hours<'a>(_: &mut Meter, args: &[Value<'a>]) -> Outcome<'a> {
    match args {
        [Value::Duration(span)] => Ok(Value::Int(span / 3_600_000_000_000)),
        _ => part(args, |time| time.hour().into()),
    }
}

fn minutes<'a>(_: &mut Meter, args: &[Value<'a>]) -> Outcome<'a> {
    match args {
        [Value::Duration(span)] => Ok(Value::Int(span / 60_000_000_000)),
        _ => part(args, |time| time.minute().into()),
    }
}

fn seconds<'a>(_: &mut Meter, args: &[Value<'a>]) -> Outcome<'a> {
    match args {
        [Value::Duration(span)] => Ok(Value::Int(span / 1_000_000_000)),
        _ => part(args, |time| time.second().into()),
    }
}

fn milliseconds<'a>(_: &mut Meter, args: &[Value<'a>]) -> Outcome<'a> {
    match args {
        [Value::Duration(span)] => Ok(Value::Int(span / 1_000_000)),
        _ => part(args, |time| time.millisecond().into()),
    }
}
