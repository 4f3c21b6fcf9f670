//! `minke backup`: a file that is there whole or not at all.

use axum::Router;
use axum::body::Body;
use axum::http::StatusCode;
use axum::routing::get;
use client::testing::FakeServer;
use serde_json::json;

use crate::backup::{self, Options};
use crate::testing::{Neighbour, Screen};

const PATH: &str = "/apis/run.minke.dev/v1/backup";

async fn server(answer: fn() -> (StatusCode, Body)) -> Neighbour {
    Neighbour::start(FakeServer::default(), Router::new().route(PATH, get(move || async move { answer() }))).await
}

#[tokio::test]
async fn a_backup_replaces_nothing_unless_it_is_told_to() {
    let server = server(|| (StatusCode::OK, "the store".into())).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("backup");
    let screen = Screen::new();
    let mut terminal = screen.terminal();
    let mut options = Options { file: file.clone(), force: false, server: server.options() };
    backup::run(options.clone(), None, &mut terminal).await.unwrap();
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "the store");
    assert!(screen.text().starts_with("9 bytes in "), "{}", screen.text());

    std::fs::write(&file, "precious").unwrap();
    let error = backup::run(options.clone(), None, &mut terminal).await.unwrap_err().to_string();
    assert!(error.contains("--force"), "{error}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "precious");

    options.force = true;
    backup::run(options, None, &mut terminal).await.unwrap();
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "the store");
}

#[tokio::test]
async fn a_backup_that_breaks_off_or_is_refused_leaves_no_file() {
    let broken = || {
        let chunks = [Ok("the st"), Err(std::io::Error::other("cut"))];
        (StatusCode::OK, Body::from_stream(futures::stream::iter(chunks)))
    };
    let refused = || (StatusCode::FORBIDDEN, json!({"message": "you may not"}).to_string().into());
    // Where the answer breaks off is seen by the client in its head or in its body, as it happens.
    for (answer, expected) in [(broken as fn() -> _, "http://127.0.0.1:"), (refused, "you may not")] {
        let server = server(answer).await;
        let folder = tempfile::tempdir().unwrap();
        let options = Options { file: folder.path().join("backup"), force: false, server: server.options() };
        let error = backup::run(options, None, &mut Screen::new().terminal()).await.unwrap_err();
        assert!(format!("{error:#}").contains(expected), "{error:#}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
