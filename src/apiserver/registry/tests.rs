//! The registry as a client meets it, over a real API server and store.

mod client;

use http::header::{AUTHORIZATION, HeaderMap};
use http_body_util::BodyExt as _;
use images::content::Options;
use serde_json::json;

use super::*;
use crate::tests::Cluster;

struct Fixture {
    cluster: Cluster,
    registry: Registry,
}

struct Answer {
    status: u16,
    headers: HeaderMap,
    body: bytes::Bytes,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }

    fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    fn code(&self) -> String {
        self.json()["errors"][0]["code"].as_str().unwrap().to_owned()
    }
}

impl Fixture {
    async fn new() -> Self {
        Self::with(|_| ()).await
    }

    async fn with(change: impl FnOnce(&mut Options)) -> Self {
        let cluster = Cluster::start().await;
        let mut options = Options::at(cluster.folder.path().join("blobs"));
        change(&mut options);
        let content = ContentStore::open(options).await.unwrap();
        let (objects, shutdown) = (cluster.server.objects().clone(), cluster.server.shutdown().clone());
        Self { cluster, registry: Registry::new(content, objects, shutdown) }
    }

    async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> Answer {
        self.ask_as(&User::master("admin"), method, path, headers, body).await
    }

    async fn ask_as(
        &self,
        user: &User,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(body.into()).unwrap();
        let response = serve(&self.cluster.server, &self.registry, user, request).await;
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer { status: parts.status.as_u16(), headers: parts.headers, body }
    }

    /// Pushes a blob in one request.
    async fn push(&self, content: &'static str) -> images::Digest {
        let digest = images::Digest::of(content.as_bytes());
        let answer = self.ask("POST", &format!("{APP}/blobs/uploads/?digest={digest}"), &[], content).await;
        assert_eq!(answer.status, 201);
        digest
    }

    async fn push_image(&self, tag: &str) -> String {
        let (config, layer) = (self.push("{}").await, self.push("layer").await);
        let manifest = json!({"schemaVersion": 2, "mediaType": images::manifest::media::MANIFEST,
            "config": {"mediaType": "c", "digest": config, "size": 2},
            "layers": [{"mediaType": "l", "digest": layer, "size": 5}], "annotations": {"tag": tag}});
        let put = self.ask("PUT", &format!("{APP}/manifests/{tag}"), &[], manifest.to_string()).await;
        assert_eq!(put.status, 201);
        put.header("docker-content-digest").to_owned()
    }
}

const APP: &str = "/v2/default/app";

#[tokio::test]
async fn who_is_not_known_is_asked_to_log_in() {
    let fixture = Fixture::new().await;
    let nobody = fixture.ask_as(&User::anonymous(), "GET", "/v2/", &[], "").await;
    assert_eq!((nobody.status, nobody.header("www-authenticate")), (401, "Basic realm=\"minke\""));
    assert_eq!(nobody.code(), "UNAUTHORIZED");
    let known = fixture.ask("GET", "/v2/", &[(AUTHORIZATION.as_str(), "Basic x")], "").await;
    assert_eq!((known.status, known.header("docker-distribution-api-version")), (200, "registry/2.0"));
}

#[tokio::test]
async fn rights_are_those_on_artifacts_in_the_namespace() {
    let fixture = Fixture::new().await;
    let stranger = User::authenticated("stranger", Vec::new());
    for (method, path) in
        [("GET", "manifests/v1"), ("POST", "blobs/uploads/"), ("DELETE", "manifests/v1"), ("GET", "tags/list")]
    {
        let answer = fixture.ask_as(&stranger, method, &format!("{APP}/{path}"), &[], "").await;
        assert_eq!((answer.status, answer.code().as_str()), (403, "DENIED"), "{method} {path}");
    }
    let message = fixture.ask_as(&stranger, "GET", &format!("{APP}/manifests/v1"), &[], "").await.json();
    let message = message["errors"][0]["message"].as_str().unwrap();
    assert!(message.contains("cannot get resource \"artifacts\" in API group \"run.minke.dev\""), "{message}");
    let nowhere = fixture.ask("POST", "/v2/nowhere/app/blobs/uploads/", &[], "").await;
    assert_eq!((nowhere.status, nowhere.code().as_str()), (404, "NAME_UNKNOWN"));
}

