//! The threads that guests run on, and the one queue that they take turns in.
//!
//! Guests are never polled by the threads that serve the API. Each task here is a guest (a command, or one request of
//! an http component); it runs until it waits or its slice ends, its CPU time is measured around each poll and booked
//! on its sandbox's [`Account`], and the account says when it may run again. A guest in a busy loop therefore costs
//! its neighbours their turns and nothing else.
//!
//! ```text
//!              spawn                 popped                 Ready
//!   (new) ───────────────▶ Queued ───────────▶ Running ───────────────▶ Done
//!                            ▲  ▲                │   │
//!                       wake │  │ woken meanwhile│   │ Pending
//!                            │  └────────────────┘   ▼
//!                            └────────────────────── Idle
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
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
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
    /// Held while polled; `None` once done. Never contended: only the thread in state `Running` takes it.
    future: Mutex<Option<GuestFuture>>,
    stage: AtomicU8,
    account: Arc<Account>,
    queue: Arc<Queue>,
}

type GuestFuture = Pin<Box<dyn Future<Output = Afterwards> + Send>>;

/// What is to be done once the guest is gone and its CPU time booked: telling its end, so that whoever hears it finds
/// the account complete.
pub(crate) type Afterwards = Box<dyn FnOnce() + Send>;

/// The stages of a [`Task`]; see the module's drawing.
mod stage {
    /// Waits to be woken.
    pub(super) const IDLE: u8 = 0;
    /// In the queue.
    pub(super) const QUEUED: u8 = 1;
    /// Being polled.
    pub(super) const RUNNING: u8 = 2;
    /// Being polled, and woken meanwhile: goes back into the queue.
    pub(super) const WOKEN: u8 = 3;
    /// Ended; wakes do nothing.
    pub(super) const DONE: u8 = 4;
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
        let threads = Self { queue: Arc::new(Queue::new()), ticker, host: Some(host) };
        for index in 0..count.max(1) {
            let queue = Arc::clone(&threads.queue);
            let ticker = threads.ticker.clone();
            let host = threads.host().clone();
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
            stage: AtomicU8::new(stage::QUEUED),
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

    /// Where timers and file work of guests belong.
    pub(crate) fn host(&self) -> &tokio::runtime::Handle {
        #[expect(clippy::expect_used, reason = "only drop takes it")]
        self.host.as_ref().expect("the host runtime lives as long as its owner").handle()
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
    while let Some(task) = queue.next() {
        ticker.enter();
        task.poll();
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

    /// Gives the guest its slice.
    fn poll(self: Arc<Self>) {
        self.stage.store(stage::RUNNING, Ordering::Release);
        let waker = Waker::from(Arc::clone(&self));
        let mut future = self.future.lock().unwrap_or_else(PoisonError::into_inner);
        let started = thread_cpu();
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
        self.account.charge(thread_cpu().saturating_sub(started), Instant::now());
        match done {
            Some(afterwards) => {
                self.stage.store(stage::DONE, Ordering::Release);
                afterwards();
            }
            None => self.rest(),
        }
    }

    /// After a poll that left the guest waiting.
    fn rest(self: Arc<Self>) {
        let idle = self.stage.compare_exchange(stage::RUNNING, stage::IDLE, Ordering::AcqRel, Ordering::Acquire);
        if idle.is_err() {
            self.stage.store(stage::QUEUED, Ordering::Release);
            let queue = Arc::clone(&self.queue);
            queue.push(self);
        }
    }
}

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        let next = |now| match now {
            stage::IDLE => Some(stage::QUEUED),
            stage::RUNNING => Some(stage::WOKEN),
            _ => None,
        };
        let before = self.stage.fetch_update(Ordering::AcqRel, Ordering::Acquire, next);
        if before == Ok(stage::IDLE) {
            let queue = Arc::clone(&self.queue);
            queue.push(self);
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
