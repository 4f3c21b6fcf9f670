//! JSON text, read as Go's `encoding/json` reads it: the same texts are refused, in the same words, and a field that
//! stands twice is found.

use std::collections::HashSet;

use serde_json::{Map, Number, Value};

use super::{DEPTH_MAX, DecodeError, Parsed};
use crate::decode::path::{Complaints, DUPLICATE, Path, UNKNOWN};

/// Reads a JSON text.
///
/// # Errors
/// When it is no JSON, or nested deeper than [`DEPTH_MAX`]. The text is Go's.
pub fn parse_json(text: &[u8]) -> Result<Parsed, DecodeError> {
    let mut reader = Reader { text, at: 0, path: Path::default(), complaints: Complaints::default(), order: None };
    let value = reader.value(0)?;
    match reader.peek() {
        None => Ok(Parsed { value, duplicates: reader.complaints.into_sentences() }),
        Some(byte) => Err(unexpected(byte, "after top-level value")),
    }
}

/// Complaints about fields in the order in which upstream's decoder meets them in the text; of a field that is unknown it
/// does not tell that it stands twice.
#[must_use]
pub fn in_order(text: &[u8], mut complaints: Vec<String>) -> Vec<String> {
    let unknown: HashSet<String> =
        complaints.iter().filter_map(|told| Some(told.strip_prefix(UNKNOWN)?.to_owned())).collect();
    complaints.retain(|told| told.strip_prefix(DUPLICATE).is_none_or(|path| !unknown.contains(path)));
    let order = Order { wanted: complaints.iter().cloned().collect(), met: Vec::new() };
    let mut reader =
        Reader { text, at: 0, path: Path::default(), complaints: Complaints::default(), order: Some(order) };
    // The text was read before: what cannot be read now is told as it came.
    let met = reader.value(0).ok().and(reader.order).map(|order| order.met).unwrap_or_default();
    let rest = complaints.into_iter().filter(|told| !met.contains(told)).collect::<Vec<_>>();
    met.into_iter().chain(rest).collect()
}

/// Sentences that are wanted in the order in which their fields are met.
struct Order {
    wanted: HashSet<String>,
    met: Vec<String>,
}

/// A place in a text.
struct Reader<'a> {
    text: &'a [u8],
    at: usize,
    path: Path,
    complaints: Complaints,
    order: Option<Order>,
}

