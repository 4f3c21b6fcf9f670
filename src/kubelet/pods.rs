//! Pods on this node: one worker each, fed by a watch of the API server.
//!
//! Reading order: [`state`] (the facts of a pod), [`sync`] (the decision), [`status`] (the report), [`worker`] and
//! [`steps`] (what is done about it), [`mailbox`] and [`view`] (how others reach a worker), [`admit`] (whether a pod
//! fits), [`record`] (what outlives the daemon), [`table`] (all workers).

pub(crate) mod admit;
#[cfg(test)]
pub(crate) mod fixture;
pub(crate) mod mailbox;
pub(crate) mod record;
pub(crate) mod state;
pub(crate) mod status;
pub(crate) mod steps;
pub(crate) mod sync;
pub(crate) mod table;
pub(crate) mod view;
pub(crate) mod worker;
