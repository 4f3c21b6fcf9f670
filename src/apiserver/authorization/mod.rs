//! What a caller may do: a short fixed list until roles are objects.
//!
//! `system:masters` may do all; each component what upstream's role of its name lets it (`rules`); a node only its own
//! things and what is bound to it (`node`); a bootstrap token only its certificate request. Everything else is 403 in
//! upstream's words.

mod node;
mod rules;

use std::borrow::Cow;
use std::sync::Arc;

use api::scheme::Scheme;
use api::status::Status;
use memchr::memmem;
use serde_json::Value;

use crate::authentication::{User, artifacts_group};
use crate::cache::Object;
use crate::options::Query;
use crate::request_info::{ResourceRequest, Verb};
use crate::server::ApiServer;

/// What the cluster holds that rights depend on.
pub(crate) trait Facts {
    /// The object, if it is there.
    fn object(&self, group: &str, plural: &str, namespace: Option<&str>, name: &str) -> Option<Value>;
    /// The pods that are bound to a node and have `word` somewhere in their text: a node may have thousands, and only
    /// the few that may name something are worth reading.
    fn pods_of(&self, node: &str, word: &str) -> Vec<Value>;
}

/// Refuses a request for a resource that the caller has no right to.
pub(crate) fn check_resource(
    server: &ApiServer,
    user: &User,
    request: &ResourceRequest,
    query: &Query,
) -> Result<(), Status> {
    if may(user, request, query, server) { Ok(()) } else { Err(forbidden(user, request)) }
}

/// Refuses a path that names no object. Health and version are for everybody, discovery for all who are known.
pub(crate) fn check_path(user: &User, path: &str, verb: &str) -> Result<(), Status> {
    const OPEN: [&str; 4] = ["/healthz", "/livez", "/readyz", "/version"];
    const KNOWN: [&str; 3] = ["/api", "/apis", "/openapi"];
    let is_below = |roots: &[&str]| {
        roots.iter().any(|root| path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
    };
    let is_read = verb == "get" || verb == "head";
    let is_known = user.is_in("system:authenticated");
    if user.is_in(User::MASTERS) || is_read && (is_below(&OPEN) || is_known && (is_below(&KNOWN) || path == "/")) {
        return Ok(());
    }
    Err(Status::forbidden("", "", "", &format!("User \"{}\" cannot {verb} path \"{path}\"", user.name)))
}

/// The decision, as a function of the request and of what the cluster holds.
fn may(user: &User, request: &ResourceRequest, query: &Query, facts: &impl Facts) -> bool {
    let request = &*with_selected_name(request, query);
    user.is_in(User::MASTERS)
        || rules::allows(user, request)
        || user.node().is_some_and(|node| node::may(node, request, query, facts))
        || user.is_in("system:bootstrappers") && may_bootstrap(user, request, facts)
        || may_use_artifacts(user, request)
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
fn forbidden(user: &User, request: &ResourceRequest) -> Status {
    let resource = match &request.subresource {
        Some(subresource) => format!("{}/{subresource}", request.resource),
        None => request.resource.clone(),
    };
    let place = match request.namespace.as_deref().filter(|_| request.resource != "namespaces") {
        Some(namespace) => format!("in the namespace \"{namespace}\""),
        None => "at the cluster scope".to_owned(),
    };
    let (name, verb, group) = (&user.name, request.verb.as_str(), &request.group);
    let why = format!("User \"{name}\" cannot {verb} resource \"{resource}\" in API group \"{group}\" {place}");
    // The message names the part, the details name the kind alone, as upstream.
    Status::forbidden(group, &request.resource, request.name.as_deref().unwrap_or_default(), &why)
}

impl Facts for ApiServer {
    fn object(&self, group: &str, plural: &str, namespace: Option<&str>, name: &str) -> Option<Value> {
        let resource = Scheme::builtin().resource(group, "v1", plural)?;
        self.objects().find(resource, namespace, name).ok()?.to_value().ok()
    }

    fn pods_of(&self, node: &str, word: &str) -> Vec<Value> {
        let Some(pods) = Scheme::builtin().resource("", "v1", "pods") else { return Vec::new() };
        let Ok(cache) = self.objects().cache(pods) else { return Vec::new() };
        let snapshot = cache.snapshot(store::Revision(0));
        let finder = memmem::Finder::new(word);
        let may_name = |pod: &&Arc<Object>| finder.find(pod.list_form()).is_some();
        let bound = snapshot.objects.values().filter(|pod| pod.field("spec.nodeName") == node);
        bound.filter(may_name).filter_map(|pod| pod.to_value().ok()).collect()
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

        fn pods_of(&self, _: &str, _: &str) -> Vec<Value> {
            vec![json!({"metadata": {"namespace": "n"}, "spec": {"serviceAccountName": "default",
                "volumes": [{"secret": {"secretName": "used"}}],
                "containers": [{"image": "registry.minke.local/n/app:v1", "envFrom": [{"configMapRef": {"name": "env"}}]}]}})]
        }
    }

    fn check(user: &User, method: Method, target: &str, expected: bool) {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let RequestInfo::Resource(request) = RequestInfo::parse(&method, path, query) else { panic!("{target}") };
        assert_eq!(may(user, &request, &Query::parse(query), &Cluster), expected, "{} {method} {target}", user.name);
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
        let manager = User::authenticated("system:kube-controller-manager", Vec::new());
        let check = |user: &User, verb, name: &str, expected: bool| {
            let request = crate::registry::artifacts(verb, Some("n"), Some(name));
            assert_eq!(may(user, &request, &Query::default(), &Cluster), expected, "{} {name}", user.name);
        };
        check(&node, Verb::Get, "app", true);
        check(&node, Verb::Get, "other", false);
        check(&node, Verb::Create, "app", false);
        check(&manager, Verb::Get, "app", false);
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
        assert_eq!(forbidden(&User::anonymous(), &request).message, expected);
    }

    #[test]
    fn health_is_for_everybody_and_discovery_for_the_known() {
        let alice = User::authenticated("alice", Vec::new());
        assert!(check_path(&User::anonymous(), "/readyz/ping", "get").is_ok());
        assert!(check_path(&User::anonymous(), "/api", "get").is_err());
        assert!(check_path(&alice, "/openapi/v3", "get").is_ok());
        assert!(check_path(&alice, "/metrics", "get").is_err());
        assert!(check_path(&User::master("admin"), "/metrics", "get").is_ok());
    }
}
