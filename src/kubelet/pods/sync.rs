//! What to do next for a pod: a pure function of its object, its [`State`] and the time.
//!
//! The worker asks after every fact and carries out the one [`Step`] that it gets; the order of things (init
//! containers before main ones, image before start, asking before killing) lives here and nowhere else. What is not
//! here: how a step is done, and what the API server is told.

use std::time::Duration;

use base::backoff::Law;
use base::clock::Instant;
use k8s_openapi::api::core::v1::Pod;

use super::state::{Container, Crashes, Image, Role, Run, Slot, Stage, State, Stop};

/// The grace of a pod that names none, as the API server's default.
const DEFAULT_GRACE: Duration = Duration::from_secs(30);

/// The least time between asking and killing, as upstream's `minimumGracePeriodInSeconds`: a forced deletion too
/// leaves a guest that listens the time to close its files.
const MIN_GRACE: Duration = Duration::from_secs(2);

/// How long `ErrImagePull` is shown before it turns into `ImagePullBackOff`. Upstream shows it until the next sync of
/// the pod; long enough for people to see the error itself.
pub(crate) const PULL_ERROR_SHOWN: Duration = Duration::from_secs(2);

/// The laws that a decision needs besides the facts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Laws {
    /// The wait before a container that ended is started again; the first start again is at once.
    pub(crate) crash_loop: Law,
}

/// The one thing to do now.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Step {
    /// Ask whether the node can take the pod.
    Admit,
    /// Make its volumes and give it an address.
    Prepare,
    /// Find or pull the image of a container.
    Pull(Slot),
    /// Start a container whose image is here.
    Start(Slot),
    /// A container that ended is to be started again: forget how it ended.
    Restart(Slot),
    /// The same, but not before then.
    BackOff(Slot, Instant),
    /// The error of a pull was shown for long enough.
    ShowPullBackOff(Slot),
    /// Begin to end the pod.
    End(Why),
    /// Ask a container to end.
    Terminate(Slot),
    /// End a container by force.
    Kill(Slot),
    /// Everything stopped: give back what the pod held.
    Finish,
    /// The object is to be deleted: remove what is left.
    Remove,
    /// Nothing to do until a fact comes, or until then.
    Rest(Option<Instant>),
}

/// Why a pod ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Why {
    /// Its main containers, or an init container, ended for good.
    Complete,
    /// Its object is being deleted, or gone.
    Deleted,
    /// It ran for longer than `activeDeadlineSeconds`.
    DeadlineExceeded,
    /// The daemon ends.
    Drained,
}

/// See the module.
pub(crate) fn sync(pod: &Pod, state: &State, laws: &Laws, now: Instant) -> Step {
    let wake = deadline(pod, state);
    match &state.stage {
        Stage::Admitting => reason_to_end(pod, state, now).map_or(Step::Admit, Step::End),
        Stage::Preparing { not_before, .. } => match (reason_to_end(pod, state, now), *not_before) {
            (Some(why), _) => Step::End(why),
            (None, _) if state.is_busy => Step::Rest(wake),
            (None, Some(later)) if later > now => Step::Rest(earliest(wake, Some(later))),
            (None, _) => Step::Prepare,
        },
        Stage::Active => match reason_to_end(pod, state, now) {
            Some(why) => Step::End(why),
            None => match active(state, laws, now) {
                Step::Rest(until) => Step::Rest(earliest(wake, until)),
                Step::Pull(_) | Step::Start(_) if state.is_busy => Step::Rest(wake),
                step => step,
            },
        },
        Stage::Ending { begun, grace } => ending(state, *begun + grace_left(pod, state, *grace), now),
        Stage::Finished if is_deleted(pod, state) && !state.is_draining && !state.is_busy => Step::Remove,
        Stage::Finished | Stage::Gone => Step::Rest(None),
    }
}

/// How long the containers of a pod that ends now may take.
pub(crate) fn grace(pod: &Pod, why: Why) -> Duration {
    let asked = match why {
        Why::Deleted => pod.metadata.deletion_grace_period_seconds,
        Why::Complete | Why::DeadlineExceeded | Why::Drained => None,
    };
    let declared = pod.spec.as_ref().and_then(|spec| spec.termination_grace_period_seconds);
    let seconds = asked.or(declared).and_then(|seconds| u64::try_from(seconds).ok());
    seconds.map_or(DEFAULT_GRACE, Duration::from_secs).max(MIN_GRACE)
}

