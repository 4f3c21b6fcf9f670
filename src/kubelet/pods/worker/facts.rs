//! What a worker learns: the answers of its steps and the ends of its sandboxes, as changes of the pod's state.

use std::sync::Arc;
use std::time::Duration;

use base::backoff::Law;
use base::clock::Instant;

use super::super::mailbox::{Fact, PullFailure};
use super::super::state::{Image, Present, Run, Slot, Stage, Stop, Terminated, Verdict};
use super::super::sync::PULL_ERROR_SHOWN;
use super::{PREPARE_AGAIN, PULL_AGAIN, Worker, wait_for};
use crate::code::Handler;
use crate::containers::Running;
use crate::reasons;

/// The wait before a container that could not be started is tried again.
const START_AGAIN: Law = Law::exact(Duration::from_secs(5), Duration::from_secs(300));

/// The same for what a user is likely about to create.
const CONFIG_AGAIN: Law = Law::exact(Duration::from_secs(2), Duration::from_secs(10));

impl Worker {
    /// Takes one fact in; an answer that nobody waits for any more is dropped.
    pub(super) fn learn(&mut self, fact: Fact) {
        // An answer that was on its way when its step was given up comes too late.
        let is_late = self.operation.is_none();
        match fact {
            Fact::Exited(slot, how) => self.exited(slot, how),
            Fact::Started(_, Ok(running)) if is_late => running.kill(),
            Fact::Prepared(_) | Fact::Pulled(..) | Fact::Started(..) | Fact::Removed if is_late => {}
            Fact::Prepared(result) => {
                self.end_operation();
                self.prepared(result);
            }
            Fact::Pulled(slot, result) => {
                self.end_operation();
                self.pulled(slot, result);
            }
            Fact::Started(slot, result) => {
                self.end_operation();
                self.started(slot, result);
            }
            Fact::Removed => {
                self.end_operation();
                self.daemon.journal.forget(&self.uid);
                if !self.state.is_object_gone {
                    self.daemon.statuses.end(&self.pod);
                }
                self.state.stage = Stage::Gone;
            }
        }
    }

    fn end_operation(&mut self) {
        self.state.is_busy = false;
        if let Some(operation) = self.operation.take() {
            operation.detach();
        }
    }

    fn prepared(&mut self, result: Result<Handler, Verdict>) {
        let tries = match self.state.stage {
            Stage::Preparing { tries, .. } => tries,
            _ => 0,
        };
        self.state.stage = match result {
            Ok(handler) => {
                self.state.handler = Some(handler);
                Stage::Active
            }
            Err(Verdict { reason, message }) => {
                self.daemon.events.warning(&self.pod, None, &reason, message);
                let not_before = Some(Instant::now() + PREPARE_AGAIN.wait(tries));
                Stage::Preparing { not_before, tries: tries.saturating_add(1) }
            }
        };
    }

    fn pulled(&mut self, slot: Slot, result: Result<Arc<Present>, PullFailure>) {
        let Some(container) = self.state.container_mut(slot) else { return };
        let tries = match container.image {
            Image::Wanted { tries } | Image::Failed { tries } => tries,
            Image::Present(_) => 0,
        };
        match result {
            Ok(image) => {
                container.image = Image::Present(image);
                container.run = Run::Waiting { why: None, not_before: None };
            }
            Err(PullFailure { verdict, backs_off }) => {
                let wait = if backs_off { PULL_ERROR_SHOWN } else { PULL_AGAIN.wait(tries) };
                let tries = tries.saturating_add(1);
                container.image = if backs_off { Image::Failed { tries } } else { Image::Wanted { tries } };
                container.run = wait_for(verdict, wait);
            }
        }
    }

    fn started(&mut self, slot: Slot, result: Result<Running, Verdict>) {
        let Some(container) = self.state.container_mut(slot) else { return };
        match result {
            Ok(running) => {
                container.restarts = container.next_run();
                container.failed_starts = 0;
                container.run = Run::Running { since: running.since(), stop: Stop::No };
                if let Some(place) = self.running.get_mut(slot.0) {
                    *place = Some(running);
                }
            }
            Err(verdict) => {
                let is_config = verdict.reason == reasons::CREATE_CONTAINER_CONFIG_ERROR;
                let law = if is_config { CONFIG_AGAIN } else { START_AGAIN };
                let wait = law.wait(container.failed_starts);
                container.failed_starts = container.failed_starts.saturating_add(1);
                container.run = wait_for(verdict, wait);
            }
        }
    }

    fn exited(&mut self, slot: Slot, how: Terminated) {
        if let Some(running) = self.running.get_mut(slot.0) {
            *running = None;
        }
        if let Some(container) = self.state.container_mut(slot) {
            container.run = Run::Exited { how: Box::new(how), at: Instant::now() };
        }
    }
}
