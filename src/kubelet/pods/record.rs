//! What the node must still know of a pod after it was switched off, and how a pod goes on from there.
//!
//! A [`Record`] comes from two places: the node's own journal, and the status that the API server has. Each may be
//! ahead of the other (the journal is written a moment after a fact, the status may wait for the network), so both
//! are read and for each container the one that has seen more wins. What then still "runs" did not survive: it counts
//! as ended by force, and the pod's policy decides as after any other exit.

use std::net::IpAddr;
use std::time::Duration;

use base::clock::Instant;
use jiff::Timestamp;
use k8s_openapi::api::core::v1 as core;
use serde::{Deserialize, Serialize};

use super::state::{Container, Restart, Role, Run, Stage, State, Terminated, Verdict};
use crate::code::Handler;
use crate::reasons;

/// The exit code of a container that was ended by force: 128 + SIGKILL.
pub(crate) const KILLED: i32 = 137;

/// One pod.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Record {
    /// When the node took it.
    pub(crate) accepted: Timestamp,
    /// Nothing of it will run again.
    pub(crate) is_finished: bool,
    /// Why it failed as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) verdict: Option<Verdict>,
    /// Its own address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) address: Option<IpAddr>,
    /// The handler that its RuntimeClass named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) handler: Option<String>,
    /// Containers that have a history, by name.
    #[serde(default)]
    pub(crate) containers: Vec<Known>,
}

/// One container's history.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Known {
    /// Its name.
    pub(crate) name: String,
    /// How often it was started again.
    pub(crate) restarts: u32,
    /// When it began to run, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) running_since: Option<Timestamp>,
    /// How it ended, if it did and was not started again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) exited: Option<Terminated>,
    /// How the run before ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) last: Option<Terminated>,
}

impl Record {
    /// What is to be kept of `state`; `None` as long as nothing has happened.
    pub(crate) fn of(state: &State) -> Option<Self> {
        if state.stage == Stage::Admitting {
            return None;
        }
        let started = state.containers.iter().filter(|container| container.has_started());
        let mut containers: Vec<Known> = started.map(Known::of).collect();
        // It is kept as long as the pod: the usual spare room would weigh more than one container.
        containers.shrink_to_fit();
        Some(Self {
            accepted: state.accepted,
            is_finished: matches!(state.stage, Stage::Finished | Stage::Gone),
            verdict: state.verdict.clone(),
            address: state.address,
            handler: state.handler.map(|handler| handler.name().to_owned()),
            containers,
        })
    }

    /// What the API server knows of a pod that this node has taken before.
    pub(crate) fn of_status(pod: &core::Pod) -> Option<Self> {
        let status = pod.status.as_ref()?;
        let accepted = status.start_time.as_ref()?.0;
        let is_finished = matches!(status.phase.as_deref(), Some("Succeeded" | "Failed"));
        let verdict = status
            .reason
            .as_ref()
            .filter(|_| is_finished)
            .map(|reason| Verdict { reason: reason.clone(), message: status.message.clone().unwrap_or_default() });
        let all = status.init_container_statuses.iter().chain(&status.container_statuses).flatten();
        let containers = all.filter_map(Known::of_status).collect();
        let address = status.pod_ip.as_ref().and_then(|address| address.parse().ok());
        Some(Self { accepted, is_finished, verdict, address, handler: None, containers })
    }

    /// The two views of one pod as one: what has seen more wins, container by container.
    pub(crate) fn merge(self, other: Self) -> Self {
        let (mut ahead, behind) = if other.is_finished && !self.is_finished { (other, self) } else { (self, other) };
        for known in behind.containers {
            match ahead.containers.iter_mut().find(|container| container.name == known.name) {
                Some(container) if container.progress() < known.progress() => *container = known,
                Some(_) => {}
                None => ahead.containers.push(known),
            }
        }
        ahead.address = ahead.address.or(behind.address);
        ahead.handler = ahead.handler.or(behind.handler);
        ahead
    }

    /// The state of `pod` after the daemon before this ended: what ran counts as ended by force, now.
    pub(crate) fn resume(self, pod: &core::Pod, now: Timestamp, now_at: Instant) -> State {
        // Setting the date back must not make a pod younger than nothing.
        let age = now.duration_since(self.accepted);
        let age = Duration::try_from(age).unwrap_or(Duration::ZERO);
        let mut state = State::new(pod, self.accepted, now_at.checked_sub(age).unwrap_or(now_at));
        for known in self.containers {
            if let Some(slot) = state.slot_of(&known.name)
                && let Some(container) = state.container_mut(slot)
            {
                known.resume(container, now, now_at);
            }
        }
        state.address = self.address;
        state.handler = self.handler.and_then(|name| Handler::named(&name, true).ok());
        state.verdict = self.verdict;
        state.stage = if self.is_finished { Stage::Finished } else { Stage::Admitting };
        state
    }
}

impl Known {
    fn of(container: &Container) -> Self {
        let (running_since, exited) = match &container.run {
            Run::Running { since, .. } => (Some(*since), None),
            Run::Exited { how, .. } => (None, Some((**how).clone())),
            Run::Waiting { .. } => (None, None),
        };
        Self {
            name: container.name.to_string(),
            restarts: container.restarts,
            running_since,
            exited,
            last: container.last.as_deref().cloned(),
        }
    }