/// When a container that ended at `at` may start again, and what is to be remembered once it does.
///
/// The first start again is at once, then the law grows. Whoever ran for twice the longest wait starts anew, as
/// upstream's back-off.
pub(crate) fn next_start(crashes: Crashes, at: Instant, law: Law) -> (Instant, u32) {
    let is_stale = crashes.last.is_some_and(|last| at.saturating_duration_since(last) > law.max * 2);
    let tries = if is_stale { 0 } else { crashes.tries };
    let wait = tries.checked_sub(1).map_or(Duration::ZERO, |failures| law.wait(failures));
    (at + wait, tries.saturating_add(1))
}

/// The next step of a pod whose containers are to run.
fn active(state: &State, laws: &Laws, now: Instant) -> Step {
    let mut wake = None;
    for (slot, container) in state.slots() {
        match container.role {
            Role::Init if container.has_succeeded() => {}
            Role::Init if container.is_done() => return Step::End(Why::Complete),
            Role::Init => return next(slot, container, laws, now),
            Role::Sidecar | Role::Main => match next(slot, container, laws, now) {
                Step::Rest(until) => wake = earliest(wake, until),
                step => return step,
            },
        }
        // What follows a sidecar waits until it has been up once.
        if container.role == Role::Sidecar && !container.has_started() {
            return Step::Rest(wake);
        }
    }
    let mut main = state.containers.iter().filter(|container| container.role == Role::Main);
    if main.all(Container::is_done) { Step::End(Why::Complete) } else { Step::Rest(wake) }
}

/// The next step of one container whose turn it is.
fn next(slot: Slot, container: &Container, laws: &Laws, now: Instant) -> Step {
    match &container.run {
        Run::Running { .. } => Step::Rest(None),
        Run::Exited { .. } if container.is_done() => Step::Rest(None),
        Run::Exited { at, .. } => match next_start(container.crashes, *at, laws.crash_loop).0 {
            start if start > now => Step::BackOff(slot, start),
            _ => Step::Restart(slot),
        },
        Run::Waiting { not_before: Some(later), .. } if *later > now => Step::Rest(Some(*later)),
        Run::Waiting { .. } => match container.image {
            Image::Wanted { .. } => Step::Pull(slot),
            Image::Failed { .. } => Step::ShowPullBackOff(slot),
            Image::Present(_) => Step::Start(slot),
        },
    }
}

/// The next step of a pod that ends: main and init containers together, then sidecars from the last to the first,
/// all within the one grace period.
fn ending(state: &State, deadline: Instant, now: Instant) -> Step {
    let sidecar = state.slots().rev().find(|(_, container)| container.role == Role::Sidecar && container.is_running());
    let others = state.slots().filter(|(_, container)| container.role != Role::Sidecar && container.is_running());
    let mut running = others.peekable();
    if running.peek().is_none() {
        return sidecar.map_or(Step::Finish, |(slot, container)| stop(slot, container, deadline, now));
    }
    let mut wake = None;
    for (slot, container) in running {
        match stop(slot, container, deadline, now) {
            Step::Rest(until) => wake = earliest(wake, until),
            step => return step,
        }
    }
    Step::Rest(wake)
}

fn stop(slot: Slot, container: &Container, deadline: Instant, now: Instant) -> Step {
    match container.run {
        Run::Running { stop: Stop::No, .. } => Step::Terminate(slot),
        Run::Running { stop: Stop::Asked, .. } if deadline <= now => Step::Kill(slot),
        Run::Running { stop: Stop::Asked, .. } => Step::Rest(Some(deadline)),
        Run::Running { stop: Stop::Killed, .. } | Run::Waiting { .. } | Run::Exited { .. } => Step::Rest(None),
    }
}

fn reason_to_end(pod: &Pod, state: &State, now: Instant) -> Option<Why> {
    if state.is_draining {
        return Some(Why::Drained);
    }
    if is_deleted(pod, state) {
        return Some(Why::Deleted);
    }
    deadline(pod, state).filter(|deadline| *deadline <= now).map(|_| Why::DeadlineExceeded)
}

fn is_deleted(pod: &Pod, state: &State) -> bool {
    state.is_object_gone || pod.metadata.deletion_timestamp.is_some()
}

/// When `activeDeadlineSeconds` is over, for a pod that can still exceed it.
fn deadline(pod: &Pod, state: &State) -> Option<Instant> {
    let seconds = pod.spec.as_ref()?.active_deadline_seconds?;
    match state.stage {
        Stage::Admitting | Stage::Preparing { .. } | Stage::Active => {
            Some(state.accepted_at + Duration::from_secs(u64::try_from(seconds).unwrap_or(0)))
        }
        Stage::Ending { .. } | Stage::Finished | Stage::Gone => None,
    }
}

