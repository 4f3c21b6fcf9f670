//! What an API server takes at rest, with few and with many objects, how soon it is ready, and what lists of so many
//! cost.

use anyhow::Result;

use super::figure::Figure;
use super::lists::{self, Form};
use super::verbs;
use crate::Bench;
use crate::cluster::SETTLE;
use crate::objects::PODS;
use crate::peer::{Peer, Product};

/// Names of rows that upstream's known figures are of.
pub(super) const READY: &str = "new server until /readyz is ok";
pub(super) const IDLE: &str = "memory, idle";
pub(super) const AT_5000: &str = "memory with 5000 pods";
pub(super) const LIST_5000: &str = "pods: list of 5000";

/// Pods that are there when something is measured.
const FEW: usize = 5_000;
const SOME: usize = 10_000;
/// Ours alone: upstream would create them for minutes.
const MANY: usize = 100_000;

pub(super) async fn measure(bench: &Bench, product: Product) -> Result<Vec<Figure>> {
    let peer = product.start(bench).await?;
    let mut figures = vec![Figure::new(READY).p50(peer.ready_after())];
    figures.push(memory(&peer, IDLE).await?);
    verbs::create_many(&peer, PODS, 0..FEW).await?;
    figures.push(memory(&peer, AT_5000).await?);
    figures.push(lists::whole(&peer, PODS, FEW, Form::Json).await);
    verbs::create_many(&peer, PODS, FEW..SOME).await?;
    for form in [Form::Json, Form::Protobuf] {
        figures.push(lists::whole(&peer, PODS, SOME, form).await);
    }
    figures.push(lists::pages(&peer, PODS, SOME, Form::Json).await);
    if product == Product::Minke {
        let what = format!("pods: {MANY} created");
        figures.push(Figure::measured(what, verbs::create_many(&peer, PODS, SOME..MANY)).await);
        figures.push(memory(&peer, &format!("memory with {MANY} pods")).await?);
        figures.push(lists::pages(&peer, PODS, MANY, Form::Json).await);
        let peer = peer.restart(bench).await?;
        let again = Figure::new(format!("server with {MANY} pods until /readyz is ok")).p50(peer.ready_after());
        figures.push(again.note(format!("{:.2?} of CPU", peer.cpu()?)));
        figures.push(memory(&peer, &format!("memory with {MANY} pods, started over them")).await?);
    }
    Ok(figures)
}

async fn memory(peer: &Peer, what: &str) -> Result<Figure> {
    tokio::time::sleep(SETTLE).await;
    Ok(Figure::new(what).bytes(peer.rss()?))
}
