//! The Pod Security Standards: what a pod must not ask for in a namespace of a level.
//!
//! Checks, their order and their words as upstream's (`staging/src/k8s.io/pod-security-admission/policy`), in the newest
//! version of each. That a guest of Wasm could not do most of it changes nothing: a pod that is allowed here is allowed
//! on any cluster.

use serde_json::Value;

use crate::value::{flag, has, list, number, part, text, texts};

/// How much pods of a namespace may ask for.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Level {
    /// Anything.
    Privileged,
    /// What gives no known way to more rights.
    Baseline,
    /// What hardened pods do with.
    Restricted,
}

/// What a check finds: nothing, or what is wrong and by what.
type Finding = Option<(&'static str, String)>;

/// A check, the least level at which it is asked, and the level from which another asks for more in its place.
struct Check {
    from: Level,
    until: Option<Level>,
    find: fn(&Value) -> Finding,
}

/// By upstream's names, which is the order of their findings.
const CHECKS: [Check; 14] = [
    Check { from: Level::Restricted, until: None, find: allows_escalation },
    Check { from: Level::Baseline, until: Some(Level::Restricted), find: capabilities },
    Check { from: Level::Restricted, until: None, find: kept_capabilities },
    Check { from: Level::Baseline, until: None, find: host_namespaces },
    Check { from: Level::Baseline, until: Some(Level::Restricted), find: host_paths },
    Check { from: Level::Baseline, until: None, find: host_ports },
    Check { from: Level::Baseline, until: None, find: privileged },
    Check { from: Level::Baseline, until: None, find: proc_mount },
    Check { from: Level::Restricted, until: None, find: volume_types },
    Check { from: Level::Restricted, until: None, find: may_be_root },
    Check { from: Level::Restricted, until: None, find: is_root },
    Check { from: Level::Baseline, until: Some(Level::Restricted), find: unconfined },
    Check { from: Level::Restricted, until: None, find: seccomp },
    Check { from: Level::Baseline, until: None, find: sysctls },
];

/// Capabilities that any pod may add.
const BASELINE_CAPABILITIES: [&str; 13] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];
/// Kinds of volumes that hardened pods use.
const RESTRICTED_VOLUMES: [&str; 8] =
    ["configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "image", "persistentVolumeClaim", "projected"];
/// Settings of the kernel that any pod may change.
const SAFE_SYSCTLS: [&str; 12] = [
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ping_group_range",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.tcp_wmem",
];

impl Level {
    /// The level of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "privileged" => Some(Self::Privileged),
            "baseline" => Some(Self::Baseline),
            "restricted" => Some(Self::Restricted),
            _ => None,
        }
    }
}

/// What a pod's spec violates of a level: `privileged (container "c" must not …), …`; empty when nothing.
#[must_use]
pub fn violations(spec: &Value, level: Level) -> String {
    let asked = CHECKS.iter().filter(|check| check.from <= level && check.until.is_none_or(|until| level < until));
    let found = asked.filter_map(|check| (check.find)(spec));
    let told = found.map(|(what, who)| if who.is_empty() { what.to_owned() } else { format!("{what} ({who})") });
    told.collect::<Vec<_>>().join(", ")
}

/// All containers: those that begin, those that run, those that come later.
fn containers(spec: &Value) -> impl Iterator<Item = &Value> {
    ["initContainers", "containers", "ephemeralContainers"].into_iter().flat_map(|field| list(spec, field))
}

fn context(holder: &Value) -> &Value {
    part(holder, "securityContext")
}

/// The names of the containers of which something is true.
fn named(spec: &Value, is: impl Fn(&Value) -> bool) -> Vec<&str> {
    containers(spec).filter(|container| is(container)).map(|container| text(container, "name")).collect()
}

/// `container "a"`, `containers "a", "b"`.
fn told(one: &str, names: &[&str]) -> String {
    let plural = if names.len() == 1 { "" } else { "s" };
    format!("{one}{plural} {}", quoted(names))
}

fn quoted(names: &[&str]) -> String {
    names.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ")
}

fn unless_empty(what: &'static str, names: &[&str], tell: impl Fn(String) -> String) -> Finding {
    (!names.is_empty()).then(|| (what, tell(told("container", names))))
}

fn allows_escalation(spec: &Value) -> Finding {
    let names = named(spec, |container| part(context(container), "allowPrivilegeEscalation").as_bool() != Some(false));
    unless_empty("allowPrivilegeEscalation != false", &names, |who| {
        format!("{who} must set securityContext.allowPrivilegeEscalation=false")
    })
}

/// The capabilities that containers add beyond `allowed`, and who adds them.
fn added<'v>(spec: &'v Value, allowed: &[&str]) -> (Vec<&'v str>, Vec<&'v str>) {
    let beyond = |container: &'v Value| {
        texts(part(context(container), "capabilities"), "add").filter(|added| !allowed.contains(added))
    };
    let who = containers(spec).filter(|container| beyond(container).next().is_some());
    let mut what: Vec<&str> = containers(spec).flat_map(beyond).collect();
    what.sort_unstable();
    what.dedup();
    (who.map(|container| text(container, "name")).collect(), what)
}

