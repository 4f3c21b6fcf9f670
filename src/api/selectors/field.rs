//! Field selectors: `metadata.name=a,status.phase!=Running`.

use std::fmt;

use super::ParseError;
use crate::validation::field::quote;

/// Requirements that an object's fields must all meet; none of them is met by everything.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct FieldSelector(Vec<FieldRequirement>);

/// What one field must be.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FieldRequirement {
    /// The field's path.
    pub field: String,
    /// How it is compared.
    pub operator: FieldOperator,
    /// With what it is compared.
    pub value: String,
}

/// How a field is compared.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum FieldOperator {
    /// It is the value.
    Equals,
    /// It is not the value.
    NotEquals,
}

impl FieldSelector {
    /// The same on fields of other names.
    #[must_use]
    pub fn renamed<'n>(&'n self, name: impl Fn(&'n str) -> &'n str) -> Self {
        let renamed = |it: &'n FieldRequirement| FieldRequirement { field: name(&it.field).to_owned(), ..it.clone() };
        Self(self.0.iter().map(renamed).collect())
    }

    /// Reads a selector as it stands in a query; an empty one selects everything.
    ///
    /// # Errors
    /// When a term has no operator, or its value a wrong escape.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let mut terms = split_terms(text);
        terms.sort_unstable();
        let mut requirements = Vec::new();
        for term in terms.into_iter().filter(|term| !term.is_empty()) {
            let Some((field, operator, value)) = split_term(term) else {
                return Err(ParseError(format!("invalid selector: '{text}'; can't understand '{term}'")));
            };
            requirements.push(FieldRequirement { field: field.to_owned(), operator, value: unescape(value)? });
        }
        Ok(Self(requirements))
    }

    /// Whether it selects everything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Its requirements.
    #[must_use]
    pub fn requirements(&self) -> &[FieldRequirement] {
        &self.0
    }

    /// The value that the field must have, if one is asked for.
    #[must_use]
    pub fn equality(&self, field: &str) -> Option<&str> {
        let is_wanted = |found: &&FieldRequirement| found.field == field && found.operator == FieldOperator::Equals;
        self.0.iter().find(is_wanted).map(|requirement| requirement.value.as_str())
    }

    /// Whether an object meets all requirements; `value` gives its fields, empty where they are unset.
    #[must_use]
    pub fn matches<'a>(&self, value: impl Fn(&str) -> &'a str) -> bool {
        self.0.iter().all(|requirement| {
            let is_equal = value(&requirement.field) == requirement.value;
            is_equal == (requirement.operator == FieldOperator::Equals)
        })
    }
}

impl fmt::Display for FieldSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, requirement) in self.0.iter().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            let operator = if requirement.operator == FieldOperator::Equals { "=" } else { "!=" };
            write!(f, "{comma}{}{operator}{}", requirement.field, escape(&requirement.value))?;
        }
        Ok(())
    }
}

/// Parts between commas that are not escaped.
fn split_terms(text: &str) -> Vec<&str> {
    let mut is_escaped = false;
    text.split(|c| {
        let is_end = c == ',' && !is_escaped;
        is_escaped = c == '\\' && !is_escaped;
        is_end
    })
    .collect()
}

/// A term at its first operator.
fn split_term(term: &str) -> Option<(&str, FieldOperator, &str)> {
    let operators = [("!=", FieldOperator::NotEquals), ("==", FieldOperator::Equals), ("=", FieldOperator::Equals)];
    term.char_indices().find_map(|(at, _)| {
        let (field, rest) = term.split_at(at);
        operators.iter().find_map(|(word, operator)| Some((field, *operator, rest.strip_prefix(word)?)))
    })
}

fn unescape(text: &str) -> Result<String, ParseError> {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some(escaped @ ('\\' | ',' | '=')) => out.push(escaped),
                other => {
                    let sequence: String = ['\\'].into_iter().chain(other).collect();
                    return Err(ParseError(format!("invalid field selector: invalid escape sequence: {sequence}")));
                }
            },
            ',' | '=' => {
                // Upstream prints the character's number here.
                let number = u32::from(c);
                return Err(ParseError(format!("invalid field selector: unescaped character in value: {number}")));
            }
            c => out.push(c),
        }
    }
    Ok(out)
}

fn escape(text: &str) -> String {
    text.replace('\\', "\\\\").replace(',', "\\,").replace('=', "\\=")
}

/// What is answered to a field that a resource without fields of its own does not know.
pub(crate) fn unknown_field(field: &str) -> String {
    format!("{} is not a known field selector: only \"metadata.name\", \"metadata.namespace\"", quote(field))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(path: &str) -> &'static str {
        match path {
            "metadata.name" => "a",
            "odd" => "x,=\\",
            _ => "",
        }
    }

    #[track_caller]
    fn check(selector: &str, expected: bool) {
        assert_eq!(FieldSelector::parse(selector).unwrap().matches(field), expected, "{selector}");
    }

    #[test]
    fn fields_are_compared_and_escapes_read() {
        for selector in ["", "metadata.name=a", "metadata.name==a", "metadata.name!=b", "none=", "odd=x\\,\\=\\\\", ","]
        {
            check(selector, true);
        }
        for selector in ["metadata.name=b", "metadata.name!=a", "metadata.name=a,none=x"] {
            check(selector, false);
        }
        assert_eq!(FieldSelector::parse("b=1,a==2").unwrap().to_string(), "a=2,b=1");
        assert_eq!(FieldSelector::parse("a=2,b!=1").unwrap().equality("a"), Some("2"));
    }

    #[test]
    fn errors_are_those_of_upstream() {
        let refuse = |selector: &str, expected: &str| {
            assert_eq!(FieldSelector::parse(selector).unwrap_err().to_string(), expected);
        };
        refuse("a", "invalid selector: 'a'; can't understand 'a'");
        refuse("a=b\\c", "invalid field selector: invalid escape sequence: \\c");
        refuse("a=b=c", "invalid field selector: unescaped character in value: 61");
    }
}
