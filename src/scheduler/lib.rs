//! Queue, snapshot, plugins and bind
