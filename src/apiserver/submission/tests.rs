//! Uploads as a client meets them, over a real API server and store; no node is there, so nothing runs.

use http::Method;
use http_body_util::BodyExt as _;
use images::ContentStore;
use images::content::{Options, Target};
use serde_json::json;

use super::*;
use crate::tests::Cluster;

const RUN: &str = "/apis/run.minke.dev/v1/namespaces/default/run";
const COMMAND: &str =
    r#"(module (import "wasi_snapshot_preview1" "proc_exit" (func (param i32))) (func (export "_start")))"#;

struct Fixture {
    cluster: Cluster,
    content: ContentStore,
}

struct Answer {
    status: u16,
    headers: http::HeaderMap,
    body: Value,
}

impl Fixture {
    async fn new() -> Self {
        let cluster = Cluster::start().await;
        let mut options = Options::at(cluster.folder.path().join("blobs"));
        options.artifact_bytes_max = 1 << 20;
        let content = ContentStore::open(options).await.unwrap();
        cluster.server.keep_artifacts_in(content.clone());
        let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}});
        cluster.ask(Method::POST, "/api/v1/namespaces/default/serviceaccounts", account).await;
        Self { cluster, content }
    }

    async fn run(&self, query: &str, body: impl Into<Body>) -> Answer {
        self.run_as(&User::master("admin"), query, body).await
    }

    async fn run_as(&self, user: &User, query: &str, body: impl Into<Body>) -> Answer {
        let request = Request::post(format!("{RUN}?{query}")).body(body.into()).unwrap();
        let response = match serve(&self.cluster.server, user, "default", request).await {
            Ok(response) => response,
            Err(status) => json_response(StatusCode::from_u16(status.code).unwrap(), &status.to_value()),
        };
        let (parts, body) = response.into_parts();
        let body = serde_json::from_slice(&body.collect().await.unwrap().to_bytes()).unwrap();
        Answer { status: parts.status.as_u16(), headers: parts.headers, body }
    }

    async fn refuses(&self, query: &str, body: impl Into<Body>, status: u16, expected: &str) {
        let answer = self.run(query, body).await;
        let message = answer.body["message"].as_str().unwrap_or_default();
        assert!(answer.status == status && message.contains(expected), "{} {message}", answer.status);
        assert_eq!(self.content.repositories(), [], "{message}");
    }
}

#[tokio::test]
async fn a_command_becomes_a_pod_that_names_its_artifact_by_digest() {
    let fixture = Fixture::new().await;
    let answer = fixture.run("name=hello&arg=-v&env=A=1", COMMAND).await;
    assert_eq!(answer.status, 201, "{}", answer.body);
    let repository = RepositoryName::parse("default/hello").unwrap();
    let digest = fixture.content.resolve(&repository, &Target::Tag("latest".into())).unwrap();
    let container = &answer.body["spec"]["containers"][0];
    assert_eq!(container["image"], format!("registry.minke.local/default/hello@{digest}"));
    assert_eq!((&container["args"], &answer.body["spec"]["restartPolicy"]), (&json!(["-v"]), &json!("Never")));
    let path = "/api/v1/namespaces/default/pods/hello";
    assert_eq!(fixture.cluster.ask(Method::GET, path, Value::Null).await.0, 200);
}

#[tokio::test]
async fn a_name_in_use_is_refused_unless_it_is_to_be_replaced() {
    let fixture = Fixture::new().await;
    let first = fixture.run("name=hello", COMMAND).await;
    let taken = fixture.run("name=hello", COMMAND).await;
    assert_eq!((taken.status, &taken.body["reason"]), (409, &json!("AlreadyExists")));
    let second = fixture.run("name=hello&replace=true", COMMAND).await;
    assert_eq!(second.status, 201, "{}", second.body);
    assert_ne!(first.body["metadata"]["uid"], second.body["metadata"]["uid"]);
    let generated = fixture.run("", COMMAND).await;
    assert!(generated.body["metadata"]["name"].as_str().unwrap().starts_with("run-"));
}

