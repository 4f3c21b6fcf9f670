//! Kubernetes objects as pure values
