//! A revisioned key-value store of bytes
