//! How a worker carries out the steps that `sync` asks for. What takes time is begun here and answers as a fact.

use std::sync::Arc;

use base::clock::Instant;
use base::task;

use super::super::state::{Container, Crashes, Image, Run, Slot, Stage, Stop, Verdict, spec_at};
use super::super::steps;
use super::super::sync::{self, PULL_ERROR_SHOWN, Step, Why};
use super::{PREPARE_AGAIN, PULL_AGAIN, Worker, wait_for};
use crate::{containers, reasons, text};

impl Worker {
    /// Carries out one step.
    pub(super) fn perform(&mut self, step: Step) {
        match step {
            Step::Rest(_) => {}
            Step::Admit => self.admit(),
            Step::Prepare => self.prepare(),
            Step::Pull(slot) => self.pull(slot),
            Step::Start(slot) => self.start(slot),
            Step::Restart(slot) => self.restart(slot, None),
            Step::BackOff(slot, until) => self.restart(slot, Some(until)),
            Step::ShowPullBackOff(slot) => self.show_pull_back_off(slot),
            Step::End(why) => self.end(why),
            Step::Terminate(slot) => self.terminate(slot),
            Step::Kill(slot) => self.kill(slot),
            Step::Finish => self.finish(),
            Step::Remove => self.begin("pod removal", |worker| {
                steps::remove(Arc::clone(&worker.daemon), Arc::clone(&worker.uid), Arc::clone(&worker.mailbox))
            }),
        }
    }

    fn begin<F>(&mut self, name: &'static str, operation: impl FnOnce(&Self) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.state.is_busy = true;
        self.operation = Some(task::spawn(name, operation(self)));
    }

    fn admit(&mut self) {
        match self.daemon.room.admit(&self.uid, &self.pod) {
            Ok(()) => self.state.stage = Stage::Preparing { not_before: None, tries: 0 },
            Err(verdict) => {
                self.daemon.events.warning(&self.pod, None, &verdict.reason, verdict.message.clone());
                self.state.verdict = Some(verdict);
                self.state.stage = Stage::Finished;
            }
        }
    }

    fn prepare(&mut self) {
        match self.daemon.room.address(&self.uid, &self.pod, self.state.address) {
            Ok(address) => self.state.address = Some(address),
            Err(error) => {
                let Verdict { reason, message } = steps::no_sandbox(&error);
                self.daemon.events.warning(&self.pod, None, &reason, message);
                self.state.stage = Stage::Preparing { not_before: Some(Instant::now() + PREPARE_AGAIN.max), tries: 0 };
                return;
            }
        }
        self.daemon.sources.mount(&self.uid, &self.pod, &self.mailbox);
        self.begin("pod preparation", |worker| {
            let mailbox = Arc::clone(&worker.mailbox);
            let (daemon, pod) = (Arc::clone(&worker.daemon), Arc::clone(&worker.pod));
            steps::prepare(daemon, pod, worker.state.address, worker.state.handler, mailbox)
        });
    }

    fn pull(&mut self, slot: Slot) {
        let is_first = self.state.container(slot).is_some_and(|container| !container.has_started());
        self.begin("image pull", |worker| {
            let (daemon, mailbox) = (Arc::clone(&worker.daemon), Arc::clone(&worker.mailbox));
            steps::pull(daemon, Arc::clone(&worker.pod), slot, is_first, mailbox)
        });
    }

    fn start(&mut self, slot: Slot) {
        let Some(Container { image: Image::Present(image), .. }) = self.state.container(slot) else { return };
        let start = containers::Start {
            pod: Arc::clone(&self.pod),
            slot,
            run: self.state.container(slot).map_or(0, Container::next_run),
            image: Arc::clone(image),
            address: self.state.address,
            handler: self.state.handler.unwrap_or_default(),
        };
        self.begin("container", |worker| {
            containers::run(Arc::clone(&worker.daemon), start, Arc::clone(&worker.mailbox))
        });
    }

