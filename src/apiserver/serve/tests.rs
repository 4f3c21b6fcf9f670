//! Hostile and slow clients at the real listener: each is told or given up, and nobody else notices.

use http::{Method, Request};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;
use crate::tests::door::{Door, Http2, TOKEN};
use crate::tests::{Cluster, MAPS};

async fn door() -> Door {
    Door::open(Cluster::start().await).await
}

/// What the server answers to a text, until it ends the connection. The clock stands still but for deadlines, so each
/// of them comes at once.
async fn answer_to(door: &Door, sent: &[u8]) -> String {
    let mut stream = door.connect("http/1.1").await;
    stream.write_all(sent).await.unwrap();
    stream.flush().await.unwrap();
    tokio::time::pause();
    let mut answer = Vec::new();
    // A peer that was given up may see its connection reset.
    let _ = stream.read_to_end(&mut answer).await;
    tokio::time::resume();
    String::from_utf8(answer).unwrap()
}

fn post(rest: &str) -> String {
    format!("POST {MAPS} HTTP/1.1\r\nhost: server\r\nauthorization: Bearer {TOKEN}\r\n{rest}")
}

#[tokio::test]
async fn a_client_that_says_nothing_or_half_a_head_is_given_up() {
    let door = door().await;
    assert_eq!(answer_to(&door, b"").await, "");
    assert_eq!(answer_to(&door, b"GET /version HTTP/1.1\r\nhost:").await, "");
    let mut silent = door.connect("h2").await;
    silent.write_all(b"PRI * HTTP/2").await.unwrap();
    tokio::time::pause();
    // What the server says first is its settings.
    let _ = silent.read_to_end(&mut Vec::new()).await;
}

#[tokio::test]
async fn a_body_that_stands_still_is_refused() {
    let door = door().await;
    let sent = post("content-type: application/json\r\ncontent-length: 1000\r\n\r\n{\"apiVersion\":");
    let answer = answer_to(&door, sent.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("the body could not be read"), "{answer}");
}

