//! What a request asks for, read from its method and path alone, as upstream's `RequestInfo`.
//!
//! Authorization, audit, metrics and routing all speak of this one value. It does not know which resources exist.

use api::scheme::Scheme;
use http::Method;

/// What is done to a resource. The names are those of authorization rules and metrics.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Verb {
    /// Read one object.
    Get,
    /// Read a collection.
    List,
    /// Follow the changes of a collection or of one object.
    Watch,
    /// Make an object, or POST to a subresource.
    Create,
    /// Replace an object.
    Update,
    /// Change parts of an object.
    Patch,
    /// Remove one object.
    Delete,
    /// Remove a collection.
    DeleteCollection,
}

/// See the module.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum RequestInfo {
    /// `/api/…` and `/apis/…` below a version.
    Resource(ResourceRequest),
    /// Everything else: discovery, health, OpenAPI, the registry; upstream calls its verb the lower-case method.
    Path {
        /// The path as it came.
        path: String,
        /// `get`, `post`, …
        verb: String,
    },
}

/// A request for a resource.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ResourceRequest {
    /// What is to be done.
    pub verb: Verb,
    /// Empty for the core group.
    pub group: String,
    /// As in the path.
    pub version: String,
    /// `None` where the path names no namespace.
    pub namespace: Option<String>,
    /// The plural.
    pub resource: String,
    /// `None` for a collection.
    pub name: Option<String>,
    /// What follows the name, without the rest of `ResourceRequest::parts`.
    pub subresource: Option<String>,
    /// Path segments beyond the subresource (`proxy/…`).
    pub rest: Vec<String>,
    /// Whether the deprecated `/watch/` prefix was used.
    pub is_watch_prefixed: bool,
}

/// Subresources of a namespace, which else would read as resources within it.
const NAMESPACE_SUBRESOURCES: [&str; 2] = ["status", "finalize"];

impl Verb {
    /// Its name in rules, messages and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::List => "list",
            Self::Watch => "watch",
            Self::Create => "create",
            Self::Update => "update",
            Self::Patch => "patch",
            Self::Delete => "delete",
            Self::DeleteCollection => "deletecollection",
        }
    }

    /// The verb of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        const ALL: [Verb; 8] = [
            Verb::Get,
            Verb::List,
            Verb::Watch,
            Verb::Create,
            Verb::Update,
            Verb::Patch,
            Verb::Delete,
            Verb::DeleteCollection,
        ];
        ALL.into_iter().find(|verb| verb.as_str() == name)
    }

    /// Whether it changes nothing.
    #[must_use]
    pub fn is_read(self) -> bool {
        matches!(self, Self::Get | Self::List | Self::Watch)
    }
}

impl RequestInfo {
    /// Reads a request's method, path and query.
    #[must_use]
    pub fn parse(method: &Method, path: &str, query: &str) -> Self {
        Self::parse_resource(method, path, query)
            .map_or_else(|| Self::Path { path: path.to_owned(), verb: method.as_str().to_lowercase() }, Self::Resource)
    }

    /// Verb and resource as metrics count them: what the table does not know is counted together.
    #[must_use]
    pub fn labels(&self, scheme: &Scheme) -> (&'static str, String) {
        match self {
            Self::Path { .. } => ("get", String::new()),
            Self::Resource(request) => {
                let is_known = scheme.resource(&request.group, &request.version, &request.resource).is_some();
                let resource = if is_known { request.resource.clone() } else { "unknown".to_owned() };
                (request.verb.as_str(), resource)
            }
        }
    }

    fn parse_resource(method: &Method, path: &str, query: &str) -> Option<ResourceRequest> {
        let decoded: Vec<String> =
            path.split('/').filter(|part| !part.is_empty()).map(decode).collect::<Option<_>>()?;
        let mut parts = decoded.iter().map(String::as_str);
        let (group, version) = match parts.next()? {
            "api" => ("", parts.next()?),
            "apis" => (parts.next()?, parts.next()?),
            _ => return None,
        };
        let mut parts: Vec<&str> = parts.collect();
        let is_watch_prefixed = parts.first() == Some(&"watch") && method == Method::GET;
        if is_watch_prefixed {
            parts.remove(0);
        }

        let mut namespace = None;
        let (resource, rest) = match parts.as_slice() {
            [] => return None,
            ["namespaces", name, subresource, ..] if !NAMESPACE_SUBRESOURCES.contains(subresource) => {
                namespace = Some(*name);
                (*subresource, parts.get(3..).unwrap_or_default())
            }
            ["namespaces", rest @ ..] => {
                namespace = rest.first().copied();
                ("namespaces", rest)
            }
            [resource, rest @ ..] => (*resource, rest),
        };
        let mut rest = rest.iter().map(|part| (*part).to_owned());
        let name = rest.next();
        let watch = is_watch_prefixed || query_flag(query, "watch");
        Some(ResourceRequest {
            verb: verb(method, name.is_some(), watch, is_watch_prefixed)?,
            group: group.to_owned(),
            version: version.to_owned(),
            namespace: namespace.map(str::to_owned),
            resource: resource.to_owned(),
            name,
            subresource: rest.next(),
            rest: rest.collect(),
            is_watch_prefixed,
        })
    }
}

