//! The `continue` tokens of lists: which list a page is of, and where the next one begins. The form is upstream's.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, NO_PAD, URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

use crate::decode;
use crate::status::Status;

const TOKEN_VERSION: &str = "meta.k8s.io/v1";

/// Reads as Go does: left-over bits of the last character are nobody's business.
const LENIENT: GeneralPurpose = {
    const CONFIG: GeneralPurposeConfig = NO_PAD.with_decode_allow_trailing_bits(true);
    GeneralPurpose::new(&base64::alphabet::URL_SAFE, CONFIG)
};

/// A page's token; what it lacks is empty.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct Token {
    /// The token's own version.
    v: String,
    /// The revision of the list; -1 asks for the newest (a list that went on after its revision was forgotten).
    rv: i64,
    /// Where to go on: `/` and the first key of the next page.
    start: String,
}

impl Token {
    /// The token of a list at a revision, whose next page begins at the key `start`.
    #[must_use]
    pub fn new(revision: u64, start: &str) -> Self {
        Self { v: TOKEN_VERSION.into(), rv: i64::try_from(revision).unwrap_or(i64::MAX), start: format!("/{start}") }
    }

    /// The same place in the newest list.
    #[must_use]
    pub fn of_newest(&self) -> Self {
        Self { rv: -1, ..self.clone() }
    }

    /// The revision of the list; none asks for the newest.
    #[must_use]
    pub fn revision(&self) -> Option<u64> {
        u64::try_from(self.rv).ok()
    }

    /// The first key of the next page.
    #[must_use]
    pub fn start(&self) -> &str {
        self.start.strip_prefix('/').unwrap_or(&self.start)
    }

    /// Reads a token.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(text: &str) -> Result<Self, Status> {
        let refused =
            |why: &str| Status::bad_request(format!("invalid continue token: continue key is not valid{why}"));
        let bad = |reason: String| refused(&format!(": {reason}"));
        let bytes = LENIENT.decode(text.trim_end_matches('=')).map_err(|error| bad(error.to_string()))?;
        let parsed = decode::parse_json(&bytes).map_err(|error| bad(error.to_string()))?;
        let token: Self = serde_json::from_value(parsed.value).map_err(|error| bad(error.to_string()))?;
        if token.v != TOKEN_VERSION {
            return Err(refused(&format!(": server does not recognize this encoded version {}", token.v)));
        }
        if token.rv == 0 {
            return Err(refused(": incorrect encoded start resourceVersion (version meta.k8s.io/v1)"));
        }
        if token.start.is_empty() {
            return Err(refused(": encoded start key empty (version meta.k8s.io/v1)"));
        }
        if !is_clean(token.start.strip_prefix('/').unwrap_or(&token.start)) {
            return Err(bad(token.start));
        }
        Ok(token)
    }
}

/// Whether a key stays where it is when it is read as a path, as upstream asks so that no token leads out of its list.
fn is_clean(key: &str) -> bool {
    key.is_empty() || !key.split('/').any(|part| matches!(part, "" | "." | ".."))
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Three plain fields always encode.
        f.write_str(&URL_SAFE_NO_PAD.encode(serde_json::to_vec(self).unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_of_upstream_is_understood_and_one_of_ours_looks_like_it() {
        let text = "eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6MzIyLCJzdGFydCI6Ii9hXHUwMDAwIn0";
        let token = Token::parse(text).unwrap();
        assert_eq!((token.revision(), token.start()), (Some(322), "a\0"));
        assert_eq!(Token::new(322, "a\0").to_string(), text);
        assert_eq!((token.of_newest().revision(), token.of_newest().start()), (None, "a\0"));
    }

    #[test]
    fn rubbish_is_refused() {
        for text in ["rubbish", "!!", "e30"] {
            assert_eq!(Token::parse(text).unwrap_err().code, 400, "{text}");
        }
        let parse = |json: &str| Token::parse(&URL_SAFE_NO_PAD.encode(json)).map_err(|status| status.message);
        for (json, expected) in [
            (r#"{"v": "x"}"#, ": server does not recognize this encoded version x"),
            (
                r#"{"v": "meta.k8s.io/v1", "start": "/a"}"#,
                ": incorrect encoded start resourceVersion (version meta.k8s.io/v1)",
            ),
            (r#"{"v": "meta.k8s.io/v1", "rv": 1}"#, ": encoded start key empty (version meta.k8s.io/v1)"),
            (r#"{"v": "meta.k8s.io/v1", "rv": 1, "start": "/../a"}"#, ": /../a"),
            (r#"{"v": "meta.k8s.io/v1", "rv": 1, "start": "a//b"}"#, ": a//b"),
            (r#"{"v": "meta.k8s.io/v1", "rv": 1, "start": "/a/./b"}"#, ": /a/./b"),
            (r#"{"v": "meta.k8s.io/v1", "rv": 1, "start": "/a/"}"#, ": /a/"),
        ] {
            let expected = format!("invalid continue token: continue key is not valid{expected}");
            assert_eq!(parse(json).unwrap_err(), expected, "{json}");
        }
        assert_eq!(parse(r#"{"v": "meta.k8s.io/v1", "rv": 1, "start": "a/b"}"#).unwrap().start(), "a/b");
        assert_eq!(parse(r#"{"v": "meta.k8s.io/v1", "rv": 1, "start": "/"}"#).unwrap().start(), "");
    }
}
