//! The Pod that an upload becomes: pure functions of what was asked and of what was uploaded.

use std::collections::BTreeSet;
use std::ops::Range;

use serde_json::{Value, json};

/// The annotation that holds where a server is reached.
pub(super) const URL: &str = "run.minke.dev/url";

/// The port that an uploaded server is served on within its pod.
const CONTAINER_PORT: u16 = 8080;

/// Where host ports for uploaded servers come from: below the node ports (30000) and what Linux gives to clients (32768).
pub(super) const HOST_PORTS: Range<u16> = 20_000..30_000;

/// Stands for a port that is not chosen, in a Pod that is only tried.
pub(super) const ANY_HOST_PORT: u16 = HOST_PORTS.start;

/// What a Pod is made from.
pub(super) struct Facts<'a> {
    pub namespace: &'a str,
    pub name: &'a str,
    pub image: &'a str,
    pub arguments: &'a [String],
    pub environment: &'a [(String, String)],
    pub stdin: bool,
    pub tty: bool,
    pub role: Role,
}

/// What a Pod is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Role {
    /// Runs once.
    Command,
    /// Serves HTTP, on this port of its node.
    Server { host_port: u16 },
}

/// The Pod, as a client would send it.
pub(super) fn pod(facts: &Facts<'_>) -> Value {
    let environment: Vec<Value> =
        facts.environment.iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
    let (restart_policy, ports) = match facts.role {
        Role::Command => ("Never", json!([])),
        Role::Server { host_port } => {
            ("Always", json!([{"name": "http", "containerPort": CONTAINER_PORT, "hostPort": host_port}]))
        }
    };
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": facts.name, "namespace": facts.namespace, "labels": {"run": facts.name}},
        "spec": {
            "restartPolicy": restart_policy,
            "containers": [{
                "name": facts.name,
                "image": facts.image,
                "args": facts.arguments,
                "env": environment,
                "ports": ports,
                "stdin": facts.stdin,
                "stdinOnce": facts.stdin,
                "tty": facts.tty,
            }],
        },
    })
}

/// Where a server on a node is reached.
pub(super) fn url(address: &str, host_port: u16) -> String {
    if address.contains(':') {
        format!("http://[{address}]:{host_port}/")
    } else {
        format!("http://{address}:{host_port}/")
    }
}

/// The first free port from `first` on, round the end of [`HOST_PORTS`].
pub(super) fn free_port(first: u16, taken: &BTreeSet<u16>) -> Option<u16> {
    (first..HOST_PORTS.end).chain(HOST_PORTS.start..first).find(|port| !taken.contains(port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(role: Role) -> Value {
        pod(&Facts {
            namespace: "shop",
            name: "cart",
            image: "registry.minke.local/shop/cart@sha256:0",
            arguments: &["-v".to_owned()],
            environment: &[("A".to_owned(), "1".to_owned())],
            stdin: true,
            tty: false,
            role,
        })
    }

    #[test]
    fn a_command_runs_once_and_needs_no_port() {
        let pod = facts(Role::Command);
        assert_eq!(pod["spec"]["restartPolicy"], "Never");
        let container = &pod["spec"]["containers"][0];
        assert_eq!(container["ports"], json!([]));
        assert_eq!(
            (&container["stdin"], &container["stdinOnce"], &container["tty"]),
            (&json!(true), &json!(true), &json!(false))
        );
        assert_eq!((&container["args"], &container["env"]), (&json!(["-v"]), &json!([{"name": "A", "value": "1"}])));
    }

    #[test]
    fn a_server_is_kept_running_and_reached_by_a_port_of_its_node() {
        let pod = facts(Role::Server { host_port: 20_123 });
        assert_eq!(pod["spec"]["restartPolicy"], "Always");
        let ports = json!([{"name": "http", "containerPort": 8080, "hostPort": 20_123}]);
        assert_eq!(pod["spec"]["containers"][0]["ports"], ports);
        assert_eq!(url("127.0.0.1", 20_123), "http://127.0.0.1:20123/");
        assert_eq!(url("fd00::1", 20_123), "http://[fd00::1]:20123/");
    }

    #[test]
    fn a_port_that_no_pod_asks_for_is_found_round_the_end() {
        assert_eq!(free_port(20_005, &BTreeSet::new()), Some(20_005));
        assert_eq!(free_port(29_999, &BTreeSet::from([29_999, 20_000])), Some(20_001));
        assert_eq!(free_port(20_005, &HOST_PORTS.collect()), None);
    }
}
