//! A log on the disk: segments of a bounded size, the newest of which grows and the oldest of which goes.

use std::io::{self, Write as _};

use cap_std::fs::{Dir, OpenOptions};

use super::{Limits, Run};

/// The folder of a run's log, made if it is not there.
///
/// # Errors
/// When the disk refuses.
pub(super) fn open_folder(pods: &Dir, run: &Run) -> io::Result<Dir> {
    pods.create_dir_all(run.folder())?;
    pods.open_dir(run.folder())
}

/// Appends records to the newest segment, which a full one is followed by; answers which it is and how large.
///
/// # Errors
/// When the disk refuses; then nothing of `bytes` is there.
pub(super) fn append(
    folder: &Dir,
    run: &Run,
    known: Option<(u32, u64)>,
    bytes: &[u8],
    limits: Limits,
) -> io::Result<(u32, u64)> {
    let (mut segment, mut size) = match known {
        Some(known) => known,
        // The run may be one that a daemon before this began.
        None => match run.segments(folder)?.last() {
            Some(last) => (*last, folder.metadata(run.file_name(*last))?.len()),
            None => (0, 0),
        },
    };
    if size >= limits.segment_bytes {
        segment += 1;
        size = 0;
        if let Some(oldest) = segment.checked_sub(limits.segments.max(1))
            && let Err(error) = folder.remove_file(run.file_name(oldest))
            && error.kind() != io::ErrorKind::NotFound
        {
            return Err(error);
        }
    }
    let mut options = OpenOptions::new();
    let mut file = folder.open_with(run.file_name(segment), options.append(true).create(true))?;
    if let Err(error) = file.write_all(bytes) {
        // A part may have been written: cut it off, since all of it will be written again.
        file.set_len(size)?;
        return Err(error);
    }
    Ok((segment, size + bytes.len() as u64))
}
