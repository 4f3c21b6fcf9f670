//! `minke token`: what nodes join with, and what registry clients log in with.
//!
//! A node's token is upstream's bootstrap token: a Secret `bootstrap-token-ID` in `kube-system`, which kubeadm, too,
//! could have made.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, bail};
use base::clock;
use clap::{Args, Subcommand};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::{DeleteParams, ListParams, PostParams};
use rand::RngExt as _;
use serde_json::json;

use crate::connect::{self, Connection, connect};
use crate::terminal::Terminal;

/// Where tokens are kept.
const PLACE: &str = "kube-system";

/// The two types of tokens and the beginnings of their Secrets' names.
const NODE: Kind = Kind { secret_type: "bootstrap.kubernetes.io/token", prefix: "bootstrap-token-" };
const REGISTRY: Kind = Kind { secret_type: "run.minke.dev/registry-token", prefix: "registry-token-" };

/// The letters of tokens, and how many there are of them: upstream's form `[a-z0-9]{6}.[a-z0-9]{16}`.
const LETTERS: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
const ID_LETTERS: usize = 6;
const SECRET_LETTERS: usize = 16;

/// What a token is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Kind {
    secret_type: &'static str,
    prefix: &'static str,
}

/// What to do with tokens.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Make a token and print it.
    Create(Create),
    /// List the tokens that there are.
    #[command(visible_alias = "ls")]
    List(connect::Options),
    /// Revoke a token.
    Delete(Delete),
}

/// Options of `minke token create`.
#[derive(Args, Clone, Debug)]
pub struct Create {
    /// How long it is good for; 0 is for ever.
    #[arg(long, value_name = "TIME", value_parser = time, default_value = "24h")]
    pub ttl: Duration,
    /// What it is for, for people.
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub description: String,
    /// Print the whole command by which a node joins.
    #[arg(long, conflicts_with = "registry")]
    pub print_join_command: bool,
    /// Make a token for clients of the registry, for the artifacts of one namespace; prints the command to log in.
    #[arg(long)]
    pub registry: bool,
    /// The server.
    #[command(flatten)]
    pub server: connect::Options,
}

/// Options of `minke token delete`.
#[derive(Args, Clone, Debug)]
pub struct Delete {
    /// The token, or its part before the point.
    #[arg(value_name = "ID")]
    pub id: String,
    /// The server.
    #[command(flatten)]
    pub server: connect::Options,
}