fn capabilities(spec: &Value) -> Finding {
    let (who, what) = added(spec, &BASELINE_CAPABILITIES);
    unless_empty("non-default capabilities", &who, |who| {
        format!("{who} must not include {} in securityContext.capabilities.add", quoted(&what))
    })
}

fn kept_capabilities(spec: &Value) -> Finding {
    let keeping = named(spec, |container| {
        !texts(part(context(container), "capabilities"), "drop").any(|dropped| dropped == "ALL")
    });
    let (adding, what) = added(spec, &["NET_BIND_SERVICE"]);
    let mut told_of = Vec::new();
    if !keeping.is_empty() {
        told_of.push(format!("{} must set securityContext.capabilities.drop=[\"ALL\"]", told("container", &keeping)));
    }
    if !adding.is_empty() {
        let who = told("container", &adding);
        told_of.push(format!("{who} must not include {} in securityContext.capabilities.add", quoted(&what)));
    }
    (!told_of.is_empty()).then(|| ("unrestricted capabilities", told_of.join("; ")))
}

fn host_namespaces(spec: &Value) -> Finding {
    let fields = ["hostNetwork", "hostPID", "hostIPC"].into_iter().filter(|field| flag(spec, field));
    let told: Vec<String> = fields.map(|field| format!("{field}=true")).collect();
    (!told.is_empty()).then(|| ("host namespaces", told.join(", ")))
}

fn host_paths(spec: &Value) -> Finding {
    let volumes = list(spec, "volumes").iter().filter(|volume| has(volume, "hostPath"));
    let names: Vec<&str> = volumes.map(|volume| text(volume, "name")).collect();
    (!names.is_empty()).then(|| ("hostPath volumes", told("volume", &names)))
}

fn host_ports(spec: &Value) -> Finding {
    let of = |container: &Value| -> Vec<i64> {
        let ports = list(container, "ports").iter().filter_map(|port| number(port, "hostPort"));
        ports.filter(|port| *port != 0).collect()
    };
    let names = named(spec, |container| !of(container).is_empty());
    let mut ports: Vec<i64> = containers(spec).flat_map(of).collect();
    ports.sort_unstable();
    ports.dedup();
    let uses = if names.len() == 1 { "uses" } else { "use" };
    let plural = if ports.len() == 1 { "" } else { "s" };
    let ports = ports.iter().map(i64::to_string).collect::<Vec<_>>().join(", ");
    unless_empty("hostPort", &names, |who| format!("{who} {uses} hostPort{plural} {ports}"))
}

fn privileged(spec: &Value) -> Finding {
    let names = named(spec, |container| flag(context(container), "privileged"));
    unless_empty("privileged", &names, |who| format!("{who} must not set securityContext.privileged=true"))
}

fn proc_mount(spec: &Value) -> Finding {
    let names = named(spec, |container| !["", "Default"].contains(&text(context(container), "procMount")));
    unless_empty("procMount", &names, |who| format!("{who} must not set securityContext.procMount to \"Unmasked\""))
}

fn volume_types(spec: &Value) -> Finding {
    let kind_of = |volume: &Value| -> Option<String> {
        let kind = kinds_of(volume).find(|kind| *kind != "name")?;
        (!RESTRICTED_VOLUMES.contains(&kind)).then(|| kind.to_owned())
    };
    let found: Vec<(&str, String)> =
        list(spec, "volumes").iter().filter_map(|volume| Some((text(volume, "name"), kind_of(volume)?))).collect();
    let names: Vec<&str> = found.iter().map(|(name, _)| *name).collect();
    let mut kinds: Vec<&str> = found.iter().map(|(_, kind)| kind.as_str()).collect();
    kinds.sort_unstable();
    kinds.dedup();
    let uses = if names.len() == 1 { "uses" } else { "use" };
    let plural = if kinds.len() == 1 { "" } else { "s" };
    let who = told("volume", &names);
    (!names.is_empty())
        .then(|| ("restricted volume types", format!("{who} {uses} restricted volume type{plural} {}", quoted(&kinds))))
}

fn kinds_of(object: &Value) -> impl Iterator<Item = &str> {
    object.as_object().into_iter().flat_map(|fields| fields.keys().map(String::as_str))
}

/// `pod`, `container "a"`, or both: who sets a field to something that is not allowed.
fn setters(pod: bool, containers: &[&str]) -> Option<String> {
    let mut who = Vec::new();
    if pod {
        who.push("pod".to_owned());
    }
    if !containers.is_empty() {
        who.push(told("container", containers));
    }
    (!who.is_empty()).then(|| who.join(" and "))
}

