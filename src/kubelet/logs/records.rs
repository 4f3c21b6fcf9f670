//! What a guest writes, cut into records: a line each, or a part of a long one.

use super::line::{self, Stream, TEXT_MAX};

/// The output of one run on its way to the disk. What holds no bytes holds no memory.
#[derive(Debug, Default)]
pub(super) struct Records {
    /// Those that are whole.
    pub(super) whole: Vec<u8>,
    /// The last line of each stream, as long as it has no end.
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

impl Records {
    /// Cuts bytes into records; what has no newline yet waits for the rest of its line.
    pub(super) fn cut(&mut self, time: &str, stream: Stream, bytes: &[u8]) {
        let Self { whole, stdout, stderr } = self;
        let open = match stream {
            Stream::Stdout => stdout,
            Stream::Stderr => stderr,
        };
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (mut text, is_full) = match piece.strip_suffix(b"\n") {
                Some(text) => (text, true),
                None => (piece, false),
            };
            while open.len() + text.len() > TEXT_MAX {
                let (head, tail) = text.split_at(TEXT_MAX.saturating_sub(open.len()));
                open.extend_from_slice(head);
                line::append(whole, time, stream, false, &std::mem::take(open));
                text = tail;
            }
            match (is_full, open.is_empty()) {
                (true, true) => line::append(whole, time, stream, true, text),
                (true, false) => {
                    open.extend_from_slice(text);
                    line::append(whole, time, stream, true, &std::mem::take(open));
                }
                (false, _) => open.extend_from_slice(text),
            }
        }
    }

    /// Writes lines without an end as the parts that they are, as containerd does.
    pub(super) fn end_lines(&mut self, time: &str) {
        for (stream, open) in [(Stream::Stdout, &mut self.stdout), (Stream::Stderr, &mut self.stderr)] {
            let open = std::mem::take(open);
            if !open.is_empty() {
                line::append(&mut self.whole, time, stream, false, &open);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(records: &Records) -> Vec<String> {
        let lines = records.whole.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        lines
            .map(|line| {
                let record = line::parse(line).unwrap();
                format!("{}{}", if record.is_full { "F " } else { "P " }, String::from_utf8_lossy(record.text))
            })
            .collect()
    }

    #[test]
    fn lines_are_cut_at_newlines() {
        let mut records = Records::default();
        for piece in ["one\ntw", "o\n\nthr", "ee"] {
            records.cut("t", Stream::Stdout, piece.as_bytes());
        }
        records.cut("t", Stream::Stderr, b"err\n");
        assert_eq!(texts(&records), ["F one", "F two", "F ", "F err"]);
        records.end_lines("t");
        assert_eq!(texts(&records).last().unwrap(), "P three");
    }

    #[test]
    fn long_lines_are_cut_in_parts() {
        for (length, expected) in [
            (TEXT_MAX, vec![TEXT_MAX + 2]),
            (TEXT_MAX + 1, vec![TEXT_MAX + 2, 3]),
            (2 * TEXT_MAX, vec![TEXT_MAX + 2; 2]),
        ] {
            let mut records = Records::default();
            let mut line = vec![b'x'; length];
            line.push(b'\n');
            records.cut("t", Stream::Stdout, &line);
            let lengths: Vec<usize> = texts(&records).iter().map(String::len).collect();
            assert_eq!(lengths, expected, "{length}");
        }
    }
}
