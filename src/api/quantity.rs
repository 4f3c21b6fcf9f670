//! Quantities: exact amounts with a suffix, as `resource.Quantity` reads and prints them.
//!
//! A quantity is a whole number of billionths. Upstream keeps any magnitude for decimal suffixes; ours ends at about
//! 1.7 × 10²⁹ units, beyond which a text is refused.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

/// Billionths in a unit.
const NANOS: i128 = 1_000_000_000;

/// The least amount: its opposite is an amount too, so that what is printed can be read.
const NANOS_MIN: i128 = -i128::MAX;

/// The largest amount with a binary suffix: upstream caps larger ones silently.
const BINARY_MAX: i128 = (i64::MAX as i128) * NANOS;

const BINARY_SUFFIXES: [&str; 6] = ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
/// Decimal suffixes and their powers of ten.
const DECIMAL_SUFFIXES: [(&str, i32); 10] =
    [("n", -9), ("u", -6), ("m", -3), ("", 0), ("k", 3), ("M", 6), ("G", 9), ("T", 12), ("P", 15), ("E", 18)];

/// An exact amount. Two quantities are equal when their amounts are, whatever their suffixes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Quantity {
    nanos: i128,
    format: Format,
}

/// What suffixes a quantity is printed with.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Format {
    /// `12M`
    #[default]
    Decimal,
    /// `12Mi`
    Binary,
    /// `12e6`
    Exponent,
}

/// A text that is no quantity; the message is upstream's.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ParseError {
    /// It has not the form of one.
    #[error("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'")]
    Form,
    /// Its suffix is unknown.
    #[error("unable to parse quantity's suffix")]
    Suffix,
    /// Its number is none, or too large.
    #[error("unable to parse numeric part of quantity")]
    Number,
}

impl Quantity {
    /// Whole units.
    #[must_use]
    pub fn from_units(units: i64, format: Format) -> Self {
        Self { nanos: i128::from(units) * NANOS, format }
    }

    /// Thousandths of a unit.
    #[must_use]
    pub fn from_millis(millis: i64) -> Self {
        Self { nanos: i128::from(millis) * (NANOS / 1000), format: Format::Decimal }
    }

    /// Reads a quantity.
    ///
    /// # Errors
    /// When the text is none, in upstream's words.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let (is_negative, rest) = match text.as_bytes().first() {
            None => return Err(ParseError::Form),
            Some(b'-') => (true, text.get(1..).unwrap_or_default()),
            Some(b'+') => (false, text.get(1..).unwrap_or_default()),
            Some(_) => (false, text),
        };
        let (whole, rest) = split_digits(rest);
        let (fraction, suffix) = rest.strip_prefix('.').map_or(("", rest), split_digits);
        check_form(suffix)?;
        let (format, scale, factor) = interpret(suffix)?;
        let nanos = nanos(whole, fraction, scale, factor)?;
        let (nanos, format) = match format {
            Format::Binary => {
                // A part of a unit is not printed with a binary suffix.
                let is_part = nanos > 0 && nanos < NANOS;
                (nanos.min(BINARY_MAX), if is_part { Format::Decimal } else { Format::Binary })
            }
            other => (nanos, other),
        };
        Ok(Self { nanos: if is_negative { -nanos } else { nanos }, format })
    }

    /// Whole units, rounded up; at the bounds of 64 bits where it lies beyond.
    #[must_use]
    pub fn to_units(self) -> i64 {
        saturate(div_away(self.nanos, NANOS))
    }

    /// Thousandths of a unit, rounded up; at the bounds of 64 bits where it lies beyond.
    #[must_use]
    pub fn to_millis(self) -> i64 {
        saturate(div_away(self.nanos, NANOS / 1000))
    }

    /// The amount as a double, which may be off by what doubles cannot hold.
    #[expect(clippy::cast_precision_loss, reason = "that is what the caller asks for")]
    #[must_use]
    pub fn to_float(self) -> f64 {
        self.nanos as f64 / NANOS as f64
    }

    /// Whether it is nothing.
    #[must_use]
    pub fn is_zero(self) -> bool {
        self.nanos == 0
    }

    /// Whether it is less than nothing.
    #[must_use]
    pub fn is_negative(self) -> bool {
        self.nanos < 0
    }

    /// What is left of this without the other.
    #[must_use]
    pub fn minus(self, other: Self) -> Self {
        Self { nanos: self.nanos.saturating_sub(other.nanos).max(NANOS_MIN), format: self.format }
    }

    /// Both together; printed as the first, or as the second where the first is nothing.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        let format = if self.is_zero() { other.format } else { self.format };
        Self { nanos: self.nanos.saturating_add(other.nanos).max(NANOS_MIN), format }
    }
}

