//! What upstream's default plugins do to a new pod: `ServiceAccount`, `Priority`, `RuntimeClass` (overhead and node
//! selector), `DefaultTolerationSeconds`.

use api::meta;
use api::scheme::Scheme;
use api::status::Status;
use serde_json::{Value, json};

use super::service_account;
use crate::objects::unreadable;
use crate::server::TolerationSeconds;
use crate::verbs::Call;

pub(super) fn admit_create(call: &Call, pod: &mut Value) -> Result<(), Status> {
    service_account::admit_create(call, pod)?;
    priority(call, pod)?;
    runtime_class(call, pod)?;
    default_tolerations(pod, call.server.options().toleration_seconds);
    let node = pod.pointer("/spec/nodeName").and_then(Value::as_str).unwrap_or_default().to_owned();
    if !node.is_empty() {
        label_by_node(call, pod, &node);
    }
    Ok(())
}

/// A change that leaves out what admission added has it again: the pod's own priority, and tolerations that each has.
pub(super) fn admit_update(call: &Call, new: &mut Value, old: &Value) {
    for field in ["/spec/priority", "/spec/preemptionPolicy"] {
        if let (None, Some(given)) = (new.pointer(field), old.pointer(field)) {
            meta::set_at(new, field, given.clone());
        }
    }
    default_tolerations(new, call.server.options().toleration_seconds);
}

/// `PodTopologyLabels`: a pod has the labels of where its node stands.
pub(crate) fn label_by_node(call: &Call, pod: &mut Value, node: &str) {
    let nodes = Scheme::builtin().resource("", "v1", "nodes");
    let Some(node) = nodes.and_then(|nodes| call.objects().find(nodes, None, node).ok()) else { return };
    for key in ["topology.kubernetes.io/zone", "topology.kubernetes.io/region"] {
        if let Some(value) = node.facts().labels.get(key) {
            meta::set_in(pod, "/metadata/labels", key, value.as_str().into());
        }
    }
}

/// `priorityClassName` becomes a number; a pod without one gets the global default's, or 0.
fn priority(call: &Call, pod: &mut Value) -> Result<(), Status> {
    let Some(classes) = Scheme::builtin().resource("scheduling.k8s.io", "v1", "priorityclasses") else { return Ok(()) };
    let said = pod.pointer("/spec/priorityClassName").and_then(Value::as_str).unwrap_or_default().to_owned();
    let class = if said.is_empty() {
        let snapshot = call.objects().cache(classes)?.snapshot(store::Revision(0));
        let values: Vec<Value> = snapshot.objects.values().filter_map(|class| class.to_value().ok()).collect();
        values.into_iter().find(|class| class.get("globalDefault").and_then(Value::as_bool) == Some(true))
    } else {
        let found = call.objects().find(classes, None, &said).map_err(|_| {
            Status::forbidden("", "pods", meta::name(pod), &format!("no PriorityClass with name {said} was found"))
        })?;
        Some(found.to_value().map_err(unreadable)?)
    };
    let value = class.as_ref().and_then(|class| class.get("value")).and_then(Value::as_i64).unwrap_or(0);
    let asked = pod.pointer("/spec/priority").and_then(Value::as_i64);
    if asked.is_some_and(|asked| asked != value) {
        let text = format!(
            "the integer value of priority ({}) must not be provided in pod spec; priority admission controller computed {value} from the given PriorityClass name",
            asked.unwrap_or_default()
        );
        return Err(Status::forbidden("", "pods", meta::name(pod), &text));
    }
    if let Some(class) = &class {
        meta::set_at(pod, "/spec/priorityClassName", meta::name(class).into());
    }
    meta::set_at(pod, "/spec/priority", value.into());
    let policy = class.as_ref().and_then(|class| class.get("preemptionPolicy")).cloned();
    if pod.pointer("/spec/preemptionPolicy").is_none() {
        meta::set_at(pod, "/spec/preemptionPolicy", policy.unwrap_or_else(|| "PreemptLowerPriority".into()));
    }
    Ok(())
}

/// A pod's `runtimeClassName` must be there; its overhead and its node selector become the pod's.
fn runtime_class(call: &Call, pod: &mut Value) -> Result<(), Status> {
    let Some(name) = pod.pointer("/spec/runtimeClassName").and_then(Value::as_str).map(str::to_owned) else {
        return Ok(());
    };
    let Some(classes) = Scheme::builtin().resource("node.k8s.io", "v1", "runtimeclasses") else { return Ok(()) };
    let class = call.objects().find(classes, None, &name).map_err(|_| {
        let text = format!("pod rejected: RuntimeClass \"{name}\" not found");
        Status::forbidden("", "pods", meta::name(pod), &text)
    })?;
    let class = class.to_value().map_err(unreadable)?;
    if let Some(overhead) = class.pointer("/overhead/podFixed") {
        meta::set_at(pod, "/spec/overhead", overhead.clone());
    }
    for (key, value) in class.pointer("/scheduling/nodeSelector").and_then(Value::as_object).into_iter().flatten() {
        let selector = pod.pointer("/spec/nodeSelector").and_then(|selector| selector.get(key)).cloned();
        match selector {
            Some(own) if own != *value => {
                let text = format!(
                    "conflict: runtimeClass.scheduling.nodeSelector[{key}] = {value}; pod.spec.nodeSelector[{key}] = {own}"
                );
                return Err(Status::forbidden("", "pods", meta::name(pod), &text));
            }
            _ => meta::set_in(pod, "/spec/nodeSelector", key, value.clone()),
        }
    }
    for toleration in class.pointer("/scheduling/tolerations").and_then(Value::as_array).into_iter().flatten() {
        meta::push_at(pod, "/spec/tolerations", toleration.clone());
    }
    Ok(())
}

/// Tolerations for nodes that are not ready or unreachable, where the pod has none of its own.
fn default_tolerations(pod: &mut Value, seconds: TolerationSeconds) {
    let own = pod.pointer("/spec/tolerations").and_then(Value::as_array).cloned().unwrap_or_default();
    let defaults =
        [("node.kubernetes.io/not-ready", seconds.not_ready), ("node.kubernetes.io/unreachable", seconds.unreachable)];
    for (key, seconds) in defaults {
        let is_covered = own.iter().any(|toleration| {
            let said = |name: &str| toleration.get(name).and_then(Value::as_str).unwrap_or_default();
            (said("key") == key || said("key").is_empty())
                && (said("effect") == "NoExecute" || said("effect").is_empty())
        });
        if !is_covered {
            let toleration =
                json!({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": seconds});
            meta::push_at(pod, "/spec/tolerations", toleration);
        }
    }
}
