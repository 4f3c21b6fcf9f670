//! What reaches a pod's worker: the newest object, answers of its steps, questions of others.
//!
//! A post never waits and nothing in the box grows without bound: of the object only the newest is kept, of facts
//! there is at most one for each step and container, and questions are as many as there are callers waiting.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use k8s_openapi::api::core::v1 as core;
use tokio::sync::{Notify, oneshot};

use super::state::{Present, Slot, Terminated, Verdict};
use super::view::View;
use crate::code::Handler;
use crate::containers::Running;

/// One worker's box; the table of pods and the pod's own steps post into it.
#[derive(Debug, Default)]
pub(crate) struct Mailbox {
    inbox: Mutex<Inbox>,
    arrived: Notify,
}

/// What has arrived since the last look.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    /// The object, if it changed.
    pub(crate) pod: Option<Arc<core::Pod>>,
    /// The object is no longer there.
    pub(crate) is_gone: bool,
    /// The daemon ends.
    pub(crate) is_drain: bool,
    /// Something that the pod's volumes show has changed.
    pub(crate) is_content_changed: bool,
    /// Answers of steps, in order.
    pub(crate) facts: Vec<Fact>,
    /// Who wants to know how the pod is.
    pub(crate) questions: Vec<oneshot::Sender<View>>,
}

/// The answer of a step, or what a sandbox did.
#[derive(Debug)]
pub(crate) enum Fact {
    /// Volumes are there and the pod's handler is known, or the reason and message of an Event that says why not.
    Prepared(Result<Handler, Verdict>),
    /// The image is here, or what its container's wait is to show.
    Pulled(Slot, Result<Arc<Present>, PullFailure>),
    /// The container runs, or what its wait is to show.
    Started(Slot, Result<Running, Verdict>),
    /// The container's run ended.
    Exited(Slot, Terminated),
    /// The pod's folders are removed.
    Removed,
}

/// A pull that failed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct PullFailure {
    /// What the wait shows.
    pub(crate) verdict: Verdict,
    /// Whether `ImagePullBackOff` follows; the other failures stay shown as they are.
    pub(crate) backs_off: bool,
}

impl Mailbox {
    /// A new object.
    pub(crate) fn update(&self, pod: Arc<core::Pod>) {
        self.post(|inbox| inbox.pod = Some(pod));
    }

    /// The object is gone.
    pub(crate) fn gone(&self) {
        self.post(|inbox| inbox.is_gone = true);
    }

    /// The daemon ends.
    pub(crate) fn drain(&self) {
        self.post(|inbox| inbox.is_drain = true);
    }

    /// Volumes are to be brought up to date.
    pub(crate) fn content_changed(&self) {
        self.post(|inbox| inbox.is_content_changed = true);
    }

    /// The answer of a step.
    pub(crate) fn tell(&self, fact: Fact) {
        self.post(|inbox| inbox.facts.push(fact));
    }

    /// How the pod is now; `None` when its worker has ended.
    pub(crate) async fn ask(&self) -> Option<View> {
        let (question, answer) = oneshot::channel();
        self.post(|inbox| inbox.questions.push(question));
        answer.await.ok()
    }

    /// All that has arrived, once there is something; safe to drop while waiting.
    pub(crate) async fn take(&self) -> Inbox {
        loop {
            if let Some(inbox) = self.try_take() {
                return inbox;
            }
            self.arrived.notified().await;
        }
    }

    /// All that has arrived, if anything.
    pub(crate) fn try_take(&self) -> Option<Inbox> {
        let mut inbox = self.lock();
        (!inbox.is_empty()).then(|| std::mem::take(&mut *inbox))
    }

    fn post(&self, change: impl FnOnce(&mut Inbox)) {
        change(&mut self.lock());
        self.arrived.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inbox {
    fn is_empty(&self) -> bool {
        let Self { pod, is_gone, is_drain, is_content_changed, facts, questions } = self;
        pod.is_none() && !is_gone && !is_drain && !is_content_changed && facts.is_empty() && questions.is_empty()
    }
}
