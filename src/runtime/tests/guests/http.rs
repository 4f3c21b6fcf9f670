//! Serving http components.

use std::time::Duration;

use runtime::{Exit, SandboxSpec};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

use crate::support::{Bench, PATIENCE, Started};

/// The web guest, started.
async fn web(bench: &Bench, change: impl FnOnce(&mut SandboxSpec)) -> Started {
    let code = bench.guest("web").await;
    bench.start(&code, change)
}

/// A client's end of a connection that the sandbox serves.
fn connect(started: &Started) -> DuplexStream {
    let (client, server) = tokio::io::duplex(4096);
    let sandbox = started.sandbox.clone();
    base::task::spawn("connection", async move { sandbox.serve_connection(server).await }).detach();
    client
}

/// Sends one request and gives all of the answer.
pub(crate) async fn ask(started: &Started, request: &str, body: &[u8]) -> String {
    let mut client = connect(started);
    let head =
        format!("{request} HTTP/1.1\r\nhost: test\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
    let asked = async {
        client.write_all(head.as_bytes()).await.unwrap();
        // A server that refuses a body closes before it has read all.
        let _ = client.write_all(body).await;
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).await.unwrap();
        String::from_utf8(answer).unwrap()
    };
    tokio::time::timeout(PATIENCE, asked).await.expect("no answer came")
}

#[track_caller]
pub(crate) fn check(answer: &str, status: &str, body: &str) {
    let head = format!("HTTP/1.1 {status} ");
    assert!(answer.starts_with(&head) && answer.contains(body), "not {status} with {body:?}: {answer}");
}

#[tokio::test]
async fn each_request_is_answered_by_an_instance() {
    let bench = Bench::new();
    let started = web(&bench, |spec| spec.env = vec![("COLOR".into(), "blue".into())]).await;
    check(&ask(&started, "GET /", b"").await, "200", "hello from wasm\n");
    check(&ask(&started, "POST /echo", b"there and back").await, "200", "there and back");
    check(&ask(&started, "GET /env/COLOR", b"").await, "200", "blue");
    check(&ask(&started, "GET /nowhere", b"").await, "404", "not found");

    started.sandbox.request_termination();
    assert_eq!(started.ends().await, Exit::Code(0));
    let usage = started.sandbox.usage();
    assert!(usage.memory_bytes == 0 && usage.memory_peak_bytes > 0 && !usage.cpu.is_zero(), "{usage:?}");
}

#[tokio::test]
async fn one_connection_carries_many_requests_and_needs_a_host() {
    let bench = Bench::new();
    let started = web(&bench, |_| {}).await;
    let mut client = connect(&started);
    client.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\nGET / HTTP/1.1\r\n\r\nGET /x HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut answers = String::new();
    tokio::time::timeout(PATIENCE, client.read_to_string(&mut answers)).await.unwrap().unwrap();
    let statuses: Vec<&str> = answers.split("HTTP/1.1 ").skip(1).map(|answer| &answer[..3]).collect();
    assert_eq!(statuses, ["200", "400", "404"]);
}

#[tokio::test]
async fn a_guest_that_fails_fails_its_request_alone() {
    let bench = Bench::new();
    let started = web(&bench, |spec| spec.http.request_deadline = Duration::from_millis(500)).await;
    check(&ask(&started, "GET /trap", b"").await, "500", "the component failed");
    let told = started.stderr.next().await.unwrap();
    assert!(String::from_utf8_lossy(&told).contains("unreachable"), "{told:?}");
    check(&ask(&started, "GET /spin", b"").await, "504", "did not answer in time");
    check(&ask(&started, "GET /", b"").await, "200", "hello");
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused() {
    let bench = Bench::new();
    let started = web(&bench, |spec| spec.http.body_bytes_max = 1000).await;
    check(&ask(&started, "POST /echo", &[b'x'; 1001]).await, "413", "larger than");
    check(&ask(&started, "POST /echo", &[b'x'; 1000]).await, "200", "xxx");
}

#[tokio::test]
async fn more_requests_than_instances_wait_for_their_turn() {
    let bench = Bench::new();
    let started = web(&bench, |spec| spec.http.concurrency = 1).await;
    let answers = futures::future::join_all((0..5).map(|_| ask(&started, "GET /", b""))).await;
    answers.iter().for_each(|answer| check(answer, "200", "hello"));
}

#[tokio::test]
async fn a_guest_without_memory_fails_its_request_and_says_so() {
    let bench = Bench::new();
    let started = web(&bench, |spec| spec.limits.memory_bytes = Some(65_536)).await;
    check(&ask(&started, "GET /", b"").await, "500", "the component failed");
    let told = started.stderr.next().await.unwrap();
    assert!(String::from_utf8_lossy(&told).contains("denied memory"), "{told:?}");
}

#[tokio::test]
async fn a_sandbox_asked_to_end_finishes_its_requests_first() {
    let bench = Bench::new();
    let started = web(&bench, |_| {}).await;
    let mut idle = connect(&started);
    let mut open = connect(&started);
    open.write_all(b"POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\nab").await.unwrap();
    check(&ask(&started, "GET /", b"").await, "200", "hello");

    started.sandbox.request_termination();
    assert!(started.sandbox.hears_termination());
    open.write_all(b"cd").await.unwrap();
    let mut answer = String::new();
    tokio::time::timeout(PATIENCE, open.read_to_string(&mut answer)).await.unwrap().unwrap();
    check(&answer, "200", "cd\r\n");
    assert_eq!(started.ends().await, Exit::Code(0));
    assert_eq!(idle.read_to_string(&mut String::new()).await.unwrap(), 0);
}

#[tokio::test]
async fn a_killed_sandbox_closes_its_connections() {
    let bench = Bench::new();
    let started = web(&bench, |_| {}).await;
    let mut client = connect(&started);
    client.write_all(b"GET /spin HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    started.sandbox.kill();
    assert_eq!(started.ends().await, Exit::Killed);
    let mut answer = String::new();
    tokio::time::timeout(PATIENCE, client.read_to_string(&mut answer)).await.unwrap().unwrap();
    assert!(answer.is_empty() || answer.contains(" 503 "), "{answer}");
}
