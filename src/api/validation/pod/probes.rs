//! Probes of containers, and what is done when they start and stop.

use serde_json::Value;

use crate::names;
use crate::validation::checks::{invalid_each, non_negative, port, port_number};
use crate::validation::field::{Error, ErrorList, Path};
use crate::value::{has, list, number, part, text};

/// How a probe or hook reaches the container, in upstream's order.
const HANDLERS: [&str; 5] = ["exec", "httpGet", "tcpSocket", "grpc", "sleep"];

/// Counters of a probe, in upstream's order.
const COUNTERS: [&str; 5] =
    ["initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"];

/// What is wrong with the hooks and probes of a container; `grace_seconds` is how long its pod may take to end.
pub(super) fn check(errors: &mut ErrorList, path: &Path, container: &Value, grace_seconds: Option<i64>) {
    let (hooks_path, hooks) = (path.child("lifecycle"), part(container, "lifecycle"));
    for hook in ["postStart", "preStop"].into_iter().filter(|hook| has(hooks, hook)) {
        handler(errors, &hooks_path.child(hook), part(hooks, hook), grace_seconds);
    }
    for kind in ["livenessProbe", "readinessProbe", "startupProbe"].into_iter().filter(|kind| has(container, kind)) {
        let (path, probe) = (path.child(kind), part(container, kind));
        check_probe(errors, &path, probe, grace_seconds);
        let successes = number(probe, "successThreshold").unwrap_or(0);
        let grace = number(probe, "terminationGracePeriodSeconds");
        match (kind, grace) {
            ("readinessProbe", Some(grace)) => {
                let detail = "must not be set for readinessProbes";
                errors.push(Error::invalid(path.child("terminationGracePeriodSeconds"), grace, detail));
            }
            ("readinessProbe", None) => {}
            _ if successes != 1 => {
                errors.push(Error::invalid(path.child("successThreshold"), successes, "must be 1"));
            }
            _ => {}
        }
    }
}

fn check_probe(errors: &mut ErrorList, path: &Path, probe: &Value, grace_seconds: Option<i64>) {
    handler(errors, path, probe, grace_seconds);
    for field in COUNTERS {
        non_negative(errors, &path.child(field), number(probe, field).unwrap_or(0));
    }
    if let Some(grace) = number(probe, "terminationGracePeriodSeconds").filter(|grace| *grace <= 0) {
        errors.push(Error::invalid(path.child("terminationGracePeriodSeconds"), grace, "must be greater than 0"));
    }
}

/// A probe or hook does exactly one thing.
fn handler(errors: &mut ErrorList, path: &Path, handler: &Value, grace_seconds: Option<i64>) {
    let mut kinds = HANDLERS.iter().filter(|kind| has(handler, kind));
    let Some(kind) = kinds.next() else {
        errors.push(Error::required(path, "must specify a handler type"));
        return;
    };
    let (action_path, action) = (path.child(kind), part(handler, kind));
    match *kind {
        "exec" if list(action, "command").is_empty() => {
            errors.push(Error::required(action_path.child("command"), ""));
        }
        "httpGet" => http(errors, &action_path, action),
        "tcpSocket" => port(errors, &action_path.child("port"), part(action, "port")),
        "grpc" => port_number(errors, &action_path.child("port"), number(action, "port").unwrap_or(0)),
        "sleep" => sleep(errors, &action_path, number(action, "seconds").unwrap_or(0), grace_seconds),
        _ => {}
    }
    let others = kinds.map(|kind| Error::forbidden(path.child(kind), "may not specify more than 1 handler type"));
    errors.extend(others);
}

fn http(errors: &mut ErrorList, path: &Path, action: &Value) {
    if text(action, "path").is_empty() {
        errors.push(Error::required(path.child("path"), ""));
    }
    port(errors, &path.child("port"), part(action, "port"));
    let scheme = text(action, "scheme");
    if !matches!(scheme, "HTTP" | "HTTPS") {
        errors.push(Error::not_supported(path.child("scheme"), scheme, &["HTTP", "HTTPS"]));
    }
    for header in list(action, "httpHeaders") {
        let name = text(header, "name");
        invalid_each(errors, &path.child("httpHeaders"), name, names::http_header(name));
    }
}

fn sleep(errors: &mut ErrorList, path: &Path, seconds: i64, grace_seconds: Option<i64>) {
    if let Some(grace) = grace_seconds.filter(|grace| !(0..=*grace).contains(&seconds)) {
        let detail = format!("must be non-negative and less than terminationGracePeriodSeconds ({grace})");
        errors.push(Error::invalid(path, seconds, detail));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::validation::testing;

    #[track_caller]
    fn check_container(container: Value, expected: &[&str]) {
        let mut errors = ErrorList::new();
        check(&mut errors, &Path::new("c"), &container, Some(30));
        testing::check(&errors, expected);
    }

    #[test]
    fn a_probe_does_one_thing_within_bounds() {
        let http = json!({"path": "/", "port": "web", "scheme": "HTTP"});
        check_container(json!({"livenessProbe": {"httpGet": http, "successThreshold": 1, "periodSeconds": 10}}), &[]);
        check_container(json!({"readinessProbe": {"httpGet": http, "successThreshold": 3}}), &[]);
        check_container(
            json!({"livenessProbe": {"periodSeconds": -1, "successThreshold": 2}}),
            &[
                "c.livenessProbe: Required value: must specify a handler type",
                "c.livenessProbe.periodSeconds: Invalid value: -1: must be greater than or equal to 0",
                "c.livenessProbe.successThreshold: Invalid value: 2: must be 1",
            ],
        );
        check_container(
            json!({"readinessProbe": {"exec": {}, "tcpSocket": {"port": 80}, "terminationGracePeriodSeconds": 0}}),
            &[
                "c.readinessProbe.exec.command: Required value",
                "c.readinessProbe.tcpSocket: Forbidden: may not specify more than 1 handler type",
                "c.readinessProbe.terminationGracePeriodSeconds: Invalid value: 0: must be greater than 0",
                "c.readinessProbe.terminationGracePeriodSeconds: Invalid value: 0: must not be set for readinessProbes",
            ],
        );
    }

    #[test]
    fn an_action_says_where_it_goes() {
        check_container(
            json!({"lifecycle": {"postStart": {"httpGet": {"port": 0, "httpHeaders": [{"name": "a b"}]}},
                "preStop": {"sleep": {"seconds": 31}}}}),
            &[
                "c.lifecycle.postStart.httpGet.path: Required value",
                "c.lifecycle.postStart.httpGet.port: Invalid value: 0: must be between 1 and 65535, inclusive",
                "c.lifecycle.postStart.httpGet.scheme: Unsupported value: \"\": supported values: \"HTTP\", \"HTTPS\"",
                "c.lifecycle.postStart.httpGet.httpHeaders: Invalid value: \"a b\": a valid HTTP header must consist of alphanumeric characters or '-' (e.g. 'X-Header-Name', regex used for validation is '[-A-Za-z0-9]+')",
                "c.lifecycle.preStop.sleep: Invalid value: 31: must be non-negative and less than terminationGracePeriodSeconds (30)",
            ],
        );
        check_container(json!({"lifecycle": {"preStop": {"sleep": {"seconds": 30}}}}), &[]);
    }
}