fn may_be_root(spec: &Value) -> Finding {
    const WHAT: &str = "runAsNonRoot != true";
    let said = |holder: &Value| part(context(holder), "runAsNonRoot").as_bool();
    let denying = named(spec, |container| said(container) == Some(false));
    if let Some(who) = setters(said(spec) == Some(false), &denying) {
        return Some((WHAT, format!("{who} must not set securityContext.runAsNonRoot=false")));
    }
    let silent = named(spec, |container| said(container).is_none() && said(spec) != Some(true));
    unless_empty(WHAT, &silent, |who| format!("pod or {who} must set securityContext.runAsNonRoot=true"))
}

fn is_root(spec: &Value) -> Finding {
    let is_root = |holder: &Value| number(context(holder), "runAsUser") == Some(0);
    let who = setters(is_root(spec), &named(spec, is_root))?;
    Some(("runAsUser=0", format!("{who} must not set runAsUser=0")))
}

fn profile(holder: &Value) -> &str {
    text(part(context(holder), "seccompProfile"), "type")
}

fn unconfined(spec: &Value) -> Finding {
    let is_unconfined = |holder: &Value| profile(holder) == "Unconfined";
    let who = setters(is_unconfined(spec), &named(spec, is_unconfined))?;
    Some(("seccompProfile", format!("{who} must not set securityContext.seccompProfile.type to \"Unconfined\"")))
}

fn seccomp(spec: &Value) -> Finding {
    const WHAT: &str = "seccompProfile";
    let is_wrong = |holder: &Value| !["", "RuntimeDefault", "Localhost"].contains(&profile(holder));
    if let Some(who) = setters(is_wrong(spec), &named(spec, is_wrong)) {
        return Some((WHAT, format!("{who} must not set securityContext.seccompProfile.type to \"Unconfined\"")));
    }
    let silent = named(spec, |container| profile(container).is_empty() && profile(spec).is_empty());
    unless_empty(WHAT, &silent, |who| {
        format!("pod or {who} must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\"")
    })
}

fn sysctls(spec: &Value) -> Finding {
    let names = list(context(spec), "sysctls").iter().map(|sysctl| text(sysctl, "name"));
    let unsafe_ones: Vec<&str> = names.filter(|name| !SAFE_SYSCTLS.contains(name)).collect();
    (!unsafe_ones.is_empty()).then(|| ("forbidden sysctls", unsafe_ones.join(", ")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(spec: &Value, level: Level, expected: &str) {
        assert_eq!(violations(spec, level), expected);
    }

    #[test]
    fn a_plain_pod_is_of_the_baseline_and_not_restricted() {
        let spec = json!({"containers": [{"name": "a"}, {"name": "b"}]});
        check(&spec, Level::Privileged, "");
        check(&spec, Level::Baseline, "");
        check(
            &spec,
            Level::Restricted,
            "allowPrivilegeEscalation != false (containers \"a\", \"b\" must set securityContext.allowPrivilegeEscalation=false), \
             unrestricted capabilities (containers \"a\", \"b\" must set securityContext.capabilities.drop=[\"ALL\"]), \
             runAsNonRoot != true (pod or containers \"a\", \"b\" must set securityContext.runAsNonRoot=true), \
             seccompProfile (pod or containers \"a\", \"b\" must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\")",
        );
    }

    #[test]
    fn a_hardened_pod_is_restricted() {
        let hardened = json!({"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}});
        let spec = json!({"securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
            "volumes": [{"name": "v", "emptyDir": {}}], "containers": [{"name": "c", "securityContext": hardened}]});
        check(&spec, Level::Restricted, "");
    }

    #[test]
    fn what_reaches_out_of_the_pod_is_not_of_the_baseline() {
        let spec = json!({"hostNetwork": true, "hostPID": true, "volumes": [{"name": "v", "hostPath": {"path": "/"}}],
            "containers": [{"name": "c", "ports": [{"hostPort": 80}],
                "securityContext": {"privileged": true, "capabilities": {"add": ["SYS_ADMIN", "CHOWN"]}}}]});
        check(
            &spec,
            Level::Baseline,
            "non-default capabilities (container \"c\" must not include \"SYS_ADMIN\" in securityContext.capabilities.add), \
             host namespaces (hostNetwork=true, hostPID=true), hostPath volumes (volume \"v\"), \
             hostPort (container \"c\" uses hostPort 80), \
             privileged (container \"c\" must not set securityContext.privileged=true)",
        );
        check(&spec, Level::Privileged, "");
    }

    #[test]
    fn root_and_odd_volumes_are_not_restricted() {
        let hardened = json!({"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}});
        let spec = json!({"securityContext": {"runAsUser": 0, "runAsNonRoot": false, "seccompProfile": {"type": "Unconfined"}},
            "volumes": [{"name": "v", "hostPath": {"path": "/"}}], "containers": [{"name": "c", "securityContext": hardened}]});
        check(
            &spec,
            Level::Restricted,
            "restricted volume types (volume \"v\" uses restricted volume type \"hostPath\"), \
             runAsNonRoot != true (pod must not set securityContext.runAsNonRoot=false), \
             runAsUser=0 (pod must not set runAsUser=0), \
             seccompProfile (pod must not set securityContext.seccompProfile.type to \"Unconfined\")",
        );
    }
}
