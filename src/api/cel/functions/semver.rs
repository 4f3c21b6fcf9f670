//! Semantic versions.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use super::super::cost::Rule;
use super::super::error::{Error, Outcome};
use super::super::meter::Meter;
use super::super::value::Value;
use super::library::Library;
use super::{Row, quantities, row};

pub(super) const ROWS: &[Row] = &[
    row("string_to_semver", "semver(string) -> kubernetes.Semver", Rule::Parse, semver),
    row("string_bool_to_semver", "semver(string, bool) -> kubernetes.Semver", Rule::Parse, semver),
    row("is_semver_string", "isSemver(string) -> bool", Rule::Parse, is_semver),
    row("is_semver_string_bool", "isSemver(string, bool) -> bool", Rule::Parse, is_semver),
    row(
        "semver_is_greater_than",
        "kubernetes.Semver#isGreaterThan(kubernetes.Semver) -> bool",
        Rule::One,
        quantities::is_greater,
    ),
    row(
        "semver_is_less_than",
        "kubernetes.Semver#isLessThan(kubernetes.Semver) -> bool",
        Rule::One,
        quantities::is_less,
    ),
    row("semver_compare_to", "kubernetes.Semver#compareTo(kubernetes.Semver) -> int", Rule::One, quantities::compare),
    row("semver_major", "kubernetes.Semver#major() -> int", Rule::One, major),
    row("semver_minor", "kubernetes.Semver#minor() -> int", Rule::One, minor),
    row("semver_patch", "kubernetes.Semver#patch() -> int", Rule::One, patch),
];

/// A version.
#[derive(Clone, Debug)]
pub(crate) struct Version {
    numbers: [u64; 3],
    /// What stands after the dash, part by part.
    pre: Vec<Box<str>>,
    build: Box<str>,
}

impl PartialEq for Version {
    /// Builds do not tell versions apart.
    fn eq(&self, other: &Self) -> bool {
        self.compare(other).is_eq()
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [major, minor, patch] = self.numbers;
        write!(f, "{major}.{minor}.{patch}")?;
        if !self.pre.is_empty() {
            write!(f, "-{}", self.pre.join("."))?;
        }
        if self.build.is_empty() { Ok(()) } else { write!(f, "+{}", self.build) }
    }
}

impl Version {
    pub(super) fn compare(&self, other: &Self) -> Ordering {
        self.numbers.cmp(&other.numbers).then_with(|| match (self.pre.is_empty(), other.pre.is_empty()) {
            (true, true) => Ordering::Equal,
            // What comes before a version is less than it.
            (true, false) => Ordering::Greater,
            (false, true) => Ordering::Less,
            (false, false) => {
                let pairs = self.pre.iter().zip(&other.pre).map(|(one, two)| compare_parts(one, two));
                let first = pairs.into_iter().find(|order| order.is_ne());
                first.unwrap_or_else(|| self.pre.len().cmp(&other.pre.len()))
            }
        })
    }

    fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("Version string empty".to_owned());
        }
        let mut parts = text.splitn(3, '.');
        let (Some(major), Some(minor), Some(rest)) = (parts.next(), parts.next(), parts.next()) else {
            return Err("No Major.Minor.Patch elements found".to_owned());
        };
        let (rest, build) = rest.split_once('+').map_or((rest, None), |(rest, build)| (rest, Some(build)));
        let (patch, pre) = rest.split_once('-').map_or((rest, None), |(patch, pre)| (patch, Some(pre)));
        let numbers = [number("Major", major)?, number("Minor", minor)?, number("Patch", patch)?];
        let pre: Vec<Box<str>> = pre.map(|pre| pre.split('.').map(Into::into).collect()).unwrap_or_default();
        for part in &pre {
            check_part("Prerelease", part)?;
            if part.len() > 1 && part.starts_with('0') && part.bytes().all(|digit| digit.is_ascii_digit()) {
                return Err(format!("Numeric PreRelease version must not contain leading zeroes \"{part}\""));
            }
        }
        for part in build.into_iter().flat_map(|build| build.split('.')) {
            check_part("Build meta data", part)?;
        }
        Ok(Self { numbers, pre, build: build.unwrap_or_default().into() })
    }

    /// As written by people: with a `v`, with zeros in front, without what is zero.
    fn parse_tolerant(text: &str) -> Result<Self, String> {
        let text = text.strip_prefix('v').unwrap_or(text);
        let mut parts: Vec<String> = text.splitn(3, '.').map(trim_zeros).collect();
        if parts.len() < 3 {
            if parts.last().is_some_and(|part| part.contains(['+', '-'])) {
                return Err("short version cannot contain PreRelease/Build meta data".to_owned());
            }
            parts.resize(3, "0".to_owned());
        }
        Self::parse(&parts.join("."))
    }
}

