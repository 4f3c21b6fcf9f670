//! Replaces what differs from run to run by placeholders, in answers and in what is expected of them: `<uid>`,
//! `<time>`, `<revision>`, `<generated>`, `<address>`, `<port>`, `<age>`, `<hash>`, `<token>`,
//! `<continue>`, `<version>`.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

/// What the numbers of an age end in.
const AGE_UNITS: [char; 5] = ['s', 'm', 'h', 'd', 'y'];

/// How addresses of the default range for Services begin.
const OUR_ADDRESSES: &str = "100.96.";

/// Replaces from answer to answer; it remembers the names that the server made up.
#[derive(Debug, Default)]
pub(crate) struct Settler {
    generated: BTreeSet<(String, String)>,
    /// Leaves managers out, where a table is about something else.
    pub(crate) hides_managers: bool,
}

impl Settler {
    pub(crate) fn settle(&mut self, value: &mut Value) {
        self.learn(value);
        self.visit("", value);
    }

    /// Remembers names that were generated, with what stands for them.
    fn learn(&mut self, value: &Value) {
        match value {
            Value::Object(fields) => {
                if let (Some(Value::String(prefix)), Some(Value::String(name))) =
                    (fields.get("generateName"), fields.get("name"))
                    && name.starts_with(prefix.as_str())
                    && !name.ends_with("<generated>")
                {
                    self.generated.insert((name.clone(), format!("{prefix}<generated>")));
                }
                fields.values().for_each(|field| self.learn(field));
            }
            Value::Array(items) => items.iter().for_each(|item| self.learn(item)),
            _ => {}
        }
    }

    fn visit(&self, name: &str, value: &mut Value) {
        match value {
            Value::Object(fields) => {
                if self.hides_managers {
                    fields.remove("managedFields");
                }
                settle_version(fields);
                fields.iter_mut().for_each(|(name, field)| self.visit(name, field));
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.visit(name, item)),
            Value::String(text) => *text = self.text(name, text),
            Value::Number(_) if name == "nodePort" || name == "healthCheckNodePort" => *value = json!("<port>"),
            _ => {}
        }
    }

    fn text(&self, name: &str, text: &str) -> String {
        match name {
            "resourceVersion" if is_number(text) => return "<revision>".to_owned(),
            // A JSON Web Token.
            "token" if text.starts_with("eyJ") => return "<token>".to_owned(),
            "continue" if !text.is_empty() => return "<continue>".to_owned(),
            "serverRelativeURL" => return cut(text, "?hash=", "<hash>"),
            "clusterIP" | "clusterIPs" | "cells" if text.parse::<std::net::Ipv4Addr>().is_ok() => {
                return "<address>".to_owned();
            }
            _ => {}
        }
        let mut text = replace_words(text, is_uid, "<uid>");
        text = replace_words(&text, |word| word.parse::<jiff::Timestamp>().is_ok(), "<time>");
        if name == "message" {
            text = replace_words(&text, |word| word.starts_with(OUR_ADDRESSES), "<address>");
            text = cut(&text, "current: ", "<revision>");
            text = cut(&text, "too old resource version: ", "<revision>");
            text = without_number(&text, "match the ResourceVersion in record (", "<revision>");
        }
        if name == "cells" {
            text = replace_words(&text, is_age, "<age>");
            text = replace_words(&text.replace(':', " : "), is_node_port, "<port>").replace(" : ", ":");
        }
        if let Some((before, _)) = text.split_once("kube-api-access-").filter(|(_, made)| made.len() == 5) {
            text = format!("{before}kube-api-access-<generated>");
        }
        for (name, stands_for) in &self.generated {
            text = text.replace(name, stands_for);
        }
        text
    }
}

/// What a server says of itself in `/version`.
fn settle_version(fields: &mut Map<String, Value>) {
    if !fields.contains_key("gitVersion") {
        return;
    }
    for (name, value) in fields.iter_mut().filter(|(name, _)| name.as_str() != "major" && name.as_str() != "minor") {
        if !name.contains("ajor") && !name.contains("inor") {
            *value = json!("<version>");
        }
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// A number in the range that node ports come from.
fn is_node_port(word: &str) -> bool {
    word.parse().is_ok_and(|port: u16| (30_000..32_768).contains(&port))
}

fn is_uid(word: &str) -> bool {
    let lengths: Vec<_> = word.split('-').map(str::len).collect();
    lengths == [8, 4, 4, 4, 12] && word.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit())
}

/// `5s`, `2m10s`, `3d4h`: ends in a unit and is numbers and units.
fn is_age(text: &str) -> bool {
    let parts: Vec<_> = text.split_inclusive(AGE_UNITS).collect();
    !text.is_empty() && parts.iter().all(|part| part.strip_suffix(AGE_UNITS).is_some_and(is_number))
}

/// `text` to the end of `marker`, then `placeholder`.
fn cut(text: &str, marker: &str, placeholder: &str) -> String {
    match text.split_once(marker) {
        Some((before, _)) => format!("{before}{marker}{placeholder}"),
        None => text.to_owned(),
    }
}

/// `text` with `placeholder` for the number that follows `marker`.
fn without_number(text: &str, marker: &str, placeholder: &str) -> String {
    match text.split_once(marker) {
        Some((before, after)) if after.starts_with(|character: char| character.is_ascii_digit()) => {
            let after = after.trim_start_matches(|character: char| character.is_ascii_digit());
            format!("{before}{marker}{placeholder}{after}")
        }
        _ => text.to_owned(),
    }
}

/// Replaces words, which are parted by what is not a letter, digit, `-`, `.` or `:`.
fn replace_words(text: &str, is_volatile: impl Fn(&str) -> bool, placeholder: &str) -> String {
    let is_part = |character: char| character.is_ascii_alphanumeric() || "-.:".contains(character);
    let mut settled = String::new();
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(|character| !is_part(character)).unwrap_or(rest.len());
        let end = rest[..end].trim_end_matches(['.', ':']).len();
        let (word, after) = rest.split_at(end);
        settled.push_str(if is_volatile(word) { placeholder } else { word });
        let next = after.find(|character: char| character.is_ascii_alphanumeric()).unwrap_or(after.len());
        settled.push_str(&after[..next]);
        rest = &after[next..];
    }
    settled
}
