//! Pods and templates of pods.

pub(super) mod resources;
