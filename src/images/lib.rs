//! Images: their names, their content on disk, the way to and from registries, and what a `.wasm` is.
//!
//! This floor must never know a Kubernetes object or run what it holds. It reads Wasm from outside only (the headers
//! and names that [`inspect`] wants); whether code is sound and what it does is the runtime's business.
//!
//! Reading order: [`reference`](mod@reference) and [`digest`] (names), [`manifest`] (what an image consists of, and where in it the Wasm
//! is), [`content`] (the store on disk), [`pull`] and [`push`] with [`credentials`], and [`inspect`] with
//! [`inspect::offered`] (kind, imports, exports, and what we do not offer).

mod archive;
mod config;
pub mod content;
pub mod credentials;
pub mod digest;
pub mod distribution;
pub mod inspect;
pub mod manifest;
pub mod pull;
pub mod push;
pub mod reference;

pub use config::ImageConfig;
pub use content::{Artifact, ContentStore};
pub use digest::Digest;
pub use inspect::{Inspection, inspect_file};
pub use pull::Puller;
pub use push::Pusher;
pub use reference::Reference;
