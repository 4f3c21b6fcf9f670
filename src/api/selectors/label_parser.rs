//! The grammar of label selectors, read word by word as upstream reads it, so that errors name the same word.

use std::collections::BTreeSet;

use super::label::{LabelOperator, LabelRequirement};
use super::lexer::{Token, scan};
use crate::names;
use crate::validation::field::Error;

/// The requirements of a selector, sorted by key; or upstream's message.
pub(super) fn parse(text: &str) -> Result<Vec<LabelRequirement>, String> {
    Parser { words: scan(text), position: 0 }.parse()
}

/// Words, and how far they were read.
struct Parser<'a> {
    words: Vec<(Token, &'a str)>,
    position: usize,
}

impl<'a> Parser<'a> {
    fn parse(mut self) -> Result<Vec<LabelRequirement>, String> {
        let mut requirements = Vec::new();
        loop {
            match self.peek() {
                (Token::Identifier | Token::Not, _) => {}
                (Token::End, _) => break,
                (_, word) => return Err(format!("found '{word}', expected: !, identifier, or 'end of string'")),
            }
            let requirement = self.requirement().map_err(|reason| format!("unable to parse requirement: {reason}"))?;
            requirements.push(requirement);
            match self.take() {
                (Token::End, _) => break,
                (Token::Comma, _) => match self.peek() {
                    (Token::Identifier | Token::Not, _) => {}
                    (_, word) => return Err(format!("found '{word}', expected: identifier after ','")),
                },
                (_, word) => return Err(format!("found '{word}', expected: ',' or 'end of string'")),
            }
        }
        requirements.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(requirements)
    }

    fn requirement(&mut self) -> Result<LabelRequirement, String> {
        let mut word = self.take();
        let is_negated = word.0 == Token::Not;
        if is_negated {
            word = self.take();
        }
        let (Token::Identifier, key) = word else { return Err(format!("found '{}', expected: identifier", word.1)) };
        let wrong = names::qualified_name(key);
        if !wrong.is_empty() {
            // Upstream checks the key without a path, which its printer shows as `<nil>`.
            return Err(Error::invalid("<nil>", key, wrong.join("; ")).to_string());
        }
        if is_negated {
            return LabelRequirement::checked(key, LabelOperator::DoesNotExist, BTreeSet::new());
        }
        if matches!(self.peek().0, Token::End | Token::Comma) {
            return LabelRequirement::checked(key, LabelOperator::Exists, BTreeSet::new());
        }
        let operator = self.operator()?;
        let values = match operator {
            LabelOperator::In | LabelOperator::NotIn => self.values()?,
            _ => self.exact_value()?,
        };
        LabelRequirement::checked(key, operator, values)
    }

    fn operator(&mut self) -> Result<LabelOperator, String> {
        match self.take_raw() {
            (Token::In, _) => Ok(LabelOperator::In),
            (Token::NotIn, _) => Ok(LabelOperator::NotIn),
            (Token::Equals, _) => Ok(LabelOperator::Equals),
            (Token::DoubleEquals, _) => Ok(LabelOperator::DoubleEquals),
            (Token::NotEquals, _) => Ok(LabelOperator::NotEquals),
            (Token::GreaterThan, _) => Ok(LabelOperator::GreaterThan),
            (Token::LessThan, _) => Ok(LabelOperator::LessThan),
            (_, word) => Err(format!("found '{word}', expected: in, notin, =, ==, !=, gt, lt")),
        }
    }

    fn exact_value(&mut self) -> Result<BTreeSet<String>, String> {
        if matches!(self.peek().0, Token::End | Token::Comma) {
            return Ok(BTreeSet::from([String::new()]));
        }
        match self.take() {
            (Token::Identifier, word) => Ok(BTreeSet::from([word.to_owned()])),
            (_, word) => Err(format!("found '{word}', expected: identifier")),
        }
    }

    fn values(&mut self) -> Result<BTreeSet<String>, String> {
        match self.take() {
            (Token::OpenPar, _) => {}
            (_, word) => return Err(format!("found '{word}' expected: '('")),
        }
        match self.peek() {
            (Token::Identifier | Token::Comma, _) => {}
            (Token::ClosePar, _) => {
                self.take();
                return Ok(BTreeSet::new());
            }
            (_, word) => return Err(format!("found '{word}', expected: ',', ')' or identifier")),
        }
        let mut values = BTreeSet::new();
        loop {
            match self.take() {
                (Token::Identifier, word) => {
                    values.insert(word.to_owned());
                    match self.peek() {
                        (Token::Comma, _) => {}
                        (Token::ClosePar, _) => break,
                        (_, word) => return Err(format!("found '{word}', expected: ',' or ')'")),
                    }
                }
                (Token::Comma, _) => {
                    // A comma with nothing on one of its sides stands for an empty value there.
                    let next = self.peek().0;
                    if values.is_empty() || matches!(next, Token::ClosePar | Token::Comma) {
                        values.insert(String::new());
                    }
                    match next {
                        Token::ClosePar => break,
                        Token::Comma => _ = self.take(),
                        _ => {}
                    }
                }
                (_, word) => return Err(format!("found '{word}', expected: ',', or identifier")),
            }
        }
        self.take();
        Ok(values)
    }

    /// The next word where a key or value may stand: `in` and `notin` are words like others there.
    fn peek(&self) -> (Token, &'a str) {
        let (token, word) = self.words.get(self.position).copied().unwrap_or((Token::End, ""));
        (if matches!(token, Token::In | Token::NotIn) { Token::Identifier } else { token }, word)
    }

    fn take(&mut self) -> (Token, &'a str) {
        let word = self.peek();
        self.position += 1;
        word
    }

    fn take_raw(&mut self) -> (Token, &'a str) {
        let word = self.words.get(self.position).copied().unwrap_or((Token::End, ""));
        self.position += 1;
        word
    }
}
