//! The virtual pod network as values: addresses of pods, ports of hosts, and what may not overlap.
//!
//! This floor must never open a socket, read a clock, ask the host anything, or know a Kubernetes object: the same
//! input gives the same result everywhere, so that a whole network can be driven by a test in one thread. Callers
//! hand in what they know (ranges, ports, the host's own addresses) and carry the answer to the world.
//!
//! Reading order: [`range`] (blocks of addresses and which of them overlap), [`pool`] (an address for each pod),
//! [`ports`] (who owns which port of a host). The fabric that carries streams between pods, service tables, DNS and
//! policies come with the issues that need them.

pub mod pool;
pub mod ports;
pub mod range;
