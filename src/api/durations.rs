//! Spans of time as Go writes them: `1h30m`, `1.5s`, `-2ms`, `0`.

const UNITS: [(&str, i128); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// Digits of a fraction that count; the others are finer than a nanosecond of the largest unit.
const FRACTION_DIGITS_MAX: usize = 18;

/// A span in nanoseconds.
///
/// # Errors
/// What is wrong with the text, in Go's words (`time.ParseDuration`).
pub fn parse(text: &str) -> Result<i64, String> {
    let invalid = || format!("time: invalid duration {text:?}");
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut total: i128 = 0;
    while !rest.is_empty() {
        let is_number = |c: char| c.is_ascii_digit() || c == '.';
        let (number, after) = rest.split_at(rest.find(|c| !is_number(c)).unwrap_or(rest.len()));
        let (unit, after) = after.split_at(after.find(is_number).unwrap_or(after.len()));
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
            return Err(invalid());
        }
        if unit.is_empty() {
            return Err(format!("time: missing unit in duration {text:?}"));
        }
        let size = UNITS.iter().find(|(name, _)| *name == unit).map(|(_, size)| *size);
        let size = size.ok_or_else(|| format!("time: unknown unit {unit:?} in duration {text:?}"))?;
        total =
            add(total, whole, fraction, size).filter(|total| *total <= i128::from(i64::MAX) + 1).ok_or_else(invalid)?;
        rest = after;
    }
    i64::try_from(sign * total).map_err(|_| invalid())
}

/// `total + whole.fraction × size`, if that can be told.
fn add(total: i128, whole: &str, fraction: &str, size: i128) -> Option<i128> {
    let number = |digits: &str| if digits.is_empty() { Some(0) } else { digits.parse::<i128>().ok() };
    let total = total.checked_add(number(whole)?.checked_mul(size)?)?;
    let digits = fraction.get(..fraction.len().min(FRACTION_DIGITS_MAX))?;
    let part = number(digits)?.checked_mul(size)? / 10_i128.checked_pow(u32::try_from(digits.len()).ok()?)?;
    total.checked_add(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_as_go_reads_them() {
        let second = 1_000_000_000;
        for (text, expected) in [
            ("0", Ok(0)),
            ("-0", Ok(0)),
            ("1h30m", Ok(5400 * second)),
            ("1.5s", Ok(1_500_000_000)),
            (".5s", Ok(500_000_000)),
            ("-2ms", Ok(-2_000_000)),
            ("+3µs", Ok(3_000)),
            ("2562047h47m16.854775807s", Ok(i64::MAX)),
            ("", Err("time: invalid duration \"\"")),
            ("x", Err("time: invalid duration \"x\"")),
            ("1", Err("time: missing unit in duration \"1\"")),
            ("1d", Err("time: unknown unit \"d\" in duration \"1d\"")),
            ("1.2.3s", Err("time: invalid duration \"1.2.3s\"")),
            ("9999999h", Err("time: invalid duration \"9999999h\"")),
        ] {
            assert_eq!(parse(text), expected.map_err(str::to_owned), "{text}");
        }
    }
}
