//! Commands beside a scripted server, read like sessions.

mod attaching;
mod running;
mod storing;
mod tokens;
mod unreachable;
