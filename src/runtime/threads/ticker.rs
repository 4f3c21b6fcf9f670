//! The clock of the slices: it moves the engines' epochs while guests run, and sleeps while none does.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, Thread};
use std::time::Duration;

use wasmtime::Engine;

/// Time between two ticks. A guest runs on for [`SLICE_TICKS`] at most, so slices last 1–2 ms: short against what
/// people notice, long against the cost of a switch.
const TICK: Duration = Duration::from_millis(1);

/// Ticks that a guest may run before it yields.
pub(crate) const SLICE_TICKS: u64 = 2;

/// Idle ticks before the ticker sleeps: a guest that runs often wakes it seldom.
const IDLE_TICKS: u32 = 3;

/// A handle to the ticking thread, which runs until [`Ticker::end`].
#[derive(Clone, Debug)]
pub(crate) struct Ticker {
    shared: Arc<Shared>,
    thread: Thread,
}

#[derive(Debug, Default)]
struct Shared {
    /// Threads that poll a guest now.
    running: AtomicUsize,
    /// Whether the ticker sleeps, or is about to.
    asleep: AtomicBool,
    ended: AtomicBool,
}

impl Ticker {
    /// Starts the thread.
    pub(crate) fn start(engines: Vec<Engine>) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let of_thread = Arc::clone(&shared);
        let handle = thread::Builder::new().name("guest-ticker".into()).spawn(move || of_thread.run(&engines))?;
        Ok(Self { shared, thread: handle.thread().clone() })
    }

    /// Says that a guest is about to run; to be matched by [`Ticker::leave`].
    pub(crate) fn enter(&self) {
        // The ticker sets `asleep` before it looks at `running`, and we count before we look at `asleep`: one of the
        // two sees the other.
        self.shared.running.fetch_add(1, Ordering::SeqCst);
        if self.shared.asleep.swap(false, Ordering::SeqCst) {
            self.thread.unpark();
        }
    }

    /// Says that the guest has come back.
    pub(crate) fn leave(&self) {
        self.shared.running.fetch_sub(1, Ordering::SeqCst);
    }

    /// Ends the thread.
    pub(crate) fn end(&self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        self.thread.unpark();
    }
}

impl Shared {
    fn run(&self, engines: &[Engine]) {
        let mut idle = 0;
        while !self.ended.load(Ordering::SeqCst) {
            idle = if self.running.load(Ordering::SeqCst) == 0 { idle + 1 } else { 0 };
            if idle > IDLE_TICKS {
                self.sleep();
                idle = 0;
            }
            thread::sleep(TICK);
            engines.iter().for_each(Engine::increment_epoch);
        }
    }

    fn sleep(&self) {
        self.asleep.store(true, Ordering::SeqCst);
        while self.running.load(Ordering::SeqCst) == 0
            && self.asleep.load(Ordering::SeqCst)
            && !self.ended.load(Ordering::SeqCst)
        {
            thread::park();
        }
        self.asleep.store(false, Ordering::SeqCst);
    }
}
