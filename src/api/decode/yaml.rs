//! YAML text as upstream's clients write it: YAML 1.1 scalars, merge keys, aliases; turned into what JSON can hold.
//!
//! Upstream reads the first document of a body and ignores the rest; here a second document is refused, since whoever
//! sent it expected something to happen to it.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span, StrInput};
use serde_json::{Map, Value};

use super::yaml_scalar::{Scalar, resolve};
use super::{DEPTH_MAX, DecodeError, Parsed};
use crate::validation::field::quote;

/// What aliases may add to a body, in bytes. A body has at most 3 MiB, so honest aliases fit; a few lines that
/// multiply themselves do not.
const ALIASED_BYTES_MAX: usize = 3 << 20;

/// Duplicate keys that are told; more would only fill the answer.
const DUPLICATES_MAX: usize = 100;

/// Reads a YAML text of one document; an empty text is `null`.
///
/// # Errors
/// When it is no YAML, has two documents, nests deeper than [`DEPTH_MAX`], multiplies itself by aliases beyond
/// reason, or has a key that no JSON object can have.
pub fn parse_yaml(text: &[u8]) -> Result<Parsed, DecodeError> {
    let text = std::str::from_utf8(text).map_err(|_| error("control characters are not allowed"))?;
    let mut reader = Reader {
        parser: Parser::new_from_str(text),
        anchors: HashMap::new(),
        aliased_bytes: 0,
        duplicates: Vec::new(),
    };
    let value = reader.document()?;
    let duplicates = match reader.duplicates.as_slice() {
        [] => Vec::new(),
        lines => vec![format!("yaml: unmarshal errors:\n{}", lines.join("\n"))],
    };
    Ok(Parsed { value: value.unwrap_or(Value::Null), duplicates })
}

struct Reader<'a> {
    parser: Parser<'a, StrInput<'a>>,
    /// Anchored values by number, with their size.
    anchors: HashMap<usize, (Value, usize)>,
    aliased_bytes: usize,
    /// A line for each key that stands twice.
    duplicates: Vec<String>,
}

impl<'a> Reader<'a> {
    /// The one document of the stream.
    fn document(&mut self) -> Result<Option<Value>, DecodeError> {
        let mut document: Option<Value> = None;
        while let Some((event, span)) = self.next()? {
            match event {
                Event::StreamEnd => break,
                Event::StreamStart | Event::DocumentStart(_) | Event::DocumentEnd | Event::Nothing => {}
                node => {
                    let value = self.node(node, span, 0)?;
                    match &document {
                        None | Some(Value::Null) => document = Some(value),
                        // `---` at the end begins an empty document.
                        Some(_) if value.is_null() => {}
                        Some(_) => return Err(at(span, "expected a single document in the body")),
                    }
                }
            }
        }
        Ok(document)
    }

    fn node(&mut self, event: Event<'a>, span: Span, depth: usize) -> Result<Value, DecodeError> {
        if depth > DEPTH_MAX {
            return Err(at(span, "exceeded max depth"));
        }
        let (anchor, value) = match event {
            Event::Alias(anchor) => return self.alias(anchor, span),
            Event::Scalar(text, style, anchor, tag) => {
                let scalar = resolve(&text, style != ScalarStyle::Plain, tag.as_deref());
                (anchor, scalar.map_err(|reason| at(span, reason))?.into_value(&text))
            }
            Event::SequenceStart(anchor, _) => (anchor, self.sequence(depth)?),
            Event::MappingStart(anchor, _) => (anchor, self.mapping(depth)?),
            _ => return Err(at(span, "did not find expected node content")),
        };
        if anchor > 0 {
            let size_bytes = size(&value);
            self.anchors.insert(anchor, (value.clone(), size_bytes));
        }
        Ok(value)
    }

    fn alias(&mut self, anchor: usize, span: Span) -> Result<Value, DecodeError> {
        let Some((value, size_bytes)) = self.anchors.get(&anchor) else {
            return Err(at(span, "anchor value contains itself"));
        };
        self.aliased_bytes = self.aliased_bytes.saturating_add(*size_bytes);
        if self.aliased_bytes > ALIASED_BYTES_MAX {
            return Err(error("document contains excessive aliasing"));
        }
        Ok(value.clone())
    }

    fn sequence(&mut self, depth: usize) -> Result<Value, DecodeError> {
        let mut items = Vec::new();
        loop {
            match self.next()?.ok_or_else(ended)? {
                (Event::SequenceEnd, _) => return Ok(Value::Array(items)),
                (event, span) => items.push(self.node(event, span, depth + 1)?),
            }
        }
    }

    fn mapping(&mut self, depth: usize) -> Result<Value, DecodeError> {
        let mut fields = Map::new();
        let mut merged = Map::new();
        loop {
            let (event, key_span) = match self.next()?.ok_or_else(ended)? {
                (Event::MappingEnd, _) => break,
                key => key,
            };
            let is_merge = matches!(&event, Event::Scalar(text, ScalarStyle::Plain, _, None) if text == "<<");
            let key = if is_merge { String::new() } else { self.key(event, key_span, depth)? };
            let (event, span) = self.next()?.ok_or_else(ended)?;
            let value = self.node(event, span, depth + 1)?;
            if is_merge {
                merge(value, &mut merged).map_err(|reason| at(span, reason))?;
                continue;
            }
            if fields.contains_key(&key) && self.duplicates.len() < DUPLICATES_MAX {
                let line = key_span.start.line();
                self.duplicates.push(format!("  line {line}: key {} already set in map", quote(&key)));
            }
            fields.insert(key, value);
        }
        // What stands in the mapping itself wins over what is merged into it.
        for (key, value) in merged {
            fields.entry(key).or_insert(value);
        }
        Ok(Value::Object(fields))
    }

