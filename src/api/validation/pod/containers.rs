//! The containers of a pod: those that run, and those that run before them.

use serde_json::Value;

use super::{env, mounts, probes, resources, security};
use crate::validation::checks::{PROTOCOLS, invalid_each, label, one_of, port_name, port_number};
use crate::validation::field::{Error, ErrorList, Path};
use crate::value::{has, list, number, part, text};

/// When an image is pulled, sorted as upstream lists them.
const PULL_POLICIES: [&str; 3] = ["Always", "IfNotPresent", "Never"];
/// Where a container's last words are found, in upstream's order.
const MESSAGE_POLICIES: [&str; 2] = ["File", "FallbackToLogsOnError"];
/// When a container runs again, sorted as upstream lists them.
const RESTART_POLICIES: [&str; 3] = ["Always", "Never", "OnFailure"];

const NOT_FOR_INIT: &str = "may not be set for init containers without restartPolicy=Always";

/// What of a pod its containers are checked against.
#[derive(Clone, Copy, Debug)]
pub(super) struct Around<'p> {
    /// The names of the volumes that are whole.
    pub(super) volumes: &'p [&'p str],
    /// How long the pod may take to end, if that is said.
    pub(super) grace_seconds: Option<i64>,
    /// The pod's restart policy.
    pub(super) restart_policy: &'p str,
    /// Whether the pod shares the host's users.
    pub(super) host_users: bool,
}

/// What is wrong with the containers that run.
pub(super) fn check(errors: &mut ErrorList, path: &Path, containers: &[Value], around: Around<'_>) {
    if containers.is_empty() {
        errors.push(Error::required(path, ""));
    }
    for (index, container) in containers.iter().enumerate() {
        let (path, name) = (path.index(index), text(container, "name"));
        common(errors, &path, container, around);
        if containers.iter().take(index).any(|other| text(other, "name") == name) {
            errors.push(Error::duplicate(path.child("name"), name));
        }
        probes::check(errors, &path, container, around.grace_seconds);
        restart_policy(errors, &path, container);
    }
    host_ports(errors, path, containers);
}

/// What is wrong with the containers that run before `others`, one after another.
pub(super) fn check_init(
    errors: &mut ErrorList,
    path: &Path,
    containers: &[Value],
    others: &[Value],
    around: Around<'_>,
) {
    for (index, container) in containers.iter().enumerate() {
        let (at, name) = (path.index(index), text(container, "name"));
        common(errors, &at, container, around);
        restart_policy(errors, &at, container);
        let mut before = others.iter().chain(containers.iter().take(index));
        if !name.is_empty() && before.any(|other| text(other, "name") == name) {
            errors.push(Error::duplicate(at.child("name"), name));
        }
        // They do not run at the same time, so ports of one may be ports of another.
        host_ports(errors, path, std::slice::from_ref(container));
        if text(container, "restartPolicy") == "Always" {
            probes::check(errors, &at, container, around.grace_seconds);
            continue;
        }
        let fields = ["lifecycle", "livenessProbe", "readinessProbe", "startupProbe"].into_iter();
        let set = fields.filter(|field| has(container, field));
        errors.extend(set.map(|field| Error::forbidden(at.child(field), NOT_FOR_INIT)));
    }
}

/// What every container must satisfy.
fn common(errors: &mut ErrorList, path: &Path, container: &Value, around: Around<'_>) {
    match text(container, "name") {
        "" => errors.push(Error::required(path.child("name"), "")),
        name => label(errors, &path.child("name"), name),
    }
    if text(container, "image").is_empty() {
        errors.push(Error::required(path.child("image"), ""));
    }
    let policy = text(container, "terminationMessagePolicy");
    one_of(errors, &path.child("terminationMessagePolicy"), policy, &MESSAGE_POLICIES);
    check_ports(errors, &path.child("ports"), list(container, "ports"));
    env::check(errors, &path.child("env"), list(container, "env"));
    env::check_from(errors, &path.child("envFrom"), list(container, "envFrom"));
    mounts::check(errors, &path.child("volumeMounts"), container, around.volumes);
    one_of(errors, &path.child("imagePullPolicy"), text(container, "imagePullPolicy"), &PULL_POLICIES);
    resources::check(errors, &path.child("resources"), part(container, "resources"));
    check_resizes(errors, &path.child("resizePolicy"), container, around.restart_policy);
    let context = part(container, "securityContext");
    security::check_container(errors, &path.child("securityContext"), context, around.host_users);
}

