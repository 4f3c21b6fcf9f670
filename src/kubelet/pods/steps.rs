//! Steps of a pod that take time; each posts its answer into the pod's [`Mailbox`] and can be given up at any await.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use cap_std::fs::Dir;
use k8s_openapi::api::core::v1 as core;

use super::mailbox::{Fact, Mailbox};
use super::state::{Slot, Verdict, spec_at};
use crate::code::Handler;
use crate::daemon::Daemon;
use crate::objects;
use crate::{reasons, volumes};

/// The object beneath a pod's folder, read when the API server is away at the node's start.
const OBJECT: &str = "pod.json";

/// Finds a pod's handler (it may have `had` one before) and makes its folder and volumes.
pub(crate) async fn prepare(
    daemon: Arc<Daemon>,
    pod: Arc<core::Pod>,
    address: Option<IpAddr>,
    had: Option<Handler>,
    mailbox: Arc<Mailbox>,
) {
    let result = match Handler::of(&pod, had, &daemon.sources, daemon.options.wasi_preview3).await {
        Ok(handler) => match set_up(&daemon, &pod, address, true).await {
            Ok(()) => Ok(handler),
            Err(message) => Err(Verdict { reason: reasons::event::FAILED_MOUNT.to_owned(), message }),
        },
        Err(error) => Err(no_sandbox(&error)),
    };
    mailbox.tell(Fact::Prepared(result));
}

/// What is told of a pod that cannot have what its containers would share.
pub(crate) fn no_sandbox(error: &dyn std::error::Error) -> Verdict {
    let reason = reasons::event::FAILED_CREATE_POD_SANDBOX.to_owned();
    Verdict { reason, message: format!("Failed to create pod sandbox: {error}") }
}

/// Brings the content of a running pod's volumes up to date.
pub(crate) async fn refresh(daemon: Arc<Daemon>, pod: Arc<core::Pod>, address: Option<IpAddr>) {
    if let Err(message) = set_up(&daemon, &pod, address, false).await {
        daemon.events.warning(&pod, None, reasons::event::FAILED_MOUNT, message);
    }
}

async fn set_up(
    daemon: &Arc<Daemon>,
    pod: &Arc<core::Pod>,
    address: Option<IpAddr>,
    is_first: bool,
) -> Result<(), String> {
    let tokens = objects::tokens_of_volumes(pod);
    let objects = daemon.sources.fetch(pod, objects::of_volumes(pod), tokens).await;
    let (daemon, pod) = (Arc::clone(daemon), Arc::clone(pod));
    let work = move || {
        let uid = pod.metadata.uid.as_deref().unwrap_or_default();
        let dir = open_folder(&daemon.pods_dir, uid).map_err(|error| error.to_string())?;
        if is_first {
            write_object(&dir, &pod).map_err(|error| error.to_string())?;
        }
        let objects = match objects {
            Ok(objects) => objects,
            // A pod that ran before goes on with the files that it had.
            Err(error) if is_first && volumes::are_set_up(&dir, &pod) => {
                tracing::info!(%uid, %error, "volumes keep the content that they had");
                return Ok(());
            }
            Err(error) => return Err(error.to_string()),
        };
        volumes::set_up(&dir, &daemon.facts(&pod, address), &objects).map_err(|error| error.to_string())
    };
    base::task::blocking(work).await.map_err(|error| error.to_string())?
}

/// Finds or pulls a container's image.
pub(crate) async fn pull(daemon: Arc<Daemon>, pod: Arc<core::Pod>, slot: Slot, is_first: bool, mailbox: Arc<Mailbox>) {
    let Some(spec) = spec_at(&pod, slot) else { return };
    let result = daemon.pulls.ensure(&daemon, &pod, spec, is_first).await;
    mailbox.tell(Fact::Pulled(slot, result));
}

/// Removes all that a pod has on this node's disk.
pub(crate) async fn remove(daemon: Arc<Daemon>, uid: Arc<str>, mailbox: Arc<Mailbox>) {
    let (pods, folder) = (Arc::clone(&daemon.pods_dir), Arc::clone(&uid));
    let removed = base::task::blocking(move || remove_folder(&pods, &folder)).await;
    match removed {
        Ok(Ok(())) => {}
        // The folder is tried again when the daemon starts, since then nobody owns it.
        Ok(Err(error)) => tracing::warn!(%uid, %error, "cannot remove a pod's folder"),
        Err(error) => tracing::warn!(%uid, %error, "cannot remove a pod's folder"),
    }
    mailbox.tell(Fact::Removed);
}

/// The folder of a pod, made if it is not there. A uid is one path segment, whoever sent it.
///
/// # Errors
/// When the uid is none, or the disk refuses.
pub(crate) fn open_folder(pods: &Dir, uid: &str) -> io::Result<Dir> {
    if uid.is_empty() || uid.contains('/') || uid.starts_with('.') {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{uid:?} is no uid of a pod")));
    }
    match pods.create_dir(uid) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    pods.open_dir(uid)
}

/// Removes a pod's folder; none is fine.
///
/// # Errors
/// When the disk refuses.
pub(crate) fn remove_folder(pods: &Dir, uid: &str) -> io::Result<()> {
    match pods.remove_dir_all(uid) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// The object that was kept of a pod, if it can be read.
pub(crate) fn read_object(pods: &Dir, uid: &str) -> Option<core::Pod> {
    let bytes = pods.read(format!("{uid}/{OBJECT}")).ok()?;
    serde_json::from_slice(&bytes).ok()
}

fn write_object(dir: &Dir, pod: &core::Pod) -> io::Result<()> {
    let sibling = format!("{OBJECT}.new");
    dir.write(&sibling, serde_json::to_vec(pod)?)?;
    dir.rename(&sibling, dir, OBJECT)
}
