//! Source to tokens.

use super::issues::Issues;

/// A piece of source.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Token {
    pub(super) kind: TokenKind,
    /// In characters from the start.
    pub(super) place: u32,
    /// As it stands in the source, for messages.
    pub(super) text: Box<str>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum TokenKind {
    Ident,
    /// With its digits, base 10 or 16 as written.
    Int,
    Uint,
    Float,
    String(Box<str>),
    Bytes(Box<[u8]>),
    Symbol(&'static str),
    End,
}

/// Longer ones first, since the first that fits is taken.
const SYMBOLS: [&str; 27] = [
    "==", "!=", "<=", ">=", "&&", "||", "[", "]", "{", "}", "(", ")", ".", ",", "-", "!", "?", ":", "+", "*", "/", "%",
    "<", ">", "=", "&", "|",
];

/// All tokens up to the end; what is no token is reported.
pub(super) fn tokens(text: &str, issues: &mut Issues) -> Vec<Token> {
    let mut lexer = Lexer { rest: text, place: 0 };
    let mut tokens = Vec::new();
    while let Some(token) = lexer.next(issues) {
        let is_end = token.kind == TokenKind::End;
        tokens.push(token);
        if is_end {
            break;
        }
    }
    tokens
}

struct Lexer<'a> {
    rest: &'a str,
    place: u32,
}

impl<'a> Lexer<'a> {
    fn next(&mut self, issues: &mut Issues) -> Option<Token> {
        loop {
            self.skip_blanks();
            let place = self.place;
            let Some(first) = self.rest.chars().next() else {
                return Some(Token { kind: TokenKind::End, place, text: "<EOF>".into() });
            };
            if let Some(token) = self.quoted(place, issues) {
                return token;
            }
            if first.is_ascii_alphabetic() || first == '_' {
                let text = self.take_while(|character| character.is_ascii_alphanumeric() || character == '_');
                return Some(Token { kind: TokenKind::Ident, place, text: text.into() });
            }
            let second_is_digit = self.rest.chars().nth(1).is_some_and(|character| character.is_ascii_digit());
            if first.is_ascii_digit() || (first == '.' && second_is_digit) {
                return Some(self.number(place));
            }
            if let Some(symbol) = SYMBOLS.iter().find(|symbol| self.rest.starts_with(**symbol)) {
                self.take(symbol.len());
                if !matches!(*symbol, "=" | "&" | "|") {
                    return Some(Token { kind: TokenKind::Symbol(symbol), place, text: (*symbol).into() });
                }
                issues.report(place, format!("Syntax error: token recognition error at: '{symbol}'"));
                continue;
            }
            self.take(first.len_utf8());
            issues.report(place, format!("Syntax error: token recognition error at: '{first}'"));
        }
    }

    fn skip_blanks(&mut self) {
        loop {
            self.take_while(|character| matches!(character, ' ' | '\t' | '\n' | '\r' | '\u{c}'));
            if !self.rest.starts_with("//") {
                return;
            }
            self.take_while(|character| character != '\n');
        }
    }

    fn take(&mut self, bytes: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at_checked(bytes).unwrap_or((self.rest, ""));
        self.rest = rest;
        self.place += u32::try_from(taken.chars().count()).unwrap_or(u32::MAX);
        taken
    }

    fn take_while(&mut self, fits: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(|character| !fits(character)).unwrap_or(self.rest.len());
        self.take(end)
    }

    fn number(&mut self, place: u32) -> Token {
        let start = self.rest;
        let mut kind = TokenKind::Int;
        if self.rest.starts_with("0x") && self.rest.chars().nth(2).is_some_and(|digit| digit.is_ascii_hexdigit()) {
            self.take(2);
            self.take_while(|character| character.is_ascii_hexdigit());
        } else {
            self.take_while(|character| character.is_ascii_digit());
            let digit_at = |index| self.rest.chars().nth(index).is_some_and(|digit: char| digit.is_ascii_digit());
            if self.rest.starts_with('.') && digit_at(1) {
                kind = TokenKind::Float;
                self.take(1);
                self.take_while(|character| character.is_ascii_digit());
            }
            let digit_at = |index| self.rest.chars().nth(index).is_some_and(|digit: char| digit.is_ascii_digit());
            let has_sign = self.rest.chars().nth(1).is_some_and(|sign| sign == '+' || sign == '-');
            if self.rest.starts_with(['e', 'E']) && (digit_at(1) || (has_sign && digit_at(2))) {
                kind = TokenKind::Float;
                self.take(if has_sign { 2 } else { 1 });
                self.take_while(|character| character.is_ascii_digit());
            }
        }
        let mut length = start.len() - self.rest.len();
        let text = start.get(..length).unwrap_or_default();
        if kind == TokenKind::Int && self.rest.starts_with(['u', 'U']) {
            self.take(1);
            length += 1;
            return Token { kind: TokenKind::Uint, place, text: start.get(..length).unwrap_or_default().into() };
        }
        Token { kind, place, text: text.into() }
    }

