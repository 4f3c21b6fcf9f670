//! How far a pod is, as whoever waits for it wants to know, and where it serves: pure functions of the pod.

use k8s_openapi::api::core::v1::{ContainerStatus, Pod};

/// How far a pod is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Stage {
    /// It does not run yet; the text says why, where there is more to say than that it is being made.
    Waits(Option<String>),
    /// Its container runs.
    Runs,
    /// It is over.
    Ended {
        /// The code that a shell would see.
        code: u8,
        /// Why, where the code does not say it.
        why: Option<String>,
    },
}

/// The annotation in which the API server tells where an uploaded http component answers.
const URL: &str = "run.minke.dev/url";

/// The code of a pod that ended without a code of its own.
const NO_CODE: u8 = 1;

impl Stage {
    /// The stage of a pod with one container.
    pub(crate) fn of(pod: &Pod) -> Self {
        let Some(status) = &pod.status else { return Self::Waits(None) };
        let container = status.container_statuses.iter().flatten().next();
        match status.phase.as_deref() {
            Some("Succeeded" | "Failed") => ended(pod, container),
            _ => container.map_or_else(|| Self::Waits(unscheduled(pod)), begun),
        }
    }
}

/// Where an uploaded http component answers; `None` for a pod that serves nothing, or has no node yet.
///
/// The API server writes the URL into pods that find a node at once. Those that had to wait say it by their host port.
pub(crate) fn url(pod: &Pod) -> Option<String> {
    if let Some(url) = pod.metadata.annotations.as_ref().and_then(|annotations| annotations.get(URL)) {
        return Some(url.clone());
    }
    let container = pod.spec.as_ref()?.containers.first()?;
    let port = container.ports.iter().flatten().find_map(|port| port.host_port)?;
    let address = pod.status.as_ref()?.host_ip.as_deref()?;
    Some(if address.contains(':') {
        format!("http://[{address}]:{port}/")
    } else {
        format!("http://{address}:{port}/")
    })
}

fn ended(pod: &Pod, container: Option<&ContainerStatus>) -> Stage {
    let status = pod.status.as_ref();
    let reason = status.and_then(|status| status.reason.clone());
    let told = status.and_then(|status| status.message.clone());
    let own = container.and_then(|container| container.state.as_ref()?.terminated.as_ref());
    let code = own.map_or(NO_CODE, |ended| u8::try_from(ended.exit_code).unwrap_or(NO_CODE));
    // Of a code that the program chose, it has said why itself.
    let is_forced = |reason: &str| !matches!(reason, "Completed" | "Error");
    let forced = own.filter(|ended| ended.reason.as_deref().is_some_and(is_forced) || ended.signal.is_some());
    let text = |reason: Option<String>, told: Option<String>| match (reason, told) {
        (Some(reason), Some(told)) => Some(format!("{reason}: {told}")),
        (reason, told) => reason.or(told),
    };
    let why = text(reason, told).or_else(|| {
        let forced = forced?;
        text(forced.reason.clone(), forced.message.clone())
    });
    Stage::Ended { code, why }
}

fn begun(container: &ContainerStatus) -> Stage {
    let Some(state) = &container.state else { return Stage::Waits(None) };
    if state.running.is_some() || state.terminated.is_some() {
        return Stage::Runs;
    }
    let waiting = state.waiting.as_ref();
    let reason = waiting.and_then(|waiting| waiting.reason.as_deref()).unwrap_or_default();
    if matches!(reason, "" | "ContainerCreating" | "PodInitializing") {
        return Stage::Waits(None);
    }
    let told = waiting.and_then(|waiting| waiting.message.as_deref()).unwrap_or_default();
    Stage::Waits(Some(if told.is_empty() { reason.to_owned() } else { format!("{reason}: {told}") }))
}

/// Why no node was found, if that is so.
fn unscheduled(pod: &Pod) -> Option<String> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    let scheduled =
        conditions.iter().find(|condition| condition.type_ == "PodScheduled" && condition.status == "False")?;
    let reason = scheduled.reason.clone().unwrap_or_default();
    Some(format!("{reason}: {}", scheduled.message.as_deref().unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn check(status: Value, expected: Stage) {
        let pod: Pod = serde_json::from_value(json!({"metadata": {"name": "p"}, "status": status})).unwrap();
        assert_eq!(Stage::of(&pod), expected, "{status}");
    }

    fn container(phase: &str, state: Value) -> Value {
        json!({"phase": phase, "containerStatuses": [{"name": "c", "image": "", "imageID": "", "ready": false,
            "restartCount": 0, "state": state}]})
    }

    #[test]
    fn a_pod_that_waits_says_why_when_there_is_more_to_say() {
        let waits = |why: Option<&str>| Stage::Waits(why.map(str::to_owned));
        check(json!({"phase": "Pending"}), waits(None));
        check(container("Pending", json!({"waiting": {"reason": "ContainerCreating"}})), waits(None));
        let pull = json!({"waiting": {"reason": "ErrImagePull", "message": "not found"}});
        check(container("Pending", pull), waits(Some("ErrImagePull: not found")));
        let unscheduled = json!({"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False",
            "reason": "Unschedulable", "message": "0/1 nodes are available"}]});
        check(unscheduled, waits(Some("Unschedulable: 0/1 nodes are available")));
    }

    #[test]
    fn a_pod_that_is_over_has_its_programs_code() {
        let ended = |code: u8, why: Option<&str>| Stage::Ended { code, why: why.map(str::to_owned) };
        check(container("Running", json!({"running": {}})), Stage::Runs);
        let state = |code: i32, reason: &str, message: Option<&str>| json!({"terminated": {"exitCode": code, "reason": reason, "message": message}});
        check(container("Succeeded", state(0, "Completed", None)), ended(0, None));
        check(container("Failed", state(3, "Error", None)), ended(3, None));
        check(container("Failed", state(137, "OOMKilled", None)), ended(137, Some("OOMKilled")));
        // What a trap says stands in the log.
        check(container("Failed", state(134, "Error", Some("wasm trap"))), ended(134, None));
        let late = json!({"phase": "Failed", "reason": "DeadlineExceeded", "message": "too long"});
        check(late, ended(1, Some("DeadlineExceeded: too long")));
    }

    #[test]
    fn a_server_is_found_by_what_was_told_of_it_or_by_its_port() {
        let check = |annotations: Value, ports: Value, host_ip: Option<&str>, expected: Option<&str>| {
            let pod = json!({"metadata": {"annotations": annotations}, "status": {"hostIP": host_ip},
                "spec": {"containers": [{"name": "c", "ports": ports}]}});
            assert_eq!(url(&serde_json::from_value(pod.clone()).unwrap()).as_deref(), expected, "{pod}");
        };
        let port = || json!([{"containerPort": 8080, "hostPort": 20123}]);
        check(json!({URL: "http://node/"}), port(), Some("127.0.0.1"), Some("http://node/"));
        check(json!({}), port(), Some("127.0.0.1"), Some("http://127.0.0.1:20123/"));
        check(json!({}), port(), Some("fd00::1"), Some("http://[fd00::1]:20123/"));
        check(json!({}), port(), None, None);
        check(json!({}), json!([{"containerPort": 8080}]), Some("127.0.0.1"), None);
        check(json!({}), json!([]), Some("127.0.0.1"), None);
    }
}
