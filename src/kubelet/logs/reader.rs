//! From the disk to people: the whole log of a run or its last lines, once or as it grows.

use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::sync::Arc;

use bytes::Bytes;
use cap_std::fs::{Dir, File};
use futures::Stream as FutureStream;
use jiff::Timestamp;

use super::Run;
use super::line::{self, Stream};
use super::writer::Log;

/// How much is read at once.
const CHUNK: usize = 64 << 10;

/// What of a log is wanted, and in what form.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Options {
    /// Go on as it grows, until the run has ended.
    pub(crate) follow: bool,
    /// Only the last so many records.
    pub(crate) tail_lines: Option<u64>,
    /// Only what was written then or later.
    pub(crate) since: Option<Timestamp>,
    /// Each line with its time before it.
    pub(crate) timestamps: bool,
    /// No more than so many bytes.
    pub(crate) limit_bytes: Option<u64>,
    /// Only this stream.
    pub(crate) stream: Option<Stream>,
}

/// The log of `run` as `options` want it, in pieces. `live` is its writer while it is being written; a piece is read
/// only when the one before it was taken, so a slow reader holds up nobody.
///
/// # Errors
/// When the run has no log here; later errors of the disk are pieces.
pub(crate) async fn read(
    pods: Arc<Dir>,
    run: Run,
    live: Option<Log>,
    options: Options,
) -> io::Result<impl FutureStream<Item = io::Result<Bytes>> + Send> {
    let live = live.filter(|_| options.follow);
    let cursor = base::task::blocking(move || Cursor::open(&pods, run, options)).await.map_err(io::Error::other)??;
    Ok(futures::stream::unfold(Some(Reading { cursor, live }), |reading| async { reading?.next().await }))
}

/// The last lines of a run, for a termination message. Blocks on the disk.
///
/// # Errors
/// When the disk refuses.
pub(crate) fn tail(pods: &Dir, run: Run, lines: u64, bytes_max: usize) -> io::Result<String> {
    let options = Options { tail_lines: Some(lines), ..Options::default() };
    let mut cursor = Cursor::open(pods, run, options)?;
    let mut text = Vec::new();
    while let Some(piece) = cursor.advance()? {
        text.extend_from_slice(&piece);
    }
    let start = text.len().saturating_sub(bytes_max);
    Ok(String::from_utf8_lossy(text.get(start..).unwrap_or_default()).into_owned())
}

/// A log that is being read, and its writer if it may grow.
struct Reading {
    cursor: Cursor,
    live: Option<Log>,
}

impl Reading {
    /// The next piece and where to go on from; an error is the last piece.
    async fn next(mut self) -> Option<(io::Result<Bytes>, Option<Self>)> {
        loop {
            // Whether the log was complete must be known before the look at the disk, else its last lines are missed.
            let is_complete = self.live.as_ref().is_none_or(Log::is_complete);
            let mut cursor = self.cursor;
            let looked = base::task::blocking(move || {
                let piece = cursor.advance();
                (cursor, piece)
            });
            let (cursor, piece) = match looked.await {
                Ok(looked) => looked,
                Err(error) => return Some((Err(io::Error::other(error)), None)),
            };
            self.cursor = cursor;
            match (piece, &self.live) {
                (Err(error), _) => return Some((Err(error), None)),
                (Ok(Some(bytes)), _) => return Some((Ok(bytes), Some(self))),
                (Ok(None), Some(log)) if !is_complete && !self.cursor.is_full() => {
                    log.grown(|| self.cursor.has_more()).await;
                }
                (Ok(None), _) => return None,
            }
        }
    }
}

/// A place in a run's log.
struct Cursor {
    folder: Dir,
    run: Run,
    options: Options,
    /// `options.since` as records tell times.
    since: Option<String>,
    segment: u32,
    /// `None` as long as the run has written nothing.
    file: Option<File>,
    /// The next segment was seen, so this one grows no more.
    is_sealed: bool,
    /// A record of which the rest has not been read yet.
    carry: Vec<u8>,
    /// How many bytes may still be given out.
    left: u64,
}

impl Cursor {
    fn open(pods: &Dir, run: Run, options: Options) -> io::Result<Self> {
        let folder = pods.open_dir(run.folder())?;
        let segments = run.segments(&folder)?;
        let (segment, offset) = match options.tail_lines {
            Some(lines) => find_tail(&folder, &run, &segments, lines)?,
            None => (segments.first().copied().unwrap_or(0), 0),
        };
        let mut cursor = Self {
            since: options.since.map(line::time),
            left: options.limit_bytes.unwrap_or(u64::MAX),
            folder,
            run,
            options,
            segment,
            file: None,
            is_sealed: false,
            carry: Vec::new(),
        };
        cursor.open_segment()?;
        if let Some(file) = &mut cursor.file {
            file.seek(SeekFrom::Start(offset))?;
        }
        Ok(cursor)
    }

