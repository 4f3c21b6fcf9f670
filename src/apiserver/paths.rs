//! Everything that is no object: discovery, OpenAPI, version, health and metrics.
//!
//! Documents are built when first asked for and kept with their ETag, so that a client that has one gets 304.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use api::discovery;
use api::openapi;
use api::schema::Schemas;
use api::scheme::{Resource, Scheme};
use api::status::Status;
use axum::body::Body;
use base::clock;
use bytes::Bytes;
use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, ETAG, EXPIRES, HeaderValue, IF_NONE_MATCH, LOCATION, VARY};
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri};
use jiff::SignedDuration;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha512};

use crate::authentication::User;
use crate::authentication::service_account::ISSUER;
use crate::negotiate::{self, Accepted, MEDIA_TYPES, Subject};
use crate::options::Query;
use crate::server::ApiServer;
use crate::verbs::RUN_GROUP;
use crate::{authorization, metrics, own_group, respond, version};

/// The versions of discovery in one document, which is written in JSON.
const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

/// OpenAPI v2 in protobuf, as kubectl's older commands and helm get it. They ask with an `@` in the place of the second
/// dot, which no media type may hold: a client that reads the answer's strictly refuses it.
/// How long a document that is named by its hash may be kept, as upstream.
const KEPT_FOR: SignedDuration = SignedDuration::from_hours(365 * 24);

/// RFC 9110, section 5.6.7.
const HTTP_DATE: &str = "%a, %d %b %Y %H:%M:%S GMT";

const OPENAPI_V2_PROTOBUF: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";

/// Documents that were built, by path and form, each with the rows that it was made of. There are as many as group
/// versions, times the forms.
#[derive(Debug, Default)]
pub(crate) struct Paths {
    built: Mutex<Built>,
}

/// Documents by name, with what they were made of.
type Built = HashMap<String, (Vec<Arc<Resource>>, Arc<Document>)>;

/// A document that is the same for every client.
#[derive(Debug)]
struct Document {
    body: Bytes,
    content_type: HeaderValue,
    /// The hash of the body, in upper-case hex, as upstream's.
    hash: String,
}

impl Paths {
    /// The document at `name` about `rows`, made by `build` when it is first asked for, or was made of other rows.
    fn document(
        &self,
        name: &str,
        rows: Vec<Arc<Resource>>,
        content_type: &'static str,
        build: impl FnOnce() -> Vec<u8>,
    ) -> Arc<Document> {
        let known = self.lock().get(name).filter(|(made_of, _)| is_same(made_of, &rows)).cloned();
        if let Some((_, document)) = known {
            return document;
        }
        // Built outside the lock: two first readers may build it twice, and nobody waits for a large one.
        let body = build();
        let hash = Sha512::digest(&body).iter().map(|byte| format!("{byte:02X}")).collect();
        let content_type = HeaderValue::from_static(content_type);
        let document = Arc::new(Document { body: body.into(), content_type, hash });
        self.lock().insert(name.to_owned(), (rows, Arc::clone(&document)));
        document
    }

