//! What this process is given to read, read on a thread of its own.
//!
//! A read of a terminal ends when somebody types, and nothing else ends it. The runtime waits for its blocking threads
//! before the process may end, so with tokio's standard input a command would go on after its program until Enter is
//! pressed; for this thread nobody waits.

use std::io::{self, Read as _};

use bytes::Bytes;
use tokio::sync::mpsc::{self, Receiver};

/// Bytes that are read at once.
const CHUNK_BYTES: usize = 8 << 10;

/// Chunks that may wait to be sent. Then reading waits, as a pipe's writer does.
const WAITING_MAX: usize = 8;

/// Begins to read standard input. The channel closes at its end; an error of it is its end, too.
///
/// # Errors
/// When there is no thread for it.
pub(crate) fn read() -> io::Result<Receiver<Bytes>> {
    let (chunks, received) = mpsc::channel(WAITING_MAX);
    std::thread::Builder::new().name("input".to_owned()).spawn(move || {
        let mut input = io::stdin().lock();
        let mut chunk = vec![0; CHUNK_BYTES];
        loop {
            let length = match input.read(&mut chunk) {
                Ok(0) => return,
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    tracing::warn!(%error, "standard input cannot be read");
                    return;
                }
            };
            let bytes = Bytes::copy_from_slice(chunk.get(..length).unwrap_or_default());
            if chunks.blocking_send(bytes).is_err() {
                return;
            }
        }
    })?;
    Ok(received)
}
