//! Points in time as text: read as Go's `time.Parse` reads them, printed as upstream prints them.

use jiff::Timestamp;

use super::DecodeError;
use crate::meta;
use crate::validation::field::quote;

const SECONDS_LAYOUT: &str = "2006-01-02T15:04:05Z07:00";
const MICROS_LAYOUT: &str = "2006-01-02T15:04:05.000000Z07:00";

/// Parts of a layout up to the fraction: what Go calls them, how many digits, what follows.
const PARTS: [(&str, usize, &str); 6] =
    [("2006", 4, "-"), ("01", 2, "-"), ("02", 2, "T"), ("15", 2, ":"), ("04", 2, ":"), ("05", 2, "")];

/// A `metav1.Time` in canonical form.
pub(super) fn seconds(text: &str) -> Result<String, DecodeError> {
    read(text, SECONDS_LAYOUT).map(meta::time)
}

/// A `metav1.MicroTime` in canonical form.
pub(super) fn micros(text: &str) -> Result<String, DecodeError> {
    read(text, MICROS_LAYOUT).map(meta::micro_time)
}

fn read(text: &str, layout: &str) -> Result<Timestamp, DecodeError> {
    let wrong = |reason: String| DecodeError::Value(format!("parsing time {}{reason}", quote(text)));
    if let Err((rest, part)) = follow(text, layout == MICROS_LAYOUT) {
        let (layout, rest, part) = (quote(layout), quote(rest), quote(part));
        return Err(wrong(format!(" as {layout}: cannot parse {rest} as {part}")));
    }
    text.parse().map_err(|_| wrong(": out of range".to_owned()))
}

/// Follows a layout through a text; where they part, what is left of the text and the part of the layout that it
/// should have been.
fn follow(text: &str, has_micros: bool) -> Result<(), (&str, &'static str)> {
    let mut rest = text;
    for (name, digits, separator) in PARTS {
        let number = rest.get(..digits).filter(|number| number.bytes().all(|byte| byte.is_ascii_digit()));
        let Some(after) = number.and_then(|_| rest.get(digits..)) else { return Err((rest, name)) };
        rest = after.strip_prefix(separator).ok_or((after, separator))?;
    }
    let fraction = rest.strip_prefix('.').map(|digits| digits.trim_start_matches(|c: char| c.is_ascii_digit()));
    let digits = fraction.map_or(0, |after| rest.len() - after.len() - 1);
    if has_micros && digits != 6 {
        return Err((rest, ".000000"));
    }
    if digits > 0 {
        rest = fraction.unwrap_or(rest);
    }
    let is_offset = |text: &str| {
        let bytes = text.as_bytes();
        matches!(bytes, [b'+' | b'-', a, b, b':', c, d] if [a, b, c, d].iter().all(|byte| byte.is_ascii_digit()))
    };
    if rest == "Z" || is_offset(rest) { Ok(()) } else { Err((rest, "Z07:00")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_become_canonical() {
        assert_eq!(seconds("2026-11-23T08:51:13Z").unwrap(), "2026-11-23T08:51:13Z");
        assert_eq!(seconds("2026-11-23T10:51:13.9+02:00").unwrap(), "2026-11-23T08:51:13Z");
        assert_eq!(micros("2026-11-23T08:51:13.000001Z").unwrap(), "2026-11-23T08:51:13.000001Z");
    }

    #[test]
    fn what_is_no_time_is_refused_in_gos_words() {
        let check = |text: &str, expected: &str| assert_eq!(seconds(text).unwrap_err().to_string(), expected);
        check("", r#"parsing time "" as "2006-01-02T15:04:05Z07:00": cannot parse "" as "2006""#);
        check("2026-11-23", r#"parsing time "2026-11-23" as "2006-01-02T15:04:05Z07:00": cannot parse "" as "T""#);
        check(
            "2026-11-23T08:51:13",
            r#"parsing time "2026-11-23T08:51:13" as "2006-01-02T15:04:05Z07:00": cannot parse "" as "Z07:00""#,
        );
        check("2026-13-23T08:51:13Z", r#"parsing time "2026-13-23T08:51:13Z": out of range"#);
        let error = micros("2026-11-23T08:51:13Z").unwrap_err().to_string();
        assert!(error.ends_with(r#"cannot parse "Z" as ".000000""#), "{error}");
    }
}
