//! What the node knows of one pod: the facts that [`super::sync`] decides on and [`super::status`] reports.
//!
//! Nothing here acts. The worker alone changes a [`State`], from what its steps and its sandboxes answered.
//!
//! ```text
//!              rejected                                 deleted
//!  Admitting ───────────▶ Finished ◀─────────────┐   ──────────▶ Gone
//!      │ admitted                                │   (from Finished)
//!      ▼                                         │ every container stopped
//!  Preparing ──▶ Active ──────────────────────▶ Ending
//!      └──────────────── deleted, past its deadline, complete, drained
//! ```

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ::images::ImageConfig;
use base::clock::Instant;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container as Spec, Pod};
use serde::{Deserialize, Serialize};

use crate::code::Handler;

/// One pod's facts.
#[derive(Clone, Debug)]
pub(crate) struct State {
    /// Where the pod stands.
    pub(crate) stage: Stage,
    /// When the node took the pod: `status.startTime`.
    pub(crate) accepted: Timestamp,
    /// The same moment on the timers' clock, which setting the date does not move.
    pub(crate) accepted_at: Instant,
    /// The pod's own address, once it has one.
    pub(crate) address: Option<IpAddr>,
    /// What its RuntimeClass names, once that is known.
    pub(crate) handler: Option<Handler>,
    /// Init containers (sidecars among them) in order, then the others: the order of the spec.
    pub(crate) containers: Vec<Container>,
    /// Whether a step is under way whose answer will come as a fact. One at a time, as upstream.
    pub(crate) is_busy: bool,
    /// The daemon ends: containers are stopped and nothing more is reported.
    pub(crate) is_draining: bool,
    /// The object is no longer there.
    pub(crate) is_object_gone: bool,
    /// Why the pod as a whole failed, if not by its containers' exits.
    pub(crate) verdict: Option<Verdict>,
}

/// Where a pod stands; the module's head draws the ways between.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Stage {
    /// Nothing was decided yet. To Preparing when the node can take it, to Finished when not.
    Admitting,
    /// Volumes and address are being made; `not_before` holds back the next try after a failure. To Active on
    /// success, to Ending when the pod is deleted or past its deadline.
    Preparing {
        /// No try before this; `None` is at once.
        not_before: Option<Instant>,
        /// Failures so far, for the growing wait.
        tries: u32,
    },
    /// Containers are started and restarted as the spec says. To Ending when that is over.
    Active,
    /// No container is started any more; those that run are asked to end, then ended. To Finished with the last.
    Ending {
        /// When it began.
        begun: Instant,
        /// How long the containers may take from then on; a later, shorter request of the object wins.
        grace: Duration,
    },
    /// Nothing runs or will run; ports and address are given back. To Gone when the object is deleted.
    Finished,
    /// Folders are removed, the object is or will be; the worker ends.
    Gone,
}

/// A reason for the whole pod's failure, in upstream's words.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Verdict {
    /// CamelCase, for programs.
    pub(crate) reason: String,
    /// One sentence, for people.
    pub(crate) message: String,
}

/// The place of a container among all of its pod's, init containers first.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) struct Slot(pub(crate) usize);

/// What a container is to its pod.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Role {
    /// Runs to its end before the next starts.
    Init,
    /// An init container that is restarted always: started in order, stopped after the main ones.
    Sidecar,
    /// One of `spec.containers`.
    Main,
}

/// When a container is started again.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Restart {
    /// Whatever its exit.
    Always,
    /// After an exit other than 0.
    OnFailure,
    /// Never.
    Never,
}

/// One container's facts.
#[derive(Clone, Debug)]
pub(crate) struct Container {
    /// Its name, unique in the pod.
    pub(crate) name: Arc<str>,
    /// What it is to the pod.
    pub(crate) role: Role,
    /// The policy that holds for it, of the container itself or of the pod.
    pub(crate) restart: Restart,
    /// What it does now.
    pub(crate) run: Run,
    /// How the run before this ended.
    pub(crate) last: Option<Box<Terminated>>,
    /// How often it was started again.
    pub(crate) restarts: u32,
    /// Its image.
    pub(crate) image: Image,
    /// How fast it may start again.
    pub(crate) crashes: Crashes,
    /// Starts in a row that did not come to a run.
    pub(crate) failed_starts: u32,
}

