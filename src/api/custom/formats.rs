//! The formats of strings that upstream checks (`k8s.io/apiextensions-apiserver/pkg/apiserver/validation/formats.go`);
//! a format that is not among them says nothing.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::civil::Date;

/// Whether a text has a format.
pub(super) fn fits(format: &str, text: &str) -> bool {
    known(format).is_none_or(|is_one| is_one(text))
}

/// Whether texts of a format are told from others.
pub(crate) fn is_known(format: &str) -> bool {
    known(format).is_some()
}

/// What tells texts of a format from others. Dashes in its name do not count.
fn known(format: &str) -> Option<fn(&str) -> bool> {
    Some(match &*format.replace('-', "") {
        "date" => |text| Date::strptime("%Y-%m-%d", text).is_ok(),
        "datetime" => is_date_time,
        "duration" => is_duration,
        "ipv4" => |text| Ipv4Addr::from_str(text).is_ok(),
        "ipv6" => |text| Ipv6Addr::from_str(text).is_ok(),
        "cidr" => is_cidr,
        "mac" => is_mac,
        "uri" => is_uri,
        "email" => is_email,
        "hostname" => is_hostname,
        "byte" => |text| STANDARD.decode(text).is_ok(),
        "uuid" => |text| is_uuid(text, None),
        "uuid3" => |text| is_uuid(text, Some('3')),
        "uuid4" => |text| is_uuid(text, Some('4')),
        "uuid5" => |text| is_uuid(text, Some('5')),
        "bsonobjectid" => |text| text.len() == 24 && is_hex(text),
        "hexcolor" => |text| text.strip_prefix('#').is_some_and(|hex| [3, 6].contains(&hex.len()) && is_hex(hex)),
        "rgbcolor" => is_rgb,
        "isbn" => |text| is_isbn10(text) || is_isbn13(text),
        "isbn10" => is_isbn10,
        "isbn13" => is_isbn13,
        "creditcard" => is_credit_card,
        "ssn" => |text| is_grouped(text, &[3, 2, 4]),
        "k8sshortname" => |text| crate::names::label(text).is_empty(),
        "k8slongname" => |text| crate::names::subdomain(text).is_empty(),
        "password" => |_| true,
        _ => return None,
    })
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// RFC 3339, with a zone.
fn is_date_time(text: &str) -> bool {
    text.len() >= "2006-01-02T15:04:05Z".len() && text.parse::<jiff::Timestamp>().is_ok()
}

/// Go's durations, and those that count in days and weeks.
fn is_duration(text: &str) -> bool {
    const UNITS: [&str; 10] = ["ns", "us", "µs", "μs", "ms", "s", "m", "h", "d", "w"];
    let mut rest = text.trim().trim_start_matches(['-', '+']);
    if rest == "0" {
        return true;
    }
    if rest.is_empty() {
        return false;
    }
    while !rest.is_empty() {
        let number = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (digits, tail) = rest.split_at(number);
        let tail = tail.trim_start();
        let unit = tail.find(|c: char| c.is_ascii_digit() || c == '.' || c == ' ').unwrap_or(tail.len());
        let (unit, after) = tail.split_at(unit);
        if digits.parse::<f64>().is_err() || !UNITS.contains(&unit) {
            return false;
        }
        rest = after.trim_start();
    }
    true
}

fn is_cidr(text: &str) -> bool {
    let Some((address, bits)) = text.split_once('/') else { return false };
    let max = match IpAddr::from_str(address) {
        Ok(IpAddr::V4(_)) => 32,
        Ok(IpAddr::V6(_)) => 128,
        Err(_) => return false,
    };
    !bits.starts_with('+') && bits.parse::<u8>().is_ok_and(|bits| bits <= max)
}

/// Pairs of hex digits with colons or dashes, or groups of four with dots: 6, 8 or 20 bytes.
fn is_mac(text: &str) -> bool {
    let groups = |separator: char, digits: usize| {
        let parts: Vec<&str> = text.split(separator).collect();
        parts.iter().all(|part| part.len() == digits && is_hex(part)) && [12, 16, 40].contains(&(parts.len() * digits))
    };
    groups(':', 2) || groups('-', 2) || groups('.', 4)
}

/// What Go's `url.ParseRequestURI` takes: an absolute URI or an absolute path.
fn is_uri(text: &str) -> bool {
    if text.is_empty() || text.chars().any(|c| c.is_ascii_control() || c == ' ') {
        return false;
    }
    let has_scheme = text.split_once(':').is_some_and(|(scheme, rest)| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
            && !rest.is_empty()
    });
    text.starts_with('/') || has_scheme
}

fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else { return false };
    let is_atom =
        |part: &str| !part.is_empty() && part.chars().all(|c| c.is_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c));
    local.split('.').all(is_atom) && domain.split('.').all(is_atom)
}

