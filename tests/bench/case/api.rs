//! The API alone, beside upstream's: writes of every sort, lists, watches, memory, and how soon it is ready.
//!
//! Where etcd and kube-apiserver are on `PATH`, they are driven by the same client on the same disk; else their figures
//! are those that are known of the reference machine. Each goal is five times upstream's rate, and a fifth of its p99 and
//! memory.

mod figure;
mod lists;
mod reference;
mod size;
mod verbs;

use anyhow::Result;

use self::figure::Figure;
use self::lists::Form;
use super::watch::{Audience, Deliveries};
use crate::Bench;
use crate::objects::{self, Kind, PODS, WIDGETS};
use crate::peer::{Peer, Product};
use crate::report::Row;
use crate::upstream;

/// The name of the row of one watcher.
const DELIVERY_PODS: &str = "pods: create → event at 1 watcher";

/// Watchers of one collection, and creations that they watch.
const AUDIENCES: [(usize, usize); 2] = [(1, 300), (1000, 40)];

/// Custom objects that are listed.
const WIDGETS_LISTED: usize = 10_000;

pub(crate) async fn measure(bench: &Bench) -> Result<Vec<Row>> {
    let ours = figures(bench, Product::Minke).await;
    let (theirs, source) = if upstream::is_there() {
        (figures(bench, Product::Upstream).await, "upstream's figures: etcd and kube-apiserver of this machine")
    } else {
        (reference::figures(), reference::SOURCE)
    };
    let mut rows = vec![Row::new("the API alone", "").note(source)];
    rows.extend(ours.iter().map(|ours| ours.row(theirs.iter().find(|theirs| theirs.what == ours.what))));
    Ok(rows)
}

/// Everything of one product; what fails is a figure that says so, and the rest goes on.
async fn figures(bench: &Bench, product: Product) -> Vec<Figure> {
    let mut figures = or_failed("size", size::measure(bench, product).await);
    match product.start(bench).await {
        Ok(peer) => {
            figures.extend(of_kind(&peer, PODS).await);
            figures.extend(or_failed("custom objects", of_widgets(&peer).await));
        }
        Err(error) => figures.push(Figure::failed("writes and watches", &error)),
    }
    figures
}

async fn of_widgets(peer: &Peer) -> Result<Vec<Figure>> {
    objects::define(peer.server()).await?;
    verbs::create_many(peer, WIDGETS, 0..WIDGETS_LISTED).await?;
    let mut figures = vec![
        lists::whole(peer, WIDGETS, WIDGETS_LISTED, Form::Json).await,
        lists::pages(peer, WIDGETS, WIDGETS_LISTED, Form::Json).await,
    ];
    figures.extend(of_kind(peer, WIDGETS).await);
    Ok(figures)
}

/// Watches before writes: these leave many objects.
async fn of_kind(peer: &Peer, kind: Kind) -> Vec<Figure> {
    let mut figures = Vec::new();
    for (watchers, writes) in AUDIENCES {
        figures.push(Figure::measured(what(kind, watchers), deliver(peer, kind, watchers, writes)).await);
    }
    figures.extend(verbs::measure(peer, kind).await);
    figures
}

async fn deliver(peer: &Peer, kind: Kind, watchers: usize, writes: usize) -> Result<Figure> {
    let audience = Audience::open(peer.server(), kind, watchers, writes).await?;
    let before = peer.cpu()?;
    let Deliveries { all, last, answers } = audience.deliver().await?;
    let spent = (peer.cpu()? - before).as_secs_f64() / all.len().max(1) as f64;
    let figure = Figure::new(what(kind, watchers)).times(if watchers == 1 { &all } else { &last });
    Ok(figure.note(format!("{:.0} µs of server CPU an event; the writer's own answer: {answers}", spent * 1e6)))
}

fn what(kind: Kind, watchers: usize) -> String {
    match watchers {
        1 if kind.path == PODS.path => DELIVERY_PODS.to_owned(),
        1 => format!("{}: create → event at 1 watcher", kind.plural),
        _ => format!("{}: create → event at the last of {watchers} watchers", kind.plural),
    }
}

fn or_failed(what: &str, figures: Result<Vec<Figure>>) -> Vec<Figure> {
    figures.unwrap_or_else(|error| vec![Figure::failed(what, &error)])
}
