//! What a caller may do.
//!
//! As upstream's `Node,RBAC`: `system:masters` may do all, a node only its own things and what is bound to it
//! (`node`), everybody what roles give them (`rbac`; `roles` are those that every cluster has). Two small rules
//! are our own: a bootstrap token reads its own certificate request, a registry token works on the artifacts of its
//! namespace. Everything else is 403 in upstream's words.

pub(crate) mod escalation;
mod node;
pub(crate) mod rbac;
pub(crate) mod roles;

use std::borrow::Cow;
use std::sync::Arc;

use api::access::Wish;
use api::scheme::Scheme;
use api::status::Status;
use memchr::memmem;
use serde_json::Value;

use self::rbac::Policy;
use crate::authentication::{User, artifacts_group};
use crate::cache::Object;
use crate::options::Query;
use crate::request_info::{ResourceRequest, Verb};
use crate::server::ApiServer;

/// What the cluster holds that rights depend on.
pub(crate) trait Facts {
    /// The object, if it is there.
    fn object(&self, group: &str, plural: &str, namespace: Option<&str>, name: &str) -> Option<Value>;
    /// Whether `is` is true of some pod (of the namespace, where one is given) that is bound to a node and has `word`
    /// somewhere in its text: a node may have thousands, only those that may name something are worth reading, and the
    /// first that does is enough.
    fn some_pod(&self, node: &str, namespace: Option<&str>, word: &str, is: &dyn Fn(&Value) -> bool) -> bool;
    /// Roles and bindings.
    fn policy(&self) -> Arc<Policy>;
}

/// Whether somebody may do something, and why; the reason may be empty.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Decision {
    pub is_allowed: bool,
    pub reason: String,
}

impl Decision {
    fn allowed(reason: impl Into<String>) -> Self {
        Self { is_allowed: true, reason: reason.into() }
    }
}

/// Refuses a request for a resource that the caller has no right to.
pub(crate) fn check_resource(
    server: &ApiServer,
    user: &User,
    request: &ResourceRequest,
    query: &Query,
) -> Result<(), Status> {
    let decision = decide(user, request, query, server);
    if decision.is_allowed {
        Ok(())
    } else {
        Err(forbidden(user, request.namespace.as_deref(), &wish(request), &decision.reason))
    }
}

/// Refuses a path that names no object to whom no role gives it.
pub(crate) fn check_path(facts: &impl Facts, user: &User, path: &str, verb: &str) -> Result<(), Status> {
    let decision = decide_path(facts, user, path, verb);
    if decision.is_allowed {
        return Ok(());
    }
    let why = format!("User \"{}\" cannot {verb} path \"{path}\"", user.name);
    Err(Status::forbidden("", "", "", &with_reason(why, &decision.reason)))
}

/// The decision on a path that names no object.
pub(crate) fn decide_path(facts: &impl Facts, user: &User, path: &str, verb: &str) -> Decision {
    if user.is_in(User::MASTERS) {
        return Decision::allowed("");
    }
    // A HEAD is a GET whose answer nobody wants.
    let verb = if verb == "head" { "get" } else { verb };
    by_roles(&facts.policy(), user, None, |rule| rule.allows_path(verb, path))
}

/// Refuses what no role gives, by any verb.
pub(crate) fn check_wish(
    facts: &impl Facts,
    user: &User,
    namespace: Option<&str>,
    wish: &Wish<'_>,
) -> Result<(), Status> {
    let decision = decide_wish(facts, user, namespace, wish);
    if decision.is_allowed { Ok(()) } else { Err(forbidden(user, namespace, wish, &decision.reason)) }
}

/// The decision on a request, as a function of it and of what the cluster holds.
pub(crate) fn decide(user: &User, request: &ResourceRequest, query: &Query, facts: &impl Facts) -> Decision {
    let request = &*with_selected_name(request, query);
    let is_own = user.node().is_some_and(|node| node::may(node, request, query, facts))
        || user.is_in("system:bootstrappers") && may_bootstrap(user, request, facts)
        || may_use_artifacts(user, request);
    if is_own {
        return Decision::allowed("");
    }
    decide_wish(facts, user, request.namespace.as_deref(), &wish(request))
}

