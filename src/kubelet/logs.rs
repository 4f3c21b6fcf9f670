//! What containers write: kept on disk in the CRI's log format, read back while it grows, handed to who is attached.
//!
//! ```text
//! DIR/node/pods/UID/containers/NAME/RUN.log      the run's first segment, RUN is the number of restarts before it
//! DIR/node/pods/UID/containers/NAME/RUN.1.log    the next, once the first is full, and so on
//! ```
//!
//! A log that is not being written holds no file open and no buffer, so that ten thousand idle pods cost nothing.
//!
//! Reading order: [`line`] (the format), [`writer`] (from a guest to the disk, by `records` and `segment`), [`reader`]
//! (from the disk to people).

pub(crate) mod line;
pub(crate) mod reader;
mod records;
mod segment;
pub(crate) mod writer;

use std::io;

use cap_std::fs::Dir;

/// How large logs may grow.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// A segment that has reached this many bytes is followed by a new one.
    pub segment_bytes: u64,
    /// How many segments of a run are kept; the oldest is removed. At least 1.
    pub segments: u32,
    /// How many runs of a container are kept beside the present or last one; the oldest is removed.
    pub dead_runs: u32,
}

/// One run of one container.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) struct Run {
    /// The pod.
    pub(crate) uid: String,
    /// The container's name.
    pub(crate) container: String,
    /// How many runs came before.
    pub(crate) run: u32,
}

impl Run {
    /// The folder of the container beneath the folder of all pods.
    pub(crate) fn folder(&self) -> String {
        format!("{}/containers/{}", self.uid, self.container)
    }

    fn file_name(&self, segment: u32) -> String {
        match segment {
            0 => format!("{}.log", self.run),
            segment => format!("{}.{segment}.log", self.run),
        }
    }

    /// The segments that are on disk, oldest first.
    fn segments(&self, folder: &Dir) -> io::Result<Vec<u32>> {
        let mut segments = Vec::new();
        for entry in folder.entries()? {
            let name = entry?.file_name();
            let parsed = name.to_str().and_then(parse_file_name);
            segments.extend(parsed.filter(|(run, _)| *run == self.run).map(|(_, segment)| segment));
        }
        segments.sort_unstable();
        Ok(segments)
    }
}

/// The run and the segment that a file's name tells.
fn parse_file_name(name: &str) -> Option<(u32, u32)> {
    let stem = name.strip_suffix(".log")?;
    match stem.split_once('.') {
        None => Some((stem.parse().ok()?, 0)),
        Some((run, segment)) => Some((run.parse().ok()?, segment.parse().ok()?)),
    }
}

/// Removes the logs of the runs before `keep_from`. Blocks on the disk.
///
/// # Errors
/// When the disk refuses.
pub(crate) fn remove_runs_before(pods: &Dir, run: &Run, keep_from: u32) -> io::Result<()> {
    let folder = match pods.open_dir(run.folder()) {
        Ok(folder) => folder,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in folder.entries()? {
        let name = entry?.file_name();
        let parsed = name.to_str().and_then(parse_file_name);
        if parsed.is_some_and(|(run, _)| run < keep_from) {
            folder.remove_file(name)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_is_known_by_its_name() {
        let run = Run { uid: "u".into(), container: "c".into(), run: 3 };
        for (segment, name) in [(0, "3.log"), (1, "3.1.log"), (12, "3.12.log")] {
            assert_eq!(run.file_name(segment), name);
            assert_eq!(parse_file_name(name), Some((3, segment)));
        }
        for name in ["files", "x.log", "3.log.gz", "3.x.log"] {
            assert_eq!(parse_file_name(name), None, "{name}");
        }
    }
}