    /// A string or bytes, if one begins here; the inner `None` is one that never ends.
    #[expect(clippy::option_option, reason = "none here is not the same as a broken one here")]
    fn quoted(&mut self, place: u32, issues: &mut Issues) -> Option<Option<Token>> {
        let marks = self.rest.bytes().take(3).position(|byte| matches!(byte, b'"' | b'\''))?;
        let prefix = self.rest.get(..marks)?.to_ascii_lowercase();
        if !matches!(prefix.as_str(), "" | "r" | "b" | "rb" | "br") {
            return None;
        }
        let start = self.rest;
        let is_raw = prefix.contains('r');
        self.take(marks);
        let quote = self.rest.get(..1)?;
        let triple = quote.repeat(3);
        let end = if self.rest.starts_with(&triple) { triple.as_str() } else { quote };
        self.take(end.len());
        let Some(content) = self.content(end, is_raw) else {
            let seen = start.get(..start.len() - self.rest.len()).unwrap_or(start);
            let seen = seen.split('\n').next().unwrap_or_default();
            issues.report(place, format!("Syntax error: token recognition error at: '{}'", escape_for_message(seen)));
            return Some(Some(Token { kind: TokenKind::End, place: self.place, text: "<EOF>".into() }));
        };
        let text: Box<str> = start.get(..start.len() - self.rest.len()).unwrap_or_default().into();
        let is_bytes = prefix.contains('b');
        let kind = match unescape(content, is_raw, is_bytes) {
            Ok(bytes) if is_bytes => TokenKind::Bytes(bytes.into()),
            Ok(bytes) => TokenKind::String(String::from_utf8_lossy(&bytes).into()),
            Err(message) => {
                issues.report(place, message);
                TokenKind::String("".into())
            }
        };
        Some(Some(Token { kind, place, text }))
    }

    /// What stands before `end`, which is taken too.
    fn content(&mut self, end: &str, is_raw: bool) -> Option<&'a str> {
        let start = self.rest;
        let mut is_escaped = false;
        for (index, character) in start.char_indices() {
            if !is_escaped && start.get(index..).is_some_and(|rest| rest.starts_with(end)) {
                let content = self.take(index);
                self.take(end.len());
                return Some(content);
            }
            if end.len() == 1 && matches!(character, '\n' | '\r') {
                self.take(index);
                return None;
            }
            is_escaped = !is_raw && character == '\\' && !is_escaped;
        }
        self.take(start.len());
        None
    }
}

fn escape_for_message(text: &str) -> String {
    text.replace('\n', "\\n").replace('\t', "\\t").replace('\r', "\\r")
}

/// The bytes that quoted content means.
fn unescape(content: &str, is_raw: bool, is_bytes: bool) -> Result<Vec<u8>, &'static str> {
    const UNKNOWN: &str = "unable to unescape string";
    let content = content.replace("\r\n", "\n").replace('\r', "\n");
    if is_raw || !content.contains('\\') {
        return Ok(content.into_bytes());
    }
    let mut result = Vec::with_capacity(content.len());
    let mut characters = content.chars();
    let mut buffer = [0; 4];
    while let Some(character) = characters.next() {
        if character != '\\' {
            result.extend_from_slice(character.encode_utf8(&mut buffer).as_bytes());
            continue;
        }
        let escape = characters.next().ok_or("unable to unescape string, found '\\' as last character")?;
        let (digits, radix, prefix) = match escape {
            'a' | 'b' | 'f' | 'n' | 'r' | 't' | 'v' | '\\' | '\'' | '"' | '`' | '?' => {
                result.push(simple_escape(escape));
                continue;
            }
            'x' | 'X' => (2, 16, None),
            'u' if !is_bytes => (4, 16, None),
            'U' if !is_bytes => (8, 16, None),
            '0'..='3' => (2, 8, Some(escape)),
            _ => return Err(UNKNOWN),
        };
        let digits: String = prefix.into_iter().chain(characters.by_ref().take(digits)).collect();
        let code = u32::from_str_radix(&digits, radix).map_err(|_| UNKNOWN)?;
        match u8::try_from(code) {
            Ok(byte) if is_bytes => result.push(byte),
            _ => {
                let character = char::from_u32(code).ok_or(UNKNOWN)?;
                result.extend_from_slice(character.encode_utf8(&mut buffer).as_bytes());
            }
        }
    }
    Ok(result)
}

fn simple_escape(escape: char) -> u8 {
    match escape {
        'a' => 7,
        'b' => 8,
        'f' => 12,
        'n' => b'\n',
        'r' => b'\r',
        't' => b'\t',
        'v' => 11,
        other => u8::try_from(other).unwrap_or(b'?'),
    }
}
