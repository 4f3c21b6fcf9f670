//! One pod's worker: it asks [`sync`] what to do, does it, and reports what is.
//!
//! The worker owns the pod's [`State`]. Whatever takes time (a pull, a compile, the disk) runs in a task of its own
//! whose answer comes back through the [`Mailbox`], so that a deletion is heard at any moment. A pod that rests is
//! one waiting task without a timer. What it learns is in `facts`, what it does in `actions`.

mod actions;
mod facts;

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::time::Duration;

use base::backoff::Law;
use base::clock::{self, Instant};
use base::task::{self, Task};
use k8s_openapi::api::core::v1 as core;

use super::mailbox::{Inbox, Mailbox};
use super::record::Record;
use super::state::{Run, Stage, State, Verdict};
use super::status::{self, Transitions};
use super::steps;
use super::sync::{Laws, Step, sync};
use super::view::View;
use crate::containers::Running;
use crate::daemon::Daemon;

/// A step that ends sooner is not reported on its own: a pod whose image is here goes from Pending to Running in one
/// write.
const PROGRESS_SHOWN: Duration = Duration::from_millis(50);

/// The wait before volumes are tried again. Upstream's grows to two minutes; people who create the missing ConfigMap
/// should not wait for so long.
const PREPARE_AGAIN: Law = Law::exact(Duration::from_millis(500), Duration::from_secs(20));

/// The wait before an image is pulled again, as upstream's image back-off.
const PULL_AGAIN: Law = Law::exact(Duration::from_secs(10), Duration::from_secs(300));

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
    pub(crate) async fn run(mut self: Box<Self>) {
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
}

fn wait_for(why: Verdict, wait: Duration) -> Run {
    Run::Waiting { why: Some(Box::new(why)), not_before: Some(Instant::now() + wait) }
}
