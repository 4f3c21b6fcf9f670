//! What is wrong with an expression's source, told as upstream does: the message, the line and a caret below it.

use std::fmt::Write as _;

use super::syntax::Id;

/// How many errors of one expression are told; upstream's number.
const TOLD_MAX: usize = 100;
/// How long a line may be to be shown, in bytes; upstream's number.
const SNIPPET_BYTES_MAX: usize = 16_384;

/// An expression's text and where its nodes are.
#[derive(Debug, Default)]
pub(super) struct Source {
    lines: Vec<Box<str>>,
    /// For each node, the place in characters from the start.
    places: Vec<u32>,
}

/// A list of errors, for people.
#[derive(Debug, Default)]
pub(super) struct Issues {
    issues: Vec<(u32, String)>,
}

impl Source {
    pub(super) fn new(text: &str) -> Self {
        Self { lines: text.split('\n').map(Into::into).collect(), places: Vec::new() }
    }

    /// A new node at this place.
    pub(super) fn add(&mut self, place: u32) -> Id {
        self.places.push(place);
        Id(u32::try_from(self.places.len() - 1).unwrap_or(u32::MAX))
    }

    pub(super) fn place(&self, id: Id) -> u32 {
        self.places.get(id.index()).copied().unwrap_or_default()
    }

    /// How many nodes there are.
    pub(super) fn count(&self) -> usize {
        self.places.len()
    }

    /// The line (from 0), its text, and the column of a place.
    fn locate(&self, place: u32) -> (usize, &str, usize) {
        let mut rest = place as usize;
        for (index, line) in self.lines.iter().enumerate() {
            let length = line.chars().count();
            if rest <= length || index + 1 == self.lines.len() {
                return (index, line, rest);
            }
            rest -= length + 1;
        }
        (0, "", 0)
    }
}

impl Issues {
    pub(super) fn report(&mut self, place: u32, message: impl Into<String>) {
        self.issues.push((place, message.into()));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.issues.is_empty()
    }

    /// All of them by place, one below the other.
    pub(super) fn tell(mut self, source: &Source) -> String {
        self.issues.sort_by_key(|(place, _)| *place);
        let mut told: Vec<String> =
            self.issues.iter().take(TOLD_MAX).map(|(place, message)| tell(source, *place, message)).collect();
        if let Some(more) = self.issues.len().checked_sub(TOLD_MAX).filter(|more| *more > 0) {
            told.push(format!("{more} more errors were truncated"));
        }
        told.join("\n")
    }
}

fn tell(source: &Source, place: u32, message: &str) -> String {
    let (line, text, column) = source.locate(place);
    let mut told = format!("ERROR: <input>:{}:{}: {message}", line + 1, column + 1);
    if text.len() > SNIPPET_BYTES_MAX {
        return told;
    }
    let text = text.replace('\t', " ");
    let _ = write!(told, "\n | {text}\n | ");
    let mut characters = text.chars();
    for character in characters.by_ref().take(column) {
        told.push(if character.len_utf8() > 1 { '\u{ff0e}' } else { '.' });
    }
    told.push(if characters.next().is_some_and(|character| character.len_utf8() > 1) { '\u{ff3e}' } else { '^' });
    told
}
