//! What the API server is told of a pod: a pure function of its object and its [`State`].
//!
//! Phase, conditions and container states follow upstream's kubelet (`kubelet_pods.go`, `status/generate.go`). A
//! phase is final only once nothing runs any more, so that nobody takes a pod for gone whose guests still work.

use std::net::IpAddr;

use jiff::Timestamp;
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::state::{Container, Image, Role, Run, Stage, State, Terminated, spec_at};
use crate::reasons;

/// When each condition took the value that it has; the worker keeps it beside the [`State`].
#[derive(Clone, Debug, Default)]
pub(crate) struct Transitions {
    conditions: [Option<(bool, Timestamp)>; Condition::ALL.len()],
}

/// The conditions that a node owns, in the order in which they are shown.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Condition {
    ReadyToStartContainers,
    Initialized,
    Ready,
    ContainersReady,
    Scheduled,
}

impl Transitions {
    /// The times that the object shows, for a pod that a daemon before this one reported.
    pub(crate) fn of(pod: &core::Pod) -> Self {
        let shown = pod.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
        let known = |condition: Condition| {
            let shown = shown.iter().find(|shown| shown.type_ == condition.name())?;
            Some((shown.status == "True", shown.last_transition_time.as_ref()?.0))
        };
        Self { conditions: Condition::ALL.map(known) }
    }
}

/// A condition's value before its times are known.
struct Verdict {
    is_true: bool,
    reason: Option<&'static str>,
    message: Option<String>,
}

/// The status of `pod`, as far as its node writes it.
pub(crate) fn status(
    pod: &core::Pod,
    state: &State,
    node_ip: IpAddr,
    transitions: &mut Transitions,
    now: Timestamp,
) -> core::PodStatus {
    let phase = phase(state);
    let containers = |wanted: fn(Role) -> bool| -> Vec<core::ContainerStatus> {
        state
            .slots()
            .filter(|(_, container)| wanted(container.role))
            .filter_map(|(slot, container)| Some(container_status(state, pod, container, spec_at(pod, slot)?)))
            .collect()
    };
    let init = containers(|role| role != Role::Main);
    let verdict = state.verdict.as_ref().filter(|_| is_final(state));
    core::PodStatus {
        phase: Some(phase.to_owned()),
        conditions: Some(conditions(pod, state, phase, transitions, now)),
        container_statuses: Some(containers(|role| role == Role::Main)),
        init_container_statuses: (!init.is_empty()).then_some(init),
        host_ip: Some(node_ip.to_string()),
        host_ips: Some(vec![core::HostIP { ip: node_ip.to_string() }]),
        pod_ip: state.address.map(|address| address.to_string()),
        pod_ips: state.address.map(|address| vec![core::PodIP { ip: address.to_string() }]),
        start_time: Some(Time(state.accepted)),
        reason: verdict.map(|verdict| verdict.reason.clone()),
        message: verdict.map(|verdict| verdict.message.clone()),
        observed_generation: pod.metadata.generation,
        ..core::PodStatus::default()
    }
}

/// Whether the object says all of that already, so that nobody needs to be told: after a restart of the daemon most
/// pods are as they were.
pub(crate) fn is_shown(pod: &core::Pod, status: &core::PodStatus) -> bool {
    let Some(shown) = &pod.status else { return false };
    let conditions = shown.conditions.as_deref().unwrap_or_default();
    let ours = status.conditions.iter().flatten();
    let bare = |status: &core::PodStatus| core::PodStatus { conditions: None, qos_class: None, ..status.clone() };
    ours.clone().all(|condition| conditions.contains(condition)) && bare(shown) == bare(status)
}

/// The `containerID` of one run.
pub(crate) fn container_id(pod: &core::Pod, container: &str, run: u32) -> String {
    format!("wasmtime://{}/{container}/{run}", pod.metadata.uid.as_deref().unwrap_or_default())
}