/// The decision of roles on anything that can be wished for.
pub(crate) fn decide_wish(facts: &impl Facts, user: &User, namespace: Option<&str>, wish: &Wish<'_>) -> Decision {
    if user.is_in(User::MASTERS) {
        return Decision::allowed("");
    }
    by_roles(&facts.policy(), user, namespace, |rule| rule.allows(wish))
}

/// What a request asks for.
pub(crate) fn wish(request: &ResourceRequest) -> Wish<'_> {
    Wish {
        verb: request.verb.as_str(),
        group: &request.group,
        resource: &request.resource,
        subresource: request.subresource.as_deref().unwrap_or_default(),
        name: request.name.as_deref().unwrap_or_default(),
    }
}

fn by_roles(
    policy: &Policy,
    user: &User,
    namespace: Option<&str>,
    allows: impl Fn(&api::access::Rule) -> bool,
) -> Decision {
    let mut broken = Vec::new();
    let grants = policy.grants(user, namespace, &mut broken);
    match grants.iter().find(|grant| allows(grant.rule)) {
        Some(grant) => Decision::allowed(format!("RBAC: allowed by {grant}")),
        None => {
            let reason = match broken.as_slice() {
                [] => String::new(),
                [one] => format!("RBAC: {one}"),
                several => format!("RBAC: [{}]", several.join(", ")),
            };
            Decision { is_allowed: false, reason }
        }
    }
}

/// A registry token works on the artifacts of its namespace.
fn may_use_artifacts(user: &User, request: &ResourceRequest) -> bool {
    let is_artifact = request.group == "run.minke.dev" && request.resource == "artifacts";
    is_artifact && request.namespace.as_deref().is_some_and(|namespace| user.is_in(&artifacts_group(namespace)))
}

/// A list or watch that selects one object by its name is a request for that object, as upstream's
/// `RequestInfoFactory` has it.
fn with_selected_name<'a>(request: &'a ResourceRequest, query: &Query) -> Cow<'a, ResourceRequest> {
    let is_many = matches!(request.verb, Verb::List | Verb::Watch) && request.name.is_none();
    let selector = query.find("fieldSelector").filter(|_| is_many);
    match selector.and_then(|selector| selector.strip_prefix("metadata.name=")) {
        Some(name) if !name.contains(',') => {
            let name = Some(name.trim_start_matches('=').to_owned());
            Cow::Owned(ResourceRequest { name, ..request.clone() })
        }
        _ => Cow::Borrowed(request),
    }
}

/// A bootstrap token asks for a certificate and reads its own request.
fn may_bootstrap(user: &User, request: &ResourceRequest, facts: &impl Facts) -> bool {
    let is_request = request.group == "certificates.k8s.io" && request.resource == "certificatesigningrequests";
    is_request && request.subresource.is_none() && may_use_request(&user.name, request, facts)
}

/// Creating a certificate request, and reading one that the caller made.
fn may_use_request(user: &str, request: &ResourceRequest, facts: &impl Facts) -> bool {
    match (request.verb, &request.name) {
        (Verb::Create, _) => true,
        (Verb::Get | Verb::List | Verb::Watch, Some(name)) => {
            let found = facts.object(&request.group, &request.resource, None, name);
            found.is_some_and(|found| found.pointer("/spec/username").and_then(Value::as_str) == Some(user))
        }
        _ => false,
    }
}

/// 403 in upstream's words.
fn forbidden(user: &User, namespace: Option<&str>, wish: &Wish<'_>, reason: &str) -> Status {
    let resource = match wish.subresource {
        "" => wish.resource.to_owned(),
        subresource => format!("{}/{subresource}", wish.resource),
    };
    let place = match namespace.filter(|_| wish.resource != "namespaces") {
        Some(namespace) => format!("in the namespace \"{namespace}\""),
        None => "at the cluster scope".to_owned(),
    };
    let (name, verb, group) = (&user.name, wish.verb, wish.group);
    let why = format!("User \"{name}\" cannot {verb} resource \"{resource}\" in API group \"{group}\" {place}");
    // The message names the part, the details name the kind alone, as upstream.
    Status::forbidden(group, wish.resource, wish.name, &with_reason(why, reason))
}

