//! What a pod's node answers: logs and terminals, over the connection that the node dialled.

mod accept;
mod attach;
mod log;
mod registry;

use api::status::Status;
use http::Request;
use serde_json::Value;

pub(crate) use accept::accept;
pub(crate) use attach::attach;
pub(crate) use log::log;
pub use registry::Nodes;

use crate::objects::unreadable;
use crate::request_id::RequestId;
use crate::verbs::Call;

/// The way to one container of a pod that the path names.
struct Target {
    tunnel: tunnel::Tunnel,
    node: String,
    namespace: String,
    pod: String,
    container: String,
}

impl Target {
    /// Finds the pod, its container and the connection of its node.
    fn find(call: &Call) -> Result<Self, Status> {
        let pod = call.objects().find(&call.resource, call.namespace(), call.name()?)?;
        let pod = pod.to_value().map_err(unreadable)?;
        let container = container(&pod, call.query.find("container"))?;
        let name = api::meta::name(&pod).to_owned();
        let node = pod.pointer("/spec/nodeName").and_then(Value::as_str).unwrap_or_default();
        if node.is_empty() {
            let text = format!("pod {name} does not have a host assigned");
            return Err(Status::bad_request(text));
        }
        let Some(tunnel) = call.server.nodes().find(node) else {
            let text =
                format!("node \"{node}\" is not connected: its pods' logs and terminals are there again when it is");
            return Err(Status::service_unavailable(text));
        };
        let namespace = call.namespace().unwrap_or_default().to_owned();
        Ok(Self { tunnel, node: node.to_owned(), namespace, pod: name, container })
    }

    /// A request for `what` of this container at its node, under the id of the one that it is asked for.
    fn ask(&self, call: &Call, what: &str, query: &str) -> http::request::Builder {
        let Self { namespace, pod, container, .. } = self;
        let mark = if query.is_empty() { "" } else { "?" };
        let request = Request::get(format!("http://node/{what}/{namespace}/{pod}/{container}{mark}{query}"));
        match call.parts.extensions.get::<RequestId>() {
            Some(RequestId(id)) => request.header(tunnel::AUDIT_ID, id),
            None => request,
        }
    }

    /// What the client is told when the node does not answer.
    fn unreachable(&self, error: &tunnel::Error) -> Status {
        Status::service_unavailable(format!("node \"{}\" did not answer: {error}", self.node))
    }
}

/// The query parameters that are handed on to the node.
fn options(call: &Call, names: &[&str]) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    for name in names {
        if let Some(value) = call.query.find(name) {
            query.append_pair(name, value);
        }
    }
    query.finish()
}

/// The container that a request means: the one it names, or the only one, or the pod's default one.
fn container(pod: &Value, wanted: Option<&str>) -> Result<String, Status> {
    let names = |list: &str| -> Vec<&str> {
        let containers = pod.pointer(list).and_then(Value::as_array).into_iter().flatten();
        containers.filter_map(|container| container.get("name")?.as_str()).collect()
    };
    let (main, init) = (names("/spec/containers"), names("/spec/initContainers"));
    let name = api::meta::name(pod);
    if let Some(wanted) = wanted {
        return if main.contains(&wanted) || init.contains(&wanted) {
            Ok(wanted.to_owned())
        } else {
            Err(Status::bad_request(format!("container {wanted} is not valid for pod {name}")))
        };
    }
    let default = api::meta::annotation(pod, "kubectl.kubernetes.io/default-container");
    match (main.as_slice(), default) {
        ([only], _) => Ok((*only).to_owned()),
        (_, Some(default)) if main.contains(&default) => Ok(default.to_owned()),
        _ => {
            let mut text =
                format!("a container name must be specified for pod {name}, choose one of: [{}]", main.join(" "));
            if !init.is_empty() {
                text.push_str(&format!(" or one of the init containers: [{}]", init.join(" ")));
            }
            Err(Status::bad_request(text))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(pod: &Value, wanted: Option<&str>, expected: Result<&str, &str>) {
        let found = container(pod, wanted).map_err(|status| status.message);
        assert_eq!(found.as_deref().map_err(String::as_str), expected);
    }

    #[test]
    fn the_container_is_chosen_as_upstream_chooses() {
        let one = json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "a"}]}});
        let two = json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "a"}, {"name": "b"}],
            "initContainers": [{"name": "i"}]}});
        check(&one, None, Ok("a"));
        check(&one, Some("x"), Err("container x is not valid for pod p"));
        check(&two, Some("i"), Ok("i"));
        let choose =
            "a container name must be specified for pod p, choose one of: [a b] or one of the init containers: [i]";
        check(&two, None, Err(choose));
    }
}
