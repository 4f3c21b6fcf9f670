//! The virtual pod network as values
