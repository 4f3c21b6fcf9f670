//! Pods: how many containers are ready, what the pod is doing, how often it restarted.

use jiff::Timestamp;
use serde_json::Value;

use super::{AGE, Column, NAME, NONE, age, items, name, text, text_at, wide};
use crate::meta;

/// The columns.
pub const COLUMNS: &[Column] = &[
    NAME,
    text("Ready", "How many of the pod's containers are ready."),
    text("Status", "What the pod is doing, or why it cannot."),
    text("Restarts", "How often containers were restarted, and when last."),
    AGE,
    wide("IP", "The pod's address."),
    wide("Node", "The node that the pod is bound to."),
    wide("Nominated Node", "The node on which room is being made for the pod."),
    wide("Readiness Gates", "How many of the pod's readiness gates are passed."),
];

/// A pod's cells.
#[must_use]
pub fn cells(pod: &Value, now: Timestamp) -> Vec<Value> {
    let summary = summary(pod, now);
    vec![
        name(pod),
        summary.ready.into(),
        summary.status.into(),
        summary.restarts.into(),
        age(pod, now),
        text_at(pod, "/status/podIP", NONE),
        text_at(pod, "/spec/nodeName", NONE),
        text_at(pod, "/status/nominatedNodeName", NONE),
        gates(pod).into(),
    ]
}

/// What the first columns say.
struct Summary {
    ready: String,
    status: String,
    restarts: String,
}

/// Restarts of some containers, and when the last one ended.
#[derive(Default)]
struct Restarts {
    count: i64,
    last: Option<String>,
}

impl Restarts {
    fn add(&mut self, status: &Value) {
        self.count += status.get("restartCount").and_then(Value::as_i64).unwrap_or(0);
        let ended = status.pointer("/lastState/terminated/finishedAt").and_then(Value::as_str);
        // RFC 3339 in UTC sorts as text.
        self.last = self.last.take().max(ended.map(str::to_owned));
    }

    fn print(&self, now: Timestamp) -> String {
        match &self.last {
            Some(last) if self.count > 0 => format!("{} ({} ago)", self.count, super::age::since(Some(last), now)),
            _ => self.count.to_string(),
        }
    }
}

fn summary(pod: &Value, now: Timestamp) -> Summary {
    let text = |pointer: &str| pod.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty());
    let mut status = text("/status/reason").or(text("/status/phase")).unwrap_or("Unknown").to_owned();
    if is_gated(pod) {
        status = "SchedulingGated".to_owned();
    }
    let mut restarts = Restarts::default();
    let sidecars: Vec<&str> = items(pod, "/spec/initContainers")
        .iter()
        .filter(|container| container.get("restartPolicy").and_then(Value::as_str) == Some("Always"))
        .filter_map(|container| container.get("name")?.as_str())
        .collect();
    let mut total = items(pod, "/spec/containers").len() + sidecars.len();
    let mut ready = 0;

    let initializing = init_status(pod, &sidecars, &mut restarts, &mut ready);
    if let Some(reason) = initializing {
        status = reason;
    } else {
        let mut is_running = false;
        let mut main = Restarts::default();
        for container in items(pod, "/status/containerStatuses").iter().rev() {
            main.add(container);
            let is_ready = container.get("ready").and_then(Value::as_bool) == Some(true);
            match reason(container) {
                Some(reason) => status = reason,
                None if is_ready && container.pointer("/state/running").is_some() => {
                    is_running = true;
                    ready += 1;
                }
                None => {}
            }
        }
        if status == "Completed" && is_running {
            status = if condition(pod, "Ready") { "Running" } else { "NotReady" }.to_owned();
        }
        restarts.count += main.count;
        restarts.last = restarts.last.take().max(main.last);
    }
    if meta::deletion_timestamp(pod).is_some() {
        let is_lost = text("/status/reason") == Some("NodeLost");
        let is_over = matches!(text("/status/phase"), Some("Succeeded" | "Failed"));
        if is_lost {
            status = "Unknown".to_owned();
        } else if !is_over {
            status = "Terminating".to_owned();
        }
    }
    total = total.max(ready);
    Summary { ready: format!("{ready}/{total}"), status, restarts: restarts.print(now) }
}

