//! What a container is handed of its pod's volumes: folders, each with the path at which the guest sees it.

use std::collections::BTreeMap;
use std::io;

use cap_std::fs::Dir;
use k8s_openapi::api::core::v1 as core;

use super::{Source, folder, host_path};
use crate::env::Environment;

/// The most bytes of a single file that is mounted by `subPath`, and so copied: what an object can hold.
const FILE_BYTES_MAX: u64 = 3 << 20;

/// A folder for a guest.
#[derive(Debug)]
pub(crate) struct Mount {
    /// Where the guest sees it.
    pub(crate) guest_path: String,
    /// The folder.
    pub(crate) dir: Dir,
    /// Whether the guest may not write.
    pub(crate) is_read_only: bool,
}

/// Why a container cannot be handed what it asks for: the message of `CreateContainerConfigError`.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The pod has no such volume.
    #[error("volumeMount {0:?} names no volume of the pod")]
    NoVolume(String),
    /// A `subPath` that leads out, or nowhere.
    #[error(
        "failed to prepare subPath {sub_path:?} for volumeMount \"{volume}\" of container \"{container}\": {reason}"
    )]
    SubPath {
        /// As given, or expanded.
        sub_path: String,
        /// The volume.
        volume: String,
        /// The container.
        container: String,
        /// What is wrong.
        reason: String,
    },
    /// A single file at a place where another mount is.
    #[error("file {path:?} cannot be mounted: {parent:?} is itself a mount, and a Wasm guest is handed folders")]
    Covered {
        /// Where the file should be.
        path: String,
        /// The folder that is taken.
        parent: String,
    },
    /// A path of the host.
    #[error(transparent)]
    HostPath(#[from] host_path::Error),
    /// The disk refuses.
    #[error("cannot open volume \"{volume}\": {source}")]
    Io {
        /// The volume.
        volume: String,
        /// What the system said.
        source: io::Error,
    },
}

/// The mounts of `spec`, a container of `pod` whose volumes are set up beneath `pod_dir`. Blocks on the disk.
///
/// # Errors
/// See [`Error`].
pub(crate) fn mounts(
    pod_dir: &Dir,
    pod: &core::Pod,
    spec: &core::Container,
    environment: &Environment,
) -> Result<Vec<Mount>, Error> {
    let mut folders = Vec::new();
    let mut files = Files::default();
    for mount in spec.volume_mounts.iter().flatten() {
        let asked = Asked::new(pod, spec, mount, environment)?;
        let root = asked.root(pod_dir)?;
        match asked.open(&root)? {
            Opened::Folder(dir) => {
                folders.push(Mount { guest_path: mount.mount_path.clone(), dir, is_read_only: asked.is_read_only() })
            }
            Opened::File(content) => files.add(&mount.mount_path, content),
        }
    }
    files.into_mounts(pod_dir, spec, &mut folders)?;
    Ok(folders)
}

/// One `volumeMount`, resolved against the pod.
struct Asked<'a> {
    volume: &'a core::Volume,
    source: Source<'a>,
    mount: &'a core::VolumeMount,
    container: &'a str,
    sub_path: Option<String>,
}

enum Opened {
    Folder(Dir),
    File(Vec<u8>),
}

impl<'a> Asked<'a> {
    fn new(
        pod: &'a core::Pod,
        spec: &'a core::Container,
        mount: &'a core::VolumeMount,
        environment: &Environment,
    ) -> Result<Self, Error> {
        let mut volumes = pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
        let volume = volumes.find(|volume| volume.name == mount.name);
        let volume = volume.ok_or_else(|| Error::NoVolume(mount.name.clone()))?;
        let source = Source::of(volume).ok_or_else(|| Error::NoVolume(mount.name.clone()))?;
        let expression = mount.sub_path_expr.as_deref().map(|text| environment.expand(text));
        let sub_path = expression.or_else(|| mount.sub_path.clone()).filter(|path| !path.is_empty());
        Ok(Self { volume, source, mount, container: &spec.name, sub_path })
    }

    fn is_read_only(&self) -> bool {
        matches!(self.source, Source::Content) || self.mount.read_only == Some(true)
    }

    fn root(&self, pod_dir: &Dir) -> Result<Dir, Error> {
        match self.source {
            Source::HostPath(source) => Ok(host_path::open(source)?),
            Source::EmptyDir | Source::Content => pod_dir
                .open_dir(folder(&self.volume.name))
                .map_err(|source| Error::Io { volume: self.volume.name.clone(), source }),
        }
    }

    fn open(&self, root: &Dir) -> Result<Opened, Error> {
        let io = |source| Error::Io { volume: self.volume.name.clone(), source };
        let Some(path) = self.sub_path.as_deref() else {
            return root.try_clone().map(Opened::Folder).map_err(io);
        };
        let is_inside = !path.starts_with('/') && path.split('/').all(|part| part != "..");
        if !is_inside {
            return Err(self.refuse("it must be relative and must not contain '..'"));
        }
        let metadata = match root.metadata(path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound && !matches!(self.source, Source::Content) => {
                root.create_dir_all(path).map_err(|error| self.refuse(&error.to_string()))?;
                root.metadata(path).map_err(|error| self.refuse(&error.to_string()))?
            }
            // A symlink that leads out of the volume ends here too: the folder that we hold does not follow it.
            Err(error) => return Err(self.refuse(&error.to_string())),
        };
        if metadata.is_dir() {
            return root.open_dir(path).map(Opened::Folder).map_err(|error| self.refuse(&error.to_string()));
        }
        if !matches!(self.source, Source::Content) {
            return Err(self.refuse("it is not a directory, and a Wasm guest is handed folders"));
        }
        if metadata.len() > FILE_BYTES_MAX {
            return Err(self.refuse("the file is too large to be mounted alone"));
        }
        root.read(path).map(Opened::File).map_err(io)
    }

