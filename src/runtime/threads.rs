//! The threads that guests run on, and the one queue that they take turns in.
//!
//! Guests are never polled by the threads that serve the API. Each task here is a guest (a command, or one request of
//! an http component); it runs until it waits or its slice ends, its CPU time is measured around each poll and booked
//! on its sandbox's [`Account`], and the account says when it may run again. A guest in a busy loop therefore costs
//! its neighbours their turns and nothing else.
//!
//! ```text
//!          spawn            popped              ready, or panicked
//!   (new) ───────▶ Queued ─────────▶ Running ──────────────────────────▶ Done
//!                   ▲  ▲              │   │
//!              wake │  │    wake ▼    │   │ pending
//!                   │  └── Woken ◀────┘   ▼
//!                   └──────────────────── Idle
//! ```
//!
//! Timers, file work and streams of the host's WASI run on a small tokio runtime of this floor.

mod account;
mod queue;
mod ticker;

use std::future::Future;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::Duration;

use base::clock::Instant;
use rustix::time::{ClockId, clock_gettime};

pub(crate) use account::Account;
use queue::Queue;
pub(crate) use ticker::{SLICE_TICKS, Ticker};

/// How much nicer guest threads are than the server's: under full load the API answers first, yet guests get on.
const NICENESS: i32 = 5;

/// Threads for guests' file work. Each blocks on one file call; more guests wait for their turn.
const FILE_THREADS_MAX: usize = 32;

/// How long a thread for file work is kept without work.
const FILE_THREAD_IDLE: Duration = Duration::from_secs(5);

/// The guest threads; dropping it ends them, and every guest that is left.
#[derive(Debug)]
pub(crate) struct Threads {
    queue: Arc<Queue>,
    ticker: Ticker,
    /// Taken out by `drop` only.
    host: Option<tokio::runtime::Runtime>,
}

/// One guest's future and where it stands.
pub(crate) struct Task {
    name: Arc<str>,
    /// Locked while polled; `None` once done. Never contended: only the thread that runs it takes it.
    future: Mutex<Option<GuestFuture>>,
    stage: Mutex<Stage>,
    account: Arc<Account>,
    queue: Arc<Queue>,
}

type GuestFuture = Pin<Box<dyn Future<Output = Afterwards> + Send>>;

/// What is to be done once the guest is gone and its CPU time booked: telling its end, so that whoever hears it finds
/// the account complete.
pub(crate) type Afterwards = Box<dyn FnOnce() + Send>;

/// Where a [`Task`] stands; see the module's drawing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Stage {
    /// In the queue, or taken out of it and about to run; wakes change nothing, because it will look at all again.
    Queued,
    /// Being polled. Goes to `Idle` when it waits, to `Done` when it has ended.
    Running,
    /// Being polled, and woken meanwhile: goes back to `Queued` when it waits.
    Woken,
    /// Waits; a wake makes it `Queued`.
    Idle,
    /// Ended; wakes do nothing.
    Done,
}

impl Threads {
    /// Starts `count` threads (at least one).
    pub(crate) fn start(count: usize, ticker: Ticker) -> io::Result<Self> {
        let host = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .max_blocking_threads(FILE_THREADS_MAX)
            .thread_keep_alive(FILE_THREAD_IDLE)
            .thread_name("guest-host")
            .on_thread_start(lower_priority)
            .enable_all()
            .build()?;
        let ambient = host.handle().clone();
        let threads = Self { queue: Arc::new(Queue::new()), ticker, host: Some(host) };
        for index in 0..count.max(1) {
            let queue = Arc::clone(&threads.queue);
            let ticker = threads.ticker.clone();
            let host = ambient.clone();
            thread::Builder::new().name(format!("guest-{index}")).spawn(move || run(&queue, &ticker, &host))?;
        }
        Ok(threads)
    }

    /// Puts a guest into the queue. A panic of the future ends this guest alone.
    pub(crate) fn spawn(
        &self,
        name: Arc<str>,
        account: Arc<Account>,
        future: impl Future<Output = Afterwards> + Send + 'static,
    ) {
        let task = Arc::new(Task {
            name,
            future: Mutex::new(Some(Box::pin(future))),
            stage: Mutex::new(Stage::Queued),
            account,
            queue: Arc::clone(&self.queue),
        });
        self.queue.push(task);
    }

