//! Paths to fields of a schema: `.spec.name`.

use serde_json::Value;

use crate::value::{has, part};

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
pub(super) fn find<'s>(schema: &'s Value, path: &str) -> Result<Found<'s>, String> {
    let mut found = Found { names: Vec::new(), schema };
    let mut rest = path;
    while let Some(first) = rest.chars().next() {
        match first {
            '.' => {}
            '[' => return Err("array notation is not allowed".to_owned()),
            _ => {
                let end = rest.find(['.', '[']).unwrap_or(rest.len());
                return Err(format!("expected [ or . but got: {}", rest.get(..end).unwrap_or(rest)));
            }
        }
        let after = rest.get(1..).unwrap_or_default();
        let (name, behind) = after.split_at(after.find(['.', '[']).unwrap_or(after.len()));
        if name.is_empty() {
            return Err("unexpected end of JSON path".to_owned());
        }
        found.enter(name)?;
        rest = behind;
    }
    Ok(found)
}

impl Found<'_> {
    fn enter(&mut self, name: &str) -> Result<(), String> {
        let inner = if has(self.schema, "properties") {
            part(part(self.schema, "properties"), name)
        } else {
            part(self.schema, "additionalProperties")
        };
        if !inner.is_object() {
            return Err("does not refer to a valid field".to_owned());
        }
        self.names.push(name.to_owned());
        self.schema = inner;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn paths_lead_to_fields() {
        let schema = json!({"properties": {"a": {"properties": {"b": {"type": "string"}}},
            "m": {"additionalProperties": {"type": "integer"}}}});
        let check = |path: &str, expected: Result<&str, &str>| {
            let found = find(&schema, path);
            let found = found.map(|found| found.schema["type"].as_str().unwrap_or_default().to_owned());
            assert_eq!(found.as_deref().map_err(String::as_str), expected, "{path}");
        };
        check(".a.b", Ok("string"));
        check(".m.any", Ok("integer"));
        check(".a.c", Err("does not refer to a valid field"));
        check(".a['b']", Err("array notation is not allowed"));
        check(".a.", Err("unexpected end of JSON path"));
        check("a", Err("expected [ or . but got: a"));
    }
}