#[tokio::test]
async fn an_image_is_pushed_listed_pulled_and_deleted() {
    let fixture = Fixture::new().await;
    let digest = fixture.push_image("v1").await;
    fixture.push_image("v2").await;
    let pulled = fixture.ask("GET", &format!("{APP}/manifests/v1"), &[], "").await;
    assert_eq!((pulled.status, pulled.header("docker-content-digest")), (200, digest.as_str()));
    assert_eq!(images::Digest::of(&pulled.body).to_string(), digest);
    let head = fixture.ask("HEAD", &format!("{APP}/manifests/{digest}"), &[], "").await;
    assert_eq!(
        (head.status, head.header("content-length"), head.body.len()),
        (200, &*pulled.body.len().to_string(), 0)
    );

    let page = fixture.ask("GET", &format!("{APP}/tags/list?n=1"), &[], "").await;
    assert_eq!(page.json(), json!({"name": "default/app", "tags": ["v1"]}));
    assert_eq!(page.header("link"), "</v2/default/app/tags/list?n=1&last=v1>; rel=\"next\"");
    let catalog = fixture.ask("GET", "/v2/_catalog", &[], "").await;
    assert_eq!(catalog.json(), json!({"repositories": ["default/app"]}));
    let stranger = User::authenticated("stranger", Vec::new());
    let catalog = fixture.ask_as(&stranger, "GET", "/v2/_catalog", &[], "").await;
    assert_eq!(catalog.json(), json!({"repositories": []}));

    assert_eq!(fixture.ask("DELETE", &format!("{APP}/manifests/{digest}"), &[], "").await.status, 202);
    let gone = fixture.ask("GET", &format!("{APP}/manifests/v1"), &[], "").await;
    assert_eq!((gone.status, gone.code().as_str()), (404, "MANIFEST_UNKNOWN"));
}

#[tokio::test]
async fn an_upload_in_chunks_is_resumed_where_it_stands() {
    let fixture = Fixture::new().await;
    let begun = fixture.ask("POST", &format!("{APP}/blobs/uploads/"), &[], "").await;
    assert_eq!((begun.status, begun.header("range")), (202, "0-0"));
    let session = begun.header("location").to_owned();
    let first = fixture.ask("PATCH", &session, &[("content-range", "0-4")], "first").await;
    assert_eq!((first.status, first.header("range")), (202, "0-4"));
    let wrong = fixture.ask("PATCH", &session, &[("content-range", "9-12")], "skip").await;
    assert_eq!((wrong.status, wrong.header("range"), wrong.code().as_str()), (416, "0-4", "BLOB_UPLOAD_INVALID"));
    let stands = fixture.ask("GET", &session, &[], "").await;
    assert_eq!((stands.status, stands.header("range")), (204, "0-4"));
    let digest = images::Digest::of(b"first second");
    let done = fixture.ask("PUT", &format!("{session}?digest={digest}"), &[], " second").await;
    assert_eq!((done.status, done.header("location")), (201, &*format!("{APP}/blobs/{digest}")));
    assert_eq!(fixture.ask("GET", &session, &[], "").await.code(), "BLOB_UPLOAD_UNKNOWN");

    let part = fixture.ask("GET", &format!("{APP}/blobs/{digest}"), &[("range", "bytes=6-")], "").await;
    assert_eq!((part.status, part.header("content-range"), &*part.body), (206, "bytes 6-11/12", &b"second"[..]));
    let none = fixture.ask("GET", &format!("{APP}/blobs/{digest}"), &[("range", "bytes=12-")], "").await;
    assert_eq!((none.status, none.header("content-range")), (416, "bytes */12"));
}

