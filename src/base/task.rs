//! Supervised tasks: a panic is told with the task's name, and dropping the handle ends the task.
//!
//! Everything that runs in the background is started here (clippy bans `tokio::spawn` elsewhere), so that no task
//! dies unseen and none outlives its owner by accident.

use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::task::{JoinError, JoinHandle};
use tracing::Instrument as _;

/// A running task. Dropping it ends the task at its next await; [`Task::detach`] lets it go on.
#[must_use = "dropping a task ends it; keep it, await it, or detach it"]
#[derive(Debug)]
pub struct Task<T> {
    handle: Option<JoinHandle<T>>,
}

/// Why a task gave no result.
#[derive(Debug, thiserror::Error)]
pub enum Ended {
    /// It panicked; the message was logged with the task's name.
    #[error("the task panicked")]
    Panicked,
    /// It was ended from outside.
    #[error("the task was cancelled")]
    Cancelled,
}

/// Starts `work` under `name`, which stands in its log lines; a panic is logged and ends this task alone.
pub fn spawn<T: Send + 'static>(name: &'static str, work: impl Future<Output = T> + Send + 'static) -> Task<T> {
    let supervised = async move {
        match futures_catch(work).await {
            Ok(value) => value,
            Err(panic) => {
                tracing::error!(task = name, reason = %text_of(&*panic), "task panicked");
                std::panic::resume_unwind(panic)
            }
        }
    };
    #[expect(clippy::disallowed_methods, reason = "the one place that starts tasks")]
    let handle = tokio::spawn(supervised.in_current_span());
    Task { handle: Some(handle) }
}

/// Runs `work`, which may block, on a thread where that harms nobody.
///
/// # Errors
/// When `work` panicked or the runtime is ending.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Ended> {
    tokio::task::spawn_blocking(work).await.map_err(|e| Ended::from(&e))
}

impl<T> Task<T> {
    /// Lets the task go on without a handle; use it where the task ends by itself.
    pub fn detach(mut self) {
        self.handle = None;
    }

    /// Asks the task to end at its next await.
    pub fn abort(&self) {
        if let Some(handle) = &self.handle {
            handle.abort();
        }
    }

    /// Whether the task has ended, in whatever way.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.handle.as_ref().is_none_or(JoinHandle::is_finished)
    }
}

impl<T> Future for Task<T> {
    type Output = Result<T, Ended>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.handle {
            Some(handle) => Pin::new(handle).poll(cx).map_err(|e| Ended::from(&e)),
            None => Poll::Ready(Err(Ended::Cancelled)),
        }
    }
}

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.abort();
    }
}

impl From<&JoinError> for Ended {
    fn from(error: &JoinError) -> Self {
        if error.is_panic() { Self::Panicked } else { Self::Cancelled }
    }
}

type Panic = Box<dyn std::any::Any + Send>;

/// Polls `work` to its end and hands out a panic as an error.
async fn futures_catch<T>(work: impl Future<Output = T>) -> Result<T, Panic> {
    let mut work = std::pin::pin!(work);
    std::future::poll_fn(move |cx| match std::panic::catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(cx))) {
        Ok(Poll::Pending) => Poll::Pending,
        Ok(Poll::Ready(value)) => Poll::Ready(Ok(value)),
        Err(panic) => Poll::Ready(Err(panic)),
    })
    .await
}

/// The text of a panic, which is a `&str` or a `String` unless somebody was playful.
fn text_of(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_ends_its_task_alone_and_is_told_apart_from_an_abort() {
        let panicking = spawn("panicking", async { panic!("on purpose") });
        assert!(matches!(panicking.await, Err::<(), _>(Ended::Panicked)));

        let waiting = spawn("waiting", std::future::pending::<()>());
        waiting.abort();
        assert!(matches!(waiting.await, Err(Ended::Cancelled)));
    }
}
