//! One request and the answer to it, as the tables write them:
//!
//! ```text
//! ### 24: create
//! POST /api/v1/namespaces/rec/configmaps
//! content-type: application/json
//!
//! {"apiVersion": "v1", …}
//!
//! HTTP 201
//! warning: 299 - "…"
//!
//! {"apiVersion": "v1", …}
//! ```
//!
//! What stands before the colon of the title names the exchange. `user: anonymous` among the headers asks as nobody,
//! otherwise an administrator asks; lines from `#` under the title are for people. An answer without `HTTP` is not
//! looked at. Answers name the headers that [`HEADERS`] lists; one in JSON does not name its content type, and one in
//! protobuf is shown as the JSON that it says the same as.

use std::fmt::Write as _;

use serde_json::Value;

use crate::protobuf;

/// The headers of answers that are compared.
pub(crate) const HEADERS: [&str; 6] =
    ["content-type", "content-encoding", "warning", "retry-after", "allow", "accept-patch"];

/// Columns that a JSON value may take on one line.
const WIDTH: usize = 118;

#[derive(Clone, Debug)]
pub(crate) struct Exchange {
    /// The name, unique in its table.
    pub(crate) name: String,
    title: String,
    notes: Vec<String>,
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    /// As it stands in the table, before references are filled in.
    pub(crate) body: String,
    /// `None` where the answer is not looked at.
    pub(crate) answer: Option<Answer>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Answer {
    pub(crate) code: u16,
    pub(crate) headers: Vec<(String, String)>,
    /// One value for an object, one each event of a watch, a string for text.
    pub(crate) body: Vec<Value>,
}

impl Exchange {
    /// Reads a whole table.
    pub(crate) fn parse_all(text: &str) -> Vec<Self> {
        let (_, blocks) = text.split_once("### ").unwrap();
        blocks.split("\n### ").map(Self::parse).collect()
    }

    fn parse(block: &str) -> Self {
        let (request, answer) = match block.split_once("\nHTTP ") {
            Some((request, answer)) => (request, Some(Answer::parse(answer))),
            None => (block, None),
        };
        let mut lines = request.lines();
        let title = lines.next().unwrap().to_owned();
        let name = title.split(':').next().unwrap().to_owned();
        let mut lines = lines.skip_while(|line| line.is_empty()).peekable();
        let mut notes = Vec::new();
        while let Some(note) = lines.next_if(|line| line.starts_with('#')) {
            notes.push(note.to_owned());
        }
        let Some((method, path)) = lines.next().and_then(|line| line.split_once(' ')) else {
            panic!("{title}: no request line");
        };
        let headers = headers(&mut lines);
        let body = lines.collect::<Vec<_>>().join("\n").trim_end().to_owned();
        Self { name, title, notes, method: method.to_owned(), path: path.to_owned(), headers, body, answer }
    }

    /// Writes it as it is read.
    pub(crate) fn print(&self, into: &mut String) {
        writeln!(into, "### {}", self.title).unwrap();
        for note in &self.notes {
            writeln!(into, "{note}").unwrap();
        }
        writeln!(into, "{} {}", self.method, self.path).unwrap();
        print_headers(&self.headers, into);
        if !self.body.is_empty() {
            writeln!(into, "\n{}", self.body).unwrap();
        }
        if let Some(answer) = &self.answer {
            answer.print(into);
        }
        into.push('\n');
    }

    /// The same with another answer, if its answer is looked at.
    pub(crate) fn with_answer(&self, answer: Answer) -> Self {
        Self { answer: self.answer.is_some().then_some(answer), ..self.clone() }
    }

    /// The value of a header of the request.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }
}

impl Answer {
    fn parse(text: &str) -> Self {
        let mut lines = text.lines();
        let code = lines.next().unwrap().parse().unwrap();
        let headers = headers(&mut lines);
        let body = lines.collect::<Vec<_>>().join("\n").trim().to_owned();
        Self { code, body: values(&body, content_type(&headers)), headers }
    }

    /// An answer as it came: the headers that are compared, and the body's values.
    pub(crate) fn of(code: u16, headers: Vec<(String, String)>, body: &[u8]) -> Self {
        let body = match content_type(&headers) {
            PROTOBUF => vec![protobuf::shown(body)],
            content_type => values(String::from_utf8_lossy(body).trim(), content_type),
        };
        let headers = headers.into_iter().filter(|(name, value)| name != "content-type" || value != JSON).collect();
        Self { code, headers, body }
    }

    fn print(&self, into: &mut String) {
        writeln!(into, "\nHTTP {}", self.code).unwrap();
        print_headers(&self.headers, into);
        if !self.body.is_empty() {
            into.push('\n');
        }
        for value in &self.body {
            match value {
                Value::String(text) if content_type(&self.headers) != JSON => writeln!(into, "{text}").unwrap(),
                value => writeln!(into, "{}", print(value)).unwrap(),
            }
        }
    }
}

const JSON: &str = "application/json";
const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";

fn content_type(headers: &[(String, String)]) -> &str {
    headers.iter().find(|(name, _)| name == "content-type").map_or(JSON, |(_, value)| value)
}

fn headers<'a>(lines: &mut impl Iterator<Item = &'a str>) -> Vec<(String, String)> {
    let lines = lines.take_while(|line| !line.is_empty());
    lines.map(|line| line.split_once(": ").unwrap()).map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn print_headers(headers: &[(String, String)], into: &mut String) {
    for (name, value) in headers {
        writeln!(into, "{name}: {value}").unwrap();
    }
}

/// What a body holds, by its content type.
fn values(body: &str, content_type: &str) -> Vec<Value> {
    if body.is_empty() {
        return Vec::new();
    }
    if content_type.starts_with(JSON) {
        let read: Result<Vec<Value>, _> = serde_json::Deserializer::from_str(body).into_iter().collect();
        return read.unwrap_or_else(|error| panic!("not JSON ({error}): {body}"));
    }
    if content_type.starts_with("application/yaml") && !body.starts_with('{') {
        return vec![api::decode::parse_yaml(body.as_bytes()).unwrap().value];
    }
    vec![serde_json::from_str(body).unwrap_or_else(|_| Value::from(body))]
}

/// JSON for people: what fits on a line stands on a line.
pub(crate) fn print(value: &Value) -> String {
    let mut text = String::new();
    print_at(value, 0, 0, &mut text);
    text
}

fn print_at(value: &Value, depth: usize, used: usize, into: &mut String) {
    let flat = value.to_string();
    let inside = depth + 2;
    match value {
        Value::Object(fields) if depth + used + flat.len() > WIDTH => {
            into.push('{');
            for (index, (name, field)) in fields.iter().enumerate() {
                let name = Value::from(name.as_str()).to_string();
                write!(into, "{}\n{:inside$}{name}: ", if index > 0 { "," } else { "" }, "").unwrap();
                print_at(field, inside, name.len() + 2, into);
            }
            write!(into, "\n{:depth$}}}", "").unwrap();
        }
        Value::Array(items) if depth + used + flat.len() > WIDTH => {
            into.push('[');
            for (index, item) in items.iter().enumerate() {
                write!(into, "{}\n{:inside$}", if index > 0 { "," } else { "" }, "").unwrap();
                print_at(item, inside, 0, into);
            }
            write!(into, "\n{:depth$}]", "").unwrap();
        }
        _ => into.push_str(&flat),
    }
}