fn trim_zeros(part: &str) -> String {
    if part.len() < 2 {
        return part.to_owned();
    }
    let trimmed = part.trim_start_matches('0');
    if trimmed.starts_with(|digit: char| digit.is_ascii_digit()) { trimmed.to_owned() } else { format!("0{trimmed}") }
}

fn number(name: &str, text: &str) -> Result<u64, String> {
    if !text.bytes().all(|digit| digit.is_ascii_digit()) || text.is_empty() {
        return Err(format!("Invalid character(s) found in {} number \"{text}\"", name.to_lowercase()));
    }
    if text.len() > 1 && text.starts_with('0') {
        return Err(format!("{name} number must not contain leading zeroes \"{text}\""));
    }
    text.parse().map_err(|_| format!("strconv.ParseUint: parsing \"{text}\": value out of range"))
}

fn check_part(what: &str, part: &str) -> Result<(), String> {
    if part.is_empty() {
        return Err(format!("{what} is empty"));
    }
    if part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        Ok(())
    } else {
        Err(format!("Invalid character(s) found in {} \"{part}\"", what.to_lowercase()))
    }
}

/// Numbers by value and before all else, the rest by letters.
fn compare_parts(one: &str, two: &str) -> Ordering {
    match (one.parse::<u64>(), two.parse::<u64>()) {
        (Ok(one), Ok(two)) => one.cmp(&two),
        (Ok(_), Err(_)) => Ordering::Less,
        (Err(_), Ok(_)) => Ordering::Greater,
        (Err(_), Err(_)) => one.cmp(two),
    }
}

fn parse(args: &[Value<'_>]) -> Result<Result<Version, String>, Error> {
    Ok(match args {
        [Value::String(text)] | [Value::String(text), Value::Bool(false)] => Version::parse(text),
        [Value::String(text), Value::Bool(true)] => Version::parse_tolerant(text),
        _ => return Err(Error::no_such_overload()),
    })
}

fn semver<'a>(_: &mut Meter, args: &[Value<'a>]) -> Outcome<'a> {
    let version = parse(args)?.map_err(Error::failed)?;
    Ok(Value::Library(Library::Semver(Arc::new(version))))
}

fn is_semver<'a>(_: &mut Meter, args: &[Value<'a>]) -> Outcome<'a> {
    Ok(parse(args)?.is_ok().into())
}

fn part<'a>(args: &[Value<'a>], of: impl Fn([u64; 3]) -> u64) -> Outcome<'a> {
    match args {
        [Value::Library(Library::Semver(version))] => {
            Ok(Value::Int(i64::try_from(of(version.numbers)).unwrap_or(i64::MAX)))
        }
        _ => Err(Error::no_such_overload()),
    }
}

fn major<'a>(_: &mut Meter, args: &[Value<'a>]) -> Outcome<'a> {
    part(args, |[major, _, _]| major)
}

fn minor<'a>(_: &mut Meter, args: &[Value<'a>]) -> Outcome<'a> {
    part(args, |[_, minor, _]| minor)
}

fn patch<'a>(_: &mut Meter, args: &[Value<'a>]) -> Outcome<'a> {
    part(args, |[_, _, patch]| patch)
}