fn with_reason(why: String, reason: &str) -> String {
    if reason.is_empty() { why } else { format!("{why}: {reason}") }
}

impl Facts for ApiServer {
    fn object(&self, group: &str, plural: &str, namespace: Option<&str>, name: &str) -> Option<Value> {
        let resource = Scheme::builtin().resource(group, "v1", plural)?;
        self.objects().find(resource, namespace, name).ok()?.to_value().ok()
    }

    fn some_pod(&self, node: &str, namespace: Option<&str>, word: &str, is: &dyn Fn(&Value) -> bool) -> bool {
        let Some(pods) = Scheme::builtin().resource("", "v1", "pods") else { return false };
        let Ok(cache) = self.objects().cache(pods) else { return false };
        let snapshot = cache.snapshot(store::Revision(0));
        let prefix = namespace.map(|namespace| format!("{namespace}/")).unwrap_or_default();
        let finder = memmem::Finder::new(word);
        let may_name = |pod: &Arc<Object>| pod.field("spec.nodeName") == node && finder.find(pod.list_form()).is_some();
        let found = snapshot.from(prefix.clone()).take_while(|(key, _)| key.starts_with(&prefix));
        found.map(|(_, pod)| pod).any(|pod| may_name(pod) && pod.to_value().is_ok_and(|pod| is(&pod)))
    }

    fn policy(&self) -> Arc<Policy> {
        self.policies().current(self.objects())
    }
}

#[cfg(test)]
mod tests {
    use http::Method;
    use serde_json::json;

    use super::*;
    use crate::request_info::RequestInfo;

    struct Cluster;

    impl Facts for Cluster {
        fn object(&self, _: &str, plural: &str, _: Option<&str>, name: &str) -> Option<Value> {
            match (plural, name) {
                ("pods", "mine") => Some(json!({"spec": {"nodeName": "a"}})),
                ("pods", "other") => Some(json!({"spec": {"nodeName": "b"}})),
                ("certificatesigningrequests", "csr") => Some(json!({"spec": {"username": "system:bootstrap:abc"}})),
                _ => None,
            }
        }

        fn some_pod(&self, _: &str, _: Option<&str>, _: &str, is: &dyn Fn(&Value) -> bool) -> bool {
            is(&json!({"metadata": {"namespace": "n"}, "spec": {"serviceAccountName": "default",
                "volumes": [{"secret": {"secretName": "used"}}],
                "containers": [{"image": "registry.minke.local/n/app:v1", "envFrom": [{"configMapRef": {"name": "env"}}]}]}}))
        }

        /// Those that every cluster has.
        fn policy(&self) -> Arc<Policy> {
            let objects: Vec<Value> = roles::defaults().into_iter().map(|default| default.object).collect();
            Arc::new(rbac::tests::policy(&objects))
        }
    }

    fn check(user: &User, method: Method, target: &str, expected: bool) {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let RequestInfo::Resource(request) = RequestInfo::parse(&method, path, query) else { panic!("{target}") };
        let decision = decide(user, &request, &Query::parse(query), &Cluster);
        assert_eq!(decision.is_allowed, expected, "{} {method} {target}: {decision:?}", user.name);
    }

