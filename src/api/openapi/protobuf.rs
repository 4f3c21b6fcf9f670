//! OpenAPI 2 as gnostic's protobuf messages (google/gnostic, `openapiv2/OpenAPIv2.proto`, Apache-2.0): the numbers of
//! the fields that our documents have, and how their JSON becomes a message.

use serde_json::Value;

/// How a JSON value is written under a field's number.
enum Form {
    /// A text.
    Text,
    /// True or false.
    Bool,
    /// Any value, as YAML text in an `Any`; JSON is YAML.
    Any,
    /// An object with known fields.
    Message(&'static Message),
    /// A list, each item under the same number. What is no list is one item.
    Each(&'static Form),
    /// A map, each entry a message of a name and a value under the same number.
    Entries(&'static Form),
    /// A message around the value, which it has under this number.
    Around(u64, &'static Form),
    /// One of several forms.
    Choice(fn(&Value) -> &'static Form),
}

/// A message: the numbers and forms of its fields, and the number for `x-…` fields (0 where there are none).
struct Message {
    fields: &'static [(&'static str, u64, &'static Form)],
    extensions: u64,
}

/// Encodes an OpenAPI 2 document.
pub(super) fn encode(document: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    write_message(&DOCUMENT, document, &mut out);
    out
}

static DOCUMENT: Message = Message {
    fields: &[
        ("swagger", 1, &Form::Text),
        ("info", 2, &Form::Message(&INFO)),
        ("paths", 8, &Form::Around(2, &Form::Entries(&Form::Message(&PATH)))),
        ("definitions", 9, &Form::Around(1, &Form::Entries(&SCHEMA_FORM))),
        ("security", 12, &Form::Each(&Form::Around(1, &Form::Entries(&Form::Around(1, &Form::Each(&Form::Text)))))),
        ("securityDefinitions", 13, &Form::Around(1, &Form::Entries(&Form::Around(2, &Form::Message(&API_KEY))))),
    ],
    extensions: 16,
};

static INFO: Message = Message { fields: &[("title", 1, &Form::Text), ("version", 2, &Form::Text)], extensions: 7 };

static API_KEY: Message = Message {
    fields: &[
        ("type", 1, &Form::Text),
        ("name", 2, &Form::Text),
        ("in", 3, &Form::Text),
        ("description", 4, &Form::Text),
    ],
    extensions: 5,
};

static PATH: Message = Message {
    fields: &[
        ("get", 2, &Form::Message(&OPERATION)),
        ("put", 3, &Form::Message(&OPERATION)),
        ("post", 4, &Form::Message(&OPERATION)),
        ("delete", 5, &Form::Message(&OPERATION)),
        ("patch", 8, &Form::Message(&OPERATION)),
        ("parameters", 9, &Form::Each(&PARAMETER)),
    ],
    extensions: 10,
};

static OPERATION: Message = Message {
    fields: &[
        ("tags", 1, &Form::Each(&Form::Text)),
        ("description", 3, &Form::Text),
        ("operationId", 5, &Form::Text),
        ("produces", 6, &Form::Each(&Form::Text)),
        ("consumes", 7, &Form::Each(&Form::Text)),
        ("parameters", 8, &Form::Each(&PARAMETER)),
        ("responses", 9, &Form::Around(1, &Form::Entries(&Form::Around(1, &Form::Message(&RESPONSE))))),
        ("schemes", 10, &Form::Each(&Form::Text)),
    ],
    extensions: 13,
};

/// `ParametersItem{1 Parameter{1 body | 2 other{3 query | 4 path}}}`
static PARAMETER: Form = Form::Around(
    1,
    &Form::Choice(|parameter| match parameter.get("in").and_then(Value::as_str) {
        Some("body") => &IN_BODY,
        Some("path") => &IN_PATH,
        _ => &IN_QUERY,
    }),
);
static IN_BODY: Form = Form::Around(1, &Form::Message(&BODY_PARAMETER));
static IN_PATH: Form = Form::Around(2, &Form::Around(4, &Form::Message(&PATH_PARAMETER)));
static IN_QUERY: Form = Form::Around(2, &Form::Around(3, &Form::Message(&QUERY_PARAMETER)));

static BODY_PARAMETER: Message = Message {
    fields: &[
        ("description", 1, &Form::Text),
        ("name", 2, &Form::Text),
        ("in", 3, &Form::Text),
        ("required", 4, &Form::Bool),
        ("schema", 5, &SCHEMA_FORM),
    ],
    extensions: 6,
};

static QUERY_PARAMETER: Message = Message {
    fields: &[
        ("required", 1, &Form::Bool),
        ("in", 2, &Form::Text),
        ("description", 3, &Form::Text),
        ("name", 4, &Form::Text),
        ("type", 6, &Form::Text),
        ("uniqueItems", 20, &Form::Bool),
    ],
    extensions: 23,
};

static PATH_PARAMETER: Message = Message {
    fields: &[
        ("required", 1, &Form::Bool),
        ("in", 2, &Form::Text),
        ("description", 3, &Form::Text),
        ("name", 4, &Form::Text),
        ("type", 5, &Form::Text),
        ("uniqueItems", 19, &Form::Bool),
    ],
    extensions: 22,
};

static RESPONSE: Message = Message {
    fields: &[("description", 1, &Form::Text), ("schema", 2, &Form::Around(1, &SCHEMA_FORM))],
    extensions: 5,
};

static SCHEMA_FORM: Form = Form::Message(&SCHEMA);

static SCHEMA: Message = Message {
    fields: &[
        ("$ref", 1, &Form::Text),
        ("format", 2, &Form::Text),
        ("description", 4, &Form::Text),
        ("default", 5, &Form::Any),
        ("required", 19, &Form::Each(&Form::Text)),
        ("additionalProperties", 21, &Form::Around(1, &SCHEMA_FORM)),
        ("type", 22, &Form::Around(1, &Form::Each(&Form::Text))),
        ("items", 23, &Form::Around(1, &SCHEMA_FORM)),
        ("properties", 25, &Form::Around(1, &Form::Entries(&SCHEMA_FORM))),
    ],
    extensions: 31,
};

fn write_message(message: &Message, value: &Value, out: &mut Vec<u8>) {
    for (name, number, form) in message.fields {
        if let Some(value) = value.get(name) {
            write(form, *number, value, out);
        }
    }
    let fields = value.as_object().into_iter().flatten();
    for (name, value) in fields.filter(|(name, _)| name.starts_with("x-") && message.extensions > 0) {
        write_entry(&Form::Any, message.extensions, name, value, out);
    }
}

fn write(form: &Form, number: u64, value: &Value, out: &mut Vec<u8>) {
    match form {
        Form::Text => write_bytes(number, value.as_str().unwrap_or_default().as_bytes(), out),
        Form::Bool => {
            write_varint(number << 3, out);
            out.push(u8::from(value.as_bool().unwrap_or_default()));
        }
        Form::Any => write_within(number, out, |out| write_bytes(2, value.to_string().as_bytes(), out)),
        Form::Message(message) => write_within(number, out, |out| write_message(message, value, out)),
        Form::Each(item) => match value {
            Value::Array(items) => items.iter().for_each(|value| write(item, number, value, out)),
            single => write(item, number, single, out),
        },
        Form::Entries(item) => {
            for (name, value) in value.as_object().into_iter().flatten() {
                write_entry(item, number, name, value, out);
            }
        }
        Form::Around(inner, form) => write_within(number, out, |out| write(form, *inner, value, out)),
        Form::Choice(choose) => write(choose(value), number, value, out),
    }
}

fn write_entry(form: &Form, number: u64, name: &str, value: &Value, out: &mut Vec<u8>) {
    write_within(number, out, |out| {
        write_bytes(1, name.as_bytes(), out);
        write(form, 2, value, out);
    });
}

/// A message under a number, written by `content`.
fn write_within(number: u64, out: &mut Vec<u8>, content: impl FnOnce(&mut Vec<u8>)) {
    let mut inner = Vec::new();
    content(&mut inner);
    write_bytes(number, &inner, out);
}

fn write_bytes(number: u64, bytes: &[u8], out: &mut Vec<u8>) {
    // Wire type 2: a length and as many bytes.
    write_varint(number << 3 | 2, out);
    write_varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

fn write_varint(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_document_becomes_its_messages() {
        let check = |document: Value, expected: &[u8]| assert_eq!(encode(&document), expected, "{document}");
        check(json!({"swagger": "2.0"}), b"\x0a\x032.0");
        check(json!({"info": {"title": "K", "version": "v"}}), b"\x12\x06\x0a\x01K\x12\x01v");
        // definitions{1 entry{1 name, 2 schema{22 type{1 "object"}}}}
        check(
            json!({"definitions": {"a": {"type": "object"}}}),
            b"\x4a\x12\x0a\x10\x0a\x01a\x12\x0b\xb2\x01\x08\x0a\x06object",
        );
    }
}
