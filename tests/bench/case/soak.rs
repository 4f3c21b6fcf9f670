//! A server under a steady load for as long as is asked: does its file grow, its memory, its time to answer?
//!
//! Two hundred leases are renewed each second; config maps, pods and custom objects come, change and go; watchers come
//! and go, and everything is listed in pages. Each minute is a row; at the end the last minutes stand beside early ones.

mod load;
mod minute;
mod tally;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use base::clock::Instant;

use self::minute::Minute;
use self::tally::Tally;
use crate::Bench;
use crate::cluster::Cluster;
use crate::objects;
use crate::report::Row;
use crate::usage::{Usage, cpu};

/// What a row stands for.
const MINUTE: Duration = Duration::from_secs(60);

pub(crate) async fn measure(bench: &Bench) -> Result<Vec<Row>> {
    let cluster = Cluster::start(bench, "server", &[]).await?;
    objects::define(&cluster.server).await?;
    let tally = Arc::new(Tally::default());
    let work = load::start(&cluster.server, &tally);
    let process = cluster.process.id()?;
    let started = Instant::now();
    let (mut minutes, mut spent) = (Vec::new(), cpu(process)?);
    for number in 1..=bench.minutes {
        tokio::time::sleep_until(started + MINUTE * u32::try_from(number)?).await;
        let before = std::mem::replace(&mut spent, cpu(process)?);
        let minute = Minute {
            number,
            store_bytes: cluster.store_bytes()?,
            rss_bytes: Usage::of(process)?.rss,
            cpu_percent: (spent - before).as_secs_f64() / MINUTE.as_secs_f64() * 100.0,
            counts: tally.take(),
        };
        eprintln!("{minute}");
        minutes.push(minute);
    }
    drop(work);
    let mut rows: Vec<Row> = minutes.iter().map(Minute::row).collect();
    rows.extend(minute::compare(&minutes));
    Ok(rows)
}
