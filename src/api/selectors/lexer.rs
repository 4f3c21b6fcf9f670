//! The words of a label selector.

/// One word.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Token {
    ClosePar,
    Comma,
    DoubleEquals,
    End,
    Equals,
    GreaterThan,
    Identifier,
    In,
    LessThan,
    Not,
    NotEquals,
    NotIn,
    OpenPar,
}

/// Splits a selector into its words; the last is always [`Token::End`].
pub(super) fn scan(selector: &str) -> Vec<(Token, &str)> {
    let mut words = Vec::new();
    let mut rest = selector.trim_start_matches(is_space);
    while !rest.is_empty() {
        let (token, length) = next(rest);
        let (word, tail) = rest.split_at(length);
        words.push((token, word));
        rest = tail.trim_start_matches(is_space);
    }
    words.push((Token::End, ""));
    words
}

/// The first word of a text that begins with no space, and its length.
fn next(text: &str) -> (Token, usize) {
    for (symbol, token) in [("==", Token::DoubleEquals), ("!=", Token::NotEquals)] {
        if text.starts_with(symbol) {
            return (token, symbol.len());
        }
    }
    let single = match text.as_bytes().first() {
        Some(b')') => Token::ClosePar,
        Some(b',') => Token::Comma,
        Some(b'!') => Token::Not,
        Some(b'=') => Token::Equals,
        Some(b'>') => Token::GreaterThan,
        Some(b'<') => Token::LessThan,
        Some(b'(') => Token::OpenPar,
        _ => {
            let length = text.find(|c| is_space(c) || is_special(c)).unwrap_or(text.len());
            let token = match text.split_at(length).0 {
                "in" => Token::In,
                "notin" => Token::NotIn,
                _ => Token::Identifier,
            };
            return (token, length);
        }
    };
    (single, 1)
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

fn is_special(c: char) -> bool {
    matches!(c, '=' | '!' | '(' | ')' | ',' | '>' | '<')
}
