//! The loop that all controllers share: keys from a queue, one at a time each, tried again when they fail.

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use base::backoff::{Backoff, Law};
use base::queue::Queue;
use base::shutdown::Shutdown;
use client::informer::{Change, Informer, Subscription, Watched};
use client::{Key, refusal};
use futures::future;

/// The wait before a key is tried again that failed. Upstream's goes from 5 ms to 1,000 s; ours ends at half a
/// minute, since whoever waits for it is a person.
const RETRY: Law = Law::spread(Duration::from_millis(20), Duration::from_secs(30));

/// How long the work on one key may take; then it counts as failed.
const DEADLINE: Duration = Duration::from_secs(120);

/// When a key wants to be looked at again, even if nothing changes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Next {
    /// When something changes.
    Changed,
    /// After this long, or when something changes.
    After(Duration),
}

/// Why the work on a key failed. It will be tried again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The API server refused something, or did not answer.
    #[error(transparent)]
    Refused(#[from] kube::Error),
    /// It took too long.
    #[error("it took longer than {} s", DEADLINE.as_secs())]
    Late,
}

/// What came of the work on one key.
pub(crate) type Outcome = Result<Next, Error>;

/// Adds to `queue` the key that `key_of` says for each change, as long as the subscription is held.
pub(crate) fn feed<K: Watched>(
    informer: &Informer<K>,
    queue: &Queue<Key>,
    key_of: impl Fn(&Change<K>) -> Key + Send + Sync + 'static,
) -> Subscription {
    let queue = queue.clone();
    informer.subscribe(move |change| queue.add(key_of(change)))
}

/// Works on the keys of `queue`, on `workers` of them beside one another, until the end is asked for. `sync` looks at
/// what is and does what is missing; it must bear being cut off anywhere.
pub(crate) async fn run<K, F>(queue: &Queue<K>, workers: usize, shutdown: &Shutdown, sync: impl Fn(K) -> F)
where
    K: Clone + Eq + Hash + Ord + fmt::Debug,
    F: Future<Output = Outcome>,
{
    // Bounded by the keys that fail at the moment.
    let failing = Mutex::new(HashMap::new());
    let work = async || {
        while let Some(key) = shutdown.or(queue.next()).await {
            // A key that is cut off by the end is found again at the next start.
            let Some(outcome) = shutdown.or(within(sync(key.clone()))).await else { return };
            queue.done(&key);
            if let Some(wait) = wait(&failing, &key, outcome) {
                queue.add_after(key, wait);
            }
        }
    };
    future::join_all((0..workers).map(|_| work())).await;
}

/// Does `work` for all, for `workers` of them beside one another, and answers with what came of it, in no order.
pub(crate) async fn each<T, O, F>(all: Vec<T>, workers: usize, work: impl Fn(T) -> F) -> Vec<O>
where
    F: Future<Output = O>,
{
    let workers = workers.min(all.len());
    let (rest, done) = (Mutex::new(all.into_iter()), Mutex::new(Vec::new()));
    let next = || rest.lock().unwrap_or_else(PoisonError::into_inner).next();
    let worker = async || {
        while let Some(one) = next() {
            let outcome = work(one).await;
            done.lock().unwrap_or_else(PoisonError::into_inner).push(outcome);
        }
    };
    future::join_all((0..workers).map(|_| worker())).await;
    done.into_inner().unwrap_or_else(PoisonError::into_inner)
}

async fn within(sync: impl Future<Output = Outcome>) -> Outcome {
    tokio::time::timeout(DEADLINE, sync).await.unwrap_or(Err(Error::Late))
}

/// How long a key waits until it is looked at again.
fn wait<K: Clone + Eq + Hash + fmt::Debug>(
    failing: &Mutex<HashMap<K, Backoff>>,
    key: &K,
    outcome: Outcome,
) -> Option<Duration> {
    let mut failing = failing.lock().unwrap_or_else(PoisonError::into_inner);
    match outcome {
        Ok(next) => {
            failing.remove(key);
            match next {
                Next::Changed => None,
                Next::After(wait) => Some(wait),
            }
        }
        Err(error) => {
            let wait = failing.entry(key.clone()).or_insert_with(|| Backoff::new(RETRY)).next_wait();
            let is_usual = matches!(&error, Error::Refused(refused) if refusal::is_conflict(refused));
            if is_usual {
                tracing::debug!(?key, %error, "somebody else wrote in between; trying again");
            } else {
                tracing::warn!(?key, %error, "cannot reconcile; trying again");
            }
            Some(wait)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use base::clock::Instant;
    use base::shutdown;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_key_that_fails_is_tried_again_until_it_does_not() {
        let (trigger, shutdown) = shutdown::channel();
        let (queue, tries) = (Queue::new(), AtomicUsize::new(0));
        queue.add("a");
        run(&queue, 2, &shutdown, |_| {
            let attempt = tries.fetch_add(1, Ordering::Relaxed);
            if attempt == 3 {
                trigger.pull();
            }
            async move { if attempt < 3 { Err(Error::Late) } else { Ok(Next::Changed) } }
        })
        .await;
        assert_eq!(tries.into_inner(), 4);
    }

    #[tokio::test(start_paused = true)]
    async fn each_is_worked_on_once_and_only_so_many_beside_one_another() {
        let start = Instant::now();
        let mut done = each((0..10).collect(), 4, |number| async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            number
        })
        .await;
        done.sort_unstable();
        assert_eq!(done, (0..10).collect::<Vec<_>>());
        assert_eq!(start.elapsed().as_secs(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_comes_again_when_it_wants_to() {
        let (trigger, shutdown) = shutdown::channel();
        let (queue, start) = (Queue::new(), Instant::now());
        queue.add("a");
        run(&queue, 1, &shutdown, |_| {
            if start.elapsed() >= Duration::from_secs(20) {
                trigger.pull();
            }
            async { Ok(Next::After(Duration::from_secs(10))) }
        })
        .await;
        assert_eq!(start.elapsed().as_secs(), 20);
    }
}
