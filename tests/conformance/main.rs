//! Conformance: what the API answers, request by request, beside what upstream answers.
//!
//! An API server runs in this process over a store in a temporary folder, without controllers, scheduler or nodes.
//! `upstream/` holds what a kube-apiserver answered to a session of requests; where Minke's answer is another, the
//! difference is either a defect or stands in `known.tsv` with the part that brings it. `requests/` holds sessions of
//! our own, whose answers are snapshots. How to read and change the tables: `README.md` beside this file.
//!
//! Reading order: [`exchange`] (the tables' form), [`session`] (asking), [`settle`] (values that differ from run to
//! run), [`difference`], [`known`].

#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test's failure is its answer")]

mod difference;
mod exchange;
mod headers;
mod kinds;
mod known;
mod protobuf;
mod session;
mod settle;
mod table;

use table::Table;

#[tokio::test]
async fn upstreams_session_is_answered_as_upstream_does_but_for_the_known_differences() {
    let tables = Table::all_in("upstream");
    let differences = table::play(&tables).await;
    table::rewrite_if_asked(&tables);
    known::check(&known::read("known.tsv"), &differences);
}

/// Plays a table of our own on a server of its own; its answers must be those that are written down.
async fn check(name: &str) {
    let tables = vec![Table::read("requests", name)];
    let differences = table::play(&tables).await;
    known::check(&[], &differences);
}

macro_rules! tables {
    ($($name:ident),* $(,)?) => { $(#[tokio::test] async fn $name() { check(stringify!($name)).await; })* };
}

tables![
    access,
    admission,
    deletion,
    discovery,
    forms,
    lists,
    managers,
    patches,
    refusals,
    services,
    subresources,
    watches,
    writes
];