    /// The next piece; `None` when there is none for now.
    fn advance(&mut self) -> io::Result<Option<Bytes>> {
        let mut chunk = vec![0; CHUNK];
        while !self.is_full() {
            self.open_segment()?;
            let count = match &mut self.file {
                Some(file) => file.read(&mut chunk)?,
                None => return Ok(None),
            };
            if count > 0 {
                let out = self.format(chunk.get(..count).unwrap_or_default());
                if !out.is_empty() {
                    return Ok(Some(Bytes::from(out)));
                }
            } else if self.is_sealed {
                self.segment += 1;
                self.file = None;
                self.is_sealed = false;
                self.carry.clear();
            } else if self.folder.try_exists(self.run.file_name(self.segment + 1))? {
                // It may have grown between our read and the birth of the next: read it once more to its end.
                self.is_sealed = true;
            } else {
                return Ok(None);
            }
        }
        Ok(None)
    }

    /// Whether all bytes that were asked for were given out.
    fn is_full(&self) -> bool {
        self.left == 0
    }

    /// Whether the disk has something that was not read yet.
    fn has_more(&self) -> bool {
        let Some(file) = &self.file else {
            return self.folder.exists(self.run.file_name(self.segment));
        };
        let at = (&mut &*file).stream_position();
        let size = file.metadata().map(|metadata| metadata.len());
        matches!((at, size), (Ok(at), Ok(size)) if at < size)
            || self.folder.exists(self.run.file_name(self.segment + 1))
    }

    fn open_segment(&mut self) -> io::Result<()> {
        if self.file.is_none() {
            self.file = match self.folder.open(self.run.file_name(self.segment)) {
                Ok(file) => Some(file),
                Err(error) if error.kind() == io::ErrorKind::NotFound => None,
                Err(error) => return Err(error),
            };
        }
        Ok(())
    }

    fn format(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(bytes.len());
        let mut rest = bytes;
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let (head, tail) = rest.split_at(end);
            rest = tail.get(1..).unwrap_or_default();
            if self.carry.is_empty() {
                self.format_record(head, &mut out);
            } else {
                let mut whole = std::mem::take(&mut self.carry);
                whole.extend_from_slice(head);
                self.format_record(&whole, &mut out);
            }
        }
        self.carry.extend_from_slice(rest);
        out
    }

    fn format_record(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        let Some(record) = line::parse(bytes) else { return };
        let is_early = self.since.as_ref().is_some_and(|since| record.time < since.as_bytes());
        let is_other = self.options.stream.is_some_and(|stream| stream != record.stream);
        if is_early || is_other {
            return;
        }
        let before = out.len();
        if self.options.timestamps {
            out.extend_from_slice(record.time);
            out.push(b' ');
        }
        out.extend_from_slice(record.text);
        if record.is_full {
            out.push(b'\n');
        }
        let written = (out.len() - before) as u64;
        if written > self.left {
            out.truncate(before + usize::try_from(self.left).unwrap_or(usize::MAX));
        }
        self.left = self.left.saturating_sub(written);
    }
}

/// Where the last `lines` records begin: a segment and an offset in it.
fn find_tail(folder: &Dir, run: &Run, segments: &[u32], lines: u64) -> io::Result<(u32, u64)> {
    let mut left = lines;
    for segment in segments.iter().rev() {
        let mut file = folder.open(run.file_name(*segment))?;
        let mut end = file.metadata()?.len();
        if lines == 0 {
            return Ok((*segment, end));
        }
        let mut is_last_byte = true;
        while end > 0 {
            let start = end.saturating_sub(CHUNK as u64);
            let mut chunk = vec![0; usize::try_from(end - start).unwrap_or(CHUNK)];
            file.seek(SeekFrom::Start(start))?;
            file.read_exact(&mut chunk)?;
            for (index, byte) in chunk.iter().enumerate().rev() {
                // The newline at the very end closes the last record and begins none.
                if *byte == b'\n' && !std::mem::take(&mut is_last_byte) {
                    left -= 1;
                    if left == 0 {
                        return Ok((*segment, start + index as u64 + 1));
                    }
                }
                is_last_byte = false;
            }
            end = start;
        }
        // The segment's first record has no newline before it.
        left = left.saturating_sub(1);
        if left == 0 {
            return Ok((*segment, 0));
        }
    }
    Ok((segments.first().copied().unwrap_or(0), 0))
}