fn is_hostname(text: &str) -> bool {
    let is_part = |part: &str| {
        (1..=63).contains(&part.len())
            && part.chars().all(|c| c.is_alphanumeric() || c == '-' || c == '_')
            && !part.starts_with('-')
            && !part.ends_with('-')
    };
    text.len() <= 255 && text.strip_suffix('.').unwrap_or(text).split('.').all(is_part)
}

fn is_uuid(text: &str, version: Option<char>) -> bool {
    let packed: String = text.chars().filter(|c| *c != '-').collect();
    let groups: Vec<usize> = text.split('-').map(str::len).collect();
    is_hex(&packed)
        && packed.len() == 32
        && (groups == [8, 4, 4, 4, 12] || groups == [32])
        && version.is_none_or(|version| packed.chars().nth(12) == Some(version))
}

fn is_rgb(text: &str) -> bool {
    let Some(parts) = text.strip_prefix("rgb(").and_then(|rest| rest.strip_suffix(')')) else { return false };
    let parts: Vec<&str> = parts.split(',').map(str::trim).collect();
    parts.len() == 3 && parts.iter().all(|part| part.parse::<u8>().is_ok())
}

fn digits(text: &str) -> Vec<u32> {
    text.chars().filter_map(|c| c.to_digit(10)).collect()
}

fn is_isbn10(text: &str) -> bool {
    let packed: Vec<char> = text.chars().filter(|c| !"- ".contains(*c)).collect();
    let value = |(index, c): (usize, &char)| match c {
        'X' | 'x' if index == 9 => Some(10),
        c => c.to_digit(10),
    };
    let values: Option<Vec<u32>> = packed.iter().enumerate().map(value).collect();
    values.is_some_and(|values| values.len() == 10 && (1..).zip(&values).map(|(n, v)| n * v).sum::<u32>() % 11 == 0)
}

fn is_isbn13(text: &str) -> bool {
    let packed: String = text.chars().filter(|c| !"- ".contains(*c)).collect();
    let values = digits(&packed);
    let weighed = values.iter().zip([1, 3].into_iter().cycle()).map(|(value, weight)| value * weight);
    packed.len() == 13 && values.len() == 13 && weighed.sum::<u32>() % 10 == 0
}

/// The check digit of Luhn, over 13 to 19 digits.
fn is_credit_card(text: &str) -> bool {
    let packed: String = text.chars().filter(|c| !"- ".contains(*c)).collect();
    let values = digits(&packed);
    let sum = values.iter().rev().enumerate().map(|(place, digit)| match place % 2 {
        0 => *digit,
        _ => (digit * 2) / 10 + (digit * 2) % 10,
    });
    packed.len() == values.len() && (13..=19).contains(&values.len()) && sum.sum::<u32>() % 10 == 0
}

/// Groups of so many digits, with dashes or spaces.
fn is_grouped(text: &str, sizes: &[usize]) -> bool {
    let parts: Vec<&str> = text.split(['-', ' ']).collect();
    parts.len() == sizes.len()
        && parts.iter().zip(sizes).all(|(part, size)| part.len() == *size && part.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_told_apart() {
        let good = [
            ("date", "2026-11-28"),
            ("date-time", "2026-11-28T10:00:00Z"),
            ("duration", "1h30m"),
            ("duration", "3 d"),
            ("ipv4", "10.0.0.1"),
            ("ipv6", "::1"),
            ("cidr", "10.0.0.0/8"),
            ("mac", "01:23:45:67:89:ab"),
            ("uri", "https://example.com"),
            ("email", "a.b@example.com"),
            ("hostname", "a.example.com"),
            ("byte", "YQ=="),
            ("uuid4", "16fd2706-8baf-433b-82eb-8c7fada847da"),
            ("isbn10", "0-306-40615-2"),
            ("isbn13", "978-0-306-40615-7"),
            ("creditcard", "4111 1111 1111 1111"),
            ("ssn", "111-22-3333"),
            ("hexcolor", "#FFFFFF"),
            ("rgbcolor", "rgb(255, 0, 1)"),
            ("password", "anything"),
            ("of-mine", "anything"),
        ];
        for (format, text) in good {
            assert!(fits(format, text), "{text:?} is a {format}");
        }
        let bad = [
            ("date", "2026-13-01"),
            ("date-time", "2026-11-28"),
            ("duration", "1 parsec"),
            ("ipv4", "::1"),
            ("cidr", "10.0.0.0/33"),
            ("mac", "01:23"),
            ("uri", "example"),
            ("email", "a b@c"),
            ("hostname", "-a"),
            ("byte", "!"),
            ("uuid4", "16fd2706-8baf-533b-82eb-8c7fada847da"),
            ("isbn10", "0-306-40615-3"),
            ("creditcard", "4111 1111 1111 1112"),
            ("rgbcolor", "rgb(256,0,0)"),
        ];
        for (format, text) in bad {
            assert!(!fits(format, text), "{text:?} is no {format}");
        }
    }
}