/// Pending until every container has been started once, Running while one may run, then Succeeded if all ended
/// with 0.
pub(crate) fn phase(state: &State) -> &'static str {
    let mut main = state.containers.iter().filter(|container| container.role == Role::Main);
    if is_final(state) {
        let all_well = main.all(|container| matches!(&container.run, Run::Exited { how, .. } if how.exit_code == 0));
        return if state.verdict.is_none() && all_well { "Succeeded" } else { "Failed" };
    }
    if state.is_initialized() && main.all(Container::has_started) { "Running" } else { "Pending" }
}

fn is_final(state: &State) -> bool {
    matches!(state.stage, Stage::Finished | Stage::Gone)
}

fn conditions(
    pod: &core::Pod,
    state: &State,
    phase: &str,
    transitions: &mut Transitions,
    now: Timestamp,
) -> Vec<core::PodCondition> {
    Condition::ALL
        .iter()
        .zip(&mut transitions.conditions)
        .map(|(condition, known)| {
            let Verdict { is_true, reason, message } = condition.verdict(state, phase);
            let since = match *known {
                Some((value, since)) if value == is_true => since,
                _ => now,
            };
            *known = Some((is_true, since));
            core::PodCondition {
                type_: condition.name().to_owned(),
                status: if is_true { "True" } else { "False" }.to_owned(),
                reason: reason.map(str::to_owned),
                message,
                last_transition_time: Some(Time(since)),
                observed_generation: pod.metadata.generation,
                ..core::PodCondition::default()
            }
        })
        .collect()
}

impl Condition {
    const ALL: [Self; 5] =
        [Self::ReadyToStartContainers, Self::Initialized, Self::Ready, Self::ContainersReady, Self::Scheduled];

    fn name(self) -> &'static str {
        match self {
            Self::ReadyToStartContainers => "PodReadyToStartContainers",
            Self::Initialized => "Initialized",
            Self::Ready => "Ready",
            Self::ContainersReady => "ContainersReady",
            Self::Scheduled => "PodScheduled",
        }
    }

    fn verdict(self, state: &State, phase: &str) -> Verdict {
        let plain = |is_true| Verdict { is_true, reason: None, message: None };
        match self {
            Self::Scheduled => plain(true),
            Self::ReadyToStartContainers => plain(match state.stage {
                Stage::Active | Stage::Ending { .. } => state.address.is_some(),
                Stage::Admitting | Stage::Preparing { .. } | Stage::Finished | Stage::Gone => false,
            }),
            Self::Initialized if phase == "Succeeded" => {
                Verdict { is_true: true, reason: Some("PodCompleted"), message: None }
            }
            Self::Initialized => {
                incomplete(state, "ContainersNotInitialized", "incomplete", |container| match container.role {
                    Role::Init => !container.has_succeeded(),
                    Role::Sidecar => !container.has_started(),
                    Role::Main => false,
                })
            }
            // There are no readiness gates of our own: a pod is ready when its containers are.
            Self::Ready | Self::ContainersReady => match phase {
                "Succeeded" => Verdict { is_true: false, reason: Some("PodCompleted"), message: None },
                "Failed" => Verdict { is_true: false, reason: Some("PodFailed"), message: None },
                _ => incomplete(state, "ContainersNotReady", "unready", |container| {
                    container.role != Role::Init && !container.is_running()
                }),
            },
        }
    }
}

/// True unless some containers stand in the way, which are then named as upstream names them.
fn incomplete(state: &State, reason: &'static str, word: &str, stands: impl Fn(&Container) -> bool) -> Verdict {
    let names: Vec<&str> = state.containers.iter().filter(|c| stands(c)).map(|c| &*c.name).collect();
    if names.is_empty() {
        return Verdict { is_true: true, reason: None, message: None };
    }
    let message = format!("containers with {word} status: [{}]", names.join(" "));
    Verdict { is_true: false, reason: Some(reason), message: Some(message) }
}

