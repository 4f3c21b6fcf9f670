//! `minke token`: the Secrets that stand for tokens.

use std::time::Duration;

use axum::Router;
use client::testing::FakeServer;
use serde_json::json;

use crate::testing::{Neighbour, Screen};
use crate::token::{self, Command, Create, Delete};

const SECRETS: &str = "/api/v1/namespaces/kube-system/secrets";

async fn server() -> Neighbour {
    Neighbour::start(FakeServer::default(), Router::new()).await
}

fn create(server: &Neighbour, ttl: Duration) -> Create {
    let server = server.options();
    Create { ttl, description: "of the lab".to_owned(), print_join_command: false, registry: false, server }
}

/// The lines that a command prints.
async fn lines(command: Command) -> Result<Vec<String>, String> {
    let screen = Screen::new();
    let done = token::run(command, None, &mut screen.terminal()).await;
    done.map(|_| screen.text().lines().map(str::to_owned).collect()).map_err(|error| error.to_string())
}

#[tokio::test]
async fn a_nodes_token_is_a_secret_as_upstream_reads_it() {
    let server = server().await;
    let printed = lines(Command::Create(create(&server, Duration::from_secs(3600)))).await.unwrap();
    let (id, secret) = printed[0].split_once('.').unwrap();
    let made = server.objects.object(&format!("{SECRETS}/bootstrap-token-{id}")).unwrap();
    assert_eq!(made["type"], "bootstrap.kubernetes.io/token");
    let said = |key: &str| made["stringData"][key].as_str().unwrap_or_default().to_owned();
    assert_eq!((said("token-id"), said("token-secret")), (id.to_owned(), secret.to_owned()));
    assert_eq!(said("usage-bootstrap-authentication"), "true");
    assert!(said("auth-extra-groups").starts_with("system:bootstrappers:"));
    assert_eq!(said("description"), "of the lab");
    assert!(said("expiration").ends_with('Z'), "{made}");
}

#[tokio::test]
async fn a_registrys_token_is_for_a_namespace_and_printed_as_a_login() {
    let server = server().await;
    let options = Create { registry: true, ..create(&server, Duration::ZERO) };
    let printed = lines(Command::Create(options)).await.unwrap();
    let words: Vec<&str> = printed[0].split(' ').collect();
    let token = words[1];
    assert_eq!(words[..1], ["echo"]);
    assert_eq!(words[2..5], ["|", "oras", "login"]);
    let (id, _) = token.split_once('.').unwrap();
    let made = server.objects.object(&format!("{SECRETS}/registry-token-{id}")).unwrap();
    assert_eq!(made["stringData"]["namespace"], "shop");
    assert!(made["stringData"].get("expiration").is_none(), "a ttl of 0 is for ever");
}

#[tokio::test]
async fn no_token_is_made_for_a_command_that_cannot_be_printed() {
    let server = server().await;
    let options = Create { print_join_command: true, ..create(&server, Duration::ZERO) };
    let error = lines(Command::Create(options)).await.unwrap_err();
    assert!(error.contains("certificate-authority-data"), "{error}");
    assert_eq!(server.objects.writes(), Vec::<String>::new());
}

#[tokio::test]
async fn tokens_are_listed_and_revoked_by_their_ids() {
    let server = server().await;
    let data = json!({"token-id": "YWJjZGVm", "token-secret": "c2VjcmV0"});
    let object = json!({"type": "bootstrap.kubernetes.io/token", "data": data});
    server.objects.put(&format!("{SECRETS}/bootstrap-token-abcdef"), object);
    let listed = lines(Command::List(server.options())).await.unwrap();
    assert_eq!(listed[1].split_whitespace().collect::<Vec<_>>(), ["abcdef", "nodes", "never"]);

    let delete = |id: &str| Command::Delete(Delete { id: id.to_owned(), server: server.options() });
    // The whole token will do, too.
    assert_eq!(lines(delete("abcdef.secret")).await.unwrap(), ["token abcdef was revoked"]);
    assert_eq!(lines(delete("abcdef")).await.unwrap_err(), "there is no token abcdef; see `minke token list`");
}
