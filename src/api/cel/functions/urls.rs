//! Addresses on the web, as Go parses them: nothing is made canonical.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::cost::Rule;
use super::super::error::{Error, Outcome};
use super::super::meter::Meter;
use super::super::value::{Key, Mapping, Value};
use super::library::Library;
use super::{Row, row};
use crate::validation::field::quote;

pub(super) const ROWS: &[Row] = &[
    row("string_to_url", "url(string) -> kubernetes.URL", Rule::Scan, url),
    row("url_get_scheme", "kubernetes.URL#getScheme() -> string", Rule::One, scheme),
    row("url_get_host", "kubernetes.URL#getHost() -> string", Rule::One, host),
    row("url_get_hostname", "kubernetes.URL#getHostname() -> string", Rule::One, hostname),
    row("url_get_port", "kubernetes.URL#getPort() -> string", Rule::One, port),
    row("url_get_escaped_path", "kubernetes.URL#getEscapedPath() -> string", Rule::One, escaped_path),
    row("url_get_query", "kubernetes.URL#getQuery() -> map(string, list(string))", Rule::One, query),
    row("is_url_string", "isURL(string) -> bool", Rule::One, is_url),
];

/// A parsed address.
#[derive(Debug, PartialEq)]
pub(crate) struct Url {
    pub(super) text: Box<str>,
    scheme: String,
    host: String,
    path: String,
    query: String,
}

/// Parses an absolute address or path; what is wrong is told in Go's words.
pub(super) fn parse(text: &str) -> Result<Url, String> {
    let wrong = |why: &str| format!("parse {}: {why}", quote(text));
    if text.bytes().any(|byte| byte < 0x20 || byte == 0x7f) {
        return Err(format!("parse {}: net/url: invalid control character in URL", quote(text)));
    }
    if text.is_empty() {
        return Err(wrong("empty url"));
    }
    let (scheme, rest) = split_scheme(text).map_err(wrong)?;
    if !rest.starts_with('/') {
        return Err(wrong("invalid URI for request"));
    }
    let (rest, _fragment) = rest.split_once('#').unwrap_or((rest, ""));
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let has_authority = !scheme.is_empty() && rest.starts_with("//") && !rest.starts_with("////");
    let (host, path) = match rest.strip_prefix("//").filter(|_| has_authority) {
        Some(rest) => {
            let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
            check_host(host).map_err(|why| wrong(&why))?;
            (host, path)
        }
        None => ("", rest),
    };
    check_escapes(path).map_err(|why| wrong(&why))?;
    Ok(Url {
        text: text.into(),
        scheme: scheme.to_ascii_lowercase(),
        host: host.to_owned(),
        path: escape_path(path),
        query: query.to_owned(),
    })
}

/// The scheme, which may be missing, and what follows it.
fn split_scheme(text: &str) -> Result<(&str, &str), &'static str> {
    for (place, character) in text.char_indices() {
        match character {
            'a'..='z' | 'A'..='Z' => {}
            '0'..='9' | '+' | '-' | '.' if place > 0 => {}
            ':' if place == 0 => return Err("missing protocol scheme"),
            ':' => return Ok((text.get(..place).unwrap_or_default(), text.get(place + 1..).unwrap_or_default())),
            _ => break,
        }
    }
    Ok(("", text))
}

fn check_host(host: &str) -> Result<(), String> {
    let port = if host.starts_with('[') {
        let Some((_, port)) = host.rsplit_once(']') else {
            return Err("missing ']' in host".to_owned());
        };
        port
    } else {
        match host.find(':') {
            Some(colon) => host.get(colon..).unwrap_or_default(),
            None => "",
        }
    };
    let is_port = port.strip_prefix(':').is_some_and(|digits| digits.bytes().all(|digit| digit.is_ascii_digit()));
    if !port.is_empty() && !is_port {
        return Err(format!("invalid port {} after host", quote(port)));
    }
    match host.chars().find(|character| matches!(character, ' ' | '<' | '>' | '"' | '\\' | '^' | '`' | '{' | '|' | '}'))
    {
        Some(character) => Err(format!("invalid character {} in host name", quote(&character.to_string()))),
        None => check_escapes(host),
    }
}