    /// Drops the documents about rows that `scheme` no longer has.
    pub(crate) fn forget(&self, scheme: &Scheme) {
        let is_served = |row: &Arc<Resource>| scheme.resources().any(|served| Arc::ptr_eq(served, row));
        self.lock().retain(|_, (rows, _)| rows.iter().filter(|row| row.custom.is_some()).all(is_served));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Built> {
        self.built.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a document that was made of `one` is one of `other`, too.
fn is_same(one: &[Arc<Resource>], other: &[Arc<Resource>]) -> bool {
    one.len() == other.len() && one.iter().zip(other).all(|(one, other)| Arc::ptr_eq(one, other))
}

/// Answers a request that names no object.
pub(crate) async fn serve(
    server: &ApiServer,
    user: &User,
    path: &str,
    verb: &str,
    request: Request<Body>,
) -> Result<Response<Body>, Status> {
    authorization::check_path(server, user, path, verb)?;
    let asked = request.headers();
    if let Some(response) = server.health().serve(path, request.uri().query().unwrap_or_default()) {
        return Ok(response);
    }
    let is_read = [Method::GET, Method::HEAD].contains(request.method());
    match path {
        "/version" | "/version/" if is_read => Ok(json_response(&version::document(&server.options().version))),
        "/metrics" if is_read => Ok(metrics::serve(server)),
        "/.well-known/openid-configuration" if is_read => Ok(json_response(&openid_configuration())),
        "/openid/v1/jwks" if is_read => Ok(key_set(server)),
        "/openapi/v2" if is_read => Ok(openapi_v2(server, asked)),
        "/openapi/v3" | "/openapi/v3/" if is_read => Ok(openapi_index(server)),
        _ if path.starts_with("/openapi/v3/") && is_read => {
            openapi_v3(server, request.uri(), asked).ok_or_else(Status::no_such_resource)
        }
        _ => match discovery_document(server, path, asked)? {
            Some(_) if !is_read => Err(Status::method_not_supported()),
            Some(document) => Ok(respond_document(&document, asked)),
            None if path == "/" && is_read => Ok(json_response(&root(&server.scheme()))),
            None => Ok(not_found()),
        },
    }
}

/// `/api`, `/apis` and what is below them down to a version.
fn discovery_document(server: &ApiServer, path: &str, asked: &HeaderMap) -> Result<Option<Arc<Document>>, Status> {
    let paths = server.paths();
    let scheme = &*server.scheme();
    let all = || scheme.resources().cloned().collect::<Vec<_>>();
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    // One name for however many slashes a client writes: what is built is kept by it.
    let name = format!("/{}", parts.join("/"));
    let is_root = matches!(parts.as_slice(), ["api"] | ["apis"]);
    if is_root && is_aggregated(asked) {
        let is_core = parts.first() == Some(&"api");
        let build = || {
            let document = discovery::aggregated(scheme, is_core);
            line(&if is_core { document } else { own_group::add_to_aggregated(document) })
        };
        return Ok(Some(paths.document(&format!("{name} aggregated"), all(), AGGREGATED, build)));
    }
    let Some(value) = discovery_value(server, scheme, &parts) else { return Ok(None) };
    let accepted = negotiate::accepted(asked, None, Subject::Message).map_err(|error| error.to_status(MEDIA_TYPES))?;
    let content_type = accepted.format.content_type();
    let body = respond::write_value(Accepted { is_pretty: false, ..accepted }, &value)?;
    Ok(Some(paths.document(&format!("{name} {content_type}"), all(), content_type, || body)))
}

/// The document of a path, a group or a version.
fn discovery_value(server: &ApiServer, scheme: &Scheme, parts: &[&str]) -> Option<Value> {
    match parts {
        ["api"] => Some(api_versions(server)),
        ["apis"] => Some(own_group::add_to_list(discovery::api_group_list(scheme))),
        ["apis", RUN_GROUP] => Some(own_group::group()),
        ["apis", RUN_GROUP, "v1"] => Some(own_group::resources()),
        ["api", version] => discovery::api_resource_list(scheme, "", version),
        ["apis", group] if !group.is_empty() => discovery::api_group(scheme, group),
        ["apis", group, version] if !group.is_empty() => discovery::api_resource_list(scheme, group, version),
        _ => None,
    }
}

/// `/api`, with the address that clients of any network reach this server by, where it is known.
fn api_versions(server: &ApiServer) -> Value {
    let mut versions = discovery::api_versions();
    if let (Some(address), Some(fields)) = (server.options().advertised, versions.as_object_mut()) {
        let addresses = json!([{"clientCIDR": "0.0.0.0/0", "serverAddress": address.to_string()}]);
        fields.insert("serverAddressByClientCIDRs".into(), addresses);
    }
    versions
}

/// Whether the client accepts aggregated discovery first, in the one version that is still served, in JSON.
fn is_aggregated(asked: &HeaderMap) -> bool {
    let accept = asked.get(ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    let ranges = accept.split(',').map(|range| range.replace(' ', ""));
    let mut of_discovery = ranges.take_while(|range| range.contains("g=apidiscovery.k8s.io"));
    of_discovery.any(|range| range.starts_with("application/json") && range.split(';').any(|param| param == "v=v2"))
}

/// `/openapi/v3`: where each group version's document is, with its hash, so that clients may keep it for ever.
fn openapi_index(server: &ApiServer) -> Response<Body> {
    let mut index = serde_json::Map::new();
    for (group, versions) in server.scheme().groups() {
        for version in versions {
            let name = if group.is_empty() { format!("api/{version}") } else { format!("apis/{group}/{version}") };
            if let Some(document) = openapi_v3_document(server, &name) {
                let url = format!("/openapi/v3/{name}?hash={}", document.hash);
                index.insert(name, json!({"serverRelativeURL": url}));
            }
        }
    }
    json_response(&json!({"paths": index}))
}

/// The document of a group version. Who names its hash may keep it for ever, and who names an old one is sent to the new.
fn openapi_v3(server: &ApiServer, uri: &Uri, asked: &HeaderMap) -> Option<Response<Body>> {
    let name = uri.path().strip_prefix("/openapi/v3/")?;
    let document = openapi_v3_document(server, name)?;
    let query = Query::parse(uri.query().unwrap_or_default());
    let hash = query.find("hash");
    if hash.is_some_and(|hash| hash != document.hash) {
        let mut moved = Response::new(Body::empty());
        *moved.status_mut() = StatusCode::MOVED_PERMANENTLY;
        let place = HeaderValue::try_from(format!("/openapi/v3/{name}?hash={}", document.hash)).ok()?;
        moved.headers_mut().insert(LOCATION, place);
        return Some(moved);
    }
    let mut response = respond_document(&document, asked);
    if hash.is_some() {
        let until = clock::now() + KEPT_FOR;
        let headers = response.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, immutable"));
        headers.extend(HeaderValue::try_from(until.strftime(HTTP_DATE).to_string()).map(|until| (EXPIRES, until)));
    }
    Some(response)
}

fn openapi_v3_document(server: &ApiServer, name: &str) -> Option<Arc<Document>> {
    let (group, version) = match name.split('/').collect::<Vec<_>>().as_slice() {
        ["api", version] => (String::new(), (*version).to_owned()),
        ["apis", group, version] => ((*group).to_owned(), (*version).to_owned()),
        _ => return None,
    };
    let scheme = server.scheme();
    let rows = scheme.resources().filter(|row| row.group == group && row.version == version);
    let rows: Vec<Arc<Resource>> = rows.cloned().collect();
    let build = || line(&openapi::v3(&scheme, Schemas::builtin(), &group, &version));
    let name = format!("/openapi/v3/{name}");
    (!rows.is_empty()).then(|| server.paths().document(&name, rows, "application/json", build))
}

fn openapi_v2(server: &ApiServer, asked: &HeaderMap) -> Response<Body> {
    let (scheme, paths) = (server.scheme(), server.paths());
    let rows = scheme.resources().cloned().collect();
    let accept = asked.get(ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    let document = if accept.contains("proto-openapi.spec.v2") {
        paths.document("/openapi/v2 protobuf", rows, OPENAPI_V2_PROTOBUF, || {
            openapi::v2_protobuf(&scheme, Schemas::builtin())
        })
    } else {
        paths.document("/openapi/v2", rows, "application/json", || line(&openapi::v2(&scheme, Schemas::builtin())))
    };
    respond_document(&document, asked)
}

/// `/`: what paths there are.
fn root(scheme: &Scheme) -> Value {
    let mut known = vec!["/api".to_owned(), "/apis".to_owned()];
    for (group, versions) in scheme.groups() {
        if group.is_empty() {
            known.extend(versions.iter().map(|version| format!("/api/{version}")));
        } else {
            known.push(format!("/apis/{group}"));
            known.extend(versions.iter().map(|version| format!("/apis/{group}/{version}")));
        }
    }
    known.extend([format!("/apis/{RUN_GROUP}"), format!("/apis/{RUN_GROUP}/v1")]);
    known.extend(
        [
            "/.well-known/openid-configuration",
            "/healthz",
            "/livez",
            "/metrics",
            "/openapi/v2",
            "/openapi/v3",
            "/openid/v1/jwks",
            "/readyz",
            "/version",
        ]
        .map(str::to_owned),
    );
    known.sort();
    json!({"paths": known})
}

fn respond_document(document: &Document, asked: &HeaderMap) -> Response<Body> {
    let etag = format!("\"{}\"", document.hash);
    let mut response = Response::new(Body::empty());
    let known = asked.get(IF_NONE_MATCH).and_then(|tags| tags.to_str().ok());
    if known.is_some_and(|tags| tags.split(',').any(|tag| tag.trim() == etag)) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    } else {
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, document.content_type.clone());
        match respond::compress(headers, asked, document.body.to_vec()) {
            Ok(body) => *response.body_mut() = body,
            Err(status) => return respond::status::response(&status, asked),
        }
    }
    let headers = response.headers_mut();
    headers.insert(VARY, HeaderValue::from_static("Accept"));
    if let Ok(etag) = HeaderValue::try_from(etag) {
        headers.insert(ETAG, etag);
    }
    response
}

/// Where the keys are by which the tokens of service accounts are checked, as OpenID Connect Discovery has it.
fn openid_configuration() -> Value {
    json!({"issuer": ISSUER, "jwks_uri": format!("{ISSUER}/openid/v1/jwks"), "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"], "id_token_signing_alg_values_supported": ["ES256"]})
}

/// Those keys.
fn key_set(server: &ApiServer) -> Response<Body> {
    let mut response = Response::new(Body::from(server.tokens().key_set().to_string()));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/jwk-set+json"));
    response
}

fn json_response(value: &Value) -> Response<Body> {
    let mut response = Response::new(Body::from(line(value)));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// Upstream's answer for paths that nobody serves.
fn not_found() -> Response<Body> {
    let mut response = Response::new(Body::from("404 page not found\n"));
    *response.status_mut() = StatusCode::NOT_FOUND;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

fn line(value: &Value) -> Vec<u8> {
    format!("{value}\n").into_bytes()
}
