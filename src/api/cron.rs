//! Schedules in cron's words: `*/5 * * * *`, `@daily`, `@every 1h30m`.
//!
//! Grammar and messages are those of the library that upstream uses (`github.com/robfig/cron/v3`, `ParseStandard`).

use crate::durations;

/// When something is due.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Schedule {
    /// At the minutes that are in all five sets.
    At(Box<Fields>),
    /// Again and again after so many seconds, at least 1.
    Every(i64),
}

/// Minutes, hours, days of the month, months and days of the week (0 is Sunday), each as a set of bits.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Fields {
    /// 0–59.
    pub minutes: u64,
    /// 0–23.
    pub hours: u64,
    /// 1–31.
    pub days: u64,
    /// 1–12.
    pub months: u64,
    /// 0–6.
    pub weekdays: u64,
    /// Whether any day of the month does (`*`): then the days of the week alone decide.
    pub any_day: bool,
    /// Whether any day of the week does.
    pub any_weekday: bool,
}

/// The values that a field may have, with their names.
struct Bounds {
    first: u32,
    last: u32,
    names: &'static [&'static str],
}

const MINUTES: Bounds = Bounds { first: 0, last: 59, names: &[] };
const HOURS: Bounds = Bounds { first: 0, last: 23, names: &[] };
const DAYS: Bounds = Bounds { first: 1, last: 31, names: &[] };
const MONTHS: Bounds = Bounds {
    first: 1,
    last: 12,
    names: &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
};
const WEEKDAYS: Bounds = Bounds { first: 0, last: 6, names: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"] };

impl Schedule {
    /// Reads a schedule.
    ///
    /// # Errors
    /// Upstream's message.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("empty spec string".to_owned());
        }
        if text.starts_with('@') {
            return described(text);
        }
        let fields: Vec<&str> = text.split_whitespace().collect();
        let [minutes, hours, days, months, weekdays] = fields.as_slice() else {
            return Err(format!("expected exactly 5 fields, found {}: [{}]", fields.len(), fields.join(" ")));
        };
        Ok(Self::At(Box::new(Fields {
            minutes: bits(minutes, &MINUTES)?,
            hours: bits(hours, &HOURS)?,
            days: bits(days, &DAYS)?,
            months: bits(months, &MONTHS)?,
            weekdays: bits(weekdays, &WEEKDAYS)?,
            any_day: is_any(days),
            any_weekday: is_any(weekdays),
        })))
    }
}

/// A schedule by its name.
fn described(text: &str) -> Result<Schedule, String> {
    let plain = match text {
        "@yearly" | "@annually" => "0 0 1 1 *",
        "@monthly" => "0 0 1 * *",
        "@weekly" => "0 0 * * 0",
        "@daily" | "@midnight" => "0 0 * * *",
        "@hourly" => "0 * * * *",
        _ => {
            let Some(duration) = text.strip_prefix("@every ") else {
                return Err(format!("unrecognized descriptor: {text}"));
            };
            let span = durations::parse(duration).map_err(|why| format!("failed to parse duration {text}: {why}"))?;
            return Ok(Schedule::Every((span / 1_000_000_000).max(1)));
        }
    };
    Schedule::parse(plain)
}

fn is_any(field: &str) -> bool {
    field.split(',').any(|part| matches!(part.split('/').next(), Some("*" | "?")) && !part.contains('/'))
}

/// The values of a field, which are ranges with commas between.
fn bits(field: &str, bounds: &Bounds) -> Result<u64, String> {
    let mut bits = 0;
    for part in field.split(',').filter(|part| !part.is_empty()) {
        bits |= range(part, bounds)?;
    }
    Ok(bits)
}

/// `number`, `number-number`, `*`, each with `/step`.
fn range(text: &str, bounds: &Bounds) -> Result<u64, String> {
    let (span, step) = match text.split('/').collect::<Vec<_>>().as_slice() {
        [span] => (*span, None),
        [span, step] => (*span, Some(number(step)?)),
        _ => return Err(format!("too many slashes: {text}")),
    };
    let (first, last) = match span.split('-').collect::<Vec<_>>().as_slice() {
        ["*" | "?"] => (bounds.first, bounds.last),
        [one] => {
            let one = bounds.value(one)?;
            // `5/15` goes on to the end.
            (one, if step.is_some() { bounds.last } else { one })
        }
        [first, last] => (bounds.value(first)?, bounds.value(last)?),
        _ => return Err(format!("too many hyphens: {text}")),
    };
    let step = step.unwrap_or(1);
    if first < bounds.first {
        return Err(format!("beginning of range ({first}) below minimum ({}): {text}", bounds.first));
    }
    if last > bounds.last {
        return Err(format!("end of range ({last}) above maximum ({}): {text}", bounds.last));
    }
    if first > last {
        return Err(format!("beginning of range ({first}) beyond end of range ({last}): {text}"));
    }
    if step == 0 {
        return Err(format!("step of range should be a positive number: {text}"));
    }
    Ok((first..=last).step_by(step as usize).fold(0, |bits, value| bits | (1 << value)))
}

impl Bounds {
    /// A value by its number or name.
    fn value(&self, text: &str) -> Result<u32, String> {
        let lower = text.to_lowercase();
        match self.names.iter().position(|name| *name == lower) {
            Some(position) => Ok(self.first + u32::try_from(position).unwrap_or(0)),
            None => number(text),
        }
    }
}

fn number(text: &str) -> Result<u32, String> {
    let parsed: i64 = text
        .parse()
        .map_err(|_| format!("failed to parse int from {text}: strconv.Atoi: parsing {text:?}: invalid syntax"))?;
    u32::try_from(parsed).map_err(|_| format!("negative number ({parsed}) not allowed: {text}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_sets_of_values() {
        let Ok(Schedule::At(fields)) = Schedule::parse("*/20 9-17/4 1,15 * mon-fri") else { panic!() };
        assert_eq!(fields.minutes, 1 | 1 << 20 | 1 << 40);
        assert_eq!(fields.hours, 1 << 9 | 1 << 13 | 1 << 17);
        assert_eq!(fields.days, 1 << 1 | 1 << 15);
        assert_eq!(fields.weekdays, 0b011_1110);
        assert_eq!((fields.any_day, fields.any_weekday), (false, false));
        assert_eq!(Schedule::parse("@daily"), Schedule::parse("0 0 * * ?"));
        assert_eq!(Schedule::parse("@every 1h30m"), Ok(Schedule::Every(5400)));
    }

    #[test]
    fn what_is_no_schedule_is_refused_in_upstreams_words() {
        for (text, expected) in [
            ("", "empty spec string"),
            ("* * *", "expected exactly 5 fields, found 3: [* * *]"),
            ("60 * * * *", "end of range (60) above maximum (59): 60"),
            ("* * 0 * *", "beginning of range (0) below minimum (1): 0"),
            ("5-1 * * * *", "beginning of range (5) beyond end of range (1): 5-1"),
            ("*/0 * * * *", "step of range should be a positive number: */0"),
            ("x * * * *", "failed to parse int from x: strconv.Atoi: parsing \"x\": invalid syntax"),
            ("1-2-3 * * * *", "too many hyphens: 1-2-3"),
            ("1/2/3 * * * *", "too many slashes: 1/2/3"),
            ("@often", "unrecognized descriptor: @often"),
            ("@every x", "failed to parse duration @every x: time: invalid duration \"x\""),
        ] {
            assert_eq!(Schedule::parse(text).unwrap_err(), expected, "{text:?}");
        }
    }
}