#[tokio::test]
async fn a_head_that_is_too_long_is_431() {
    let door = door().await;
    let long = post(&format!("x-long: {}\r\nconnection: close\r\n\r\n", "x".repeat(100 << 10)));
    let answer = answer_to(&door, long.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    let many = post(&"x-many: 1\r\n".repeat(10_000));
    let answer = answer_to(&door, many.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");

    let mut client = door.http2().await;
    let request = Request::get("https://server/version").header("x-long", "x".repeat(15 << 10));
    assert_eq!(client.ask(request, axum::body::Body::empty()).await.status(), 200);
    let mut request = Request::get("https://server/version");
    for name in ["a", "b", "c", "d", "e"] {
        request = request.header(name, "x".repeat(15 << 10));
    }
    assert_eq!(client.ask(request, axum::body::Body::empty()).await.status(), 431);
}

#[tokio::test]
async fn a_body_over_its_bound_is_413_and_the_connection_goes_on() {
    let door = door().await;
    let mut client = door.http2().await;
    let request = Request::post(format!("https://server{MAPS}")).header("content-type", "application/json");
    let answer = client.ask(request, vec![b' '; (3 << 20) + 1].into()).await;
    assert_eq!(answer.status(), 413);
    assert_eq!(client.get("/version").await.status(), 200);
}

#[tokio::test]
async fn an_alias_bomb_is_refused_before_it_grows() {
    let door = door().await;
    let mut bomb = "a: &a [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for (name, of) in ('b'..='z').zip('a'..) {
        bomb.push_str(&format!("{name}: &{name} [*{of}, *{of}, *{of}, *{of}, *{of}, *{of}, *{of}, *{of}, *{of}]\n"));
    }
    let mut client = door.http2().await;
    let request = Request::post(format!("https://server{MAPS}")).header("content-type", "application/yaml");
    let answer = client.ask(request, bomb.into()).await;
    assert_eq!(answer.status(), 400);
}

#[tokio::test]
async fn stalled_watches_hold_up_nothing_else_on_their_connection() {
    let door = door().await;
    let mut client = door.http2().await;
    let watch = format!("{MAPS}?watch=1");
    let mut stalled = Vec::new();
    for _ in 0..100 {
        stalled.push(client.get(&watch).await);
    }
    let mut read = client.get(&watch).await.into_body();
    let large = "x".repeat(300 << 10);
    for index in 0..10 {
        door.cluster.config_map(&format!("m{index}"), &large).await;
        let event = next_line(&mut read).await;
        assert_eq!(event["object"]["metadata"]["name"], format!("m{index}"));
    }
    assert_eq!(get_version(&mut client).await, 200);
    assert_eq!(stalled.len(), 100);
}

async fn get_version(client: &mut Http2) -> u16 {
    client.get("/version").await.status().as_u16()
}

/// The next line of a watch whose lines come one by one.
async fn next_line(body: &mut hyper::body::Incoming) -> Value {
    let mut line = Vec::new();
    while !line.ends_with(b"\n") {
        let frame = tokio::time::timeout(Duration::from_secs(20), body.frame()).await;
        line.extend_from_slice(
            &frame.expect("no event in time").expect("the watch ended").unwrap().into_data().unwrap(),
        );
    }
    serde_json::from_slice(&line).unwrap()
}

#[tokio::test]
async fn thousands_of_watches_see_each_change() {
    const WATCHES: usize = 4000;
    let cluster = Cluster::start().await;
    let mut watches = Vec::new();
    for _ in 0..WATCHES {
        watches.push(cluster.stream(&format!("{MAPS}?watch=1")).await);
    }
    cluster.config_map("a", "1").await;
    for watch in &mut watches {
        let frame = tokio::time::timeout(Duration::from_secs(20), watch.frame()).await;
        let frame = frame.expect("no event in time").expect("the watch ended").unwrap().into_data().unwrap();
        assert!(frame.starts_with(b"{\"type\":\"ADDED\""));
    }
}

#[tokio::test]
async fn a_certificate_that_is_due_is_renewed_while_connections_go_on() {
    let mut door = door().await;
    let mut before = door.http2().await;
    let shown = |stream: &tokio_rustls::client::TlsStream<TcpStream>| {
        stream.get_ref().1.peer_certificates().unwrap()[0].to_vec()
    };
    let first = shown(&door.connect("h2").await);
    // As if two thirds of its life were over: certificates are dated five minutes back.
    let subject = pki::Subject {
        common_name: "kube-apiserver".into(),
        organization: None,
        names: vec!["127.0.0.1".into()],
        usage: pki::Usage::Server,
    };
    let due = door.authority.issue(&subject, Duration::from_secs(1)).unwrap();
    let folder = door.cluster.folder.path().join("keys/pki");
    std::fs::write(folder.join("apiserver.crt"), &due.certificate_pem).unwrap();
    std::fs::write(folder.join("apiserver.key"), &due.key_pem).unwrap();

    door.renewal.look().await;
    assert_ne!(shown(&door.connect("h2").await), first);
    assert_eq!(get_version(&mut before).await, 200);
}

#[tokio::test]
async fn who_shows_a_wrong_token_to_the_registry_is_asked_to_log_in() {
    let door = door().await;
    let get = |token: &str| {
        format!("GET /v2/ HTTP/1.1\r\nhost: server\r\nauthorization: Basic {token}\r\nconnection: close\r\n\r\n")
    };
    let answer = answer_to(&door, get("eDp3cm9uZw==").as_bytes()).await;
    assert!(
        answer.starts_with("HTTP/1.1 401") && answer.contains("www-authenticate: Basic realm=\"minke\""),
        "{answer}"
    );
}

#[tokio::test]
async fn a_backup_is_for_administrators_and_opens_again() {
    let folder = tempfile::tempdir().unwrap();
    let cluster = Cluster::with(|options| options.backup_folder = Some(folder.path().to_owned())).await;
    cluster.config_map("kept", "1").await;
    let path = "/apis/run.minke.dev/v1/backup";
    let stranger = crate::authentication::User::authenticated("stranger", Vec::new());
    assert_eq!(cluster.ask_as(stranger, Method::GET, path, "", Value::Null).await.0, 403);

    let content = cluster.stream(path).await.collect().await.unwrap().to_bytes();
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    let copy = folder.path().join("store.redb");
    std::fs::write(&copy, content).unwrap();
    let restored = Cluster::restored(&copy).await;
    assert_eq!(restored.ask(Method::GET, &format!("{MAPS}/kept"), json!(null)).await.0, 200);
}
