//! A guest's standard streams into its log.

use futures::FutureExt as _;
use futures::future::BoxFuture;
use runtime::OutputSink;

use crate::logs::line::Stream;
use crate::logs::writer::Log;

/// One stream of one run.
#[derive(Debug)]
pub(crate) struct Sink {
    log: Log,
    stream: Stream,
}

impl Sink {
    /// The sink of `stream` into `log`.
    pub(crate) fn new(log: Log, stream: Stream) -> Self {
        Self { log, stream }
    }
}

impl OutputSink for Sink {
    /// The log takes a write whole or not at all: what is in flight is bounded by the guest's permit.
    fn write(&self, bytes: &[u8]) -> usize {
        if !self.log.has_room() {
            return 0;
        }
        self.log.write(self.stream, bytes);
        bytes.len()
    }

    fn room(&self) -> BoxFuture<'_, ()> {
        self.log.room().boxed()
    }
}