/// What a container does. Waiting → Running → Exited, and from there to Waiting again where the policy says so.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Run {
    /// It does not run, and is to be started no earlier than `not_before`.
    Waiting {
        /// Upstream's reason and message; `None` is the ordinary wait for its turn.
        why: Option<Box<Verdict>>,
        /// Not before this; `None` is as soon as it is its turn.
        not_before: Option<Instant>,
    },
    /// A sandbox runs.
    Running {
        /// Since when.
        since: Timestamp,
        /// How far its end was asked for.
        stop: Stop,
    },
    /// It ended, at this moment on the timers' clock.
    Exited {
        /// How.
        how: Box<Terminated>,
        /// When, for the wait before it starts again.
        at: Instant,
    },
}

/// How far the end of a running container was asked for.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Stop {
    /// It may run.
    No,
    /// It was asked to end.
    Asked,
    /// It was ended by force; the sandbox' last word is awaited.
    Killed,
}

/// How a run ended; what `state.terminated` shows.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Terminated {
    /// 0 is success.
    pub(crate) exit_code: i32,
    /// `Completed`, `Error`, `OOMKilled`, …
    pub(crate) reason: String,
    /// For people: the trap with its backtrace, or the last lines of the log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) message: Option<String>,
    /// When it began, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) started_at: Option<Timestamp>,
    /// When it ended.
    pub(crate) finished_at: Timestamp,
    /// Which run it was: the number of restarts before it.
    pub(crate) run: u32,
}

/// What is known of a container's image.
#[derive(Clone, Debug)]
pub(crate) enum Image {
    /// To be found, or pulled, before the next start. To Present on success, to Failed when a pull fails.
    Wanted {
        /// Failed tries in a row.
        tries: u32,
    },
    /// A pull failed and its error is being shown. To Wanted when the back-off is shown instead.
    Failed {
        /// Failed tries in a row, this one included.
        tries: u32,
    },
    /// Here.
    Present(Arc<Present>),
}

/// An image that is on this node.
#[derive(Debug)]
pub(crate) struct Present {
    /// What `imageID` shows: the repository at the manifest's digest.
    pub(crate) id: String,
    /// The last part of its repository, which stands for the program's name where nobody names one.
    pub(crate) name: String,
    /// The digest of the module or component.
    pub(crate) digest: String,
    /// Where its bytes lie.
    pub(crate) path: PathBuf,
    /// How it wants to be run.
    pub(crate) config: ImageConfig,
    /// What keeps the bytes there as long as this is held.
    #[expect(dead_code, reason = "held for its drop")]
    pub(crate) kept: Box<dyn fmt::Debug + Send + Sync>,
}

/// How often a container was started again of late, which makes the wait before the next start.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Crashes {
    /// Starts again in a row.
    pub(crate) tries: u32,
    /// When the last of them was.
    pub(crate) last: Option<Instant>,
}

impl State {
    /// A pod that was just seen for the first time.
    pub(crate) fn new(pod: &Pod, accepted: Timestamp, accepted_at: Instant) -> Self {
        Self {
            stage: Stage::Admitting,
            accepted,
            accepted_at,
            address: None,
            handler: None,
            containers: specs(pod).map(|(role, spec)| Container::new(role, spec, pod_policy(pod))).collect(),
            is_busy: false,
            is_draining: false,
            is_object_gone: false,
            verdict: None,
        }
    }

    /// The container at `slot`.
    pub(crate) fn container(&self, slot: Slot) -> Option<&Container> {
        self.containers.get(slot.0)
    }

    /// The container at `slot`, to be changed by the worker.
    pub(crate) fn container_mut(&mut self, slot: Slot) -> Option<&mut Container> {
        self.containers.get_mut(slot.0)
    }