    #[test]
    fn a_node_has_a_nodes_rights() {
        let node = User::authenticated("system:node:a", vec!["system:nodes".into()]);
        for (method, target, expected) in [
            (Method::PATCH, "/api/v1/nodes/a/status", true),
            (Method::PATCH, "/api/v1/nodes/b/status", false),
            (Method::PUT, "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/a", true),
            (Method::PUT, "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/b", false),
            (Method::GET, "/api/v1/pods?watch=1&fieldSelector=spec.nodeName%3Da", true),
            (Method::GET, "/api/v1/pods?watch=1&fieldSelector=spec.nodeName%3Db", false),
            (Method::GET, "/api/v1/pods", false),
            (Method::PATCH, "/api/v1/namespaces/n/pods/mine/status", true),
            (Method::PATCH, "/api/v1/namespaces/n/pods/other/status", false),
            (Method::DELETE, "/api/v1/namespaces/n/pods/mine", true),
            (Method::GET, "/api/v1/namespaces/n/secrets/used", true),
            (Method::GET, "/api/v1/namespaces/n/secrets/unused", false),
            (Method::GET, "/api/v1/namespaces/n/secrets", false),
            (Method::GET, "/api/v1/namespaces/n/configmaps/env", true),
            (Method::POST, "/api/v1/namespaces/n/events", true),
        ] {
            check(&node, method, target, expected);
        }
    }

    #[test]
    fn a_node_reads_the_artifacts_that_its_pods_name() {
        let node = User::authenticated("system:node:a", vec!["system:nodes".into()]);
        let check = |verb, name: &str, expected: bool| {
            let request = crate::registry::artifacts(verb, Some("n"), Some(name));
            assert_eq!(decide(&node, &request, &Query::default(), &Cluster).is_allowed, expected, "{name}");
        };
        check(Verb::Get, "app", true);
        check(Verb::Get, "other", false);
        check(Verb::Create, "app", false);
    }

    #[test]
    fn a_bootstrap_token_asks_for_its_certificate_and_no_more() {
        let token = User::authenticated("system:bootstrap:abc", vec!["system:bootstrappers".into()]);
        let requests = "/apis/certificates.k8s.io/v1/certificatesigningrequests";
        check(&token, Method::POST, requests, true);
        check(&token, Method::GET, &format!("{requests}/csr"), true);
        check(&token, Method::GET, &format!("{requests}/another"), false);
        check(&token, Method::GET, &format!("{requests}?watch=1&fieldSelector=metadata.name%3Dcsr"), true);
        check(&token, Method::GET, requests, false);
        check(&token, Method::GET, "/api/v1/nodes", false);
    }

    #[test]
    fn a_registry_token_works_on_the_artifacts_of_its_namespace() {
        let token = User::authenticated("run.minke.dev:registry-token:abc", vec![artifacts_group("shop")]);
        check(&token, Method::POST, "/apis/run.minke.dev/v1/namespaces/shop/artifacts", true);
        check(&token, Method::GET, "/apis/run.minke.dev/v1/namespaces/other/artifacts/web", false);
        check(&token, Method::GET, "/api/v1/namespaces/shop/pods", false);
    }

    #[test]
    fn refusals_are_told_in_upstreams_words() {
        let RequestInfo::Resource(request) = RequestInfo::parse(&Method::GET, "/api/v1/pods", "") else { panic!() };
        let expected = "pods is forbidden: User \"system:anonymous\" cannot list resource \"pods\" in API group \"\" at the cluster scope";
        let refused = |reason: &str| forbidden(&User::anonymous(), None, &wish(&request), reason).message;
        assert_eq!(refused(""), expected);
        assert_eq!(refused("RBAC: no"), format!("{expected}: RBAC: no"));
    }

    #[test]
    fn health_is_for_everybody_and_discovery_for_the_known() {
        let alice = User::authenticated("alice", Vec::new());
        let may = |user: &User, path| check_path(&Cluster, user, path, "get").is_ok();
        assert!(may(&User::anonymous(), "/readyz") && may(&User::anonymous(), "/version"));
        assert!(!may(&User::anonymous(), "/api") && !may(&User::anonymous(), "/readyz/ping"));
        assert!(may(&alice, "/openapi/v3") && may(&alice, "/apis/apps/v1") && !may(&alice, "/metrics"));
        assert!(may(&User::master("admin"), "/metrics"));
    }
}