/// A container's own restart policy, if it has one. Rules by exit code are refused where the pod's refusals stand.
fn restart_policy(errors: &mut ErrorList, path: &Path, container: &Value) {
    let policy = text(container, "restartPolicy");
    if has(container, "restartPolicy") && !RESTART_POLICIES.contains(&policy) {
        errors.push(Error::not_supported(path.child("restartPolicy"), policy, &RESTART_POLICIES));
    }
}

fn check_ports(errors: &mut ErrorList, path: &Path, ports: &[Value]) {
    let mut names = Vec::new();
    for (index, port) in ports.iter().enumerate() {
        let (path, name) = (path.index(index), text(port, "name"));
        let wrong = if name.is_empty() { Vec::new() } else { port_name(name) };
        if !wrong.is_empty() {
            invalid_each(errors, &path.child("name"), name, wrong);
        } else if names.contains(&name) {
            errors.push(Error::duplicate(path.child("name"), name));
        } else if !name.is_empty() {
            names.push(name);
        }
        match number(port, "containerPort").unwrap_or(0) {
            0 => errors.push(Error::required(path.child("containerPort"), "")),
            number => port_number(errors, &path.child("containerPort"), number),
        }
        if let Some(number) = number(port, "hostPort").filter(|number| *number != 0) {
            port_number(errors, &path.child("hostPort"), number);
        }
        one_of(errors, &path.child("protocol"), text(port, "protocol"), &PROTOCOLS);
    }
}

/// No two containers of a pod have the same port on the host.
fn host_ports(errors: &mut ErrorList, path: &Path, containers: &[Value]) {
    let mut taken = Vec::new();
    for (index, container) in containers.iter().enumerate() {
        for (port_index, port) in list(container, "ports").iter().enumerate() {
            let Some(number) = number(port, "hostPort").filter(|number| *number != 0) else { continue };
            let key = format!("{}/{}/{number}", text(port, "protocol"), text(port, "hostIP"));
            if taken.contains(&key) {
                let path = path.index(index).child("ports").index(port_index).child("hostPort");
                errors.push(Error::duplicate(path, key));
            } else {
                taken.push(key);
            }
        }
    }
}