#[tokio::test]
async fn a_server_is_reached_by_a_port_of_the_node_that_was_chosen() {
    let fixture = Fixture::new().await;
    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "a"}});
    fixture.cluster.ask(Method::POST, "/api/v1/nodes", node.clone()).await;
    let mut status = node;
    status["status"] = json!({"addresses": [{"type": "InternalIP", "address": "127.0.0.7"}]});
    fixture.cluster.ask(Method::PUT, "/api/v1/nodes/a/status", status).await;
    let binding = json!({"apiVersion": "v1", "kind": "Binding", "metadata": {"name": "web"}, "target": {"kind": "Node", "name": "a"}});
    let bound = async {
        while fixture.cluster.ask(Method::POST, "/api/v1/namespaces/default/pods/web/binding", binding.clone()).await.0
            != 201
        {
            tokio::task::yield_now().await;
        }
    };
    let server = r#"(component (instance $i) (export "wasi:http/incoming-handler@0.2.3" (instance $i)))"#;
    let (answer, ()) = tokio::join!(fixture.run("name=web", server), bound);
    assert_eq!(answer.status, 201, "{}", answer.body);
    let port = &answer.body["spec"]["containers"][0]["ports"][0];
    let url = format!("http://127.0.0.7:{}/", port["hostPort"]);
    assert_eq!(port["containerPort"], 8080);
    assert_eq!(answer.body["metadata"]["annotations"]["run.minke.dev/url"], url);
    assert_eq!(answer.headers["location"].to_str().unwrap(), url);
}

#[tokio::test]
async fn a_verdict_stores_nothing() {
    let fixture = Fixture::new().await;
    let needy = r#"(module (import "env" "magic" (func)) (func (export "_start")))"#;
    let answer = fixture.run("name=hello&dryRun=All", needy).await;
    assert_eq!((answer.status, &answer.body["runnable"]), (200, &json!(false)));
    assert_eq!(answer.body["missing"], json!(["env::magic"]));
    assert_eq!(fixture.content.metrics().blobs, 0);
    assert_eq!(fixture.cluster.ask(Method::GET, "/api/v1/namespaces/default/pods/hello", Value::Null).await.0, 404);
    let stranger = User::authenticated("stranger", Vec::new());
    let denied = fixture.run_as(&stranger, "dryRun=All", COMMAND).await;
    assert!(denied.body["denied"][0].as_str().unwrap().contains("cannot create resource \"artifacts\""));
}

#[tokio::test]
async fn an_import_that_is_not_offered_is_warned_of() {
    let fixture = Fixture::new().await;
    let answer = fixture.run("", r#"(module (import "env" "magic" (func)) (func (export "_start")))"#).await;
    assert_eq!(answer.status, 201);
    let warning = answer.headers["warning"].to_str().unwrap();
    assert_eq!(warning, "299 - \"import env::magic is not offered: the pod will wait\"");
}

#[tokio::test]
async fn what_cannot_be_run_is_refused_and_leaves_nothing() {
    let fixture = Fixture::new().await;
    fixture.refuses("", "", 400, "the file is empty").await;
    fixture.refuses("", "#!/bin/sh", 400, "a script").await;
    fixture.refuses("", "(module", 400, "not WebAssembly").await;
    fixture.refuses("", "(module)", 400, "a library module cannot be run").await;
    let whole = images::inspect::text::to_binary(COMMAND.as_bytes()).unwrap();
    fixture.refuses("", whole[..whole.len() - 3].to_vec(), 400, "cut off").await;
    fixture.refuses("", &b"\x7fELF\x02\x01\x01\xc8\0\0\0\0\0\0\0\0"[..], 400, ".cwasm").await;
    fixture.refuses("", vec![0x7f; 2 << 20], 413, "more than 1048576 bytes").await;
    fixture.refuses("name=No", COMMAND, 400, "is no name").await;
}

#[tokio::test]
async fn who_lacks_a_right_on_one_of_the_objects_leaves_nothing() {
    let fixture = Fixture::new().await;
    let stranger = User::authenticated("stranger", Vec::new());
    let request = Request::post(format!("{RUN}?name=hello")).body(COMMAND.into()).unwrap();
    let refused = serve(&fixture.cluster.server, &stranger, "default", request).await.unwrap_err();
    assert_eq!(refused.code, 403);
    assert!(refused.message.contains("cannot create resource \"artifacts\""), "{}", refused.message);
    assert_eq!((fixture.content.repositories(), fixture.content.metrics().blobs), (Vec::new(), 0));
}

#[tokio::test]
async fn the_caller_is_the_field_manager_and_a_namespace_must_be_there() {
    let fixture = Fixture::new().await;
    let answer = fixture.run(&format!("fieldManager={}", "x".repeat(200)), COMMAND).await;
    assert_eq!(answer.status, 422, "{}", answer.body);
    let request = Request::post("/apis/run.minke.dev/v1/namespaces/nowhere/run").body(COMMAND.into()).unwrap();
    let answer = serve(&fixture.cluster.server, &User::master("admin"), "nowhere", request).await.unwrap();
    assert_eq!(answer.status(), 404);
    assert_eq!(fixture.content.repositories(), []);
}