fn check_escapes(text: &str) -> Result<(), String> {
    for (place, _) in text.match_indices('%') {
        let escape = text.get(place..place + 3).unwrap_or_else(|| text.get(place..).unwrap_or_default());
        let is_escape = escape.len() == 3 && escape.bytes().skip(1).all(|digit| digit.is_ascii_hexdigit());
        if !is_escape {
            return Err(format!("invalid URL escape {}", quote(escape)));
        }
    }
    Ok(())
}

/// A path with what no path may hold escaped.
fn escape_path(path: &str) -> String {
    let mut escaped = String::with_capacity(path.len());
    for byte in path.bytes() {
        let is_plain = byte.is_ascii_alphanumeric() || b"-_.~$&+,/:;=@%!'()*[]".contains(&byte);
        if is_plain {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}

/// A part of a query, unescaped; none if it cannot be.
fn unescape(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'+' => bytes.push(b' '),
            b'%' => {
                let digits = [rest.next()?, rest.next()?];
                bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
            }
            byte => bytes.push(byte),
        }
    }
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

fn url<'a>(_: &mut Meter, args: &[Value<'a>]) -> Outcome<'a> {
    match args {
        [Value::String(text)] => match parse(text) {
            Ok(url) => Ok(Value::Library(Library::Url(Arc::new(url)))),
            Err(why) => Err(Error::failed(format!("URL parse error during conversion from string: {why}"))),
        },
        _ => Err(Error::no_such_overload()),
    }
}

fn is_url<'a>(_: &mut Meter, args: &[Value<'a>]) -> Outcome<'a> {
    match args {
        [Value::String(text)] => Ok(parse(text).is_ok().into()),
        _ => Err(Error::no_such_overload()),
    }
}

fn of_url<'u, 'a>(args: &'u [Value<'a>]) -> Result<&'u Url, Error> {
    match args {
        [Value::Library(Library::Url(url))] => Ok(url),
        _ => Err(Error::no_such_overload()),
    }
}

fn scheme<'a>(_: &mut Meter, args: &[Value<'a>]) -> Outcome<'a> {
    Ok(of_url(args)?.scheme.clone().into())
}

fn host<'a>(_: &mut Meter, args: &[Value<'a>]) -> Outcome<'a> {
    Ok(of_url(args)?.host.clone().into())
}

/// The host's name and port.
fn split_host(host: &str) -> (&str, &str) {
    let end = host.rfind(']').map_or(0, |bracket| bracket + 1);
    let (name, port) = match host.get(end..).and_then(|rest| rest.find(':')) {
        Some(colon) => host.split_at_checked(end + colon).unwrap_or((host, "")),
        None => (host, ""),
    };
    let name = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    (name, port.strip_prefix(':').unwrap_or(port))
}

fn hostname<'a>(_: &mut Meter, args: &[Value<'a>]) -> Outcome<'a> {
    Ok(split_host(&of_url(args)?.host).0.to_owned().into())
}

fn port<'a>(_: &mut Meter, args: &[Value<'a>]) -> Outcome<'a> {
    Ok(split_host(&of_url(args)?.host).1.to_owned().into())
}

fn escaped_path<'a>(_: &mut Meter, args: &[Value<'a>]) -> Outcome<'a> {
    Ok(of_url(args)?.path.clone().into())
}

fn query<'a>(_: &mut Meter, args: &[Value<'a>]) -> Outcome<'a> {
    let mut values: BTreeMap<String, Vec<Value<'a>>> = BTreeMap::new();
    for pair in of_url(args)?.query.split('&').filter(|pair| !pair.is_empty() && !pair.contains(';')) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        if let (Some(name), Some(value)) = (unescape(name), unescape(value)) {
            values.entry(name).or_default().push(value.into());
        }
    }
    let entries =
        values.into_iter().map(|(name, values)| (Key::String(name.as_str().into()), (name.into(), values.into())));
    Ok(Value::Map(Mapping::Owned(Arc::new(entries.collect()))))
}
