//! How every component meets the API: a client, what it sees, what it says.
//!
//! This floor must never touch the store, decide anything about an object, or know a component by name: whoever
//! holds a client here could run in another process as well.
//!
//! Reading order: [`connect`] (a `kube::Client` in this process or over TLS), [`key`] and [`informer`] (one watch and
//! one shared cache a resource), [`informers`] (those of a whole process), [`events`] (what is told to people),
//! [`status`] (writing what one owns) and [`refusal`] (what the server said no to).
//!
//! # Why
//!
//! Listeners of an [`Informer`] are plain functions that hear each change with both its sides,
//! in order, and only add keys to a queue or keep a snapshot in step. So no channel between an informer and a
//! reconcile loop can overflow, and coalescing happens in one place, the queue.

pub mod connect;
pub mod events;
pub mod informer;
pub mod informers;
pub mod key;
pub mod refusal;
pub mod status;
#[cfg(any(test, feature = "testing"))]
#[expect(clippy::indexing_slicing, reason = "only tests run it, and a panic is how they fail")]
pub mod testing;

pub use informer::Informer;
pub use informers::Informers;
pub use key::Key;
