//! Paths to fields of a schema: `.spec['my.name']`. A rule's `fieldPath` leads from its value to the field that is at
//! fault, a version's `selectableFields` from its root.

use serde_json::Value;

use crate::validation::field::Path;
use crate::value::{has, part};

/// Where a path leads.
pub(crate) struct Found<'s> {
    /// As messages write it.
    pub(crate) path: Path,
    pub(crate) schema: &'s Value,
}

/// The path as messages write it, if a schema has such a field.
///
/// # Errors
/// Upstream's reason why there is none.
pub(super) fn resolve(path: &str, schema: &Value) -> Result<String, String> {
    find(path, schema, true).map(|found| found.path.into())
}

/// The field of a schema at a path, which may name fields in brackets or not.
///
/// # Errors
/// Upstream's reason why there is none.
pub(crate) fn find<'s>(path: &str, schema: &'s Value, allows_brackets: bool) -> Result<Found<'s>, String> {
    let mut found = Found { path: Path::default(), schema };
    let mut tokens = tokens(path).into_iter();
    let mut next = || tokens.next();
    while let Some(token) = next() {
        let name = match token {
            "[" if !allows_brackets => return Err("array notation is not allowed".to_owned()),
            "[" => {
                let quoted = next().ok_or("unexpected end of JSON path")?;
                let inner = quoted.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\''));
                let inner = inner.ok_or_else(|| format!("expected single quoted string but got {quoted}"))?;
                unescape(inner)?
            }
            "." => next().ok_or("unexpected end of JSON path")?.to_owned(),
            other => return Err(format!("expected [ or . but got: {other}")),
        };
        found.enter(&name)?;
        if token == "[" {
            match next() {
                Some("]") => {}
                Some(other) => return Err(format!("expected ] but got {other}")),
                None => return Err("unexpected end of JSON path".to_owned()),
            }
        }
    }
    Ok(found)
}

impl Found<'_> {
    fn enter(&mut self, name: &str) -> Result<(), String> {
        let inner = if has(self.schema, "properties") {
            self.path = self.path.child(name);
            part(part(self.schema, "properties"), name)
        } else {
            self.path = self.path.key(name);
            part(self.schema, "additionalProperties")
        };
        if !inner.is_object() {
            return Err("does not refer to a valid field".to_owned());
        }
        self.schema = inner;
        Ok(())
    }
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
            (".a.", Err("unexpected end of JSON path")),
        ] {
            let expected = expected.map(str::to_owned).map_err(str::to_owned);
            assert_eq!(resolve(path, &schema), expected, "{path}");
        }
        let refused = find(".a['b.c']", &schema, false).map(|found| found.path);
        assert_eq!(refused, Err("array notation is not allowed".to_owned()));
    }
}