    /// A key as JSON has it: numbers and truth values become their texts.
    fn key(&mut self, event: Event<'a>, span: Span, depth: usize) -> Result<String, DecodeError> {
        match self.node(event, span, depth + 1)? {
            Value::String(text) => Ok(text),
            Value::Number(number) => Ok(number.to_string()),
            Value::Bool(value) => Ok(value.to_string()),
            Value::Null => Err(at(span, "unsupported map key of type: null")),
            Value::Array(_) | Value::Object(_) => Err(at(span, "invalid map key")),
        }
    }

    fn next(&mut self) -> Result<Option<(Event<'a>, Span)>, DecodeError> {
        self.parser.next_event().transpose().map_err(|wrong: ScanError| broken(wrong.marker().line(), wrong.info()))
    }
}

/// Adds the fields of a merged mapping, or of several: the first that has a field gives it.
fn merge(value: Value, merged: &mut Map<String, Value>) -> Result<(), &'static str> {
    let mut add = |value: Value| match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                merged.entry(key).or_insert(value);
            }
            Ok(())
        }
        _ => Err("map merge requires map or sequence of maps as the value"),
    };
    match value {
        Value::Array(items) => items.into_iter().try_for_each(add),
        single => add(single),
    }
}

/// What a copy of the value costs, roughly, in bytes.
fn size(value: &Value) -> usize {
    const NODE_BYTES: usize = 32;
    NODE_BYTES
        + match value {
            Value::Null | Value::Bool(_) | Value::Number(_) => 0,
            Value::String(text) => text.len(),
            Value::Array(items) => items.iter().map(size).sum(),
            Value::Object(fields) => fields.iter().map(|(key, value)| NODE_BYTES + key.len() + size(value)).sum(),
        }
}

impl Scalar {
    fn into_value(self, text: &str) -> Value {
        match self {
            Self::Value(value) => value,
            Self::Text => text.into(),
        }
    }
}

/// A syntax error as Go's library tells it: without what was being read, and with the line of a parser's error counted
/// from 0 (of which the first is left out).
fn broken(line: usize, info: &str) -> DecodeError {
    let context = ["while parsing ", "while scanning "].into_iter().any(|context| info.starts_with(context));
    let reason = info.split_once(", ").filter(|_| context).map_or(info, |(_, reason)| reason);
    let line = if info.starts_with("while parsing ") { line.saturating_sub(1) } else { line };
    DecodeError::Yaml(if line == 0 { reason.to_owned() } else { format!("line {line}: {reason}") })
}

fn error(reason: &str) -> DecodeError {
    DecodeError::Yaml(reason.to_owned())
}

fn at(span: Span, reason: impl std::fmt::Display) -> DecodeError {
    DecodeError::Yaml(format!("line {}: {reason}", span.start.line()))
}

fn ended() -> DecodeError {
    error("unexpected end of stream")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &Value) {
        let parsed = parse_yaml(text.as_bytes()).unwrap();
        assert_eq!(parsed, Parsed { value: expected.clone(), duplicates: vec![] }, "{text}");
    }

    #[test]
    fn documents_become_what_json_can_hold() {
        check("a: 1\nb:\n- x\n- {c: yes}\n", &json!({"a": 1, "b": ["x", {"c": true}]}));
        check("1: a\ntrue: b\nno: c\n1.5: d\n", &json!({"1": "a", "true": "b", "false": "c", "1.5": "d"}));
        check("a: |\n  x\n  y\n", &json!({"a": "x\ny\n"}));
        check("", &Value::Null);
        check("---\na: 1\n---\n", &json!({"a": 1}));
        check("{\"a\": \"yes\", \"b\": null}", &json!({"a": "yes", "b": null}));
    }

    #[test]
    fn aliases_and_merge_keys_are_resolved() {
        check(
            "base: &b {x: 1, w: 2}\nuse:\n  <<: *b\n  w: 3\nlist:\n  <<: [*b, {z: 4, x: 9}]\n",
            &json!({"base": {"x": 1, "w": 2}, "use": {"x": 1, "w": 3}, "list": {"x": 1, "w": 2, "z": 4}}),
        );
    }

    #[test]
    fn a_body_that_multiplies_itself_is_refused() {
        let mut bomb = "a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol, lol]\n".to_owned();
        for level in 1..9 {
            let alias = format!("*a{}", level - 1);
            bomb.push_str(&format!("a{level}: &a{level} [{}]\n", vec![alias; 10].join(", ")));
        }
        let refused = parse_yaml(bomb.as_bytes()).unwrap_err();
        assert_eq!(refused.to_string(), "yaml: document contains excessive aliasing");
        assert!(parse_yaml(b"a: &a [*a]").is_err());
        assert!(parse_yaml("[".repeat(300).as_bytes()).is_err());
    }

    #[test]
    fn a_second_document_is_refused_and_a_second_key_told() {
        let refused = parse_yaml(b"a: 1\n---\nb: 2\n").unwrap_err();
        assert_eq!(refused.to_string(), "yaml: line 3: expected a single document in the body");
        let parsed = parse_yaml(b"data:\n  a: 1\n  a: 2\n").unwrap();
        assert_eq!(parsed.value, json!({"data": {"a": 2}}));
        assert_eq!(parsed.duplicates, ["yaml: unmarshal errors:\n  line 3: key \"a\" already set in map"]);
    }
}
