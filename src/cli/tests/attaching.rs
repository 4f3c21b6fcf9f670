//! `minke run -i`: input reaches the program, and no output is lost on the way.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use axum::routing::{get, post};
use client::testing::FakeServer;
use serde_json::{Value, json};

use super::running::{ended, options, pod};
use crate::run;
use crate::testing::{Neighbour, Screen};

const POD: &str = "/api/v1/namespaces/shop/pods/web";

/// A server with a program that runs, whose `attach` and `log` a test scripts.
async fn server(attach: Router, log: &'static str) -> Neighbour {
    let objects = FakeServer::default();
    let (kept, made) = (objects.clone(), running());
    let upload = move || async move {
        kept.put(POD, made.clone());
        (StatusCode::CREATED, axum::Json(made))
    };
    let routes = attach
        .route("/apis/run.minke.dev/v1/namespaces/shop/run", post(upload))
        .route(&format!("{POD}/log"), get(move || async move { log }));
    Neighbour::start(objects, routes).await
}

fn running() -> Value {
    pod("Running", &json!({"running": {}}))
}

/// An attach that keeps what it is sent on the input, answers with `output`, and ends the program when that closes.
fn program(objects: Arc<Mutex<Option<FakeServer>>>, read: Arc<Mutex<Vec<u8>>>, output: Option<&'static str>) -> Router {
    let attach = move |upgrade: WebSocketUpgrade| async move {
        upgrade.protocols(["v5.channel.k8s.io"]).on_upgrade(move |mut socket: WebSocket| async move {
            while let Some(Ok(Message::Binary(frame))) = socket.recv().await {
                match frame.split_first() {
                    Some((0, text)) => read.lock().unwrap().extend_from_slice(text),
                    Some((255, [0])) => break,
                    _ => {}
                }
            }
            if let Some(output) = output {
                let frame = [b"\x01", output.as_bytes()].concat();
                socket.send(Message::Binary(frame.into())).await.unwrap();
            }
            objects.lock().unwrap().as_ref().unwrap().put(POD, ended(7));
        })
    };
    Router::new().route(&format!("{POD}/attach"), get(attach))
}

async fn session(line: &str, output: Option<&'static str>, log: &'static str) -> (String, String) {
    let (objects, read) = (Arc::default(), Arc::default());
    let server = server(program(Arc::clone(&objects), Arc::clone(&read), output), log).await;
    *objects.lock().unwrap() = Some(server.objects.clone());
    let (options, _file) = options(&server, line);
    let screen = Screen::new();
    let code = run::run(options, None, &mut screen.terminal()).await.unwrap();
    assert_eq!(code, 7.into());
    let read = String::from_utf8(read.lock().unwrap().clone()).unwrap();
    (read, screen.text())
}

#[tokio::test]
async fn input_reaches_the_program_and_its_end_too_and_the_log_is_the_output() {
    let (read, seen) = session("--name web -i", None, "banner\ngot typed\n").await;
    assert_eq!((read.as_str(), seen.as_str()), ("typed", "banner\ngot typed\n"));
}

#[tokio::test]
async fn with_a_terminal_the_log_so_far_comes_before_what_is_written_then() {
    let (read, seen) = session("--name web -it", Some("prompt> "), "banner\n").await;
    assert_eq!((read.as_str(), seen.as_str()), ("typed", "banner\nprompt> "));
}

#[tokio::test]
async fn a_program_that_is_over_before_anyone_attaches_is_no_error() {
    let objects = Arc::new(Mutex::new(None::<FakeServer>));
    let ending = Arc::clone(&objects);
    // As a server refuses when the container has ended and the pod's status does not tell so yet.
    let refuse = move || async move {
        ending.lock().unwrap().as_ref().unwrap().put(POD, ended(7));
        (StatusCode::BAD_REQUEST, "container web not found in pod web_shop").into_response()
    };
    let server = server(Router::new().route(&format!("{POD}/attach"), get(refuse)), "all that it said\n").await;
    *objects.lock().unwrap() = Some(server.objects.clone());
    let (options, _file) = options(&server, "--name web -i");
    let screen = Screen::new();
    assert_eq!(run::run(options, None, &mut screen.terminal()).await.unwrap(), 7.into());
    assert_eq!(screen.text(), "all that it said\n");
}