/// The verb of a method on an object or a collection; `None` for methods that Kubernetes does not use.
fn verb(method: &Method, is_named: bool, is_watch: bool, is_watch_prefixed: bool) -> Option<Verb> {
    Some(match *method {
        Method::GET | Method::HEAD if is_watch_prefixed => Verb::Watch,
        Method::GET | Method::HEAD if is_named => Verb::Get,
        Method::GET | Method::HEAD if is_watch => Verb::Watch,
        Method::GET | Method::HEAD => Verb::List,
        Method::POST => Verb::Create,
        Method::PUT => Verb::Update,
        Method::PATCH => Verb::Patch,
        Method::DELETE if is_named => Verb::Delete,
        Method::DELETE => Verb::DeleteCollection,
        _ => return None,
    })
}

/// Whether a query parameter is there and says yes, in the ways that Go's `strconv.ParseBool` takes (and bare).
fn query_flag(query: &str, name: &str) -> bool {
    query.split('&').any(|pair| match pair.split_once('=') {
        Some((key, value)) => key == name && !["0", "f", "F", "false", "False", "FALSE"].contains(&value),
        None => pair == name,
    })
}

/// A path segment without its percent escapes; `None` when they are not UTF-8.
pub(crate) fn decode(segment: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let escaped = tail.get(..2).and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        match (first, escaped) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = tail.get(2..).unwrap_or_default();
            }
            _ => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `verb group/version namespace resource name subresource`, `-` for what is not there.
    fn check(method: Method, target: &str, expected: &str) {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let found = match RequestInfo::parse(&method, path, query) {
            RequestInfo::Path { path, verb } => format!("{verb} {path}"),
            RequestInfo::Resource(r) => [
                r.verb.as_str(),
                &format!("{}/{}", r.group, r.version),
                r.namespace.as_deref().unwrap_or("-"),
                &r.resource,
                r.name.as_deref().unwrap_or("-"),
                r.subresource.as_deref().unwrap_or("-"),
            ]
            .join(" "),
        };
        assert_eq!(found, expected, "{method} {target}");
    }

    #[test]
    fn paths_are_read_as_upstream_reads_them() {
        check(Method::GET, "/healthz", "get /healthz");
        check(Method::GET, "/api", "get /api");
        check(Method::GET, "/api/v1", "get /api/v1");
        check(Method::GET, "/apis/apps/v1", "get /apis/apps/v1");
        check(Method::GET, "/api/v1/namespaces", "list /v1 - namespaces - -");
        check(Method::GET, "/api/v1/namespaces/n", "get /v1 n namespaces n -");
        check(Method::PUT, "/api/v1/namespaces/n/finalize", "update /v1 n namespaces n finalize");
        check(Method::GET, "/api/v1/namespaces/n/pods", "list /v1 n pods - -");
        check(Method::GET, "/api/v1/namespaces/n/pods?watch=1", "watch /v1 n pods - -");
        check(Method::GET, "/api/v1/namespaces/n/pods?watch=false", "list /v1 n pods - -");
        check(Method::GET, "/api/v1/watch/namespaces/n/pods/p", "watch /v1 n pods p -");
        check(Method::GET, "/api/v1/namespaces/n/pods/p/log", "get /v1 n pods p log");
        check(Method::POST, "/api/v1/namespaces/n/pods/p/binding", "create /v1 n pods p binding");
        check(
            Method::DELETE,
            "/apis/coordination.k8s.io/v1/leases",
            "deletecollection coordination.k8s.io/v1 - leases - -",
        );
        check(Method::PATCH, "/api/v1/nodes/a%20b", "patch /v1 - nodes a b -");
    }
}