impl FromStr for Quantity {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        Self::parse(text)
    }
}

/// The canonical form: no fraction, no precision lost, the largest suffix that allows both.
impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_zero() {
            return f.write_str("0");
        }
        let is_binary = self.format == Format::Binary && self.nanos % NANOS == 0 && self.nanos.abs() >= 1024 * NANOS;
        if is_binary {
            let (number, power) = strip_factors(self.nanos / NANOS, 1024, BINARY_SUFFIXES.len());
            let suffix = power.checked_sub(1).and_then(|index| BINARY_SUFFIXES.get(index)).unwrap_or(&"");
            return write!(f, "{number}{suffix}");
        }
        let (number, power) = strip_factors(self.nanos, 1000, usize::MAX);
        let exponent = i32::try_from(power).unwrap_or(i32::MAX).saturating_mul(3) - 9;
        let suffix = DECIMAL_SUFFIXES.iter().find(|(_, known)| *known == exponent);
        match (self.format, suffix) {
            (_, _) if exponent == 0 => write!(f, "{number}"),
            (Format::Exponent, _) | (_, None) => write!(f, "{number}e{exponent}"),
            (_, Some((suffix, _))) => write!(f, "{number}{suffix}"),
        }
    }
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.nanos == other.nanos
    }
}

impl Eq for Quantity {}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Self) -> Ordering {
        self.nanos.cmp(&other.nanos)
    }
}

fn split_digits(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))
}

/// What follows the number: letters of suffixes, a sign, digits.
fn check_form(suffix: &str) -> Result<(), ParseError> {
    let rest = suffix.trim_start_matches(|c| "eEinumkKMGTP".contains(c));
    let rest = rest.strip_prefix(['-', '+']).unwrap_or(rest);
    if rest.bytes().all(|byte| byte.is_ascii_digit()) { Ok(()) } else { Err(ParseError::Form) }
}

/// A suffix as a format, a power of ten and a factor.
fn interpret(suffix: &str) -> Result<(Format, i32, i128), ParseError> {
    if let Some((_, exponent)) = DECIMAL_SUFFIXES.iter().find(|(known, _)| *known == suffix) {
        return Ok((Format::Decimal, *exponent, 1));
    }
    if let Some(index) = BINARY_SUFFIXES.iter().position(|known| *known == suffix) {
        return Ok((Format::Binary, 0, 1 << (10 * (index + 1))));
    }
    let exponent = suffix.strip_prefix(['e', 'E']).ok_or(ParseError::Suffix)?;
    Ok((Format::Exponent, exponent.parse().map_err(|_| ParseError::Suffix)?, 1))
}

/// `whole.fraction × 10^scale × factor` in billionths; what is finer rounds away from zero.
fn nanos(whole: &str, fraction: &str, scale: i32, factor: i128) -> Result<i128, ParseError> {
    let digits = format!("{whole}{fraction}");
    let digits = digits.trim_start_matches('0');
    if digits.is_empty() {
        return Ok(0);
    }
    let mantissa: i128 = digits.parse().map_err(|_| ParseError::Number)?;
    let mantissa = mantissa.checked_mul(factor).ok_or(ParseError::Number)?;
    let places = i32::try_from(fraction.len()).map_err(|_| ParseError::Number)?;
    let power = scale.checked_sub(places).and_then(|power| power.checked_add(9)).ok_or(ParseError::Number)?;
    let ten = |power: u32| 10_i128.checked_pow(power);
    if power >= 0 {
        ten(power.unsigned_abs()).and_then(|ten| mantissa.checked_mul(ten)).ok_or(ParseError::Number)
    } else {
        // A divisor beyond every mantissa leaves the smallest amount there is.
        Ok(ten(power.unsigned_abs()).map_or(1, |ten| div_away(mantissa, ten)))
    }
}

