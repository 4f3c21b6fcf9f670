//! A fresh WASI 0.1 hello, its output to a sink, no mount: instantiated, run, torn down; beside bare wasmtime with the
//! same engine settings, in turn on the same machine.

use anyhow::Result;
use runtime::cost::{self, Cost};
use runtime::{Compiler, Options, Profile, Runtime};

use crate::Bench;
use crate::report::Row;

/// Sandboxes in one look, after as many to warm up: short enough to fall between two disturbances.
const ROUNDS: u32 = 500;

/// Looks, of which the best of each number counts. Guest threads are nicer than other work on the machine and bare
/// wasmtime's is not, so a mean would tell how busy the machine was with others.
const LOOKS: u32 = 12;

/// The most that design allows, as a multiple of bare wasmtime.
const RATIO_MAX: f64 = 1.3;

pub(crate) async fn measure(bench: &Bench) -> Result<Vec<Row>> {
    let folder = tempfile::tempdir_in(&bench.folder)?;
    let mut options = Options::new(folder.path().join("code"), Compiler::InProcess);
    options.threads = 1;
    let runtime = Runtime::start(options)?;
    let mut rows = Vec::new();
    for profile in [Profile::Request, Profile::Dense, Profile::Guarded] {
        let mut cost = look(&runtime, bench, profile).await?;
        for _ in 1..LOOKS {
            let next = look(&runtime, bench, profile).await?;
            cost = Cost {
                bare: cost.bare.min(next.bare),
                sandbox: cost.sandbox.min(next.sandbox),
                cpu: cost.cpu.min(next.cpu),
                latency: cost.latency.min(next.latency),
            };
        }
        let ratio = cost.sandbox.as_secs_f64() / cost.bare.as_secs_f64();
        let row = Row::new(
            format!("fresh sandbox, profile {}", profile.name()),
            format!("{:.1?} = {ratio:.2} × bare wasmtime's {:.1?}", cost.sandbox, cost.bare),
        );
        let row = row.target("≤ 1.3 × bare wasmtime", ratio <= RATIO_MAX);
        let row =
            row.note(format!("{:.1?} CPU of its thread; {:.1?} to an idle thread and back", cost.cpu, cost.latency));
        let times =
            [("sandbox_s", cost.sandbox), ("bare_s", cost.bare), ("cpu_s", cost.cpu), ("latency_s", cost.latency)];
        rows.push(times.into_iter().fold(row, |row, (name, time)| row.value(name, time.as_secs_f64())));
    }
    Ok(rows)
}

async fn look(runtime: &Runtime, bench: &Bench, profile: Profile) -> Result<Cost> {
    Ok(cost::measure(runtime, &bench.guest("hello"), profile, ROUNDS).await?)
}
