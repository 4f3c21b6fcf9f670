//! What is measured: a file each.

mod api;
mod bind;
mod density;
mod idle;
mod pod;
mod restart;
mod sandbox;
mod soak;
mod start;
mod watch;
mod writes;

use anyhow::Result;
use futures::FutureExt as _;
use futures::future::LocalBoxFuture;

use crate::Bench;
use crate::report::Row;

/// One case.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) measure: for<'a> fn(&'a Bench) -> LocalBoxFuture<'a, Result<Vec<Row>>>,
}

/// Every case that is run where none is named, the quick ones first.
pub(crate) const ALL: [Case; 10] = [
    Case {
        name: "sandbox",
        about: "a fresh sandbox beside bare wasmtime",
        measure: |bench| sandbox::measure(bench).boxed_local(),
    },
    Case { name: "start", about: "binary size, start-up time", measure: |bench| start::measure(bench).boxed_local() },
    Case {
        name: "idle",
        about: "memory and CPU of processes that have nothing to do",
        measure: |bench| idle::measure(bench).boxed_local(),
    },
    Case {
        name: "pod",
        about: "from a pod's creation until a watcher sees it run",
        measure: |bench| pod::measure(bench).boxed_local(),
    },
    Case {
        name: "writes",
        about: "durable writes a second, and what each waits for",
        measure: |bench| writes::measure(bench).boxed_local(),
    },
    Case {
        name: "watch",
        about: "from a write until its watchers hear of it",
        measure: |bench| watch::measure(bench).boxed_local(),
    },
    Case {
        name: "bind",
        about: "pods created, scheduled and bound, without a node that runs them",
        measure: |bench| bind::measure(bench).boxed_local(),
    },
    Case {
        name: "restart",
        about: "ready again after kill -9, with many objects and with many pods",
        measure: |bench| restart::measure(bench).boxed_local(),
    },
    Case {
        name: "density",
        about: "1,000 and 10,000 pods on one node",
        measure: |bench| density::measure(bench).boxed_local(),
    },
    Case {
        name: "api",
        about: "the API beside upstream's: writes, lists, watches, memory",
        measure: |bench| api::measure(bench).boxed_local(),
    },
];

/// Cases that are run by name alone: they take as long as they are asked to.
pub(crate) const LONG: [Case; 1] = [Case {
    name: "soak",
    about: "what changes while leases and objects change all the time",
    measure: |bench| soak::measure(bench).boxed_local(),
}];
