//! A disk that keeps what was synced, and of the rest only what chance keeps when the power goes.

use std::io;
use std::sync::{Arc, Mutex};

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use redb::StorageBackend;

/// Whether the disk does what it is told.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Fsync {
    Works,
    /// It says that it synced, and did nothing.
    IsLeftOut,
}

/// A disk; clones are the same one.
#[derive(Clone, Debug)]
pub(super) struct Disk {
    state: Arc<Mutex<State>>,
    fsync: Fsync,
}

#[derive(Debug, Default)]
struct State {
    /// What survives a cut.
    durable: Vec<u8>,
    /// What is read before a cut.
    volatile: Vec<u8>,
    /// What was done since the last sync, in order.
    unsynced: Vec<Step>,
    /// How many more steps work before the power goes.
    steps_left: Option<usize>,
}

#[derive(Clone, Debug)]
enum Step {
    Length(usize),
    Bytes(usize, Vec<u8>),
}

impl Disk {
    pub(super) fn new(fsync: Fsync) -> Self {
        Self { state: Arc::default(), fsync }
    }

    /// The power goes after this many more steps.
    pub(super) fn cut_after(&self, steps: usize) {
        self.state.lock().unwrap().steps_left = Some(steps);
    }

    pub(super) fn is_cut(&self) -> bool {
        self.state.lock().unwrap().steps_left == Some(0)
    }

    /// The power comes back. Each step that was not synced happened, did not, or happened in part.
    pub(super) fn restore(&self, seed: u64) {
        let mut chance = StdRng::seed_from_u64(seed);
        let mut state = self.state.lock().unwrap();
        let steps = std::mem::take(&mut state.unsynced);
        for step in steps {
            match (step, chance.random_range(0..3)) {
                (_, 0) => {}
                (Step::Bytes(at, bytes), 1) => {
                    let torn = chance.random_range(0..=bytes.len());
                    apply(&mut state.durable, &Step::Bytes(at, bytes[..torn].to_vec()));
                }
                (step, _) => apply(&mut state.durable, &step),
            }
        }
        state.volatile = state.durable.clone();
        state.steps_left = None;
    }

    fn step(&self, step: Step) -> io::Result<()> {
        let mut state = self.state.lock().unwrap();
        state.spend()?;
        apply(&mut state.volatile, &step);
        state.unsynced.push(step);
        Ok(())
    }
}

impl State {
    fn spend(&mut self) -> io::Result<()> {
        match &mut self.steps_left {
            Some(0) => Err(io::Error::other("the power is gone")),
            Some(steps) => {
                *steps -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }
}

fn apply(file: &mut Vec<u8>, step: &Step) {
    match step {
        Step::Length(length) => file.resize(*length, 0),
        Step::Bytes(at, bytes) => {
            let end = at + bytes.len();
            if file.len() < end {
                file.resize(end, 0);
            }
            file[*at..end].copy_from_slice(bytes);
        }
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.state.lock().unwrap().volatile.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let at = usize::try_from(offset).unwrap();
        let state = self.state.lock().unwrap();
        let bytes = state.volatile.get(at..at + out.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(bytes);
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.step(Step::Length(usize::try_from(length).unwrap()))
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.state.lock().unwrap();
        state.spend()?;
        if self.fsync == Fsync::Works {
            let steps = std::mem::take(&mut state.unsynced);
            steps.iter().for_each(|step| apply(&mut state.durable, step));
        }
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.step(Step::Bytes(usize::try_from(offset).unwrap(), data.to_vec()))
    }
}