fn container_status(
    state: &State,
    pod: &core::Pod,
    container: &Container,
    spec: &core::Container,
) -> core::ContainerStatus {
    let is_running = container.is_running();
    let terminated = |how: &Terminated| core::ContainerState {
        terminated: Some(terminated(pod, &container.name, how)),
        ..core::ContainerState::default()
    };
    let run = match &container.run {
        Run::Exited { how, .. } => Some(how.run),
        Run::Running { .. } => Some(container.restarts),
        Run::Waiting { .. } => container.last.as_ref().map(|last| last.run),
    };
    core::ContainerStatus {
        name: spec.name.clone(),
        image: spec.image.clone().unwrap_or_default(),
        image_id: match &container.image {
            Image::Present(image) => image.id.clone(),
            Image::Wanted { .. } | Image::Failed { .. } => String::new(),
        },
        container_id: run.map(|run| container_id(pod, &container.name, run)),
        ready: match container.role {
            Role::Init => container.has_succeeded(),
            Role::Sidecar | Role::Main => is_running,
        },
        started: Some(is_running),
        restart_count: i32::try_from(container.restarts).unwrap_or(i32::MAX),
        state: Some(match &container.run {
            Run::Exited { how, .. } => terminated(how),
            Run::Running { since, .. } => core::ContainerState {
                running: Some(core::ContainerStateRunning { started_at: Some(Time(*since)) }),
                ..core::ContainerState::default()
            },
            Run::Waiting { why, .. } => core::ContainerState {
                waiting: Some(core::ContainerStateWaiting {
                    reason: Some(match why {
                        Some(why) => why.reason.clone(),
                        None => ordinary_wait(state).to_owned(),
                    }),
                    message: why.as_ref().map(|why| why.message.clone()).filter(|message| !message.is_empty()),
                }),
                ..core::ContainerState::default()
            },
        }),
        last_state: Some(container.last.as_deref().map(terminated).unwrap_or_default()),
        resources: spec.resources.clone().filter(|_| is_running),
        allocated_resources: spec.resources.as_ref().and_then(|resources| resources.requests.clone()),
        ..core::ContainerStatus::default()
    }
}

/// The reason of a wait in which nothing is wrong.
pub(crate) fn ordinary_wait(state: &State) -> &'static str {
    let has_init = state.containers.iter().any(|container| container.role != Role::Main);
    if has_init { reasons::POD_INITIALIZING } else { reasons::CONTAINER_CREATING }
}

fn terminated(pod: &core::Pod, container: &str, how: &Terminated) -> core::ContainerStateTerminated {
    core::ContainerStateTerminated {
        exit_code: how.exit_code,
        reason: Some(how.reason.clone()),
        message: how.message.clone(),
        started_at: how.started_at.map(Time),
        finished_at: Some(Time(how.finished_at)),
        container_id: Some(container_id(pod, container, how.run)),
        signal: None,
    }
}

#[cfg(test)]
mod tests {
    use base::clock::Instant;
    use serde_json::json;

    use super::super::fixture;
    use super::super::state::{Stop, Verdict};
    use super::*;

    fn state(init: &[&str], main: &[&str], stage: Stage) -> (core::Pod, State) {
        let names = |prefix: &str, count: usize| -> Vec<serde_json::Value> {
            (0..count).map(|n| json!({"name": format!("{prefix}{n}"), "image": "web:1"})).collect()
        };
        let pod = fixture::pod(json!({
            "restartPolicy": "OnFailure",
            "initContainers": names("i", init.len()),
            "containers": names("c", main.len()),
        }));
        let now = Instant::now();
        let mut state = fixture::state(&pod, now);
        state.stage = stage;
        for (container, word) in state.containers.iter_mut().zip(init.iter().chain(main)) {
            container.run = match *word {
                "wait" => Run::Waiting { why: None, not_before: None },
                "run" => Run::Running { since: fixture::date(), stop: Stop::No },
                code => Run::Exited { how: Box::new(fixture::terminated(code.parse().unwrap())), at: now },
            };
        }
        (pod, state)
    }

