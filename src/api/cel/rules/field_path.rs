//! `fieldPath` of a rule: a path from the rule's value to the field that is at fault.

use serde_json::Value;

use crate::validation::field::Path;

/// The path as messages write it, if a schema has such a field; else why not.
pub(super) fn resolve(path: &str, schema: &Value) -> Result<String, String> {
    let mut resolved = Path::default();
    let mut schema = schema;
    let mut tokens = tokens(path).into_iter();
    let mut next = || tokens.next();
    while let Some(token) = next() {
        let name = match token {
            "[" => {
                let quoted = next().ok_or("unexpected end of JSON path")?;
                let inner = quoted.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\''));
                let inner = inner.ok_or_else(|| format!("expected single quoted string but got {quoted}"))?;
                unescape(inner)?
            }
            "." => next().ok_or("unexpected end of JSON path")?.to_owned(),
            other => return Err(format!("expected [ or . but got: {other}")),
        };
        let invalid = "does not refer to a valid field";
        if let Some(properties) = schema.get("properties") {
            resolved = resolved.child(&name);
            schema = properties.get(&name).ok_or(invalid)?;
        } else {
            resolved = resolved.key(&name);
            schema = schema.get("additionalProperties").filter(|values| values.is_object()).ok_or(invalid)?;
        }
        if token == "[" {
            match next() {
                Some("]") => {}
                Some(other) => return Err(format!("expected ] but got {other}")),
                None => return Err("unexpected end of JSON path".to_owned()),
            }
        }
    }
    Ok(resolved.into())
}

/// Delimiters, quoted strings, and what stands between them.
fn tokens(path: &str) -> Vec<&str> {
    let mut tokens = Vec::new();
    let mut rest = path;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '.' | '[' | ']' => 1,
            '\'' => end_of_quoted(rest),
            _ => rest.find(['.', '[', ']']).unwrap_or(rest.len()),
        };
        let (token, after) = rest.split_at_checked(length).unwrap_or((rest, ""));
        tokens.push(token);
        rest = after;
    }
    tokens
}

fn end_of_quoted(text: &str) -> usize {
    let mut before = '\'';
    for (place, character) in text.char_indices().skip(1) {
        if character == '\'' && before != '\\' {
            return place + 1;
        }
        before = character;
    }
    text.len()
}

fn unescape(text: &str) -> Result<String, String> {
    let mut result = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        if character != '\\' {
            result.push(character);
            continue;
        }
        let Some(escape) = characters.next() else {
            result.push('\\');
            break;
        };
        result.push(match escape {
            'a' => '\u{7}',
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\u{b}',
            '\'' | '\\' => escape,
            other => return Err(format!("invalid string literal: invalid escape char \\{other}")),
        });
    }
    Ok(result)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn paths_are_those_of_the_schema() {
        let schema = json!({"type": "object", "properties": {
            "a": {"type": "object", "properties": {"b.c": {"type": "string"}}},
            "m": {"type": "object", "additionalProperties": {"type": "string"}},
            "l": {"type": "array", "items": {"type": "string"}},
        }});
        for (path, expected) in [
            (".a", Ok("a")),
            (".a['b.c']", Ok("a.b.c")),
            (".m['it\\'s']", Ok("m[it's]")),
            (".m.x", Ok("m[x]")),
            (".b", Err("does not refer to a valid field")),
            ("a", Err("expected [ or . but got: a")),
            (".l[0]", Err("expected single quoted string but got 0")),
            (".a[", Err("unexpected end of JSON path")),
        ] {
            let expected = expected.map(str::to_owned).map_err(str::to_owned);
            assert_eq!(resolve(path, &schema), expected, "{path}");
        }
    }
}
