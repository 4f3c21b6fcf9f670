//! Which requests wait for which: the priority levels and flow schemas that every cluster has, as
//! `k8s.io/apiserver/pkg/apis/flowcontrol/bootstrap`.

use serde_json::{Value, json};

use crate::meta;

/// With this annotation set to `true`, the server keeps an object as the tables have it.
pub const AUTO_UPDATE: &str = "apf.kubernetes.io/autoupdate-spec";

/// A level: its name, how many seats it gets, how many of a hundred it lends, and its queues, hand and their length;
/// without queues, requests beyond are refused.
type Level = (&'static str, i64, i64, Option<[i64; 3]>);

const LEVELS: [Level; 7] = [
    ("catch-all", 5, 0, None),
    ("system", 30, 33, Some([64, 6, 50])),
    ("node-high", 40, 25, Some([64, 6, 50])),
    ("leader-election", 10, 0, Some([16, 4, 50])),
    ("workload-high", 40, 50, Some([128, 6, 50])),
    ("workload-low", 100, 90, Some([128, 6, 50])),
    ("global-default", 20, 50, Some([128, 6, 50])),
];

/// A schema: its name, level, precedence, what tells flows apart, whose requests, and which.
struct Schema {
    name: &'static str,
    level: &'static str,
    precedence: i64,
    by: Option<&'static str>,
    of: &'static [Subject],
    requests: Requests,
}

enum Subject {
    Group(&'static str),
    User(&'static str),
    /// All service accounts of `kube-system`.
    SystemAccounts,
}

enum Requests {
    All,
    Probes,
    Leases,
    /// Of nodes for themselves and their leases.
    Nodes,
}

const EVERYBODY: &[Subject] = &[Subject::Group("system:unauthenticated"), Subject::Group("system:authenticated")];
const NODES: &[Subject] = &[Subject::Group("system:nodes")];
const BY_USER: Option<&str> = Some("ByUser");
const BY_NAMESPACE: Option<&str> = Some("ByNamespace");

/// The schemas, by precedence.
const SCHEMAS: [Schema; 11] = [
    Schema {
        name: "exempt",
        level: "exempt",
        precedence: 1,
        by: None,
        of: &[Subject::Group("system:masters")],
        requests: Requests::All,
    },
    Schema { name: "probes", level: "exempt", precedence: 2, by: None, of: EVERYBODY, requests: Requests::Probes },
    Schema {
        name: "system-leader-election",
        level: "leader-election",
        precedence: 100,
        by: BY_USER,
        of: &[
            Subject::User("system:kube-controller-manager"),
            Subject::User("system:kube-scheduler"),
            Subject::SystemAccounts,
        ],
        requests: Requests::Leases,
    },
    Schema {
        name: "system-node-high",
        level: "node-high",
        precedence: 400,
        by: BY_USER,
        of: NODES,
        requests: Requests::Nodes,
    },
    Schema { name: "system-nodes", level: "system", precedence: 500, by: BY_USER, of: NODES, requests: Requests::All },
    Schema {
        name: "kube-controller-manager",
        level: "workload-high",
        precedence: 800,
        by: BY_NAMESPACE,
        of: &[Subject::User("system:kube-controller-manager")],
        requests: Requests::All,
    },
    Schema {
        name: "kube-scheduler",
        level: "workload-high",
        precedence: 800,
        by: BY_NAMESPACE,
        of: &[Subject::User("system:kube-scheduler")],
        requests: Requests::All,
    },
    Schema {
        name: "kube-system-service-accounts",
        level: "workload-high",
        precedence: 900,
        by: BY_NAMESPACE,
        of: &[Subject::SystemAccounts],
        requests: Requests::All,
    },
    Schema {
        name: "service-accounts",
        level: "workload-low",
        precedence: 9000,
        by: BY_USER,
        of: &[Subject::Group("system:serviceaccounts")],
        requests: Requests::All,
    },
    Schema {
        name: "global-default",
        level: "global-default",
        precedence: 9900,
        by: BY_USER,
        of: EVERYBODY,
        requests: Requests::All,
    },
    Schema {
        name: "catch-all",
        level: "catch-all",
        precedence: 10000,
        by: BY_USER,
        of: EVERYBODY,
        requests: Requests::All,
    },
];

/// Those that are as they are: nobody changes them, and a cluster without them is not whole.
pub const MANDATORY: [&str; 2] = ["exempt", "catch-all"];

/// The priority levels, as they are created.
#[must_use]
pub fn levels() -> Vec<Value> {
    let exempt = json!({"type": "Exempt", "exempt": {"nominalConcurrencyShares": 0, "lendablePercent": 0}});
    let limited = LEVELS.iter().map(|(name, seats, lends, queues)| {
        let response = match queues {
            None => json!({"type": "Reject"}),
            Some([queues, hand, length]) => {
                json!({"type": "Queue", "queuing": {"queues": queues, "handSize": hand, "queueLengthLimit": length}})
            }
        };
        let limited = json!({"nominalConcurrencyShares": seats, "lendablePercent": lends, "limitResponse": response});
        object("PriorityLevelConfiguration", name, json!({"type": "Limited", "limited": limited}))
    });
    std::iter::once(object("PriorityLevelConfiguration", "exempt", exempt)).chain(limited).collect()
}

/// The flow schemas, as they are created.
#[must_use]
pub fn schemas() -> Vec<Value> {
    let schema = |schema: &Schema| {
        let subjects: Vec<Value> = schema.of.iter().map(subject).collect();
        let mut rule = requests(&schema.requests);
        meta::set_at(&mut rule, "/subjects", subjects.into());
        let mut spec = json!({"priorityLevelConfiguration": {"name": schema.level},
            "matchingPrecedence": schema.precedence, "rules": [rule]});
        if let Some(by) = schema.by {
            meta::set_at(&mut spec, "/distinguisherMethod/type", by.into());
        }
        object("FlowSchema", schema.name, spec)
    };
    SCHEMAS.iter().map(schema).collect()
}

fn object(kind: &str, name: &str, spec: Value) -> Value {
    json!({"apiVersion": "flowcontrol.apiserver.k8s.io/v1", "kind": kind,
        "metadata": {"name": name, "annotations": {AUTO_UPDATE: "true"}}, "spec": spec})
}

fn subject(subject: &Subject) -> Value {
    match subject {
        Subject::Group(name) => json!({"kind": "Group", "group": {"name": name}}),
        Subject::User(name) => json!({"kind": "User", "user": {"name": name}}),
        Subject::SystemAccounts => {
            json!({"kind": "ServiceAccount", "serviceAccount": {"name": "*", "namespace": "kube-system"}})
        }
    }
}

fn requests(requests: &Requests) -> Value {
    let rule = |verbs: &[&str], group: &str, resources: &[&str], is_cluster: bool| {
        let mut rule = json!({"verbs": verbs, "apiGroups": [group], "resources": resources, "namespaces": ["*"]});
        if is_cluster {
            meta::set_at(&mut rule, "/clusterScope", true.into());
        }
        rule
    };
    let (all, leases) = (&["*"][..], &["leases"][..]);
    match requests {
        Requests::All => json!({"resourceRules": [rule(all, "*", all, true)],
            "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}]}),
        Requests::Probes => {
            json!({"nonResourceRules": [{"verbs": ["get"], "nonResourceURLs": ["/healthz", "/readyz", "/livez"]}]})
        }
        Requests::Leases => {
            json!({"resourceRules": [rule(&["get", "create", "update"], "coordination.k8s.io", leases, false)]})
        }
        Requests::Nodes => json!({"resourceRules": [rule(all, "", &["nodes", "nodes/status"], true),
            rule(all, "coordination.k8s.io", leases, false)]}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::validation::field::Error;
    use crate::validation::flow_control;

    #[test]
    fn what_every_cluster_has_is_valid_and_each_schema_has_its_level() {
        let texts = |errors: Vec<Error>| errors.iter().map(Error::to_string).collect::<Vec<_>>();
        let levels = levels();
        for level in &levels {
            assert_eq!(texts(flow_control::priority_level(level)), Vec::<String>::new());
        }
        for schema in schemas() {
            assert_eq!(texts(flow_control::flow_schema(&schema)), Vec::<String>::new());
            let wanted = &schema["spec"]["priorityLevelConfiguration"]["name"];
            assert!(levels.iter().any(|level| meta::name(level) == wanted), "{wanted}");
        }
    }
}