    /// Lets all tasks of an account run at once, whatever it owes: they are to end.
    pub(crate) fn release(&self, account: &Account) {
        account.forgive();
        self.queue.reconsider();
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.queue.end();
        self.ticker.end();
        if let Some(host) = self.host.take() {
            // A plain drop would block, which a server's thread must not.
            host.shutdown_background();
        }
    }
}

/// A guest thread's life.
fn run(queue: &Queue, ticker: &Ticker, host: &tokio::runtime::Handle) {
    let _ambient = host.enter();
    lower_priority();
    let mut since = thread_cpu();
    while let Some(task) = queue.next() {
        ticker.enter();
        since = task.poll(since);
        ticker.leave();
    }
}

/// On Linux a process's priority is the calling thread's. Without it guests still run, only less politely.
fn lower_priority() {
    if let Err(error) = rustix::process::setpriority_process(None, NICENESS) {
        tracing::debug!(%error, "cannot lower the priority of a guest thread");
    }
}

impl Task {
    /// Where this task stands in the queue, which has come to virtual time `floor`.
    fn place(&self, floor: u64, now: Instant) -> account::Place {
        self.account.place(floor, now)
    }

    /// Gives the guest its slice, and books on it what this thread has computed `since` the slice before: reading the
    /// clock costs a tenth of a short guest, so it is read once a slice, and taking the guest out of the queue is the
    /// guest's. Returns the clock.
    fn poll(self: Arc<Self>, since: Duration) -> Duration {
        self.set_stage(Stage::Running);
        let waker = Waker::from(Arc::clone(&self));
        let mut future = self.future.lock().unwrap_or_else(PoisonError::into_inner);
        let polled = future
            .as_mut()
            .map(|future| catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(&mut Context::from_waker(&waker)))));
        let done: Option<Afterwards> = match polled {
            Some(Ok(Poll::Pending)) => None,
            Some(Ok(Poll::Ready(afterwards))) => Some(afterwards),
            Some(Err(_)) => {
                tracing::error!(sandbox = %self.name, "the host's side of a guest panicked; the guest is ended");
                Some(Box::new(|| {}))
            }
            None => Some(Box::new(|| {})),
        };
        if done.is_some() && catch_unwind(AssertUnwindSafe(|| *future = None)).is_err() {
            tracing::error!(sandbox = %self.name, "the host's side of a guest panicked while being dropped");
        }
        drop(future);
        let now = thread_cpu();
        self.account.charge(now.saturating_sub(since), Instant::now());
        match done {
            Some(afterwards) => {
                self.set_stage(Stage::Done);
                afterwards();
            }
            None => self.rest(),
        }
        now
    }

    /// After a poll that left the guest waiting.
    fn rest(self: Arc<Self>) {
        let mut stage = self.stage();
        let woken = *stage == Stage::Woken;
        *stage = if woken { Stage::Queued } else { Stage::Idle };
        drop(stage);
        if woken {
            self.enqueue();
        }
    }

    fn enqueue(self: Arc<Self>) {
        let queue = Arc::clone(&self.queue);
        queue.push(self);
    }

    fn set_stage(&self, stage: Stage) {
        *self.stage() = stage;
    }

    fn stage(&self) -> MutexGuard<'_, Stage> {
        self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        let mut stage = self.stage();
        let (next, enqueue) = match *stage {
            Stage::Idle => (Stage::Queued, true),
            Stage::Running => (Stage::Woken, false),
            unchanged @ (Stage::Queued | Stage::Woken | Stage::Done) => (unchanged, false),
        };
        *stage = next;
        drop(stage);
        if enqueue {
            self.enqueue();
        }
    }
}

impl std::fmt::Debug for Task {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Task").field("name", &self.name).finish_non_exhaustive()
    }
}

/// CPU time that the calling thread has used.
fn thread_cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}
