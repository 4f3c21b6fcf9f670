//! The volumes of a pod: folders beneath its own, or folders of the host, and how containers see them.
//!
//! ```text
//! DIR/node/pods/UID/volumes/NAME          emptyDir, configMap, secret, downwardAPI, projected
//! DIR/node/pods/UID/containers/C/files/…  single files that a container mounts by subPath
//! ```
//!
//! Everything beneath `pods` is reached through one [`Dir`], so no symlink that a guest or an image leaves there can
//! lead out of it. A guest gets a folder by descriptor, never by a path.
//!
//! What is different from upstream: WASI mounts are folders. A single file of a configMap, secret, downwardAPI or
//! projected volume can still be mounted by `subPath`, as a copy (upstream's does not follow updates either) in a
//! folder of its own; single files of other volumes are refused. The medium of an emptyDir is always the node's disk.
//!
//! Reading order: [`files`] (what the content volumes hold, pure), [`atomic`] (how it gets there), [`host_path`],
//! [`mounts`] (what a container is handed).

use cap_std::fs::Dir;
use k8s_openapi::api::core::v1 as core;

pub(crate) mod atomic;
pub(crate) mod files;
pub(crate) mod host_path;
pub(crate) mod mounts;

use crate::fields::Facts;
use crate::objects::Objects;

/// A volume that cannot be made, with the text of its `FailedMount` Event.
#[derive(Debug, thiserror::Error)]
#[error("MountVolume.SetUp failed for volume \"{volume}\" : {source}")]
pub(crate) struct Error {
    /// Its name.
    volume: String,
    source: Cause,
}

/// What stands in the way of one volume.
#[derive(Debug, thiserror::Error)]
enum Cause {
    #[error(transparent)]
    Files(#[from] files::Error),
    #[error(transparent)]
    HostPath(#[from] host_path::Error),
    #[error("volumes of this type are not supported by this node")]
    Unsupported,
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// What a volume is made of.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Source<'a> {
    /// A folder for the pod's life, empty at first.
    EmptyDir,
    /// A folder of the host.
    HostPath(&'a core::HostPathVolumeSource),
    /// Files made from objects and fields.
    Content,
}

impl<'a> Source<'a> {
    /// What `volume` is made of; `None` for the types that this node does not know.
    pub(crate) fn of(volume: &'a core::Volume) -> Option<Self> {
        if volume.empty_dir.is_some() {
            return Some(Self::EmptyDir);
        }
        if let Some(host_path) = &volume.host_path {
            return Some(Self::HostPath(host_path));
        }
        let is_content = volume.config_map.is_some()
            || volume.secret.is_some()
            || volume.downward_api.is_some()
            || volume.projected.is_some();
        is_content.then_some(Self::Content)
    }
}

/// Makes all volumes of a pod, or brings the content of those that were made before up to date.
///
/// Blocks on the disk. Idempotent: what is there stays, so that an emptyDir survives the daemon.
///
/// # Errors
/// The first volume that cannot be made.
pub(crate) fn set_up(pod_dir: &Dir, facts: &Facts<'_>, objects: &Objects) -> Result<(), Error> {
    for volume in facts.pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten()) {
        set_up_one(pod_dir, facts, volume, objects).map_err(|source| Error { volume: volume.name.clone(), source })?;
    }
    Ok(())
}

fn set_up_one(pod_dir: &Dir, facts: &Facts<'_>, volume: &core::Volume, objects: &Objects) -> Result<(), Cause> {
    let path = folder(&volume.name);
    match Source::of(volume).ok_or(Cause::Unsupported)? {
        Source::EmptyDir => Ok(pod_dir.create_dir_all(path)?),
        Source::HostPath(source) => Ok(host_path::check(source)?),
        Source::Content => {
            let files = files::files(facts, volume, objects)?;
            pod_dir.create_dir_all(&path)?;
            Ok(atomic::write(&pod_dir.open_dir(path)?, &files)?)
        }
    }
}

/// Whether all volumes of a pod were made before, with whatever content.
pub(crate) fn are_set_up(pod_dir: &Dir, pod: &core::Pod) -> bool {
    pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten()).all(|volume| match Source::of(volume) {
        Some(Source::EmptyDir) => pod_dir.is_dir(folder(&volume.name)),
        Some(Source::Content) => atomic::is_written(pod_dir, &folder(&volume.name)),
        Some(Source::HostPath(source)) => host_path::check(source).is_ok(),
        None => false,
    })
}

/// Where a volume lies beneath its pod's folder.
pub(crate) fn folder(volume: &str) -> String {
    format!("volumes/{volume}")
}
