//! Whole clusters, as a user meets them: real `minke` processes, driven through the API.
//!
//! Each test starts its own cluster in a folder of its own on a free port, and reads like a session:
//! `cluster.create(POD).await; cluster.pod("web").is("Running").await`. Every wait has a deadline; when it passes, the
//! test says what the object, its Events and the process's log were.

#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test's failure is its answer")]

mod harness;

mod access;
mod commands;
mod control;
mod crash;
mod examples;
mod nodes;
mod operators;
mod pods;
mod processes;
mod programs;
mod restarts;
#[cfg(feature = "slow-programs")]
mod slow_programs;
