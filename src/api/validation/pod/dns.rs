//! How the names of a pod are resolved.

use serde_json::Value;

use crate::names;
use crate::validation::checks::{invalid_each, ip, one_of, subdomain};
use crate::validation::field::{Error, ErrorList, Path};
use crate::value::{list, part, text, texts};

/// Name servers of a pod, as many as libc reads.
const SERVERS_MAX: usize = 3;
/// Domains in a search list, as upstream.
const SEARCHES_MAX: usize = 32;
/// Bytes of a search list with the spaces between its domains, as upstream.
const SEARCH_BYTES_MAX: usize = 2048;

/// Where names are looked up, in upstream's order.
const POLICIES: [&str; 4] = ["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"];

/// What is wrong with the policy.
pub(super) fn check_policy(errors: &mut ErrorList, path: &Path, policy: &str) {
    one_of(errors, path, policy, &POLICIES);
}

/// What is wrong with a configuration under this policy.
pub(super) fn check(errors: &mut ErrorList, path: &Path, spec: &Value) {
    let (path, config) = (path.child("dnsConfig"), part(spec, "dnsConfig"));
    let servers: Vec<&str> = texts(config, "nameservers").collect();
    let servers_path = path.child("nameservers");
    if text(spec, "dnsPolicy") == "None" {
        if config.is_null() {
            errors.push(Error::required(path, "must provide `dnsConfig` when `dnsPolicy` is None"));
            return;
        }
        if servers.is_empty() {
            let detail = "must provide at least one DNS nameserver when `dnsPolicy` is None";
            errors.push(Error::required(servers_path, detail));
            return;
        }
    }
    if servers.len() > SERVERS_MAX {
        let detail = format!("must not have more than {SERVERS_MAX} nameservers");
        errors.push(Error::invalid(&servers_path, servers.clone(), detail));
    }
    for (index, server) in servers.iter().enumerate() {
        ip(errors, &servers_path.index(index), server);
    }
    check_searches(errors, &path.child("searches"), &texts(config, "searches").collect::<Vec<_>>());
    for (index, option) in list(config, "options").iter().enumerate() {
        if text(option, "name").is_empty() {
            errors.push(Error::required(path.child("options").index(index), "must not be empty"));
        }
    }
}

fn check_searches(errors: &mut ErrorList, path: &Path, searches: &[&str]) {
    if searches.len() > SEARCHES_MAX {
        let detail = format!("must not have more than {SEARCHES_MAX} search paths");
        errors.push(Error::invalid(path, searches, detail));
    }
    if searches.join(" ").len() > SEARCH_BYTES_MAX {
        let detail =
            format!("must not have more than {SEARCH_BYTES_MAX} characters (including spaces) in the search list");
        errors.push(Error::invalid(path, searches, detail));
    }
    for (index, domain) in searches.iter().enumerate().filter(|(_, domain)| **domain != ".") {
        let domain = domain.strip_suffix('.').unwrap_or(domain);
        invalid_each(errors, &path.index(index), domain, names::search_domain(domain));
    }
}

/// What is wrong with names that a pod knows by itself.
pub(super) fn check_aliases(errors: &mut ErrorList, path: &Path, aliases: &[Value]) {
    for (index, alias) in aliases.iter().enumerate() {
        let path = path.index(index);
        ip(errors, &path.child("ip"), text(alias, "ip"));
        for (index, name) in texts(alias, "hostnames").enumerate() {
            subdomain(errors, &path.child("hostnames").index(index), name);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::validation::testing;

    #[track_caller]
    fn check_spec(spec: Value, expected: &[&str]) {
        let mut errors = ErrorList::new();
        check(&mut errors, &Path::new("spec"), &spec);
        testing::check(&errors, expected);
    }

    #[test]
    fn a_pod_without_a_policy_brings_its_own_servers() {
        check_spec(json!({"dnsPolicy": "ClusterFirst"}), &[]);
        check_spec(
            json!({"dnsPolicy": "None", "dnsConfig": {"nameservers": ["1.1.1.1"], "searches": ["_a.b.", "."]}}),
            &[],
        );
        check_spec(
            json!({"dnsPolicy": "None"}),
            &["spec.dnsConfig: Required value: must provide `dnsConfig` when `dnsPolicy` is None"],
        );
        check_spec(
            json!({"dnsPolicy": "None", "dnsConfig": {}}),
            &[
                "spec.dnsConfig.nameservers: Required value: must provide at least one DNS nameserver when `dnsPolicy` is None",
            ],
        );
    }

    #[test]
    fn lists_are_bounded() {
        check_spec(
            json!({"dnsConfig": {"nameservers": ["1.1.1.1", "1.1.1.1", "1.1.1.1", "x"], "options": [{}]}}),
            &[
                "spec.dnsConfig.nameservers: Invalid value: [\"1.1.1.1\",\"1.1.1.1\",\"1.1.1.1\",\"x\"]: must not have more than 3 nameservers",
                "spec.dnsConfig.nameservers[3]: Invalid value: \"x\": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)",
                "spec.dnsConfig.options[0]: Required value: must not be empty",
            ],
        );
        let mut errors = ErrorList::new();
        check_aliases(&mut errors, &Path::new("h"), &[json!({"ip": "", "hostnames": ["a.b"]})]);
        testing::check(
            &errors,
            &["h[0].ip: Invalid value: \"\": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"],
        );
    }
}
