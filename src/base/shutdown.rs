//! One signal that asks long-lived work to end, handed down by value.
//!
//! [`Shutdown`] is cheap to clone. Whoever holds the [`Trigger`] pulls it; dropping the trigger pulls it too, so a
//! test that forgets cannot leave tasks behind.

use tokio_util::sync::CancellationToken;

/// Told to work that must end when asked. Clones hear the same signal.
#[derive(Clone, Debug)]
pub struct Shutdown {
    token: CancellationToken,
}

/// Ends the work that holds the matching [`Shutdown`], when pulled or dropped.
#[derive(Debug)]
pub struct Trigger {
    token: CancellationToken,
}

/// A trigger and the signal that it sends.
#[must_use]
pub fn channel() -> (Trigger, Shutdown) {
    let token = CancellationToken::new();
    (Trigger { token: token.clone() }, Shutdown { token })
}

impl Trigger {
    /// Asks everyone to end; further pulls change nothing.
    pub fn pull(&self) {
        self.token.cancel();
    }
}

impl Drop for Trigger {
    fn drop(&mut self) {
        self.token.cancel();
    }
}

impl Shutdown {
    /// Completes once the end was asked for; safe to drop and call again (in `select!`).
    pub async fn requested(&self) {
        self.token.cancelled().await;
    }

    /// Whether the end was asked for already.
    #[must_use]
    pub fn is_requested(&self) -> bool {
        self.token.is_cancelled()
    }

    /// A signal of its own for a part: it ends with the whole, and its trigger ends the part alone.
    #[must_use]
    pub fn child(&self) -> (Trigger, Shutdown) {
        let token = self.token.child_token();
        (Trigger { token: token.clone() }, Shutdown { token })
    }

    /// Runs `work` until it ends or the signal comes; `None` says that it was cut off.
    pub async fn or<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        self.token.run_until_cancelled(work).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_part_ends_with_the_whole_but_not_the_other_way_round() {
        let (whole, shutdown) = channel();
        let (part, part_shutdown) = shutdown.child();
        part.pull();
        assert!(part_shutdown.is_requested());
        assert!(!shutdown.is_requested());

        let (_other, other_shutdown) = shutdown.child();
        whole.pull();
        other_shutdown.requested().await;
    }

    #[tokio::test]
    async fn dropping_the_trigger_ends_the_work() {
        let (trigger, shutdown) = channel();
        drop(trigger);
        assert_eq!(shutdown.or(std::future::pending::<()>()).await, None);
    }
}
