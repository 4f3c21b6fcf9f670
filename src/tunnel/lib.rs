//! One connection, dialled by whoever can, over which the other side asks: HTTP/2 with the roles turned round.
//!
//! A node behind a NAT dials the server and upgrades the connection; from then on the server sends requests over it and
//! the node answers ([`serve`]). Streams are multiplexed, each with its own window, so a reader that stalls holds up
//! only itself; a ping tells a dead peer. This floor must never know a Kubernetes object, open a socket, or decide who
//! may do what: both ends hand it a connection that was authenticated before.
//!
//! Reading order: [`serve`] (the end that answers), [`Tunnel`] (the end that asks).

mod ask;
mod serve;

use std::time::Duration;

pub use ask::{Answer, Body, Error, Tunnel};
pub use serve::serve;

/// What a connection upgrades to, in the `Upgrade` header of both ends.
pub const PROTOCOL: &str = "minke-tunnel";

/// The header of a request's id, upstream's: a question over the tunnel has that of the request that it is asked for.
pub const AUDIT_ID: http::HeaderName = http::HeaderName::from_static("audit-id");

/// How often an idle connection is tried. Behind most NATs an idle connection lives for minutes.
const PING_INTERVAL: Duration = Duration::from_secs(20);

/// How long a ping may take before the peer counts as dead.
const PING_DEADLINE: Duration = Duration::from_secs(20);

/// Streams that are open at once: logs followed and terminals attached on one node.
const STREAMS_MAX: u32 = 1024;

/// Bytes on their way in one stream. A stalled stream keeps at most this.
const STREAM_WINDOW_BYTES: u32 = 256 << 10;

/// Bytes on their way in all streams of a connection: enough for 64 stalled ones beside those that flow.
const CONNECTION_WINDOW_BYTES: u32 = 16 << 20;
