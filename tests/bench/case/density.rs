//! Many pods on one node that run and do nothing.
//!
//! The images are pushed and compiled before, by a pod each; what is counted are the pods after those. Memory is the
//! proportional one: pods of one image share pages of it, and resident memory counts such a page for each of them, though
//! the machine has it once.

use std::time::Duration;

use anyhow::Result;
use base::clock::Instant;

use crate::Bench;
use crate::cluster::{Cluster, SETTLE};
use crate::pods::{self, Watch};
use crate::report::Row;
use crate::usage::{Usage, cpu, megabytes};

/// Programs that the pods run.
const IMAGES: usize = 100;

/// Pods that are there when each measurement is made, beside those that warmed the images.
const SIZES: [usize; 2] = [1_000, 10_000];

/// The node's own bound, above all that are created.
const MAX_PODS: &str = "12000";

/// What design allows the largest size: time until all run, bytes each and in all, mappings and descriptors each.
const TIME_MAX: Duration = Duration::from_secs(20);
const POD_BYTES_MAX: i64 = 64 << 10;
const ALL_BYTES_MAX: i64 = 1_000_000_000;
const POD_MAPPINGS_MAX: i64 = 5;
const POD_DESCRIPTORS_MAX: i64 = 1;

pub(crate) async fn measure(bench: &Bench) -> Result<Vec<Row>> {
    let cluster = Cluster::start(bench, "up", &["--max-pods", MAX_PODS]).await?;
    let process = cluster.process.id()?;
    tokio::time::sleep(SETTLE).await;
    let empty = Usage::of(process)?;
    let mut watch = Watch::start(&cluster.server).await?;
    let started = Instant::now();
    for image in 0..IMAGES {
        pods::push_variant(&cluster, &bench.guest("hello"), &format!("image-{image}")).await?;
    }
    create(&cluster, "warm", 0..IMAGES).await?;
    let warm = watch.running(IMAGES).await? - started;
    tokio::time::sleep(SETTLE).await;
    let before = Usage::of(process)?;
    let mut rows = vec![images(warm, before - empty)];

    let (mut count, mut time, mut spent) = (0, Duration::ZERO, Duration::ZERO);
    for size in SIZES {
        let (more, cpu_before) = (count..size, cpu(process)?);
        let started = Instant::now();
        let expected = more.len();
        let creating = create(&cluster, "pod", more);
        let ((), last) = tokio::try_join!(creating, watch.running(expected))?;
        time += last - started;
        spent += cpu(process)? - cpu_before;
        count = size;
        tokio::time::sleep(SETTLE).await;
        let now = Usage::of(process)?;
        let cpu_before = cpu(process)?;
        tokio::time::sleep(SETTLE).await;
        let idle = (cpu(process)? - cpu_before).as_secs_f64() / SETTLE.as_secs_f64() * 100.0;
        rows.extend(all_of(size, (time, spent), idle, now, now - before));
    }
    Ok(rows)
}

async fn create(cluster: &Cluster, name: &str, numbers: std::ops::Range<usize>) -> Result<()> {
    let pods = numbers.map(|number| (format!("{name}-{number}"), format!("image-{}", number % IMAGES)));
    pods::create_all(&cluster.server, pods.collect()).await
}

fn images(time: Duration, usage: Usage) -> Row {
    let each = usage.pss as f64 / IMAGES as f64 / 1024.0;
    let row = Row::new(format!("{IMAGES} images pushed, compiled, a pod each"), format!("{:.1} s", time.as_secs_f64()));
    row.note(format!("{each:.0} KiB each, {} mappings in all", usage.mappings)).value("time_s", time.as_secs_f64())
}

/// The rows of one size: `more` is what these pods brought, `now` what the process has.
fn all_of(size: usize, (time, spent): (Duration, Duration), idle: f64, now: Usage, more: Usage) -> Vec<Row> {
    let count = size as i64;
    let each = [more.pss, more.anonymous, more.mappings, more.descriptors].map(|number| number as f64 / count as f64);
    let [pss, anonymous, mappings, descriptors] = each;
    let is_largest = SIZES.last() == Some(&size);
    let aim = |row: Row, target, is_met| if is_largest { row.target(target, is_met) } else { row };
    let what = |what: &str| format!("{size} idle pods: {what}");
    let started = Row::new(what("all Running after"), format!("{:.1} s", time.as_secs_f64()))
        .note(format!(
            "{:.0} pods/s; {:.2} s of server CPU per 1000",
            size as f64 / time.as_secs_f64(),
            spent.as_secs_f64() * 1e3 / size as f64
        ))
        .value("time_s", time.as_secs_f64())
        .value("server_cpu_s", spent.as_secs_f64());
    let memory = Row::new(what("memory each"), format!("{:.1} KiB", pss / 1024.0))
        .note(format!("{:.1} KiB of it anonymous", anonymous / 1024.0))
        .value("pss_bytes", pss)
        .value("anonymous_bytes", anonymous);
    let all = Row::new(what("memory of the process"), megabytes(now.pss))
        .note(format!("{} resident; idle at {idle:.1} % of a core", megabytes(now.rss)))
        .value("pss_bytes", now.pss as f64)
        .value("rss_bytes", now.rss as f64)
        .value("idle_cpu_percent", idle);
    let parts = Row::new(what("mappings, descriptors each"), format!("{mappings:.2}, {descriptors:.2}"))
        .note(format!("{} mappings, {} descriptors, {} threads in all", now.mappings, now.descriptors, now.threads))
        .value("mappings", mappings)
        .value("descriptors", descriptors);
    let is_slim = more.mappings <= POD_MAPPINGS_MAX * count && more.descriptors <= POD_DESCRIPTORS_MAX * count;
    vec![
        aim(started, "≤ 20 s", time <= TIME_MAX),
        aim(memory, "≤ 64 KiB", more.pss <= POD_BYTES_MAX * count),
        aim(all, "≤ 1 GB", now.pss <= ALL_BYTES_MAX),
        aim(parts, "≤ 5, ≤ 1", is_slim),
    ]
}
