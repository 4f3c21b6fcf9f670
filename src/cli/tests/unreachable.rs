//! A server that is not there: every command says so, where it looked, and what to do.

use std::io::Write as _;

use anyhow::Result;
use tempfile::NamedTempFile;
use tokio::net::TcpListener;

use crate::connect;
use crate::testing::{Screen, kubeconfig};
use crate::{backup, push, run, token};

/// The kubeconfig of a server at a port where nobody listens.
async fn nobody() -> (NamedTempFile, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    (kubeconfig(&url), url)
}

fn check<T>(done: Result<T>, url: &str) {
    let error = format!("{:#}", done.err().unwrap());
    let expected = format!("cannot reach the API server at {url}: is it running? `minke up` starts one: ");
    assert!(error.starts_with(&expected), "{error}");
}

#[tokio::test]
async fn every_command_says_what_to_do() {
    let (kubeconfig, url) = nobody().await;
    let server = connect::Options { kubeconfig: Some(kubeconfig.path().to_owned()), ..connect::Options::default() };
    let mut terminal = Screen::new().terminal();
    let mut program = NamedTempFile::new().unwrap();
    program.write_all(b"\0asm\x01\0\0\0").unwrap();
    let file = program.path().to_owned();

    let folder = tempfile::tempdir().unwrap();
    let options = backup::Options { file: folder.path().join("backup"), force: false, server: server.clone() };
    check(backup::run(options, None, &mut terminal).await, &url);
    check(token::run(token::Command::List(server.clone()), None, &mut terminal).await, &url);
    let options = push::Options { file: file.clone(), name: "web".to_owned(), server: server.clone() };
    check(push::run(options, None, &mut terminal).await, &url);
    let options = run::Options {
        file,
        name: Some("web".to_owned()),
        environment: Vec::new(),
        replace: false,
        rm: false,
        stdin: false,
        tty: false,
        server,
        arguments: Vec::new(),
    };
    check(run::run(options, None, &mut terminal).await, &url);
}