/// What an initializing pod is doing; `None` once it is initialized.
fn init_status(pod: &Value, sidecars: &[&str], restarts: &mut Restarts, ready: &mut usize) -> Option<String> {
    let statuses = items(pod, "/status/initContainerStatuses");
    let total = items(pod, "/spec/initContainers").len();
    for (index, container) in statuses.iter().enumerate() {
        let is_sidecar = container.get("name").and_then(Value::as_str).is_some_and(|name| sidecars.contains(&name));
        restarts.add(container);
        let is_true = |field: &str| container.get(field).and_then(Value::as_bool) == Some(true);
        let exit = container.pointer("/state/terminated/exitCode").and_then(Value::as_i64);
        if exit == Some(0) {
            continue;
        }
        if is_sidecar && is_true("started") {
            *ready += usize::from(is_true("ready"));
            continue;
        }
        if let Some(reason) = reason(container).filter(|reason| reason != "PodInitializing") {
            return Some(format!("Init:{reason}"));
        }
        return Some(format!("Init:{index}/{total}"));
    }
    None
}

/// Why a container does not run.
fn reason(container: &Value) -> Option<String> {
    let text = |pointer: &str| container.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty());
    if let Some(reason) = text("/state/waiting/reason") {
        return Some(reason.to_owned());
    }
    let terminated = container.pointer("/state/terminated")?;
    if let Some(reason) = text("/state/terminated/reason") {
        return Some(reason.to_owned());
    }
    let number = |field: &str| terminated.get(field).and_then(Value::as_i64).unwrap_or(0);
    Some(match number("signal") {
        0 => format!("ExitCode:{}", number("exitCode")),
        signal => format!("Signal:{signal}"),
    })
}

fn condition(pod: &Value, kind: &str) -> bool {
    items(pod, "/status/conditions").iter().any(|condition| {
        condition.get("type").and_then(Value::as_str) == Some(kind)
            && condition.get("status").and_then(Value::as_str) == Some("True")
    })
}

fn is_gated(pod: &Value) -> bool {
    items(pod, "/status/conditions").iter().any(|condition| {
        condition.get("type").and_then(Value::as_str) == Some("PodScheduled")
            && condition.get("reason").and_then(Value::as_str) == Some("SchedulingGated")
    })
}

fn gates(pod: &Value) -> String {
    let gates = items(pod, "/spec/readinessGates");
    if gates.is_empty() {
        return NONE.to_owned();
    }
    let passed =
        gates.iter().filter_map(|gate| gate.get("conditionType")?.as_str()).filter(|kind| condition(pod, kind));
    format!("{}/{}", passed.count(), gates.len())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(status: Value, expected: [&str; 3]) {
        let pod = json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c"}],
            "initContainers": [{"name": "i"}]}, "status": status});
        let summary = summary(&pod, "2026-11-23T12:00:00Z".parse().unwrap());
        assert_eq!([summary.ready.as_str(), &summary.status, &summary.restarts], expected);
    }

    #[test]
    fn a_pods_summary_is_upstreams() {
        check(json!({"phase": "Pending"}), ["0/1", "Pending", "0"]);
        let done = json!({"name": "i", "state": {"terminated": {"exitCode": 0}}});
        check(
            json!({"phase": "Running", "initContainerStatuses": [done],
                "containerStatuses": [{"name": "c", "ready": true, "state": {"running": {}}}]}),
            ["1/1", "Running", "0"],
        );
        check(
            json!({"phase": "Running", "containerStatuses": [{"name": "c", "ready": false, "restartCount": 3,
                "state": {"waiting": {"reason": "CrashLoopBackOff"}},
                "lastState": {"terminated": {"finishedAt": "2026-11-23T11:59:30Z"}}}]}),
            ["0/1", "CrashLoopBackOff", "3 (30s ago)"],
        );
        check(
            json!({"phase": "Failed", "containerStatuses": [{"name": "c", "state": {"terminated": {"exitCode": 3}}}]}),
            ["0/1", "ExitCode:3", "0"],
        );
        let waiting = json!({"name": "i", "state": {"waiting": {"reason": "PodInitializing"}}});
        check(json!({"phase": "Pending", "initContainerStatuses": [waiting]}), ["0/1", "Init:0/1", "0"]);
        let failed = json!({"name": "i", "state": {"waiting": {"reason": "ErrImagePull"}}});
        check(json!({"phase": "Pending", "initContainerStatuses": [failed]}), ["0/1", "Init:ErrImagePull", "0"]);
    }
}
