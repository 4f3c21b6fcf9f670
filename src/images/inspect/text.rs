//! WebAssembly's text form (`.wat`): telling it from others, and turning it into the binary form.

/// The longest text in bytes that is converted. Text and result are held in memory (about ten times the text while
/// parsing); a longer one is refused, since people write `.wat` by hand and tools write `.wasm`.
pub const TEXT_BYTES_MAX: usize = 4 << 20;

/// Why text was not converted.
#[derive(Debug, thiserror::Error)]
pub enum InvalidText {
    /// Beyond [`TEXT_BYTES_MAX`].
    #[error("the text has more than {TEXT_BYTES_MAX} bytes; convert it to .wasm before sending it")]
    TooLong,
    /// Not of the grammar; the message shows the line.
    #[error("the text is not WebAssembly: {0}")]
    Syntax(String),
}

/// Whether a file that begins with `head` is text: after blanks and comments comes a parenthesis.
#[must_use]
pub fn is_text(head: &[u8]) -> bool {
    let mut rest = head;
    loop {
        rest = rest.trim_ascii_start();
        rest = match rest {
            [b';', b';', comment @ ..] => after(comment, b"\n"),
            [b'(', b';', comment @ ..] => after(comment, b";)"),
            [first, ..] => return *first == b'(',
            // A file that begins with a comment longer than what was read.
            [] => return head.trim_ascii_start().starts_with(b";;") || head.trim_ascii_start().starts_with(b"(;"),
        };
    }
}

/// Converts text to the binary form.
///
/// # Errors
/// When it is too long or not of the grammar.
pub fn to_binary(text: &[u8]) -> Result<Vec<u8>, InvalidText> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(InvalidText::TooLong);
    }
    let text = std::str::from_utf8(text).map_err(|error| InvalidText::Syntax(error.to_string()))?;
    wat::parse_str(text).map_err(|error| InvalidText::Syntax(error.to_string()))
}

/// What follows the first `end`; nothing where there is none.
fn after<'a>(text: &'a [u8], end: &[u8]) -> &'a [u8] {
    let at = text.windows(end.len()).position(|window| window == end);
    at.and_then(|at| text.get(at + end.len()..)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_told_by_its_first_parenthesis() {
        for text in ["(module)", "  \n(component)", ";; a comment\n(module)", "(; one ;) (; two ;)(module)", ";; long"]
        {
            assert!(is_text(text.as_bytes()), "{text}");
        }
        for other in ["", "\0asm", "hello", "; (", ";; only\nhello"] {
            assert!(!is_text(other.as_bytes()), "{other}");
        }
    }

    #[test]
    fn what_cannot_be_converted_shows_the_line() {
        assert!(to_binary(b"(module)").unwrap().starts_with(b"\0asm"));
        let error = to_binary(b"(module\n (fnc))").unwrap_err().to_string();
        assert!(error.contains("fnc"), "{error}");
        assert!(matches!(to_binary(&vec![b' '; TEXT_BYTES_MAX + 1]), Err(InvalidText::TooLong)));
        assert!(matches!(to_binary(b"(\xff"), Err(InvalidText::Syntax(_))));
    }
}