    fn of_status(status: &core::ContainerStatus) -> Option<Self> {
        let restarts = u32::try_from(status.restart_count).unwrap_or(0);
        let terminated = |state: Option<&core::ContainerState>, run| {
            state.and_then(|state| state.terminated.as_ref()).map(|how| Terminated {
                exit_code: how.exit_code,
                reason: how.reason.clone().unwrap_or_default(),
                message: how.message.clone(),
                started_at: how.started_at.as_ref().map(|time| time.0),
                finished_at: how.finished_at.as_ref().map_or(Timestamp::UNIX_EPOCH, |time| time.0),
                run,
            })
        };
        let running = status.state.as_ref().and_then(|state| state.running.as_ref());
        let running_since = running.and_then(|running| running.started_at.as_ref()).map(|time| time.0);
        let exited = terminated(status.state.as_ref(), restarts);
        // A container that waits is counted as started again only once it is.
        let is_waiting = running_since.is_none() && exited.is_none();
        let last_run = if is_waiting { restarts } else { restarts.saturating_sub(1) };
        let last = terminated(status.last_state.as_ref(), last_run);
        let known = Self { name: status.name.clone(), restarts, running_since, exited, last };
        let has_history = known.running_since.is_some() || known.exited.is_some() || known.last.is_some();
        has_history.then_some(known)
    }

    /// How far along its life this view has seen the container.
    fn progress(&self) -> (u32, bool, bool) {
        (self.restarts, self.running_since.is_some() || self.exited.is_some(), self.exited.is_some())
    }

    fn resume(self, container: &mut Container, now: Timestamp, at: Instant) {
        container.restarts = self.restarts;
        container.last = self.last.map(Box::new);
        let run = self.restarts;
        let ended = self.exited.or_else(|| {
            self.running_since.map(|since| Terminated {
                exit_code: KILLED,
                reason: reasons::CONTAINER_STATUS_UNKNOWN.to_owned(),
                message: Some("the node daemon ended while the container ran".to_owned()),
                started_at: Some(since),
                finished_at: now,
                run,
            })
        });
        match ended {
            // A sidecar is there for those after it: it starts again whatever else is finished.
            Some(how) => container.run = Run::Exited { how: Box::new(how), at },
            None => container.run = Run::Waiting { why: None, not_before: None },
        }
        debug_assert!(container.role != Role::Sidecar || container.restart == Restart::Always);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::fixture;
    use super::super::state::Stop;
    use super::super::status;
    use super::*;

    fn pod(policy: &str) -> core::Pod {
        fixture::pod(json!({"restartPolicy": policy, "containers": [{"name": "a", "image": "a:1"}]}))
    }

    fn running(pod: &core::Pod) -> State {
        let mut state = fixture::state(pod, Instant::now());
        state.stage = Stage::Active;
        state.containers[0].run = Run::Running { since: fixture::date(), stop: Stop::No };
        state
    }

    #[test]
    fn what_ran_counts_as_ended_by_force_and_goes_on_by_its_policy() {
        for (policy, goes_on) in [("Always", true), ("OnFailure", true), ("Never", false)] {
            let pod = pod(policy);
            let record = Record::of(&running(&pod)).unwrap();
            let state = record.resume(&pod, fixture::date(), Instant::now());
            let Run::Exited { how, .. } = &state.containers[0].run else { panic!("{state:?}") };
            assert_eq!((how.exit_code, how.reason.as_str()), (137, "ContainerStatusUnknown"));
            assert_eq!(state.containers[0].is_done(), !goes_on, "{policy}");
        }
    }

    #[test]
    fn what_ended_stays_ended() {
        let pod = pod("OnFailure");
        let mut state = running(&pod);
        state.containers[0].run = Run::Exited { how: Box::new(fixture::terminated(0)), at: Instant::now() };
        state.stage = Stage::Finished;
        let resumed = Record::of(&state).unwrap().resume(&pod, fixture::date(), Instant::now());
        assert_eq!(resumed.stage, Stage::Finished);
        assert_eq!(status::phase(&resumed), "Succeeded");
    }

    #[test]
    fn the_view_that_has_seen_more_wins() {
        let mut pod = pod("Never");
        let journal = Record::of(&running(&pod)).unwrap();
        let mut state = running(&pod);
        state.containers[0].run = Run::Exited { how: Box::new(fixture::terminated(0)), at: Instant::now() };
        let shown =
            status::status(&pod, &state, [127, 0, 0, 1].into(), &mut status::Transitions::default(), fixture::date());
        pod.status = Some(shown);

        let server = Record::of_status(&pod).unwrap();
        for merged in [journal.clone().merge(server.clone()), server.merge(journal)] {
            let resumed = merged.resume(&pod, fixture::date(), Instant::now());
            assert!(resumed.containers[0].has_succeeded());
        }
    }

    #[test]
    fn a_pod_that_nobody_took_has_no_record() {
        let pod = pod("Always");
        assert_eq!(Record::of(&fixture::state(&pod, Instant::now())), None);
        assert_eq!(Record::of_status(&pod), None);
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let pod = pod("Always");
        let mut state = running(&pod);
        state.address = Some([100, 64, 0, 3].into());
        state.handler = Some(Handler::Own);
        state.containers[0].last = Some(Box::new(fixture::terminated(1)));
        let record = Record::of(&state).unwrap();
        let text = serde_json::to_string(&record).unwrap();
        assert_eq!(serde_json::from_str::<Record>(&text).unwrap(), record);
    }
}
