//! JSON values as block-style YAML, written the way upstream's marshaller does: keys in order, two spaces, lists at
//! their key's indentation.
//!
//! Strings are quoted when YAML 1.1 would read them as anything else; texts of several lines become literal blocks.

use std::fmt::Write as _;

use serde_json::Value;

/// Writes a document.
pub(crate) fn write(value: &Value) -> String {
    let mut out = String::new();
    match value {
        Value::Object(map) if !map.is_empty() => write_block(&mut out, value, 0),
        Value::Array(list) if !list.is_empty() => write_block(&mut out, value, 0),
        scalar => {
            write_scalar(&mut out, scalar, 0);
            out.push('\n');
        }
    }
    out
}

/// Writes a map or list that is not empty, each line indented by `indent`.
fn write_block(out: &mut String, value: &Value, indent: usize) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                push_indent(out, indent);
                write_string(out, key, indent, false);
                out.push(':');
                write_after_key(out, value, indent);
            }
        }
        Value::Array(list) => {
            for value in list {
                push_indent(out, indent);
                out.push('-');
                write_after_dash(out, value, indent);
            }
        }
        scalar => write_scalar(out, scalar, indent),
    }
}

fn write_after_key(out: &mut String, value: &Value, indent: usize) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            out.push('\n');
            write_block(out, value, indent + 2);
        }
        Value::Array(list) if !list.is_empty() => {
            out.push('\n');
            write_block(out, value, indent);
        }
        scalar => {
            out.push(' ');
            write_scalar(out, scalar, indent + 2);
            out.push('\n');
        }
    }
}

fn write_after_dash(out: &mut String, value: &Value, indent: usize) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            // The first key stands on the dash's line.
            let mut block = String::new();
            write_block(&mut block, value, indent + 2);
            out.push(' ');
            out.push_str(block.trim_start_matches(' '));
        }
        Value::Array(list) if !list.is_empty() => {
            let mut block = String::new();
            write_block(&mut block, value, indent + 2);
            out.push(' ');
            out.push_str(block.trim_start_matches(' '));
        }
        scalar => {
            out.push(' ');
            write_scalar(out, scalar, indent + 2);
            out.push('\n');
        }
    }
}

fn write_scalar(out: &mut String, value: &Value, indent: usize) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(flag) => out.push_str(if *flag { "true" } else { "false" }),
        Value::Number(number) => {
            let _ = write!(out, "{number}");
        }
        Value::String(text) => write_string(out, text, indent, true),
        Value::Array(_) => out.push_str("[]"),
        Value::Object(_) => out.push_str("{}"),
    }
}

fn write_string(out: &mut String, text: &str, indent: usize, may_be_block: bool) {
    if may_be_block && is_block(text) {
        out.push('|');
        out.push_str(match text.len() - text.trim_end_matches('\n').len() {
            0 => "-",
            1 => "",
            _ => "+",
        });
        for line in text.strip_suffix('\n').unwrap_or(text).split('\n') {
            out.push('\n');
            if !line.is_empty() {
                push_indent(out, indent);
                out.push_str(line);
            }
        }
    } else if is_plain(text) {
        out.push_str(text);
    } else if text.chars().any(|c| c.is_control()) {
        // JSON's escapes are YAML's.
        out.push_str(&Value::from(text).to_string());
    } else if reads_as_other(text) {
        let _ = write!(out, "\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
    } else {
        let _ = write!(out, "'{}'", text.replace('\'', "''"));
    }
}

/// Whether a text is written as a literal block: it has several lines that show what they are.
fn is_block(text: &str) -> bool {
    text.contains('\n')
        && !text.starts_with([' ', '\n', '\t'])
        && !text.chars().any(|c| c.is_control() && c != '\n' && c != '\t')
        && !text.split('\n').any(|line| line.ends_with(' '))
}

/// Whether a text means itself without quotes.
fn is_plain(text: &str) -> bool {
    let first_is_safe = text.chars().next().is_some_and(|c| !"-?:,[]{}#&*!|>'\"%@` \t=".contains(c))
        || (text.starts_with(['-', '?', ':'])
            && text.chars().nth(1).is_some_and(|c| !c.is_whitespace())
            && !text.starts_with("--"));
    first_is_safe
        && !text.ends_with([' ', ':', '\t'])
        && !text.contains(": ")
        && !text.contains(" #")
        && !text.chars().any(char::is_control)
        && !reads_as_other(text)
}

/// Whether YAML 1.1 reads the bare text as something that is no string.
fn reads_as_other(text: &str) -> bool {
    const WORDS: [&str; 10] = ["", "~", "null", "true", "false", "yes", "no", "on", "off", "y"];
    let lower = text.to_ascii_lowercase();
    WORDS.contains(&lower.as_str())
        || ["n", ".inf", "-.inf", "+.inf", ".nan", "<<"].contains(&lower.as_str())
        || is_number(&lower)
        || is_timestamp(text)
}

fn is_number(text: &str) -> bool {
    let digits = text.trim_start_matches(['-', '+']);
    let in_radix = |prefix: &str, radix: u32| {
        digits.strip_prefix(prefix).is_some_and(|d| !d.is_empty() && d.chars().all(|c| c.is_digit(radix) || c == '_'))
    };
    let is_decimal = digits.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && digits.chars().any(|c| c.is_ascii_digit())
        && digits.replace('_', "").parse::<f64>().is_ok();
    let is_sexagesimal =
        digits.contains(':') && digits.split(':').all(|d| !d.is_empty() && d.chars().all(|c| c.is_ascii_digit()));
    in_radix("0x", 16) || in_radix("0b", 2) || in_radix("0o", 8) || is_decimal || is_sexagesimal
}

/// Dates begin with four digits and a dash; quoting a few texts too many harms nobody.
fn is_timestamp(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() >= 8 && bytes.iter().take(4).all(u8::is_ascii_digit) && bytes.get(4) == Some(&b'-')
}

fn push_indent(out: &mut String, indent: usize) {
    out.extend(std::iter::repeat_n(' ', indent));
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn objects_look_as_upstream_prints_them() {
        let pod = json!({"apiVersion": "v1", "metadata": {"creationTimestamp": "2026-11-23T08:51:14Z", "labels": {}},
            "spec": {"args": ["-c", "true", "1e3", "a: b"], "containers": [{"image": "i", "ports": [{"p": 1}]}], "x": null}});
        let expected = "apiVersion: v1\nmetadata:\n  creationTimestamp: \"2026-11-23T08:51:14Z\"\n  labels: {}\n\
            spec:\n  args:\n  - -c\n  - \"true\"\n  - \"1e3\"\n  - 'a: b'\n  containers:\n  - image: i\n    ports:\n    - p: 1\n  x: null\n";
        assert_eq!(write(&pod), expected);
    }

    #[test]
    fn texts_of_several_lines_are_blocks() {
        assert_eq!(write(&json!({"a": "x\ny\n"})), "a: |\n  x\n  y\n");
        assert_eq!(write(&json!({"a": "x\ny"})), "a: |-\n  x\n  y\n");
    }
}
