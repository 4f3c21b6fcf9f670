//! The CRI's log format: `TIME STREAM TAG TEXT`, one record a line.
//!
//! The tag is `F` for a whole line and `P` for a part of one that is continued by the next record of its stream. The
//! time has always nine fractional digits, so two of them compare as text.

use jiff::Timestamp;

/// The longest text of one record; a longer line goes on in the next, as containerd's default.
pub(crate) const TEXT_MAX: usize = 16 << 10;

/// Where a guest wrote.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Stream {
    /// Its standard output.
    Stdout,
    /// Its standard error.
    Stderr,
}

/// One record.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Record<'a> {
    /// When it was written.
    pub(crate) time: &'a [u8],
    /// Where.
    pub(crate) stream: Stream,
    /// Whether the line ends with it.
    pub(crate) is_full: bool,
    /// What, without the newline.
    pub(crate) text: &'a [u8],
}

impl Stream {
    fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// A time as records tell it.
pub(crate) fn time(time: Timestamp) -> String {
    format!("{time:.9}")
}

/// Appends one record.
pub(crate) fn append(out: &mut Vec<u8>, time: &str, stream: Stream, is_full: bool, text: &[u8]) {
    out.extend_from_slice(time.as_bytes());
    out.push(b' ');
    out.extend_from_slice(stream.name().as_bytes());
    out.extend_from_slice(if is_full { b" F " } else { b" P " });
    out.extend_from_slice(text);
    out.push(b'\n');
}

/// Reads one record, given without its newline; `None` when it is torn.
pub(crate) fn parse(line: &[u8]) -> Option<Record<'_>> {
    let mut parts = line.splitn(4, |byte| *byte == b' ');
    let time = parts.next()?;
    let stream = match parts.next()? {
        b"stdout" => Stream::Stdout,
        b"stderr" => Stream::Stderr,
        _ => return None,
    };
    let is_full = match parts.next()? {
        b"F" => true,
        b"P" => false,
        _ => return None,
    };
    Some(Record { time, stream, is_full, text: parts.next()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let at = time("2026-01-02T03:04:05.06Z".parse().unwrap());
        for (is_full, text, expected) in [
            (true, "hello  world", "2026-01-02T03:04:05.060000000Z stdout F hello  world\n"),
            (false, "", "2026-01-02T03:04:05.060000000Z stdout P \n"),
        ] {
            let mut out = Vec::new();
            append(&mut out, &at, Stream::Stdout, is_full, text.as_bytes());
            assert_eq!(String::from_utf8_lossy(&out), expected);
            let record = parse(expected.trim_end_matches('\n').as_bytes()).unwrap();
            assert_eq!((record.is_full, record.text), (is_full, text.as_bytes()));
        }
    }

    #[test]
    fn a_torn_record_is_none() {
        for line in ["", "2026", "2026 stdout", "2026 stdout F", "2026 stdin F x", "2026 stdout X x"] {
            assert_eq!(parse(line.as_bytes()), None, "{line}");
        }
    }
}