impl Reader<'_> {
    fn value(&mut self, depth: usize) -> Result<Value, DecodeError> {
        if depth > DEPTH_MAX {
            return Err(DecodeError::Json("exceeded max depth".to_owned()));
        }
        match self.peek().ok_or_else(ended)? {
            b'{' => self.object(depth),
            b'[' => self.array(depth),
            b'"' => Ok(Value::String(self.string()?)),
            b't' => self.literal("true", Value::Bool(true)),
            b'f' => self.literal("false", Value::Bool(false)),
            b'n' => self.literal("null", Value::Null),
            b'-' | b'0'..=b'9' => self.number(),
            byte => Err(unexpected(byte, "looking for beginning of value")),
        }
    }

    fn object(&mut self, depth: usize) -> Result<Value, DecodeError> {
        let mut fields = Map::new();
        self.at += 1;
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(Value::Object(fields));
        }
        loop {
            match self.peek().ok_or_else(ended)? {
                b'"' => {}
                byte => return Err(unexpected(byte, "looking for beginning of object key string")),
            }
            let key = self.string()?;
            match self.peek().ok_or_else(ended)? {
                b':' => self.at += 1,
                byte => return Err(unexpected(byte, "after object key")),
            }
            self.path.push_field(&key);
            let is_second = fields.contains_key(&key);
            if is_second {
                self.complaints.duplicate(&self.path);
            }
            if let Some(Order { wanted, met }) = &mut self.order {
                let told = format!("{}{}\"", if is_second { DUPLICATE } else { UNKNOWN }, self.path);
                met.extend(wanted.take(&told));
            }
            let value = self.value(depth + 1)?;
            self.path.pop();
            fields.insert(key, value);
            match self.peek().ok_or_else(ended)? {
                b',' => self.at += 1,
                b'}' => break,
                byte => return Err(unexpected(byte, "after object key:value pair")),
            }
        }
        self.at += 1;
        Ok(Value::Object(fields))
    }

    fn array(&mut self, depth: usize) -> Result<Value, DecodeError> {
        let mut items = Vec::new();
        self.at += 1;
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(Value::Array(items));
        }
        loop {
            self.path.push_index(items.len());
            items.push(self.value(depth + 1)?);
            self.path.pop();
            match self.peek().ok_or_else(ended)? {
                b',' => self.at += 1,
                b']' => break,
                byte => return Err(unexpected(byte, "after array element")),
            }
        }
        self.at += 1;
        Ok(Value::Array(items))
    }

    fn literal(&mut self, word: &str, value: Value) -> Result<Value, DecodeError> {
        for expected in word.bytes() {
            match self.next().ok_or_else(ended)? {
                byte if byte == expected => {}
                byte => {
                    let context = format!("in literal {word} (expecting {})", quote_byte(expected));
                    return Err(unexpected(byte, &context));
                }
            }
        }
        Ok(value)
    }

    fn number(&mut self) -> Result<Value, DecodeError> {
        let start = self.at;
        if self.byte() == Some(b'-') {
            self.at += 1;
        }
        match self.next().ok_or_else(ended)? {
            b'0' => {}
            b'1'..=b'9' => self.skip_digits(),
            byte => return Err(unexpected(byte, "in numeric literal")),
        }
        let mut is_whole = true;
        if self.byte() == Some(b'.') {
            is_whole = false;
            self.at += 1;
            self.require_digits("after decimal point in numeric literal")?;
        }
        if matches!(self.byte(), Some(b'e' | b'E')) {
            is_whole = false;
            self.at += 1;
            if matches!(self.byte(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.require_digits("in exponent of numeric literal")?;
        }
        let text = String::from_utf8_lossy(self.text.get(start..self.at).unwrap_or_default()).into_owned();
        if let Some(whole) = text.parse::<i64>().ok().filter(|_| is_whole) {
            return Ok(whole.into());
        }
        let number = text.parse().ok().and_then(Number::from_f64);
        let too_large =
            || DecodeError::Json(format!("json: cannot unmarshal number {text} into Go value of type float64"));
        number.map(Value::Number).ok_or_else(too_large)
    }

    fn require_digits(&mut self, context: &str) -> Result<(), DecodeError> {
        match self.byte().ok_or_else(ended)? {
            b'0'..=b'9' => self.skip_digits(),
            byte => return Err(unexpected(byte, context)),
        }
        Ok(())
    }

    fn skip_digits(&mut self) {
        while self.byte().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
    }

    /// A string, from its quotation mark on. What is no UTF-8 becomes the replacement character, as in Go.
    fn string(&mut self) -> Result<String, DecodeError> {
        self.at += 1;
        let mut out = Vec::new();
        loop {
            match self.next().ok_or_else(ended)? {
                b'"' => break,
                b'\\' => self.escape(&mut out)?,
                byte if byte < 0x20 => return Err(unexpected(byte, "in string literal")),
                byte => out.push(byte),
            }
        }
        Ok(String::from_utf8(out).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
    }

    fn escape(&mut self, out: &mut Vec<u8>) -> Result<(), DecodeError> {
        let byte = match self.next().ok_or_else(ended)? {
            byte @ (b'"' | b'\\' | b'/') => byte,
            b'b' => 0x8,
            b'f' => 0xc,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => {
                let c = self.unicode()?;
                out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                return Ok(());
            }
            byte => return Err(unexpected(byte, "in string escape code")),
        };
        out.push(byte);
        Ok(())
    }

    /// The character of a `\u` escape, or of two that make up one.
    fn unicode(&mut self) -> Result<char, DecodeError> {
        let first = self.hex()?;
        let is_high = (0xd800..0xdc00).contains(&first);
        if is_high && self.text.get(self.at..).is_some_and(|rest| rest.starts_with(b"\\u")) {
            let back = self.at;
            self.at += 2;
            let second = self.hex()?;
            if (0xdc00..0xe000).contains(&second) {
                let code = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
                return Ok(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            self.at = back;
        }
        Ok(char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    fn hex(&mut self) -> Result<u32, DecodeError> {
        let mut code = 0;
        for _ in 0..4 {
            let byte = self.next().ok_or_else(ended)?;
            let digit = char::from(byte).to_digit(16);
            code = code * 16 + digit.ok_or_else(|| unexpected(byte, "in \\u hexadecimal character escape"))?;
        }
        Ok(code)
    }

    /// The next byte that is no space, without taking it.
    fn peek(&mut self) -> Option<u8> {
        while matches!(self.byte(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
        self.byte()
    }

    fn byte(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.byte();
        self.at += 1;
        byte
    }
}

fn ended() -> DecodeError {
    DecodeError::Json("unexpected end of JSON input".to_owned())
}

fn unexpected(byte: u8, context: &str) -> DecodeError {
    DecodeError::Json(format!("invalid character {} {context}", quote_byte(byte)))
}

/// A byte in single quotes, as Go shows it: as the character of that number.
fn quote_byte(byte: u8) -> String {
    match byte {
        b'\'' => "'\\''".to_owned(),
        b'"' => "'\"'".to_owned(),
        byte => {
            let quoted = crate::validation::field::quote(char::from(byte).encode_utf8(&mut [0; 4]));
            format!("'{}'", quoted.trim_matches('"'))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &Value) {
        let parsed = parse_json(text.as_bytes()).unwrap();
        assert_eq!(parsed, Parsed { value: expected.clone(), duplicates: vec![] }, "{text}");
    }

    #[track_caller]
    fn refuse(text: &[u8], expected: &str) {
        assert_eq!(parse_json(text).unwrap_err().to_string(), expected);
    }

    #[test]
    fn every_form_is_read() {
        check(
            " {\"a\" : [1, -2.5, 1e3, true, false, null, {}, []]} ",
            &json!({"a": [1, -2.5, 1000.0, true, false, null, {}, []]}),
        );
        check(r#""\u00e9\ud83d\ude00\n\/\ud800x""#, &json!("é😀\n/\u{fffd}x"));
        check("9223372036854775807", &json!(i64::MAX));
        check("18446744073709551615", &json!(18_446_744_073_709_551_615.0));
    }

    #[test]
    fn errors_are_those_of_go() {
        refuse(b"", "unexpected end of JSON input");
        refuse(b"{\"a\":", "unexpected end of JSON input");
        refuse(b"{\"a\":1,}", "invalid character '}' looking for beginning of object key string");
        refuse(b"[1,]", "invalid character ']' looking for beginning of value");
        refuse(b"{\"a\" 1}", "invalid character '1' after object key");
        refuse(b"{\"a\":1 2}", "invalid character '2' after object key:value pair");
        refuse(b"[1 2]", "invalid character '2' after array element");
        refuse(b"1 2", "invalid character '2' after top-level value");
        refuse(b"tru ", "invalid character ' ' in literal true (expecting 'e')");
        refuse(b"\"\n\"", "invalid character '\\n' in string literal");
        refuse(b"\"\\x\"", "invalid character 'x' in string escape code");
        refuse(b"-a", "invalid character 'a' in numeric literal");
        refuse(b"1.a", "invalid character 'a' after decimal point in numeric literal");
        refuse(b"\xae", "invalid character '\u{ae}' looking for beginning of value");
        refuse(&[b'['; 300], "exceeded max depth");
    }

    #[test]
    fn a_field_that_stands_twice_is_told_once_and_the_last_counts() {
        let parsed = parse_json(br#"{"data":{"a":"1","a":"2","a":"3"},"l":[{"x":1,"x":2}]}"#).unwrap();
        assert_eq!(parsed.value, json!({"data": {"a": "3"}, "l": [{"x": 2}]}));
        assert_eq!(parsed.duplicates, ["duplicate field \"data.a\"", "duplicate field \"l[0].x\""]);
    }

    #[test]
    fn complaints_come_in_the_order_of_the_text() {
        let text = br#"{"z": 1, "b": 1, "b": 2, "a": 1, "z": 2}"#;
        let told = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let complaints =
            told(&["duplicate field \"b\"", "duplicate field \"z\"", "unknown field \"a\"", "unknown field \"z\""]);
        let expected = told(&["unknown field \"z\"", "duplicate field \"b\"", "unknown field \"a\""]);
        assert_eq!(in_order(text, complaints), expected);
    }
}