#[cfg(test)]
mod tests {
    use cap_std::ambient_authority;
    use futures::TryStreamExt as _;

    use super::super::Limits;
    use super::super::writer::Logs;
    use super::*;

    fn run() -> Run {
        Run { uid: "u".into(), container: "c".into(), run: 0 }
    }

    /// Two segments: `one`, `two` in the first, `three` (to stderr) and an unended `four` in the second.
    fn pods() -> (tempfile::TempDir, Arc<Dir>) {
        let folder = tempfile::tempdir().unwrap();
        let pods = Dir::open_ambient_dir(folder.path(), ambient_authority()).unwrap();
        pods.create_dir_all("u/containers/c").unwrap();
        let record = |second: u32, rest: &str| format!("2026-01-02T03:04:0{second}.000000000Z {rest}\n");
        pods.write("u/containers/c/0.log", record(1, "stdout F one") + &record(2, "stdout F two")).unwrap();
        pods.write("u/containers/c/0.1.log", record(3, "stderr F three") + &record(4, "stdout P four")).unwrap();
        (folder, Arc::new(pods))
    }

    async fn check(options: Options) -> String {
        let (_folder, pods) = pods();
        let pieces: Vec<Bytes> = read(pods, run(), None, options).await.unwrap().try_collect().await.unwrap();
        String::from_utf8(pieces.concat()).unwrap()
    }

    #[tokio::test]
    async fn what_is_asked_for_is_read() {
        let all = Options::default();
        let tail = |lines| Options { tail_lines: Some(lines), ..Options::default() };
        let since = |text: &str| Options { since: Some(text.parse().unwrap()), ..Options::default() };
        for (options, expected) in [
            (all.clone(), "one\ntwo\nthree\nfour"),
            (tail(0), ""),
            (tail(1), "four"),
            (tail(2), "three\nfour"),
            (tail(3), "two\nthree\nfour"),
            (tail(4), "one\ntwo\nthree\nfour"),
            (tail(9), "one\ntwo\nthree\nfour"),
            (since("2026-01-02T03:04:03Z"), "three\nfour"),
            (Options { limit_bytes: Some(6), ..all.clone() }, "one\ntw"),
            (Options { stream: Some(Stream::Stderr), ..all.clone() }, "three\n"),
            (
                Options { timestamps: true, tail_lines: Some(2), ..all },
                "2026-01-02T03:04:03.000000000Z three\n2026-01-02T03:04:04.000000000Z four",
            ),
        ] {
            assert_eq!(check(options.clone()).await, expected, "{options:?}");
        }
    }

    #[tokio::test]
    async fn a_follower_sees_each_line_once_over_all_segments_and_ends_with_the_run() {
        let folder = tempfile::tempdir().unwrap();
        let pods = Dir::open_ambient_dir(folder.path(), ambient_authority()).unwrap();
        pods.create_dir_all(run().folder()).unwrap();
        let logs = Arc::new(Logs::new(Arc::new(pods), Limits { segment_bytes: 200, segments: 100, dead_runs: 1 }));
        let (_trigger, shutdown) = base::shutdown::channel();
        let _flusher = base::task::spawn("flush", Arc::clone(&logs).flush(shutdown));

        let log = logs.open(run());
        let options = Options { follow: true, ..Options::default() };
        let stream = read(Arc::clone(logs.pods()), run(), Some(log.clone()), options).await.unwrap();
        let reader = base::task::spawn("read", stream.try_collect::<Vec<Bytes>>());
        for n in 0..50 {
            log.write(Stream::Stdout, format!("line {n}\n").as_bytes());
            log.room().await;
            tokio::task::yield_now().await;
        }
        logs.close(&run());

        let text = String::from_utf8(reader.await.unwrap().unwrap().concat()).unwrap();
        let expected: String = (0..50).map(|n| format!("line {n}\n")).collect();
        assert_eq!(text, expected);
    }

    #[test]
    fn the_last_lines_fit_into_a_message() {
        let (_folder, pods) = pods();
        assert_eq!(tail(&pods, run(), 2, 100).unwrap(), "three\nfour");
        assert_eq!(tail(&pods, run(), 2, 4).unwrap(), "four");
    }
}