/// A division that rounds away from zero, as upstream does so that whoever asks for something gets something.
fn div_away(number: i128, divisor: i128) -> i128 {
    let rest = number % divisor;
    number / divisor + rest.signum()
}

/// A number without a factor, taken out as often as it goes (at most `max` times), and how often that was.
fn strip_factors(mut number: i128, factor: i128, max: usize) -> (i128, usize) {
    let mut count = 0;
    while number % factor == 0 && count < max {
        number /= factor;
        count += 1;
    }
    (number, count)
}

fn saturate(number: i128) -> i64 {
    i64::try_from(number).unwrap_or(if number < 0 { i64::MIN } else { i64::MAX })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(Quantity::parse(text).unwrap().to_string(), expected, "{text}");
    }

    #[test]
    fn quantities_are_printed_in_canonical_form() {
        for (text, expected) in [
            ("0", "0"),
            ("0.0", "0"),
            ("0m", "0"),
            ("1", "1"),
            ("+5", "5"),
            ("-5", "-5"),
            ("0.1", "100m"),
            ("100m", "100m"),
            ("1000m", "1"),
            ("1.5", "1500m"),
            ("1500", "1500"),
            ("1000", "1k"),
            ("1000000", "1M"),
            ("1.5G", "1500M"),
            ("1.5Gi", "1536Mi"),
            ("1024Mi", "1Gi"),
            ("64Mi", "64Mi"),
            ("1024", "1024"),
            ("1Ki", "1Ki"),
            ("0.5Ki", "512"),
            ("0.5Mi", "512Ki"),
            ("1e3", "1e3"),
            ("1E3", "1e3"),
            ("12e6", "12e6"),
            ("100e-3", "100e-3"),
            ("0.1n", "1n"),
            ("1.", "1"),
            (".5", "500m"),
            ("8Ei", "9223372036854775807"),
            ("1E", "1E"),
            ("1000E", "1e21"),
            ("1u", "1u"),
            ("1.2345", "1234500u"),
            ("0.0001Ki", "102400u"),
        ] {
            check(text, expected);
        }
    }

    #[test]
    fn what_is_no_quantity_is_refused_in_the_words_of_upstream() {
        for (text, expected) in [
            ("", ParseError::Form),
            ("10Q", ParseError::Form),
            ("1 Gi", ParseError::Form),
            ("--1", ParseError::Suffix),
            ("1.2.3", ParseError::Form),
            ("a", ParseError::Form),
            ("1Gii", ParseError::Suffix),
            ("1e", ParseError::Suffix),
            ("1mm", ParseError::Suffix),
            ("1e100", ParseError::Number),
        ] {
            assert_eq!(Quantity::parse(text), Err(expected), "{text}");
        }
    }

    #[test]
    fn amounts_are_exact_and_round_up_when_asked_for_units() {
        let parse = |text| Quantity::parse(text).unwrap();
        assert_eq!(parse("1Gi"), parse("1073741824"));
        assert!(parse("100m") < parse("0.2"));
        assert_eq!((parse("1m").to_units(), parse("1m").to_millis(), parse("1u").to_millis()), (1, 1, 1));
        assert_eq!(parse("1.5").plus(parse("500m")).to_string(), "2");
        assert_eq!(parse("0").plus(parse("1Gi")).to_string(), "1Gi");
        let least = parse("-1e29").minus(parse("1e29"));
        assert_eq!(Quantity::parse(&least.to_string()), Ok(least));
        assert_eq!(parse("1e25").to_units(), i64::MAX);
    }
}