    #[test]
    fn the_phase_follows_the_containers() {
        let finished = Stage::Finished;
        for (init, main, stage, expected) in [
            (&[][..], &["wait", "wait"][..], Stage::Active, "Pending"),
            (&[], &["run", "wait"], Stage::Active, "Pending"),
            (&[], &["run", "run"], Stage::Active, "Running"),
            (&[], &["1", "run"], Stage::Active, "Running"),
            (&["run"], &["wait"], Stage::Active, "Pending"),
            (&["0"], &["run"], Stage::Active, "Running"),
            (&[], &["0", "0"], Stage::Active, "Running"),
            (&[], &["0", "0"], finished.clone(), "Succeeded"),
            (&[], &["0", "1"], finished.clone(), "Failed"),
            (&[], &["wait"], finished.clone(), "Failed"),
            (&["1"], &["wait"], finished, "Failed"),
        ] {
            assert_eq!(phase(&state(init, main, stage.clone()).1), expected, "{init:?} {main:?} {stage:?}");
        }
    }

    #[test]
    fn conditions_name_the_containers_that_stand_in_the_way() {
        let (pod, mut state) = state(&["0", "run"], &["wait"], Stage::Active);
        state.address = Some([100, 64, 0, 1].into());
        let mut transitions = Transitions::default();
        let status = status(&pod, &state, [127, 0, 0, 1].into(), &mut transitions, fixture::date());
        let shown: Vec<String> = status
            .conditions
            .unwrap()
            .into_iter()
            .map(|c| format!("{}={} {}", c.type_, c.status, c.message.unwrap_or_default()))
            .collect();
        assert_eq!(
            shown,
            [
                "PodReadyToStartContainers=True ",
                "Initialized=False containers with incomplete status: [i1]",
                "Ready=False containers with unready status: [c0]",
                "ContainersReady=False containers with unready status: [c0]",
                "PodScheduled=True ",
            ]
        );
    }

    #[test]
    fn a_condition_keeps_its_time_until_its_value_changes() {
        let (pod, mut state) = state(&[], &["run"], Stage::Active);
        let mut transitions = Transitions::default();
        let mut ready_since = |state: &State, now: Timestamp| {
            let status = status(&pod, state, [127, 0, 0, 1].into(), &mut transitions, now);
            let ready = status.conditions.unwrap().into_iter().find(|c| c.type_ == "Ready").unwrap();
            ready.last_transition_time.unwrap().0
        };
        let first = fixture::date();
        let second = "2026-01-02T03:05:00Z".parse().unwrap();
        assert_eq!(ready_since(&state, first), first);
        assert_eq!(ready_since(&state, second), first);
        state.containers[0].run = Run::Waiting { why: None, not_before: None };
        assert_eq!(ready_since(&state, second), second);
    }

    #[test]
    fn what_the_object_says_already_is_not_told_again() {
        let (mut pod, mut state) = state(&[], &["run"], Stage::Active);
        let report = |pod: &core::Pod, state: &State| {
            let mut transitions = Transitions::of(pod);
            status(pod, state, [127, 0, 0, 1].into(), &mut transitions, fixture::date())
        };
        let first = report(&pod, &state);
        assert!(!is_shown(&pod, &first));
        pod.status = Some(core::PodStatus { qos_class: Some("BestEffort".to_owned()), ..first });
        assert!(is_shown(&pod, &report(&pod, &state)));
        state.containers[0].run = Run::Waiting { why: None, not_before: None };
        assert!(!is_shown(&pod, &report(&pod, &state)));
    }

    #[test]
    fn a_container_that_waits_after_a_crash_shows_both_runs() {
        let (pod, mut state) = state(&[], &["wait"], Stage::Active);
        let container = &mut state.containers[0];
        container.last = Some(Box::new(fixture::terminated(1)));
        container.restarts = 2;
        let why = Verdict { reason: "CrashLoopBackOff".to_owned(), message: "back-off 10s".to_owned() };
        container.run = Run::Waiting { why: Some(Box::new(why)), not_before: None };
        let status = status(&pod, &state, [127, 0, 0, 1].into(), &mut Transitions::default(), fixture::date());
        let shown = serde_json::to_value(&status.container_statuses.unwrap()[0]).unwrap();
        assert_eq!(shown["state"]["waiting"]["reason"], "CrashLoopBackOff");
        assert_eq!(shown["lastState"]["terminated"]["exitCode"], 1);
        assert_eq!((&shown["restartCount"], &shown["ready"]), (&json!(2), &json!(false)));
        assert_eq!(status.phase.as_deref(), Some("Running"));
    }
}