    /// All containers with their places.
    pub(crate) fn slots(&self) -> impl DoubleEndedIterator<Item = (Slot, &Container)> {
        self.containers.iter().enumerate().map(|(index, container)| (Slot(index), container))
    }

    /// The place of the container of this name.
    pub(crate) fn slot_of(&self, name: &str) -> Option<Slot> {
        self.slots().find(|(_, container)| &*container.name == name).map(|(slot, _)| slot)
    }

    /// Whether all init containers have done their part: ended well, or run if they are sidecars.
    pub(crate) fn is_initialized(&self) -> bool {
        self.containers.iter().all(|container| match container.role {
            Role::Init => container.has_succeeded(),
            Role::Sidecar => container.has_started(),
            Role::Main => true,
        })
    }
}

impl Container {
    fn new(role: Role, spec: &Spec, policy: Restart) -> Self {
        let own = spec.restart_policy.as_deref().map(Restart::parse);
        // An init container that succeeded is done, whatever the pod's policy for its main ones is.
        let restart = match (role, own.unwrap_or(policy)) {
            (Role::Init, Restart::Always) => Restart::OnFailure,
            (_, policy) => policy,
        };
        Self {
            name: Arc::from(spec.name.as_str()),
            role,
            restart,
            run: Run::Waiting { why: None, not_before: None },
            last: None,
            restarts: 0,
            image: Image::Wanted { tries: 0 },
            crashes: Crashes::default(),
            failed_starts: 0,
        }
    }

    /// The number of its next run: how many came before.
    pub(crate) fn next_run(&self) -> u32 {
        self.last.as_ref().map_or(0, |last| last.run + 1)
    }

    /// Whether it ended with 0 and is not to be started again.
    pub(crate) fn has_succeeded(&self) -> bool {
        matches!(&self.run, Run::Exited { how, .. } if how.exit_code == 0) && self.is_done()
    }

    /// Whether it ended for good.
    pub(crate) fn is_done(&self) -> bool {
        matches!(&self.run, Run::Exited { how, .. } if !self.restart.applies_to(how.exit_code))
    }

    /// Whether a sandbox runs.
    pub(crate) fn is_running(&self) -> bool {
        matches!(self.run, Run::Running { .. })
    }

    /// Whether it runs or ever ran.
    pub(crate) fn has_started(&self) -> bool {
        !matches!(self.run, Run::Waiting { .. }) || self.last.is_some()
    }
}

impl Restart {
    fn parse(text: &str) -> Self {
        match text {
            "Never" => Self::Never,
            "OnFailure" => Self::OnFailure,
            _ => Self::Always,
        }
    }

    /// Whether a container that ended with this code is to be started again.
    pub(crate) fn applies_to(self, exit_code: i32) -> bool {
        match self {
            Self::Always => true,
            Self::OnFailure => exit_code != 0,
            Self::Never => false,
        }
    }
}

/// The containers of a pod's spec in the order of their slots.
pub(crate) fn specs(pod: &Pod) -> impl Iterator<Item = (Role, &Spec)> {
    let spec = pod.spec.as_ref();
    let init = spec.and_then(|spec| spec.init_containers.as_deref()).unwrap_or_default().iter();
    let main = spec.map(|spec| spec.containers.as_slice()).unwrap_or_default().iter();
    init.map(|spec| match spec.restart_policy.as_deref() {
        Some("Always") => (Role::Sidecar, spec),
        _ => (Role::Init, spec),
    })
    .chain(main.map(|spec| (Role::Main, spec)))
}

/// The spec of the container at `slot`.
pub(crate) fn spec_at(pod: &Pod, slot: Slot) -> Option<&Spec> {
    specs(pod).nth(slot.0).map(|(_, spec)| spec)
}

fn pod_policy(pod: &Pod) -> Restart {
    pod.spec.as_ref().and_then(|spec| spec.restart_policy.as_deref()).map_or(Restart::Always, Restart::parse)
}
