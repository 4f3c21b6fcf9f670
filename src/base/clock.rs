//! Where every time comes from: one clock for timers, which a test can pause, and one for what people read.
//!
//! A timer never follows the wall clock: when somebody sets the date, no lease ends and no backoff is cut short.
//! [`Instant`] is tokio's, so `tokio::time::pause` holds it still; [`now`] is the host's date, to be written into
//! objects and never compared with another host's.

use jiff::Timestamp;

pub use tokio::time::Instant;

/// The host's date and time, for what people read.
#[must_use]
pub fn now() -> Timestamp {
    #[expect(clippy::disallowed_methods, reason = "the one place that knows the date")]
    Timestamp::now()
}

/// [`now`] cut to whole seconds, as upstream's `metav1.Time` is.
#[must_use]
pub fn now_seconds() -> Timestamp {
    let now = now();
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}
