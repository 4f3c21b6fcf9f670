//! Where in an object something is, and what strict decoding says about it.

use std::fmt;

/// Complaints about one object, as upstream: more would only fill the answer.
const COMPLAINTS_MAX: usize = 100;

/// A way down from the root, as strict decoding prints it: `spec.containers[0].name`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Path {
    text: String,
    /// How long `text` was before each step.
    steps: Vec<usize>,
}

impl Path {
    pub(crate) fn push_field(&mut self, name: &str) {
        self.steps.push(self.text.len());
        if !self.text.is_empty() {
            self.text.push('.');
        }
        self.text.push_str(name);
    }

    pub(crate) fn push_index(&mut self, index: usize) {
        self.steps.push(self.text.len());
        self.text.push_str(&format!("[{index}]"));
    }

    pub(crate) fn pop(&mut self) {
        self.text.truncate(self.steps.pop().unwrap_or_default());
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Sentences about fields, each once, at most [`COMPLAINTS_MAX`].
#[derive(Debug, Default)]
pub(crate) struct Complaints(Vec<String>);

/// How complaints begin; the path and a quote follow.
pub(super) const DUPLICATE: &str = "duplicate field \"";
pub(super) const UNKNOWN: &str = "unknown field \"";

impl Complaints {
    pub(crate) fn duplicate(&mut self, path: &Path) {
        self.add(format!("{DUPLICATE}{path}\""));
    }

    pub(crate) fn unknown(&mut self, path: &Path) {
        self.add(format!("{UNKNOWN}{path}\""));
    }

    pub(crate) fn into_sentences(self) -> Vec<String> {
        self.0
    }

    fn add(&mut self, sentence: String) {
        if self.0.len() < COMPLAINTS_MAX && !self.0.contains(&sentence) {
            self.0.push(sentence);
        }
    }
}
