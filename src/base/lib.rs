//! What std and tokio lack, and no word of our domain: time, waiting, tasks, ends, rates, certificates.
//!
//! This floor must never know a Kubernetes word, open a socket, or hold state that outlives its owner.
//!
//! Reading order: [`clock`] (where every time comes from), [`shutdown`] and [`task`] (how long-lived work
//! starts and ends), [`backoff`] and [`bucket`] (how often something may happen), [`queue`] (keys that wait
//! for their turn), [`patience`] (peers that stall), [`files`] (writes that survive a crash), [`pki`] (keys and
//! certificates).

pub mod backoff;
pub mod bucket;
pub mod clock;
pub mod files;
pub mod patience;
pub mod pki;
pub mod queue;
pub mod shutdown;
pub mod task;

/// An error with all its causes, for a line of a log: the texts of most libraries' errors name none of them.
#[must_use]
pub fn causes(error: &(dyn std::error::Error + 'static)) -> String {
    let chain = std::iter::successors(Some(error), |error| error.source());
    let mut texts: Vec<String> = chain.map(ToString::to_string).collect();
    texts.dedup();
    texts.join(": ")
}
