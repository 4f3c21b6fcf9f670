//! Events: what components tell people, fire and forget.
//!
//! A [`Recorder`] takes notices in at any place and never waits; its [`Writer`] puts them on the server, one after
//! the other. What repeats is counted up, what is similar is combined, and who speaks too much about one object is
//! cut short: `correlate` decides that, by upstream's numbers. Events are for people; nothing may depend on them,
//! so those that find no room or no server are dropped.

mod correlate;
mod recent;

use std::time::Duration;

use base::backoff::{Backoff, Law};
use base::clock::{self, Instant};
use base::shutdown::Shutdown;
use jiff::Timestamp;
use k8s_openapi::api::core::v1 as core;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client, Resource, ResourceExt as _};
use tokio::sync::mpsc;

use crate::events::correlate::{Correlator, Verdict};
use crate::refusal;

/// The most notices that wait to be written. Upstream's recorder has room for 1,000; a scheduler that places some
/// thousand pods a second needs more. At the limit new ones are dropped, and the first of them is logged.
const WAITING_MAX: usize = 8192;

/// The wait before an Event is tried again that the server did not take.
const RETRY: Law = Law::spread(Duration::from_millis(200), Duration::from_secs(10));

/// How often an Event is tried, as client-go's `maxTriesPerEvent`; then it is dropped.
const TRIES_MAX: u32 = 12;

/// How long the notices that wait may take after the end was asked for.
const DRAIN_DEADLINE: Duration = Duration::from_secs(2);

/// Whether something went as it should.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Kind {
    /// It did.
    Normal,
    /// Somebody may have to look.
    Warning,
}

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "Normal",
            Self::Warning => "Warning",
        }
    }
}

/// One thing that happened to one object.
#[derive(Clone, Debug)]
struct Notice {
    about: core::ObjectReference,
    kind: Kind,
    reason: String,
    message: String,
    at: Timestamp,
}

/// Who tells.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Source {
    /// The component, as people know it: `default-scheduler`, `kubelet`.
    pub component: String,
    /// The node it runs on; empty for those of the control plane.
    pub host: String,
}

/// Takes notices in; cheap to clone.
#[derive(Clone, Debug)]
pub struct Recorder {
    notices: mpsc::Sender<Notice>,
}

/// Puts notices on the server.
#[derive(Debug)]
pub struct Writer {
    notices: mpsc::Receiver<Notice>,
    correlator: Correlator,
    source: Source,
}

/// A recorder of `source`, and the writer that serves it.
#[must_use]
pub fn channel(source: Source) -> (Recorder, Writer) {
    let (sender, notices) = mpsc::channel(WAITING_MAX);
    (Recorder { notices: sender }, Writer { notices, correlator: Correlator::default(), source })
}

/// How an Event names this object. `part` says which part of it is meant, as in `spec.containers{web}`.
pub fn reference<K: Resource<DynamicType = ()>>(object: &K, part: Option<String>) -> core::ObjectReference {
    let metadata = object.meta();
    core::ObjectReference {
        api_version: Some(K::api_version(&()).into_owned()),
        kind: Some(K::kind(&()).into_owned()),
        namespace: metadata.namespace.clone(),
        name: metadata.name.clone(),
        uid: object.uid(),
        resource_version: object.resource_version(),
        field_path: part,
    }
}

impl Recorder {
    /// Tells of something that went as it should.
    pub fn normal(&self, about: core::ObjectReference, reason: &str, message: impl Into<String>) {
        self.record(about, Kind::Normal, reason, message.into());
    }

    /// Tells of something that somebody may have to look at.
    pub fn warning(&self, about: core::ObjectReference, reason: &str, message: impl Into<String>) {
        self.record(about, Kind::Warning, reason, message.into());
    }

    fn record(&self, about: core::ObjectReference, kind: Kind, reason: &str, message: String) {
        let notice = Notice { about, kind, reason: reason.to_owned(), message, at: clock::now() };
        if let Err(error) = self.notices.try_send(notice) {
            tracing::debug!(reason, %error, "an Event was dropped");
        }
    }
}

impl Writer {
    /// Writes until the end is asked for or no recorder is left, then what still waits, for two seconds at most.
    pub async fn run(mut self, client: Client, shutdown: Shutdown) {
        while let Some(Some(notice)) = shutdown.or(self.notices.recv()).await {
            // Whoever asks for the end does not wait for a server that is away.
            let verdict = self.correlator.observe(&self.source, &notice, Instant::now());
            if shutdown.or(write(&client, verdict)).await.is_none() {
                break;
            }
        }
        let drain = async {
            while let Ok(notice) = self.notices.try_recv() {
                let verdict = self.correlator.observe(&self.source, &notice, Instant::now());
                write(&client, verdict).await;
            }
        };
        if tokio::time::timeout(DRAIN_DEADLINE, drain).await.is_err() {
            tracing::debug!(count = self.notices.len(), "Events were dropped at the end");
        }
    }
}

/// Carries a verdict out; an Event that the server does not take after some tries is dropped.
async fn write(client: &Client, verdict: Verdict) {
    let mut retry = Backoff::new(RETRY);
    while retry.tries() < TRIES_MAX {
        let Err(error) = try_write(client, &verdict).await else { return };
        // The namespace may be gone, or its Event be there: another try would meet the same.
        if refusal::is_final(&error) || refusal::is_conflict(&error) {
            tracing::debug!(%error, "the server refused an Event");
            return;
        }
        tokio::time::sleep(retry.next_wait()).await;
    }
    tracing::debug!("an Event was dropped, since the server does not take it");
}

async fn try_write(client: &Client, verdict: &Verdict) -> kube::Result<()> {
    let (event, is_known) = match verdict {
        Verdict::Drop => return Ok(()),
        Verdict::Create(event) => (event, false),
        Verdict::CountUp(event) => (event, true),
    };
    let namespace = event.metadata.namespace.as_deref().unwrap_or("default");
    let api: Api<core::Event> = Api::namespaced(client.clone(), namespace);
    if is_known {
        let patch = serde_json::json!({
            "count": event.count, "lastTimestamp": event.last_timestamp, "message": event.message,
        });
        let answer = api.patch(&event.name_any(), &PatchParams::default(), &Patch::Merge(patch)).await;
        // Events live for an hour; one that is gone is written anew, with its count.
        if refusal::found(answer)?.is_some() {
            return Ok(());
        }
    }
    api.create(&PostParams::default(), event).await.map(drop)
}