#[tokio::test]
async fn content_that_is_not_its_digest_is_refused() {
    let fixture = Fixture::new().await;
    let other = images::Digest::of(b"other");
    let wrong = fixture.ask("POST", &format!("{APP}/blobs/uploads/?digest={other}"), &[], "content").await;
    assert_eq!((wrong.status, wrong.code().as_str()), (400, "DIGEST_INVALID"));
    let wrong = fixture.ask("PUT", &format!("{APP}/manifests/{other}"), &[], r#"{"schemaVersion":2}"#).await;
    assert_eq!((wrong.status, wrong.code().as_str()), (400, "DIGEST_INVALID"));
    let none = fixture.ask("PUT", &format!("{APP}/manifests/v1"), &[], "no manifest").await;
    assert_eq!((none.status, none.code().as_str()), (400, "MANIFEST_INVALID"));
    let missing = json!({"schemaVersion": 2, "config": {"mediaType": "c", "digest": other, "size": 5}, "layers": []});
    let missing = fixture.ask("PUT", &format!("{APP}/manifests/v1"), &[], missing.to_string()).await;
    assert_eq!((missing.status, missing.code().as_str()), (400, "MANIFEST_BLOB_UNKNOWN"));
}

#[tokio::test]
async fn content_is_mounted_only_from_where_the_caller_may_read() {
    let fixture = Fixture::new().await;
    let digest = fixture.push("shared").await;
    let other = "/v2/kube-system/app/blobs/uploads/";
    let mounted = fixture.ask("POST", &format!("{other}?mount={digest}&from=default/app"), &[], "").await;
    assert_eq!(mounted.status, 201);
    let absent = fixture.ask("POST", &format!("{other}?mount={digest}&from=default/none"), &[], "").await;
    assert_eq!(absent.status, 202);
}

#[tokio::test]
async fn referrers_are_an_index_also_when_there_are_none() {
    let fixture = Fixture::new().await;
    let digest = fixture.push_image("v1").await;
    let path = format!("{APP}/referrers/{digest}");
    let none = fixture.ask("GET", &format!("{path}?artifactType=x"), &[], "").await;
    assert_eq!((none.status, none.header("oci-filters-applied")), (200, "artifactType"));
    let config = images::Digest::of(b"{}");
    let about = json!({"schemaVersion": 2, "config": {"mediaType": "signature", "digest": config, "size": 2}, "layers": [],
        "subject": {"mediaType": "m", "digest": digest, "size": 1}});
    let put = fixture.ask("PUT", &format!("{APP}/manifests/sig"), &[], about.to_string()).await;
    assert_eq!(put.header("oci-subject"), digest);
    let found = fixture.ask("GET", &path, &[], "").await.json();
    assert_eq!(found["manifests"][0]["artifactType"], "signature");
}

#[tokio::test]
async fn an_upload_in_one_request_that_breaks_off_leaves_no_session() {
    let fixture = Fixture::new().await;
    let digest = images::Digest::of(b"whole");
    let broken = futures::stream::iter([Ok(bytes::Bytes::from_static(b"wh")), Err(std::io::Error::other("cut off"))]);
    let path = format!("{APP}/blobs/uploads/?digest={digest}");
    let answer = fixture.ask("POST", &path, &[], Body::from_stream(broken)).await;
    assert_eq!((answer.status, answer.code().as_str()), (400, "BLOB_UPLOAD_INVALID"));
    let metrics = fixture.registry.content.metrics();
    assert_eq!((metrics.uploads, metrics.incoming_bytes, metrics.blobs), (0, 0, 0));
}

#[tokio::test]
async fn repositories_go_with_their_namespace_and_none_come_while_it_goes() {
    let fixture = Fixture::new().await;
    fixture.push_image("v1").await;
    let ask = async |method: &str, path: &str, body| fixture.cluster.ask(method.parse().unwrap(), path, body).await.0;
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "guest"}});
    ask("POST", "/api/v1/namespaces", namespace.clone()).await;
    let digest = images::Digest::of(b"{}");
    let push = format!("/v2/guest/app/blobs/uploads/?digest={digest}");
    assert_eq!(fixture.ask("POST", &push, &[], "{}").await.status, 201);

    ask("DELETE", "/api/v1/namespaces/guest", serde_json::Value::Null).await;
    let refused = fixture.ask("POST", &push, &[], "{}").await;
    assert_eq!((refused.status, refused.code().as_str()), (403, "DENIED"));
    ask("PUT", "/api/v1/namespaces/guest/finalize", namespace).await;
    let gone = async {
        while fixture.registry.content.repositories().len() > 1 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), gone).await.expect("the repository stays");
    assert_eq!(fixture.registry.content.repositories()[0].as_str(), "default/app");
}

#[tokio::test]
async fn what_pods_name_stays_when_space_is_short() {
    let fixture = Fixture::with(|options| options.bytes_max = 8 * (16 << 10)).await;
    fixture.push_image("v1").await;
    let cluster = &fixture.cluster;
    let account = json!({"metadata": {"name": "default"}});
    cluster.ask(Method::POST, "/api/v1/namespaces/default/serviceaccounts", account).await;
    let pod = json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "registry.minke.local/default/app:v1"}]}});
    let (code, made) = cluster.ask(Method::POST, "/api/v1/namespaces/default/pods", pod).await;
    assert_eq!(code, 201, "{made}");
    let large = vec![7; 100 << 10];
    let push = format!("/v2/default/large/blobs/uploads/?digest={}", images::Digest::of(&large));
    let full = fixture.ask("POST", &push, &[], large.clone()).await;
    assert_eq!((full.status, full.code().as_str()), (507, "DENIED"));

    cluster
        .ask(Method::DELETE, "/api/v1/namespaces/default/pods/p?gracePeriodSeconds=0", serde_json::Value::Null)
        .await;
    assert_eq!(fixture.ask("POST", &push, &[], large).await.status, 201);
}

#[tokio::test]
async fn a_pod_runs_what_its_maker_may_use() {
    let fixture = Fixture::new().await;
    let pod = |image: &str| json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": image}]}});
    let manager = || User::authenticated("system:kube-controller-manager", Vec::new());
    let make = async |namespace: &str, image| {
        let path = format!("/api/v1/namespaces/{namespace}/pods?dryRun=All");
        let account = json!({"metadata": {"name": "default"}});
        let accounts = format!("/api/v1/namespaces/{namespace}/serviceaccounts");
        fixture.cluster.ask(Method::POST, &accounts, account).await;
        fixture.cluster.ask_as(manager(), Method::POST, &path, "application/json", pod(image)).await
    };
    assert_eq!(make("default", "registry.minke.local/default/app").await.0, 201);
    assert_eq!(make("default", "ghcr.io/default/app").await.0, 201);
    let (code, refused) = make("kube-public", "registry.minke.local/default/app").await;
    assert_eq!(code, 403);
    assert!(refused["message"].as_str().unwrap().contains("is of another namespace"), "{refused}");
}
