//! What a YAML scalar means, by the rules of goyaml v2, which are those of YAML 1.1 with exceptions.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use saphyr_parser::Tag;
use serde_json::{Number, Value};

/// What a scalar stands for.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Scalar {
    /// This value.
    Value(Value),
    /// Its own text.
    Text,
}

/// Reads a scalar. One that is quoted, or tagged `!!str`, is its text; a timestamp is, too.
pub(super) fn resolve(text: &str, is_quoted: bool, tag: Option<&Tag>) -> Result<Scalar, &'static str> {
    match tag.filter(|tag| tag.is_yaml_core_schema()).map(|tag| tag.suffix.as_str()) {
        Some("str" | "timestamp") => Ok(Scalar::Text),
        Some("binary") => {
            let packed: String = text.split_whitespace().collect();
            let bytes = STANDARD.decode(packed).map_err(|_| "!!binary value contains invalid base64 data")?;
            let text = String::from_utf8(bytes).map_err(|_| "!!binary value is no text")?;
            Ok(Scalar::Value(text.into()))
        }
        Some("float") => Ok(match plain(text) {
            Scalar::Value(Value::Number(number)) => {
                Scalar::Value(number.as_f64().and_then(Number::from_f64).map_or(Value::Null, Value::Number))
            }
            other => other,
        }),
        Some(_) => Ok(plain(text)),
        None if is_quoted || tag.is_some() => Ok(Scalar::Text),
        None => not_finite(text).map_or_else(|| Ok(plain(text)), Err),
    }
}

/// Numbers that JSON cannot hold.
fn not_finite(text: &str) -> Option<&'static str> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let is_not_finite = matches!(unsigned, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN");
    is_not_finite.then_some("json: unsupported value")
}

fn plain(text: &str) -> Scalar {
    let value = match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => true.into(),
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => false.into(),
        _ => match number(text) {
            Some(number) => number,
            None => return Scalar::Text,
        },
    };
    Scalar::Value(value)
}

fn number(text: &str) -> Option<Value> {
    // Only these begin a number; `.` is left to the fractions.
    if !text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.')) {
        return None;
    }
    let bare = text.replace('_', "");
    if let Some(whole) = whole(&bare) {
        return Some(whole);
    }
    if is_fraction(&bare) { bare.parse().ok().and_then(Number::from_f64).map(Value::Number) } else { None }
}

/// A whole number in Go's notations: `0x` hexadecimal, `0o` or a leading zero octal, `0b` binary, else decimal.
fn whole(text: &str) -> Option<Value> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    let lower = digits.to_ascii_lowercase();
    let (digits, radix) = if let Some(digits) = lower.strip_prefix("0x") {
        (digits, 16)
    } else if let Some(digits) = lower.strip_prefix("0b") {
        (digits, 2)
    } else if let Some(digits) = lower.strip_prefix("0o") {
        (digits, 8)
    } else if lower.len() > 1 && lower.starts_with('0') {
        (lower.trim_start_matches('0'), 8)
    } else {
        (lower.as_str(), 10)
    };
    let is_zero = !lower.is_empty() && lower.chars().all(|c| c == '0');
    let digits = if is_zero { "0" } else { digits };
    if !digits.starts_with(|c: char| c.is_digit(radix)) {
        return None;
    }
    if let Ok(whole) = i64::from_str_radix(&format!("{sign}{digits}"), radix) {
        return Some(whole.into());
    }
    // Beyond 64 bits with a sign, Go's JSON has only floating point.
    let large = u64::from_str_radix(digits, radix).ok().filter(|_| sign.is_empty())?;
    #[expect(clippy::cast_precision_loss, reason = "the nearest is what is wanted")]
    Number::from_f64(large as f64).map(Value::Number)
}

/// Whether the text is `[-+]?[0-9]*\.?[0-9]+([eE][-+][0-9]+)?`.
fn is_fraction(text: &str) -> bool {
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let is_mantissa = match mantissa.split_once('.') {
        Some((whole, part)) => (whole.is_empty() || is_digits(whole)) && is_digits(part),
        None => is_digits(mantissa),
    };
    let is_exponent = exponent.is_none_or(|exponent| exponent.strip_prefix(['+', '-']).is_some_and(is_digits));
    is_mantissa && is_exponent
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<Value>) {
        let expected = expected.map_or(Scalar::Text, Scalar::Value);
        assert_eq!(resolve(text, false, None), Ok(expected), "{text}");
    }

    #[test]
    fn scalars_mean_what_goyaml_takes_them_for() {
        for (text, value) in [
            ("yes", json!(true)),
            ("Off", json!(false)),
            ("n", json!(false)),
            ("~", json!(null)),
            ("12", json!(12)),
            ("+5", json!(5)),
            ("-3", json!(-3)),
            ("0777", json!(511)),
            ("0o17", json!(15)),
            ("0x1F", json!(31)),
            ("0b101", json!(5)),
            ("1_000", json!(1000)),
            ("1.5", json!(1.5)),
            (".5", json!(0.5)),
            ("1.5e+3", json!(1500.0)),
            ("08", json!(8.0)),
            ("0", json!(0)),
            ("00", json!(0)),
            ("18446744073709551615", json!(18_446_744_073_709_551_615.0)),
        ] {
            check(text, Some(value));
        }
        for text in
            ["yEs", "1e3", "1.", "2026-11-23", "2026-11-23T08:51:13Z", "12:30", "100m", "1.2.3", "0x", "-", "nil", "v1"]
        {
            check(text, None);
        }
    }

    #[test]
    fn what_is_quoted_is_text() {
        assert_eq!(resolve("yes", true, None), Ok(Scalar::Text));
        let tag = |suffix: &str| Tag { handle: "tag:yaml.org,2002:".to_owned(), suffix: suffix.to_owned() };
        assert_eq!(resolve("12", false, Some(&tag("str"))), Ok(Scalar::Text));
        assert_eq!(resolve("aGk=", false, Some(&tag("binary"))), Ok(Scalar::Value(json!("hi"))));
        assert!(resolve(".inf", false, None).is_err());
    }
}
