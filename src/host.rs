//! The machine that this process runs on.

/// The host's name, where it has one that can be a node's and stand in a certificate.
pub(crate) fn name() -> Option<String> {
    let name = rustix::system::uname().nodename().to_string_lossy().to_lowercase();
    api::names::subdomain(&name).is_empty().then_some(name)
}
