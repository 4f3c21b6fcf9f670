//! Regular expressions as Go's RE2 understands them, run by the crate `regex`.
//!
//! Both match in linear time. What differs is rewritten: Go's classes (`\d`, `\w`, `\s`, `\b`) are of ASCII, and within
//! brackets Go knows neither nested classes nor the set operators `&&`, `--` and `~~`.

use regex::{Regex, RegexBuilder};

/// Bytes that a compiled expression may take. Expressions come from tenants and are kept as long as their schema; the
/// largest that published CustomResourceDefinitions use take some tens of KiB.
const COMPILED_BYTES_MAX: usize = 1 << 20;

/// How many groups may be nested; as in RE2.
const NESTING_MAX: u32 = 250;

/// An expression that cannot be used.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("error parsing regexp: {0}")]
pub struct Error(String);

/// Compiles an expression.
///
/// # Errors
/// When it is none, or too large.
pub fn compile(expression: &str) -> Result<Regex, Error> {
    compile_within(expression, COMPILED_BYTES_MAX).map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => Error("expression nests too deeply or repeats too often".to_owned()),
        // The last line says what is wrong, those above draw where.
        other => Error(other.to_string().lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned()),
    })
}

/// Compiles an expression that may take so many bytes.
pub(crate) fn compile_within(expression: &str, bytes_max: usize) -> Result<Regex, regex::Error> {
    let rewritten = rewritten(expression);
    RegexBuilder::new(&rewritten).size_limit(bytes_max).dfa_size_limit(bytes_max).nest_limit(NESTING_MAX).build()
}

/// What Go's classes hold, as they stand within brackets.
fn ascii_class(letter: char) -> Option<(&'static str, bool)> {
    let set = match letter.to_ascii_lowercase() {
        'd' => "0-9",
        'w' => "0-9A-Za-z_",
        's' => r"\t\n\f\r ",
        _ => return None,
    };
    Some((set, letter.is_ascii_uppercase()))
}

/// The expression in the syntax of the crate.
fn rewritten(expression: &str) -> String {
    let mut out = String::with_capacity(expression.len() + 16);
    let mut chars = expression.chars().peekable();
    let mut is_in_class = false;
    while let Some(c) = chars.next() {
        match (c, is_in_class) {
            ('\\', _) if chars.next_if_eq(&'Q').is_some() => quoted(&mut out, &mut chars),
            ('\\', _) => escape(&mut out, chars.next(), is_in_class),
            ('[', false) => {
                is_in_class = true;
                out.push('[');
                out.extend(chars.next_if_eq(&'^'));
                // A bracket that stands first closes nothing.
                if chars.next_if_eq(&']').is_some() {
                    out.push_str(r"\]");
                }
            }
            ('[', true) if chars.peek() == Some(&':') => named_class(&mut out, &mut chars),
            ('[' | '&' | '~', true) => out.extend(['\\', c]),
            ('-', true) if out.ends_with('-') => out.push_str(r"\-"),
            (']', true) => {
                is_in_class = false;
                out.push(']');
            }
            (c, _) => out.push(c),
        }
    }
    out
}

/// `[:alpha:]` is the same in both.
fn named_class(out: &mut String, chars: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    out.push('[');
    for c in chars.by_ref() {
        out.push(c);
        if c == ']' {
            return;
        }
    }
}

fn escape(out: &mut String, escaped: Option<char>, is_in_class: bool) {
    let Some(c) = escaped else {
        // A trailing backslash is an error in both.
        out.push('\\');
        return;
    };
    match (ascii_class(c), is_in_class) {
        (Some((set, false)), true) => out.push_str(set),
        (Some((set, false)), false) => out.extend(["[", set, "]"]),
        (Some((set, true)), _) => out.extend(["[^", set, "]"]),
        (None, false) if c == 'b' || c == 'B' => out.extend(["(?-u:\\", &c.to_string(), ")"]),
        (None, _) => out.extend(['\\', c]),
    }
}

/// What stands before `\E` stands for itself.
fn quoted(out: &mut String, chars: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    while let Some(c) = chars.next() {
        if c == '\\' && chars.next_if_eq(&'E').is_some() {
            return;
        }
        out.push_str(&regex::escape(c.encode_utf8(&mut [0; 4])));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(expression: &str, text: &str, matches: bool) {
        assert_eq!(compile(expression).unwrap().is_match(text), matches, "{expression} on {text}");
    }

    #[test]
    fn classes_are_of_ascii_as_in_go() {
        check(r"^\d+$", "12", true);
        check(r"^\d+$", "१२", false);
        check(r"^[\w-]+$", "a-b_1", true);
        check(r"^[\w-]+$", "ä", false);
        check(r"^\D$", "ä", true);
        check(r"^[^\s]+$", "a b", false);
        check(r"^\S$", "é", true);
        check(r"\bword\b", "a word.", true);
        check(r"^(?i)ABC$", "abc", true);
    }

    #[test]
    fn brackets_hold_what_go_reads_in_them() {
        check(r"^[a[]+$", "a[", true);
        check(r"^[]a]+$", "]a", true);
        check(r"^[a&&b]+$", "a&b", true);
        check(r"^[+--]+$", "+,-", true);
        check(r"^[[:alpha:]]+$", "ab", true);
        check(r"^[a\-z]+$", "a-z", true);
        check(r"^[\]]$", "]", true);
        check(r"^[[:alpha:]&&]+$", "a&c", true);
    }

    #[test]
    fn what_is_quoted_stands_for_itself() {
        check(r"\Qa.b\E", "a.b", true);
        check(r"\Qa.b\E", "axb", false);
    }

    #[test]
    fn what_is_no_expression_or_too_large_is_refused() {
        for expression in ["(", "[a", "a{1000}{1000}{10}", r"\"] {
            assert!(compile(expression).unwrap_err().to_string().starts_with("error parsing regexp: "), "{expression}");
        }
    }
}
