//! How a process is asked to end.

use anyhow::{Context as _, Result};
use base::task;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// What a shell shows for a process that SIGINT ended.
const ENDED_AT_ONCE: i32 = 130;

/// SIGTERM and SIGINT, from the moment that it is made.
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Listens from now on.
    ///
    /// # Errors
    /// When the system refuses it.
    pub(crate) fn listen() -> Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?,
            interrupt: signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?,
        })
    }

    /// Completes with the first signal; a second one ends the process at once.
    pub(crate) async fn first(mut self) {
        self.next().await;
        tracing::info!("ending: what is under way is finished; a second signal ends at once");
        task::spawn("second signal", async move {
            self.next().await;
            tracing::warn!("ending at once");
            std::process::exit(ENDED_AT_ONCE);
        })
        .detach();
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
