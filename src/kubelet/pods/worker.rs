//! One pod's worker: it asks [`sync`] what to do, does it, and reports what is.
//!
//! The worker owns the pod's [`State`]. Whatever takes time (a pull, a compile, the disk) runs in a task of its own
//! whose answer comes back through the [`Mailbox`], so that a deletion is heard at any moment. A pod that rests is
//! one waiting task without a timer.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::time::Duration;

use base::backoff::Law;
use base::clock::{self, Instant};
use base::task::{self, Task};
use k8s_openapi::api::core::v1 as core;

use super::mailbox::{Fact, Inbox, Mailbox, PullFailure};
use super::record::Record;
use super::state::{Container, Crashes, Image, Run, Slot, Stage, State, Stop, Verdict, spec_at};
use super::status::{self, Transitions};
use super::steps;
use super::sync::{self, Laws, PULL_ERROR_SHOWN, Step, Why, sync};
use super::view::View;
use crate::code::Handler;
use crate::containers::{self, Running};
use crate::daemon::Daemon;
use crate::{reasons, text};

/// A step that ends sooner is not reported on its own: a pod whose image is here goes from Pending to Running in one
/// write.
const PROGRESS_SHOWN: Duration = Duration::from_millis(50);

/// The wait before volumes are tried again. Upstream's grows to two minutes; people who create the missing ConfigMap
/// should not wait for so long.
const PREPARE_AGAIN: Law = Law::exact(Duration::from_millis(500), Duration::from_secs(20));

/// The wait before an image is pulled again, as upstream's image back-off.
const PULL_AGAIN: Law = Law::exact(Duration::from_secs(10), Duration::from_secs(300));

/// The wait before a container that could not be started is tried again.
const START_AGAIN: Law = Law::exact(Duration::from_secs(5), Duration::from_secs(300));

/// The same for what a user is likely about to create.
const CONFIG_AGAIN: Law = Law::exact(Duration::from_secs(2), Duration::from_secs(10));

/// One pod's worker.
pub(crate) struct Worker {
    daemon: Arc<Daemon>,
    uid: Arc<str>,
    pod: Arc<core::Pod>,
    state: State,
    mailbox: Arc<Mailbox>,
    /// The step that is under way.
    operation: Option<Task<()>>,
    /// Volumes that are being brought up to date.
    refresh: Option<Task<()>>,
    /// What runs, by slot.
    running: Vec<Option<Running>>,
    transitions: Transitions,
    /// A hash of the status that was reported last.
    reported: Option<u64>,
    /// Something changed since.
    has_news: bool,
}

impl Worker {
    /// A worker for a pod whose facts are `state`.
    pub(crate) fn new(daemon: Arc<Daemon>, pod: Arc<core::Pod>, state: State, mailbox: Arc<Mailbox>) -> Self {
        let uid = Arc::from(pod.metadata.uid.as_deref().unwrap_or_default());
        let running = state.containers.iter().map(|_| None).collect();
        let transitions = Transitions::of(&pod);
        let (operation, refresh) = (None, None);
        Self {
            daemon,
            uid,
            pod,
            state,
            mailbox,
            operation,
            refresh,
            running,
            transitions,
            reported: None,
            has_news: true,
        }
    }

    /// Works until nothing of the pod is left here, or the daemon ends and everything of it has stopped.
    pub(crate) async fn run(mut self) {
        while !self.is_over() {
            let laws = Laws { crash_loop: self.daemon.options.crash_loop };
            match sync(&self.pod, &self.state, &laws, Instant::now()) {
                Step::Rest(until) => self.rest(until).await,
                step => {
                    self.has_news = true;
                    self.perform(step);
                }
            }
        }
    }

    fn is_over(&self) -> bool {
        match self.state.stage {
            Stage::Gone => true,
            Stage::Finished => self.state.is_draining,
            Stage::Admitting | Stage::Preparing { .. } | Stage::Active | Stage::Ending { .. } => false,
        }
    }

    async fn rest(&mut self, until: Option<Instant>) {
        let report_at = match (self.has_news, self.state.is_busy) {
            (true, true) => Some(Instant::now() + PROGRESS_SHOWN),
            (true, false) => {
                self.report();
                None
            }
            (false, _) => None,
        };
        let until = match (until, report_at) {
            (Some(until), Some(report)) => Some(until.min(report)),
            (until, report) => until.or(report),
        };
        let arrived = match until {
            Some(until) => tokio::time::timeout_at(until, self.mailbox.take()).await.ok(),
            None => Some(self.mailbox.take().await),
        };
        match arrived {
            Some(inbox) => self.apply(inbox),
            None if report_at.is_some() => self.report(),
            None => {}
        }
    }

    /// Tells the API server and the journal, if there is something that they have not heard.
    fn report(&mut self) {
        self.has_news = false;
        // What the end of the daemon does to a pod is told by the daemon after this one.
        if self.state.is_draining || self.state.stage == Stage::Gone {
            return;
        }
        if let Some(record) = Record::of(&self.state) {
            self.daemon.journal.keep(&self.uid, record);
        }
        let (node_ip, now) = (self.daemon.options.node_ip, clock::now_seconds());
        let status = status::status(&self.pod, &self.state, node_ip, &mut self.transitions, now);
        let mut hasher = DefaultHasher::new();
        serde_json::to_vec(&status).unwrap_or_default().hash(&mut hasher);
        let hash = hasher.finish();
        let is_known = match self.reported {
            Some(reported) => reported == hash,
            None => status::is_shown(&self.pod, &status),
        };
        if !is_known && !self.state.is_object_gone {
            self.daemon.statuses.set(&self.pod, &status);
        }
        self.reported = Some(hash);
    }

    fn apply(&mut self, inbox: Inbox) {
        let Inbox { pod, is_gone, is_drain, is_content_changed, facts, questions } = inbox;
        let is_question_only = pod.is_none() && !is_gone && !is_drain && !is_content_changed && facts.is_empty();
        self.has_news |= !is_question_only;
        if let Some(pod) = pod {
            self.pod = pod;
        }
        self.state.is_object_gone |= is_gone;
        self.state.is_draining |= is_drain;
        for fact in facts {
            self.learn(fact);
        }
        if is_content_changed && self.state.stage == Stage::Active {
            let refresh = steps::refresh(Arc::clone(&self.daemon), Arc::clone(&self.pod), self.state.address);
            self.refresh = Some(task::spawn("volume refresh", refresh));
        }
        for question in questions {
            // Who no longer waits for the answer needs none.
            question.send(View::new(&self.pod, &self.state, &self.running)).ok();
        }
    }

    fn learn(&mut self, fact: Fact) {
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

    fn pulled(&mut self, slot: Slot, result: Result<Arc<super::state::Present>, PullFailure>) {
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

    fn exited(&mut self, slot: Slot, how: super::state::Terminated) {
        if let Some(running) = self.running.get_mut(slot.0) {
            *running = None;
        }
        if let Some(container) = self.state.container_mut(slot) {
            container.run = Run::Exited { how: Box::new(how), at: Instant::now() };
        }
    }

    fn perform(&mut self, step: Step) {
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

fn wait_for(why: Verdict, wait: Duration) -> Run {
    Run::Waiting { why: Some(Box::new(why)), not_before: Some(Instant::now() + wait) }
}