    /// Makes a container that ended ready to be started again, at once or at `until`.
    fn restart(&mut self, slot: Slot, until: Option<Instant>) {
        let (pod, now) = (Arc::clone(&self.pod), Instant::now());
        let law = self.daemon.options.crash_loop;
        let Some(container) = self.state.container_mut(slot) else { return };
        let Run::Exited { how, at } =
            std::mem::replace(&mut container.run, Run::Waiting { why: None, not_before: until })
        else {
            return;
        };
        let (start, tries) = sync::next_start(container.crashes, at, law);
        container.crashes = Crashes { tries, last: Some(start.max(now)) };
        container.last = Some(how);
        container.image = Image::Wanted { tries: 0 };
        if until.is_none() {
            return;
        }
        let (name, pod_text) = (Arc::clone(&container.name), text::pod(&pod));
        let wait = text::duration(start - at);
        container.run = Run::Waiting {
            why: Some(Box::new(Verdict {
                reason: reasons::CRASH_LOOP_BACK_OFF.to_owned(),
                message: format!("back-off {wait} restarting failed container={name} pod={pod_text}"),
            })),
            not_before: until,
        };
        let message = format!("Back-off restarting failed container {name} in pod {pod_text}");
        self.daemon.events.warning(&pod, Some(&name), reasons::event::BACK_OFF, message);
    }

    fn show_pull_back_off(&mut self, slot: Slot) {
        let image = spec_at(&self.pod, slot).and_then(|spec| spec.image.clone()).unwrap_or_default();
        let Some(container) = self.state.container_mut(slot) else { return };
        let Image::Failed { tries } = container.image else { return };
        container.image = Image::Wanted { tries };
        let message = format!("Back-off pulling image \"{image}\"");
        let detail = match &container.run {
            Run::Waiting { why: Some(why), .. } => format!("{message}: {}: {}", why.reason, why.message),
            Run::Waiting { why: None, .. } | Run::Running { .. } | Run::Exited { .. } => message.clone(),
        };
        let verdict = Verdict { reason: reasons::IMAGE_PULL_BACK_OFF.to_owned(), message: detail };
        let wait = PULL_AGAIN.wait(tries.saturating_sub(1)).saturating_sub(PULL_ERROR_SHOWN);
        container.run = wait_for(verdict, wait);
        let name = Arc::clone(&container.name);
        self.daemon.events.normal(&self.pod, Some(&name), reasons::event::BACK_OFF, message);
        let error = format!("Error: {}", reasons::IMAGE_PULL_BACK_OFF);
        self.daemon.events.warning(&self.pod, Some(&name), reasons::event::FAILED, error);
    }

    fn end(&mut self, why: Why) {
        self.operation = None;
        self.refresh = None;
        self.state.is_busy = false;
        self.daemon.sources.unmount(&self.uid);
        let mut grace = sync::grace(&self.pod, why);
        match why {
            Why::Complete | Why::Deleted => {}
            Why::Drained => grace = grace.min(self.daemon.options.shutdown_grace),
            Why::DeadlineExceeded => {
                let message = "Pod was active on the node longer than the specified deadline".to_owned();
                let reason = reasons::DEADLINE_EXCEEDED.to_owned();
                self.daemon.events.normal(&self.pod, None, reasons::DEADLINE_EXCEEDED, message.clone());
                self.state.verdict = Some(Verdict { reason, message });
            }
        }
        self.state.stage = Stage::Ending { begun: Instant::now(), grace };
    }

    fn terminate(&mut self, slot: Slot) {
        self.stop(slot, Stop::Asked);
        let name = self.state.container(slot).map(|container| Arc::clone(&container.name));
        if let Some(name) = name {
            let message = format!("Stopping container {name}");
            self.daemon.events.normal(&self.pod, Some(&name), reasons::event::KILLING, message);
        }
        if let Some(Some(running)) = self.running.get(slot.0) {
            running.request_termination();
        }
    }

    fn kill(&mut self, slot: Slot) {
        self.stop(slot, Stop::Killed);
        if let Some(Some(running)) = self.running.get(slot.0) {
            running.kill();
        }
    }

    fn stop(&mut self, slot: Slot, how: Stop) {
        if let Some(Container { run: Run::Running { stop, .. }, .. }) = self.state.container_mut(slot) {
            *stop = how;
        }
    }

    fn finish(&mut self) {
        self.daemon.room.release(&self.uid);
        self.state.stage = Stage::Finished;
    }
}