    fn refuse(&self, reason: &str) -> Error {
        Error::SubPath {
            sub_path: self.sub_path.clone().unwrap_or_default(),
            volume: self.volume.name.clone(),
            container: self.container.to_owned(),
            reason: reason.to_owned(),
        }
    }
}

/// Single files, by the folder in which the guest looks for them.
#[derive(Default)]
struct Files {
    folders: BTreeMap<String, BTreeMap<String, Vec<u8>>>,
}

impl Files {
    fn add(&mut self, path: &str, content: Vec<u8>) {
        let path = path.trim_end_matches('/');
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        let parent = if parent.is_empty() { "/" } else { parent };
        self.folders.entry(parent.to_owned()).or_default().insert(name.to_owned(), content);
    }

    /// Writes the copies and appends one read-only mount for each folder of them.
    fn into_mounts(self, pod_dir: &Dir, spec: &core::Container, mounts: &mut Vec<Mount>) -> Result<(), Error> {
        for (index, (parent, files)) in self.folders.into_iter().enumerate() {
            if mounts.iter().any(|mount| mount.guest_path.trim_end_matches('/') == parent.trim_end_matches('/')) {
                let name = files.keys().next().cloned().unwrap_or_default();
                return Err(Error::Covered { path: format!("{parent}/{name}"), parent });
            }
            let path = format!("containers/{}/files/{index}", spec.name);
            let dir =
                write_copies(pod_dir, &path, &files).map_err(|source| Error::Io { volume: parent.clone(), source })?;
            mounts.push(Mount { guest_path: parent, dir, is_read_only: true });
        }
        Ok(())
    }
}

fn write_copies(pod_dir: &Dir, path: &str, files: &BTreeMap<String, Vec<u8>>) -> io::Result<Dir> {
    pod_dir.create_dir_all(path)?;
    let dir = pod_dir.open_dir(path)?;
    for (name, content) in files {
        dir.write(name, content)?;
    }
    Ok(dir)
}

#[cfg(test)]
mod tests {
    use cap_std::ambient_authority;
    use serde_json::json;

    use super::super::atomic;
    use super::super::files::File;
    use super::*;

    /// A pod folder with the emptyDir `data` and the configMap volume `conf` with the key `app.conf`.
    fn check(mount: &serde_json::Value) -> Result<(tempfile::TempDir, Vec<Mount>), String> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("volumes/data/sub")).unwrap();
        std::fs::create_dir_all(folder.path().join("volumes/conf")).unwrap();
        std::os::unix::fs::symlink("/", folder.path().join("volumes/data/out")).unwrap();
        std::fs::write(folder.path().join("volumes/data/file"), "x").unwrap();
        let pod_dir = Dir::open_ambient_dir(folder.path(), ambient_authority()).unwrap();
        let file = File { content: b"k=v".to_vec(), mode: 0o644 };
        atomic::write(&pod_dir.open_dir("volumes/conf").unwrap(), &[("app.conf".to_owned(), file)].into()).unwrap();
        let pod: core::Pod = serde_json::from_value(json!({
            "metadata": {"name": "web"},
            "spec": {
                "volumes": [{"name": "data", "emptyDir": {}}, {"name": "conf", "configMap": {"name": "conf"}}],
                "containers": [{"name": "c", "volumeMounts": mount}],
            },
        }))
        .unwrap();
        let environment = Environment { variables: vec![("X".into(), "sub".into())], skipped: Vec::new() };
        let mounts = mounts(&pod_dir, &pod, &pod.spec.as_ref().unwrap().containers[0], &environment);
        mounts.map(|mounts| (folder, mounts)).map_err(|error| error.to_string())
    }

    #[test]
    fn folders_are_handed_out_with_their_access() {
        for (mount, read_only) in [
            (json!({"name": "data", "mountPath": "/d"}), false),
            (json!({"name": "data", "mountPath": "/d", "readOnly": true}), true),
            (json!({"name": "data", "mountPath": "/d", "subPath": "new/folder"}), false),
            (json!({"name": "data", "mountPath": "/d", "subPathExpr": "$(X)"}), false),
            (json!({"name": "conf", "mountPath": "/d"}), true),
        ] {
            let (_folder, mounts) = check(&json!([mount])).unwrap();
            assert_eq!((mounts.len(), mounts[0].is_read_only), (1, read_only), "{mount}");
        }
    }

    #[test]
    fn a_single_file_of_a_config_map_is_mounted_as_a_copy() {
        let mount = json!([{"name": "conf", "mountPath": "/etc/app.conf", "subPath": "app.conf"}]);
        let (_folder, mounts) = check(&mount).unwrap();
        assert_eq!(mounts[0].guest_path, "/etc");
        assert_eq!(mounts[0].dir.read_to_string("app.conf").unwrap(), "k=v");
    }

    #[test]
    fn a_path_that_leaves_its_volume_is_refused() {
        let data = |sub_path: &str| json!([{"name": "data", "mountPath": "/d", "subPath": sub_path}]);
        for (mount, expected) in [
            (data("../conf"), "must not contain '..'"),
            (data("/etc"), "must be relative"),
            (data("out"), "led outside"),
            (data("file"), "is not a directory"),
            (json!([{"name": "none", "mountPath": "/d"}]), "names no volume"),
            (
                json!([{"name": "data", "mountPath": "/etc/"},
                       {"name": "conf", "mountPath": "/etc/app.conf", "subPath": "app.conf"}]),
                "is itself a mount",
            ),
        ] {
            let error = check(&mount).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }
}