/// Does what is asked for.
///
/// # Errors
/// When the server refuses.
pub async fn run(command: Command, home: Option<PathBuf>, terminal: &mut Terminal) -> Result<ExitCode> {
    match command {
        Command::Create(options) => create(&options, home, terminal).await?,
        Command::List(server) => list(&connect(&server, home).await?, terminal).await?,
        Command::Delete(options) => delete(&connect(&options.server, home).await?, &options.id, terminal).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn create(options: &Create, home: Option<PathBuf>, terminal: &mut Terminal) -> Result<()> {
    let connection = connect(&options.server, home).await?;
    // Found before anything is made, so that a kubeconfig without an authority leaves no token behind that nobody saw.
    let hash = if options.print_join_command { Some(connection.authority_hash()?) } else { None };
    let authority = if options.registry { connection.authority_file()? } else { None };
    let (id, secret) = (letters::<ID_LETTERS>(), letters::<SECRET_LETTERS>());
    let expires = (!options.ttl.is_zero()).then(|| clock::now_seconds() + options.ttl);
    let kind = if options.registry { REGISTRY } else { NODE };
    let mut data = BTreeMap::from([
        ("token-id", id.clone()),
        ("token-secret", secret.clone()),
        ("description", options.description.clone()),
    ]);
    if options.registry {
        data.insert("namespace", connection.namespace.clone());
    } else {
        data.insert("usage-bootstrap-authentication", "true".to_owned());
        data.insert("usage-bootstrap-signing", "true".to_owned());
        data.insert("auth-extra-groups", "system:bootstrappers:kubeadm:default-node-token".to_owned());
    }
    data.extend(expires.map(|expires| ("expiration", expires.to_string())));
    let name = format!("{}{id}", kind.prefix);
    let object =
        serde_json::from_value(json!({"metadata": {"name": name}, "type": kind.secret_type, "stringData": data}))?;
    let made = secrets(&connection).create(&PostParams::default(), &object).await;
    made.map_err(|error| connection.explain(error))?;
    let token = format!("{id}.{secret}");
    terminal.say(&if options.registry {
        let trusted = authority.map(|path| format!(" --ca-file {}", path.display())).unwrap_or_default();
        format!("echo {token} | oras login {} --username minke --password-stdin{trusted}", connection.host())
    } else if let Some(hash) = hash {
        format!("minke node --join {} --token {token} --ca-hash {hash}", connection.url())
    } else {
        token
    })?;
    Ok(())
}

async fn list(connection: &Connection, terminal: &mut Terminal) -> Result<()> {
    let mut rows = vec![["ID", "FOR", "EXPIRES", "DESCRIPTION"].map(str::to_owned)];
    for kind in [NODE, REGISTRY] {
        let of_kind = ListParams::default().fields(&format!("type={}", kind.secret_type));
        let found = secrets(connection).list(&of_kind).await.map_err(|error| connection.explain(error))?;
        rows.extend(found.iter().map(|secret| row(secret, clock::now_seconds())));
    }
    for line in table(&rows) {
        terminal.say(&line)?;
    }
    Ok(())
}

async fn delete(connection: &Connection, id: &str, terminal: &mut Terminal) -> Result<()> {
    let id = id.split('.').next().unwrap_or_default();
    for kind in [NODE, REGISTRY] {
        let name = format!("{}{id}", kind.prefix);
        match secrets(connection).delete(&name, &DeleteParams::default()).await {
            Ok(_) => return Ok(terminal.say(&format!("token {id} was revoked"))?),
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            Err(error) => return Err(connection.explain(error)),
        }
    }
    bail!("there is no token {id}; see `minke token list`")
}

fn secrets(connection: &Connection) -> Api<Secret> {
    Api::namespaced(connection.client.clone(), PLACE)
}

/// What people see of a token. Never its secret.
fn row(secret: &Secret, now: Timestamp) -> [String; 4] {
    let text = |key: &str| {
        let bytes = secret.data.as_ref().and_then(|data| data.get(key));
        bytes.map(|bytes| String::from_utf8_lossy(&bytes.0).into_owned()).unwrap_or_default()
    };
    let purpose = match text("namespace") {
        namespace if secret.type_.as_deref() == Some(REGISTRY.secret_type) => format!("registry/{namespace}"),
        _ => "nodes".to_owned(),
    };
    let expires = match text("expiration").parse::<Timestamp>() {
        Ok(expires) if expires <= now => "expired".to_owned(),
        Ok(expires) => {
            let left =
                now.until(expires).map(|span| span.total(jiff::Unit::Second).unwrap_or_default()).unwrap_or_default();
            #[expect(clippy::cast_possible_truncation, reason = "whole seconds are enough for people")]
            let left = SignedDuration::from_secs(left as i64);
            format!("in {left:#}")
        }
        Err(_) => "never".to_owned(),
    };
    [text("token-id"), purpose, expires, text("description")]
}

/// Rows as lines with aligned columns.
fn table(rows: &[[String; 4]]) -> Vec<String> {
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(String::len).max().unwrap_or(0);
    let widths = [width(0), width(1), width(2)];
    let line = |row: &[String; 4]| {
        let [id, purpose, expires, description] = row;
        let [first, second, third] = widths;
        let line = format!("{id:first$}   {purpose:second$}   {expires:third$}   {description}");
        line.trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

/// Random letters.
pub(crate) fn letters<const N: usize>() -> String {
    let mut random = rand::rng();
    (0..N)
        .filter_map(|_| LETTERS.get(random.random_range(0..LETTERS.len())))
        .map(|&letter| char::from(letter))
        .collect()
}

pub(crate) fn time(text: &str) -> Result<Duration, String> {
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let parsed = text.parse::<SignedDuration>().map_err(|error| format!("not a time such as 24h: {error}"))?;
    Duration::try_from(parsed).map_err(|_| "a time must not be negative".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_has_upstreams_form() {
        let (id, secret) = (letters::<ID_LETTERS>(), letters::<SECRET_LETTERS>());
        assert!(id.len() == 6 && secret.len() == 16);
        assert!(id.bytes().chain(secret.bytes()).all(|letter| LETTERS.contains(&letter)));
    }

    #[test]
    fn a_list_shows_what_tokens_are_for_and_no_secret() {
        let secret = serde_json::from_value(json!({"type": REGISTRY.secret_type, "data": {
            "token-id": "YWJjZGVm", "token-secret": "c2VjcmV0", "namespace": "c2hvcA==",
            "expiration": "MjAyNi0wMS0wMVQwMTowMDowMFo="}}))
        .unwrap();
        let now = "2026-01-01T00:00:00Z".parse().unwrap();
        let header = ["ID", "FOR", "EXPIRES", "DESCRIPTION"].map(str::to_owned);
        let lines = table(&[header, row(&secret, now)]);
        assert_eq!(lines, ["ID       FOR             EXPIRES   DESCRIPTION", "abcdef   registry/shop   in 1h"]);
    }
}
