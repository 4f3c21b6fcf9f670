//! Paths to fields of a schema: `.spec.name`, `.spec['name']`.

use serde_json::Value;

use crate::value::{has, part};

/// How a path may name its fields.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(super) enum Notation {
    /// `.name` alone.
    Dots,
    /// `['name']`, too.
    Brackets,
}

/// What a path leads to.
pub(super) struct Found<'s> {
    /// The names on the way.
    pub(super) names: Vec<String>,
    pub(super) schema: &'s Value,
}

/// The field at a path.
///
/// # Errors
/// Upstream's reason why there is none.
pub(super) fn find<'s>(schema: &'s Value, path: &str, notation: Notation) -> Result<Found<'s>, String> {
    let mut found = Found { names: Vec::new(), schema };
    let mut tokens = Tokens(path);
    while let Some(token) = tokens.next() {
        let name = match token {
            "." => tokens.next().ok_or("unexpected end of JSON path")?.to_owned(),
            "[" if notation == Notation::Dots => return Err("array notation is not allowed".to_owned()),
            "[" => {
                let name = unquoted(tokens.next().ok_or("unexpected end of JSON path")?)?;
                found.enter(name)?;
                match tokens.next() {
                    Some("]") => continue,
                    Some(other) => return Err(format!("expected ] but got {other}")),
                    None => return Err("unexpected end of JSON path".to_owned()),
                }
            }
            other => return Err(format!("expected [ or . but got: {other}")),
        };
        found.enter(name)?;
    }
    Ok(found)
}

impl Found<'_> {
    fn enter(&mut self, name: String) -> Result<(), String> {
        let inner = if has(self.schema, "properties") {
            part(part(self.schema, "properties"), &name)
        } else {
            part(self.schema, "additionalProperties")
        };
        if !inner.is_object() {
            return Err("does not refer to a valid field".to_owned());
        }
        self.names.push(name);
        self.schema = inner;
        Ok(())
    }
}

/// What stands between quotes.
fn unquoted(token: &str) -> Result<String, String> {
    let inner = token.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\''));
    let inner = inner.ok_or_else(|| format!("expected single quoted string but got {token}"))?;
    Ok(inner.replace("\\'", "'"))
}

/// Delimiters, and what stands between them; a text in quotes is one.
struct Tokens<'p>(&'p str);

impl<'p> Iterator for Tokens<'p> {
    type Item = &'p str;

    fn next(&mut self) -> Option<&'p str> {
        let length = match self.0.chars().next()? {
            '.' | '[' | ']' => 1,
            '\'' => self.quoted(),
            _ => self.0.find(['.', '[', ']']).unwrap_or(self.0.len()),
        };
        let (token, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(token)
    }
}

impl Tokens<'_> {
    /// The length of the text in quotes with which the rest begins.
    fn quoted(&self) -> usize {
        let mut is_escaped = false;
        for (at, c) in self.0.char_indices().skip(1) {
            if c == '\'' && !is_escaped {
                return at + 1;
            }
            is_escaped = c == '\\';
        }
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn paths_lead_to_fields() {
        let schema = json!({"properties": {"a": {"properties": {"b.c": {"type": "string"}}},
            "m": {"additionalProperties": {"type": "integer"}}}});
        let check = |path: &str, expected: Result<&str, &str>| {
            let found = find(&schema, path, Notation::Brackets);
            let found = found.map(|found| found.schema["type"].as_str().unwrap_or_default().to_owned());
            assert_eq!(found.as_deref().map_err(String::as_str), expected, "{path}");
        };
        check(".a['b.c']", Ok("string"));
        check(".m.any", Ok("integer"));
        check(".a.b", Err("does not refer to a valid field"));
        check(".a[b]", Err("expected single quoted string but got b"));
        check(".a['b.c'", Err("unexpected end of JSON path"));
        check("a", Err("expected [ or . but got: a"));
        assert_eq!(find(&schema, ".a['b.c']", Notation::Dots).err().as_deref(), Some("array notation is not allowed"));
    }
}