/// What happens to a container whose resources are changed.
fn check_resizes(errors: &mut ErrorList, path: &Path, container: &Value, pod_policy: &str) {
    let policies = list(container, "resizePolicy");
    for (index, policy) in policies.iter().enumerate() {
        let (resource, restart) = (text(policy, "resourceName"), text(policy, "restartPolicy"));
        if policies.iter().take(index).any(|other| text(other, "resourceName") == resource) {
            errors.push(Error::duplicate(path.index(index), resource));
        }
        one_of(errors, path, resource, &["cpu", "memory"]);
        one_of(errors, path, restart, &["NotRequired", "RestartContainer"]);
        if pod_policy == "Never" && restart != "NotRequired" {
            let detail = "must be 'NotRequired' when `restartPolicy` is 'Never'";
            errors.push(Error::invalid(path, restart, detail));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::validation::testing;

    const AROUND: Around<'_> =
        Around { volumes: &["v"], grace_seconds: Some(30), restart_policy: "Always", host_users: true };

    /// A container that is whole but for what `fields` say otherwise.
    fn with(fields: Value) -> Value {
        let mut whole =
            json!({"name": "c", "image": "i", "terminationMessagePolicy": "File", "imagePullPolicy": "Always"});
        whole.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        whole
    }

    #[track_caller]
    fn main(containers: &[Value], expected: &[&str]) {
        let mut errors = ErrorList::new();
        check(&mut errors, &Path::new("c"), containers, AROUND);
        testing::check(&errors, expected);
    }

    #[track_caller]
    fn init(containers: &[Value], expected: &[&str]) {
        let mut errors = ErrorList::new();
        check_init(&mut errors, &Path::new("i"), containers, &[with(json!({}))], AROUND);
        testing::check(&errors, expected);
    }

    #[test]
    fn containers_have_names_of_their_own_and_images() {
        main(&[], &["c: Required value"]);
        main(&[with(json!({})), with(json!({"name": "d", "restartPolicy": "Never"}))], &[]);
        main(
            &[with(json!({"image": ""})), with(json!({}))],
            &["c[0].image: Required value", "c[1].name: Duplicate value: \"c\""],
        );
        main(
            &[with(
                json!({"name": "", "imagePullPolicy": "Odd", "terminationMessagePolicy": "", "restartPolicy": "Odd"}),
            )],
            &[
                "c[0].name: Required value",
                "c[0].terminationMessagePolicy: Required value",
                "c[0].imagePullPolicy: Unsupported value: \"Odd\": supported values: \"Always\", \"IfNotPresent\", \"Never\"",
                "c[0].restartPolicy: Unsupported value: \"Odd\": supported values: \"Always\", \"Never\", \"OnFailure\"",
            ],
        );
    }

    #[test]
    fn ports_are_numbers_and_names_apart() {
        let port =
            |name: &str, number: i64| json!({"name": name, "containerPort": number, "hostPort": 80, "protocol": "TCP"});
        main(&[with(json!({"ports": [{"containerPort": 80, "protocol": "UDP"}]}))], &[]);
        main(
            &[with(json!({"ports": [port("a", 0), port("a", 70000), {"name": "A--", "containerPort": 1}]}))],
            &[
                "c[0].ports[0].containerPort: Required value",
                "c[0].ports[1].name: Duplicate value: \"a\"",
                "c[0].ports[1].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive",
                "c[0].ports[2].name: Invalid value: \"A--\": must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)",
                "c[0].ports[2].name: Invalid value: \"A--\": must contain at least one letter (a-z)",
                "c[0].ports[2].name: Invalid value: \"A--\": must not contain consecutive hyphens",
                "c[0].ports[2].name: Invalid value: \"A--\": must not begin or end with a hyphen",
                "c[0].ports[2].protocol: Required value",
                "c[0].ports[1].hostPort: Duplicate value: \"TCP//80\"",
            ],
        );
    }

    #[test]
    fn an_init_container_is_neither_probed_nor_hooked_unless_it_stays() {
        let probe = json!({"tcpSocket": {"port": 80}, "successThreshold": 1});
        init(
            &[with(json!({"livenessProbe": probe, "lifecycle": {}, "name": "i"}))],
            &[
                "i[0].lifecycle: Forbidden: may not be set for init containers without restartPolicy=Always",
                "i[0].livenessProbe: Forbidden: may not be set for init containers without restartPolicy=Always",
            ],
        );
        init(&[with(json!({"livenessProbe": probe, "restartPolicy": "Always", "name": "i"}))], &[]);
        init(&[with(json!({}))], &["i[0].name: Duplicate value: \"c\""]);
    }

    #[test]
    fn a_resize_says_whether_it_restarts() {
        main(
            &[with(json!({"resizePolicy": [{"resourceName": "cpu", "restartPolicy": "NotRequired"},
                {"resourceName": "cpu"}, {"resourceName": "pods", "restartPolicy": "Odd"}]}))],
            &[
                "c[0].resizePolicy[1]: Duplicate value: \"cpu\"",
                "c[0].resizePolicy: Required value",
                "c[0].resizePolicy: Unsupported value: \"pods\": supported values: \"cpu\", \"memory\"",
                "c[0].resizePolicy: Unsupported value: \"Odd\": supported values: \"NotRequired\", \"RestartContainer\"",
            ],
        );
    }
}