/// The grace that holds: what the ending began with, unless the object asks for less by now.
fn grace_left(pod: &Pod, state: &State, began_with: Duration) -> Duration {
    if is_deleted(pod, state) { began_with.min(grace(pod, Why::Deleted)) } else { began_with }
}

fn earliest(left: Option<Instant>, right: Option<Instant>) -> Option<Instant> {
    match (left, right) {
        (Some(left), Some(right)) => Some(left.min(right)),
        (one, other) => one.or(other),
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::*;

    const LAWS: Laws = Laws { crash_loop: Law::exact(Duration::from_secs(10), Duration::from_secs(300)) };

    /// A pod that runs, told in one word a container: `wait`, `here` (its image is), `run`, `asked`, `killed`,
    /// `exit N` (just now).
    fn check(spec: serde_json::Value, stage: Stage, words: &[&str], expected: &Step) {
        let now = Instant::now();
        let pod = fixture::pod(spec);
        let mut state = fixture::state(&pod, now);
        state.stage = stage;
        for (container, word) in state.containers.iter_mut().zip(words) {
            tell(container, word, now);
        }
        assert_eq!(&sync(&pod, &state, &LAWS, now), expected, "{words:?}");
    }

    fn tell(container: &mut Container, word: &str, now: Instant) {
        let running = |stop| Run::Running { since: fixture::date(), stop };
        let (word, code) = word.split_once(' ').unwrap_or((word, "0"));
        match word {
            "wait" => {}
            "here" => container.image = Image::Present(fixture::image().into()),
            "run" => container.run = running(Stop::No),
            "asked" => container.run = running(Stop::Asked),
            "killed" => container.run = running(Stop::Killed),
            "exit" => {
                let how = Box::new(fixture::terminated(code.parse().unwrap()));
                container.run = Run::Exited { how, at: now };
            }
            other => panic!("no such word: {other}"),
        }
    }

    #[test]
    fn main_containers_are_started_in_order_and_restarted_by_policy() {
        let two = |policy| serde_json::json!({"restartPolicy": policy, "containers": [{"name": "a"}, {"name": "b"}]});
        for (policy, words, expected) in [
            ("Always", ["wait", "wait"], Step::Pull(Slot(0))),
            ("Always", ["here", "wait"], Step::Start(Slot(0))),
            ("Always", ["run", "wait"], Step::Pull(Slot(1))),
            ("Always", ["run", "run"], Step::Rest(None)),
            ("Always", ["exit 0", "run"], Step::Restart(Slot(0))),
            ("OnFailure", ["exit 1", "run"], Step::Restart(Slot(0))),
            ("OnFailure", ["exit 0", "run"], Step::Rest(None)),
            ("OnFailure", ["exit 0", "exit 0"], Step::End(Why::Complete)),
            ("Never", ["exit 1", "run"], Step::Rest(None)),
            ("Never", ["exit 1", "exit 0"], Step::End(Why::Complete)),
        ] {
            check(two(policy), Stage::Active, &words, &expected);
        }
    }

    #[test]
    fn init_containers_go_first_one_after_another() {
        let spec = |policy| {
            serde_json::json!({
                "restartPolicy": policy,
                "initContainers": [{"name": "one"}, {"name": "side", "restartPolicy": "Always"}, {"name": "two"}],
                "containers": [{"name": "main"}],
            })
        };
        for (policy, words, expected) in [
            ("Always", ["wait", "wait", "wait", "wait"], Step::Pull(Slot(0))),
            ("Always", ["run", "wait", "wait", "wait"], Step::Rest(None)),
            ("Always", ["exit 1", "wait", "wait", "wait"], Step::Restart(Slot(0))),
            ("Never", ["exit 1", "wait", "wait", "wait"], Step::End(Why::Complete)),
            ("Always", ["exit 0", "wait", "wait", "wait"], Step::Pull(Slot(1))),
            ("Always", ["exit 0", "run", "wait", "wait"], Step::Pull(Slot(2))),
            ("Always", ["exit 0", "exit 0", "run", "wait"], Step::Restart(Slot(1))),
            ("Always", ["exit 0", "run", "run", "wait"], Step::Rest(None)),
            ("Always", ["exit 0", "run", "exit 0", "wait"], Step::Pull(Slot(3))),
            ("Never", ["exit 0", "run", "exit 0", "exit 0"], Step::End(Why::Complete)),
        ] {
            check(spec(policy), Stage::Active, &words, &expected);
        }
    }

    #[test]
    fn an_ending_pod_asks_then_kills_and_stops_sidecars_last() {
        let spec = serde_json::json!({
            "initContainers": [{"name": "s1", "restartPolicy": "Always"}, {"name": "s2", "restartPolicy": "Always"}],
            "containers": [{"name": "a"}, {"name": "b"}],
        });
        let now = Instant::now();
        let over = Stage::Ending { begun: now.checked_sub(Duration::from_secs(31)).unwrap(), grace: DEFAULT_GRACE };
        for (words, expected) in [
            (["run", "run", "run", "run"], Step::Terminate(Slot(2))),
            (["run", "run", "killed", "run"], Step::Terminate(Slot(3))),
            (["run", "run", "asked", "asked"], Step::Kill(Slot(2))),
            (["run", "run", "killed", "asked"], Step::Kill(Slot(3))),
            (["run", "run", "killed", "killed"], Step::Rest(None)),
            (["run", "run", "exit 0", "exit 0"], Step::Terminate(Slot(1))),
            (["run", "exit 0", "exit 0", "exit 0"], Step::Terminate(Slot(0))),
            (["exit 0", "exit 0", "exit 0", "exit 0"], Step::Finish),
        ] {
            check(spec.clone(), over.clone(), &words, &expected);
        }
    }

    #[test]
    fn a_pod_ends_when_it_is_deleted_or_past_its_deadline() {
        let now = Instant::now();
        let spec = serde_json::json!({"activeDeadlineSeconds": 5, "containers": [{"name": "a"}]});
        let mut pod = fixture::pod(spec);
        let mut state = fixture::state(&pod, now);
        state.stage = Stage::Active;
        tell(&mut state.containers[0], "run", now);

        assert_eq!(sync(&pod, &state, &LAWS, now), Step::Rest(Some(now + Duration::from_secs(5))));
        let later = now + Duration::from_secs(5);
        assert_eq!(sync(&pod, &state, &LAWS, later), Step::End(Why::DeadlineExceeded));

        pod.metadata.deletion_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(fixture::date()));
        pod.metadata.deletion_grace_period_seconds = Some(7);
        assert_eq!(sync(&pod, &state, &LAWS, now), Step::End(Why::Deleted));
        assert_eq!(grace(&pod, Why::Deleted), Duration::from_secs(7));
        state.stage = Stage::Finished;
        assert_eq!(sync(&pod, &state, &LAWS, now), Step::Remove);
    }

    #[test]
    fn a_second_deletion_can_only_shorten_the_grace() {
        let now = Instant::now();
        let mut pod = fixture::pod(serde_json::json!({"containers": [{"name": "a"}]}));
        let mut state = fixture::state(&pod, now);
        state.stage = Stage::Ending { begun: now, grace: Duration::from_secs(30) };
        tell(&mut state.containers[0], "asked", now);
        assert_eq!(sync(&pod, &state, &LAWS, now), Step::Rest(Some(now + Duration::from_secs(30))));
        state.is_object_gone = true;
        for (asked, expected) in [(60, 30), (5, 5), (0, 2)] {
            pod.metadata.deletion_grace_period_seconds = Some(asked);
            let expected = Step::Rest(Some(now + Duration::from_secs(expected)));
            assert_eq!(sync(&pod, &state, &LAWS, now), expected, "{asked} s");
        }
    }

    #[test]
    fn starts_again_come_at_once_then_after_growing_waits() {
        let at = Instant::now();
        let mut crashes = Crashes::default();
        let mut waits = Vec::new();
        for _ in 0..7 {
            let (start, tries) = next_start(crashes, at, LAWS.crash_loop);
            waits.push((start - at).as_secs());
            crashes = Crashes { tries, last: Some(at) };
        }
        assert_eq!(waits, [0, 10, 20, 40, 80, 160, 300]);
        let (start, tries) = next_start(crashes, at + Duration::from_secs(601), LAWS.crash_loop);
        assert_eq!((start - at, tries), (Duration::from_secs(601), 1), "a long run forgets the crashes before it");
    }

    #[test]
    fn a_failed_pull_is_shown_then_waits_then_tries_again() {
        let now = Instant::now();
        let pod = fixture::pod(serde_json::json!({"containers": [{"name": "a"}]}));
        let mut state = fixture::state(&pod, now);
        state.stage = Stage::Active;
        let later = now + PULL_ERROR_SHOWN;
        for (image, at, expected) in [
            (Image::Failed { tries: 1 }, now, Step::Rest(Some(later))),
            (Image::Failed { tries: 1 }, later, Step::ShowPullBackOff(Slot(0))),
            (Image::Wanted { tries: 1 }, now, Step::Rest(Some(later))),
            (Image::Wanted { tries: 1 }, later, Step::Pull(Slot(0))),
        ] {
            state.containers[0].image = image;
            state.containers[0].run = Run::Waiting { why: None, not_before: Some(later) };
            assert_eq!(sync(&pod, &state, &LAWS, at), expected);
        }
    }
}
