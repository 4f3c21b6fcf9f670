//! `minke run`: what a person sees of a pod's way, and the code that a shell sees.

use std::io::Write as _;

use axum::Router;
use axum::extract::RawQuery;
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use axum::routing::{get, post};
use clap::Parser as _;
use client::testing::FakeServer;
use serde_json::{Value, json};
use tempfile::NamedTempFile;

use crate::run::{self, Options};
use crate::testing::{Neighbour, Screen};

const POD: &str = "/api/v1/namespaces/shop/pods/web";
const UPLOAD: &str = "/apis/run.minke.dev/v1/namespaces/shop/run";

#[derive(clap::Parser)]
struct Line {
    #[command(flatten)]
    options: Options,
}

/// The options of `minke run LINE` with a file of some bytes.
pub(super) fn options(server: &Neighbour, line: &str) -> (Options, NamedTempFile) {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(b"\0asm").unwrap();
    let words = ["run", file.path().to_str().unwrap()].into_iter().chain(line.split_whitespace());
    let mut options = Line::parse_from(words).options;
    options.server = server.options();
    (options, file)
}

/// A pod with one container in a state.
pub(super) fn pod(phase: &str, state: &Value) -> Value {
    json!({"metadata": {"name": "web", "namespace": "shop"}, "spec": {"containers": [{"name": "web"}]},
        "status": {"phase": phase, "containerStatuses": [{"name": "web", "image": "", "imageID": "", "ready": false,
            "restartCount": 0, "state": state}]}})
}

pub(super) fn ended(code: i32) -> Value {
    let phase = if code == 0 { "Succeeded" } else { "Failed" };
    pod(phase, &json!({"terminated": {"exitCode": code, "reason": if code == 0 { "Completed" } else { "Error" }}}))
}

/// A server where an upload becomes `made`, and whose log of it is `log`.
pub(super) async fn server(made: Value, log: &'static str) -> Neighbour {
    let objects = FakeServer::default();
    let kept = objects.clone();
    let upload = move |RawQuery(query): RawQuery| async move {
        assert!(query.unwrap().contains("name=web"));
        kept.put(POD, made.clone());
        (StatusCode::CREATED, [("warning", "299 - \"import a::b is not offered\"")], axum::Json(made))
    };
    let routes =
        Router::new().route(UPLOAD, post(upload)).route(&format!("{POD}/log"), get(move || async move { log }));
    Neighbour::start(objects, routes).await
}

#[tokio::test]
async fn a_program_is_followed_and_its_code_is_ours() {
    let (screen, server) = (Screen::new(), server(ended(3), "hello\n").await);
    let (options, _file) = options(&server, "--name web");
    let code = run::run(options, None, &mut screen.terminal()).await.unwrap();
    assert_eq!(code, 3.into());
    assert_eq!(screen.text(), "Warning: import a::b is not offered\nhello\n");
    assert!(server.objects.object(POD).is_some(), "without --rm the pod stays");
}

#[tokio::test]
async fn with_rm_the_pod_goes_and_the_code_stays() {
    let (screen, server) = (Screen::new(), server(ended(3), "").await);
    let (options, _file) = options(&server, "--name web --rm");
    assert_eq!(run::run(options, None, &mut screen.terminal()).await.unwrap(), 3.into());
    assert_eq!(server.objects.object(POD), None);
}

#[tokio::test]
async fn a_pod_that_cannot_be_deleted_does_not_hide_the_code() {
    let (screen, server) = (Screen::new(), server(ended(3), "").await);
    server.objects.refuse(&format!("DELETE {POD}"), 403, 1);
    let (options, _file) = options(&server, "--name web --rm");
    assert_eq!(run::run(options, None, &mut screen.terminal()).await.unwrap(), 3.into());
    screen.shows("pod web is still there, it could not be deleted: ").await;
}

#[tokio::test]
async fn a_pod_that_waits_says_why_each_reason_once() {
    let waits = pod("Pending", &json!({"waiting": {"reason": "ErrImagePull", "message": "no such blob"}}));
    let (screen, server) = (Screen::new(), server(waits.clone(), "hello\n").await);
    let (options, _file) = options(&server, "--name web");
    let mut terminal = screen.terminal();
    let told = async {
        screen.shows("waits: ErrImagePull: no such blob").await;
        server.objects.put(POD, waits);
        server.objects.put(POD, ended(0));
    };
    let (code, ()) = tokio::join!(run::run(options, None, &mut terminal), told);
    assert_eq!(code.unwrap(), 0.into());
    assert_eq!(screen.text().matches("ErrImagePull").count(), 1);
}

#[tokio::test]
async fn a_server_is_left_running_and_its_url_is_the_result() {
    let mut serves = pod("Running", &json!({"running": {}}));
    serves["metadata"]["annotations"] = json!({"run.minke.dev/url": "http://127.0.0.1:20001/"});
    let (screen, server) = (Screen::new(), server(serves, "").await);
    let (options, _file) = options(&server, "--name web");
    assert_eq!(run::run(options, None, &mut screen.terminal()).await.unwrap(), 0.into());
    assert!(screen.text().ends_with("\nhttp://127.0.0.1:20001/\n"), "{}", screen.text());
}

#[tokio::test]
async fn a_pod_that_somebody_deletes_ends_the_wait() {
    let waits = pod("Pending", &json!({"waiting": {"reason": "ErrImagePull"}}));
    let (screen, server) = (Screen::new(), server(waits, "").await);
    let (options, _file) = options(&server, "--name web");
    let mut terminal = screen.terminal();
    let deleted = async {
        screen.shows("waits").await;
        server.objects.remove(POD);
    };
    let (ended, ()) = tokio::join!(run::run(options, None, &mut terminal), deleted);
    assert_eq!(ended.unwrap_err().to_string(), "pod web was deleted");
}

#[tokio::test]
async fn a_refusal_is_told_in_the_servers_words() {
    let refuse = || async {
        (StatusCode::CONFLICT, axum::Json(json!({"message": "pods \"web\" already exists"}))).into_response()
    };
    let server = Neighbour::start(FakeServer::default(), Router::new().route(UPLOAD, post(refuse))).await;
    let (options, _file) = options(&server, "--name web");
    let error = run::run(options, None, &mut Screen::new().terminal()).await.unwrap_err();
    assert_eq!(error.to_string(), "pods \"web\" already exists");
}

#[tokio::test]
async fn what_is_no_file_is_not_sent() {
    let server = Neighbour::start(FakeServer::default(), Router::new()).await;
    let (mut options, _file) = options(&server, "");
    for (path, expected) in [("/", "/ is no file"), ("/nowhere.wasm", "/nowhere.wasm")] {
        options.file = path.into();
        let error = run::run(options.clone(), None, &mut Screen::new().terminal()).await.unwrap_err();
        assert!(error.to_string().starts_with(expected), "{error:#}");
    }
}
