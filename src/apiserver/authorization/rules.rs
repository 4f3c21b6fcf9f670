//! What upstream's own components may do, from the roles of the same names (kubernetes/kubernetes,
//! `plugin/pkg/auth/authorizer/rbac/bootstrappolicy`), for the kinds that are served.

use crate::authentication::User;
use crate::request_info::{ResourceRequest, Verb};
use crate::verbs::RUN_GROUP;

/// A right: verbs on resources (`pods/status` names a subresource) of a group; `*` is any of Kubernetes' own.
struct Rule {
    verbs: &'static [&'static str],
    group: &'static str,
    resources: &'static [&'static str],
}

const READ: &[&str] = &["get", "list", "watch"];
const WRITE: &[&str] = &["create", "update", "patch"];
const ANY: &[&str] = &["*"];

/// The role of each component.
const ROLES: [(&str, &[Rule]); 2] = [
    (
        "system:kube-scheduler",
        &[
            Rule { verbs: WRITE, group: "", resources: &["events"] },
            Rule { verbs: WRITE, group: "events.k8s.io", resources: &["events"] },
            Rule {
                verbs: &["create", "get", "list", "watch", "update", "patch"],
                group: "coordination.k8s.io",
                resources: &["leases"],
            },
            Rule { verbs: READ, group: "", resources: &["nodes", "namespaces", "services", "configmaps"] },
            Rule { verbs: &["delete", "get", "list", "watch"], group: "", resources: &["pods"] },
            Rule { verbs: &["create"], group: "", resources: &["pods/binding", "bindings"] },
            Rule { verbs: &["patch", "update"], group: "", resources: &["pods/status"] },
            Rule { verbs: READ, group: "scheduling.k8s.io", resources: &["priorityclasses"] },
            Rule { verbs: READ, group: "node.k8s.io", resources: &["runtimeclasses"] },
        ],
    ),
    (
        "system:kube-controller-manager",
        &[
            // The garbage collector and the namespace controller read and delete whatever there is.
            Rule {
                verbs: &["get", "list", "watch", "delete", "deletecollection", "patch", "update"],
                group: "*",
                resources: ANY,
            },
            Rule {
                verbs: &["create"],
                group: "",
                resources: &["events", "serviceaccounts", "configmaps", "endpoints", "secrets", "pods"],
            },
            Rule { verbs: &["create"], group: "events.k8s.io", resources: &["events"] },
            Rule { verbs: &["create"], group: "coordination.k8s.io", resources: &["leases"] },
        ],
    ),
];

/// Whether the caller is a component whose role allows the request.
pub(super) fn allows(user: &User, request: &ResourceRequest) -> bool {
    let role = ROLES.iter().find(|(name, _)| *name == user.name).map(|(_, rules)| *rules);
    role.unwrap_or_default().iter().any(|rule| rule.allows(request))
}

impl Rule {
    fn allows(&self, request: &ResourceRequest) -> bool {
        let resource = match &request.subresource {
            Some(subresource) => format!("{}/{subresource}", request.resource),
            None => request.resource.clone(),
        };
        let has = |list: &[&str], word: &str| list.contains(&"*") || list.contains(&word);
        has(self.verbs, Verb::as_str(request.verb))
            && (self.group == request.group || self.group == "*" && request.group != RUN_GROUP)
            && has(self.resources, &resource)
    }
}
