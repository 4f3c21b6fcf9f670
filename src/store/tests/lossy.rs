//! A disk that keeps what was synced, and of the rest only what chance keeps when the power goes. It can also be full,
//! and its fsync can fail or be left out.

use std::io;
use std::sync::{Arc, Mutex};

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use redb::StorageBackend;

/// What the disk does when it is told to sync.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum Fsync {
    #[default]
    Works,
    /// It says that it synced, and did nothing.
    IsLeftOut,
    /// It says that it could not, and keeps nothing.
    Fails,
}

/// A disk; clones are the same one.
#[derive(Clone, Debug, Default)]
pub(super) struct Disk {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// What survives a cut.
    durable: Vec<u8>,
    /// What is read before a cut.
    volatile: Vec<u8>,
    /// What was done since the last sync, in order.
    unsynced: Vec<Step>,
    fsync: Fsync,
    /// How many more steps work before the power goes; `None` while it stays.
    steps_left: Option<usize>,
    /// How many bytes fit; `None` while there is no end of space.
    bytes_max: Option<usize>,
}

#[derive(Clone, Debug)]
enum Step {
    Length(usize),
    Bytes(usize, Vec<u8>),
}

impl Disk {
    pub(super) fn set_fsync(&self, fsync: Fsync) {
        self.state.lock().unwrap().fsync = fsync;
    }

    /// From now on the disk holds `bytes` more than it does, or is without bounds again.
    pub(super) fn set_space(&self, bytes: Option<usize>) {
        let mut state = self.state.lock().unwrap();
        state.bytes_max = bytes.map(|bytes| state.volatile.len() + bytes);
    }

    /// The power goes after this many more steps.
    pub(super) fn cut_after(&self, steps: usize) {
        self.state.lock().unwrap().steps_left = Some(steps);
    }

    pub(super) fn is_cut(&self) -> bool {
        self.state.lock().unwrap().steps_left == Some(0)
    }

    /// The power comes back. Of the steps that were not synced none happened, or those up to some moment did, or each
    /// happened or not, some only in part.
    pub(super) fn restore(&self, seed: u64) {
        let mut chance = StdRng::seed_from_u64(seed);
        let mut state = self.state.lock().unwrap();
        let mut steps = std::mem::take(&mut state.unsynced);
        match chance.random_range(0..3) {
            0 => steps.clear(),
            1 => steps.truncate(chance.random_range(0..=steps.len())),
            _ => steps.retain_mut(|step| survives(step, &mut chance)),
        }
        steps.iter().for_each(|step| apply(&mut state.durable, step));
        state.volatile = state.durable.clone();
        state.steps_left = None;
    }

    fn step(&self, step: Step) -> io::Result<()> {
        let mut state = self.state.lock().unwrap();
        state.spend()?;
        let end = match &step {
            Step::Length(length) => *length,
            Step::Bytes(at, bytes) => at + bytes.len(),
        };
        if state.bytes_max.is_some_and(|max| end > max) {
            return Err(io::ErrorKind::StorageFull.into());
        }
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

/// Whether a step happened; of a write, maybe only the beginning did.
fn survives(step: &mut Step, chance: &mut StdRng) -> bool {
    match (step, chance.random_range(0..3)) {
        (_, 0) => false,
        (Step::Bytes(_, bytes), 1) => {
            bytes.truncate(chance.random_range(0..=bytes.len()));
            true
        }
        _ => true,
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
        match state.fsync {
            Fsync::Works => {
                let steps = std::mem::take(&mut state.unsynced);
                steps.iter().for_each(|step| apply(&mut state.durable, step));
                Ok(())
            }
            Fsync::IsLeftOut => Ok(()),
            Fsync::Fails => {
                state.unsynced.clear();
                Err(io::Error::other("the disk does not answer"))
            }
        }
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.step(Step::Bytes(usize::try_from(offset).unwrap(), data.to_vec()))
    }
}
