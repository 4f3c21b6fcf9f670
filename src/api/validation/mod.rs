//! What an object must satisfy beyond its schema, with upstream's messages.

pub mod field;
pub mod wasm;
