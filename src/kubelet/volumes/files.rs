//! What a configMap, secret, downwardAPI or projected volume holds: paths, bytes and modes, decided purely.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1 as core;

use crate::env;
use crate::fields::{self, Facts};
use crate::objects::{self, Content, Kind, Objects, Token};

/// The mode of a file where nobody says another, as the API server's default.
const DEFAULT_MODE: u32 = 0o644;

/// The files of a volume by their paths beneath its root.
pub(crate) type Files = BTreeMap<String, File>;

/// One file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct File {
    /// Its bytes.
    pub(crate) content: Vec<u8>,
    /// Its permission bits.
    pub(crate) mode: u32,
}

/// Why a volume has no content.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum Error {
    /// The object is not there.
    #[error(transparent)]
    Object(#[from] objects::Error),
    /// The object is there, the key is not.
    #[error("{kind} references non-existent {kind} key: {key}")]
    NoKey {
        /// The object's kind as upstream writes it here.
        kind: &'static str,
        /// The key.
        key: String,
    },
    /// A path that leads out of the volume.
    #[error("path {0:?} must be relative and stay in its volume")]
    Path(String),
    /// A field that cannot be read.
    #[error(transparent)]
    Field(#[from] fields::Error),
    /// The server gave no token.
    #[error("no token for the service account was issued")]
    NoToken,
}

/// The files of `volume`, which must be of one of the four types; later sources of a projection win.
///
/// # Errors
/// When it refers to what is not there.
pub(crate) fn files(facts: &Facts<'_>, volume: &core::Volume, objects: &Objects) -> Result<Files, Error> {
    let mut collector = Collector { facts, objects, default_mode: DEFAULT_MODE, files: Files::new() };
    if let Some(source) = &volume.config_map {
        collector.default_mode = mode(source.default_mode, DEFAULT_MODE);
        collector.add_object(Kind::ConfigMap, &source.name, source.items.as_deref(), source.optional)?;
    }
    if let Some(source) = &volume.secret {
        collector.default_mode = mode(source.default_mode, DEFAULT_MODE);
        let name = source.secret_name.as_deref().unwrap_or_default();
        collector.add_object(Kind::Secret, name, source.items.as_deref(), source.optional)?;
    }
    if let Some(source) = &volume.downward_api {
        collector.default_mode = mode(source.default_mode, DEFAULT_MODE);
        collector.add_fields(source.items.as_deref().unwrap_or_default())?;
    }
    if let Some(source) = &volume.projected {
        collector.default_mode = mode(source.default_mode, DEFAULT_MODE);
        for source in source.sources.iter().flatten() {
            collector.add_projection(source)?;
        }
    }
    Ok(collector.files)
}

struct Collector<'a> {
    facts: &'a Facts<'a>,
    objects: &'a Objects,
    default_mode: u32,
    files: Files,
}

impl Collector<'_> {
    fn add_projection(&mut self, source: &core::VolumeProjection) -> Result<(), Error> {
        if let Some(source) = &source.config_map {
            self.add_object(Kind::ConfigMap, &source.name, source.items.as_deref(), source.optional)?;
        }
        if let Some(source) = &source.secret {
            self.add_object(Kind::Secret, &source.name, source.items.as_deref(), source.optional)?;
        }
        if let Some(source) = &source.downward_api {
            self.add_fields(source.items.as_deref().unwrap_or_default())?;
        }
        if let Some(source) = &source.service_account_token {
            let token = self.objects.tokens.get(&Token::from(source)).ok_or(Error::NoToken)?;
            self.add(&source.path, token.clone().into_bytes(), None)?;
        }
        Ok(())
    }

    fn add_object(
        &mut self,
        kind: Kind,
        name: &str,
        items: Option<&[core::KeyToPath]>,
        is_optional: Option<bool>,
    ) -> Result<(), Error> {
        let Some(content) = self.objects.content(kind, name, is_optional)? else { return Ok(()) };
        match items {
            None | Some([]) => content.entries.iter().try_for_each(|(key, bytes)| self.add(key, bytes.clone(), None)),
            Some(items) => items.iter().try_for_each(|item| self.add_key(kind, content, item, is_optional)),
        }
    }

    fn add_key(
        &mut self,
        kind: Kind,
        content: &Content,
        item: &core::KeyToPath,
        is_optional: Option<bool>,
    ) -> Result<(), Error> {
        match content.entries.get(&item.key) {
            Some(bytes) => self.add(&item.path, bytes.clone(), item.mode),
            None if is_optional == Some(true) => Ok(()),
            None => {
                let kind = match kind {
                    Kind::ConfigMap => "configmap",
                    Kind::Secret => "secret",
                };
                Err(Error::NoKey { kind, key: item.key.clone() })
            }
        }
    }

    fn add_fields(&mut self, items: &[core::DownwardAPIVolumeFile]) -> Result<(), Error> {
        for item in items {
            let text = match (&item.field_ref, &item.resource_field_ref) {
                (Some(source), _) => fields::field(self.facts, &source.field_path)?,
                (None, Some(source)) => {
                    let none = core::Container::default();
                    let container = env::named_container(self.facts, &none, source)?;
                    fields::resource(self.facts, container, source)?
                }
                (None, None) => String::new(),
            };
            self.add(&item.path, text.into_bytes(), item.mode)?;
        }
        Ok(())
    }

    fn add(&mut self, path: &str, content: Vec<u8>, own_mode: Option<i32>) -> Result<(), Error> {
        let is_inside = !path.is_empty()
            && path.split('/').all(|part| !part.is_empty() && part != "." && part != "..")
            // `..data` and its like are how updates are swapped in.
            && !path.starts_with("..");
        if !is_inside {
            return Err(Error::Path(path.to_owned()));
        }
        let mode = mode(own_mode, self.default_mode);
        self.files.insert(path.to_owned(), File { content, mode });
        Ok(())
    }
}

fn mode(asked: Option<i32>, default: u32) -> u32 {
    asked.and_then(|mode| u32::try_from(mode).ok()).unwrap_or(default) & 0o777
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::objects::Reference;
    use crate::resources::Amounts;

    fn check(volume: serde_json::Value) -> Result<Vec<String>, String> {
        let pod: core::Pod =
            serde_json::from_value(json!({"metadata": {"name": "web"}, "spec": {"containers": []}})).unwrap();
        let facts = Facts {
            pod: &pod,
            address: None,
            node_ip: [127, 0, 0, 1].into(),
            allocatable: Amounts { cpu_milli: 1000, memory_bytes: 1 << 20 },
        };
        let content = |entries: &[(&str, &str)]| {
            let entries = entries.iter().map(|(k, v)| ((*k).to_owned(), v.as_bytes().to_vec())).collect();
            Some(Arc::new(Content { entries }))
        };
        let reference = |kind, name: &str| Reference { kind, name: name.to_owned() };
        let objects = Objects {
            found: [
                (reference(Kind::ConfigMap, "conf"), content(&[("a", "1"), ("b", "2")])),
                (reference(Kind::Secret, "key"), content(&[("token", "t")])),
            ]
            .into(),
            tokens: BTreeMap::new(),
        };
        let volume = serde_json::from_value(volume).unwrap();
        let files = files(&facts, &volume, &objects).map_err(|error| error.to_string())?;
        let show = |(path, file): (&String, &File)| {
            format!("{path}:{:o}={}", file.mode, String::from_utf8_lossy(&file.content))
        };
        Ok(files.iter().map(show).collect())
    }

    #[test]
    fn content_comes_whole_or_by_items() {
        for (volume, expected) in [
            (json!({"name": "v", "configMap": {"name": "conf"}}), &["a:644=1", "b:644=2"][..]),
            (
                json!({"name": "v", "configMap": {"name": "conf", "defaultMode": 256,
                       "items": [{"key": "a", "path": "x/y", "mode": 384}, {"key": "b", "path": "b"}]}}),
                &["b:400=2", "x/y:600=1"],
            ),
            (json!({"name": "v", "secret": {"secretName": "none", "optional": true}}), &[]),
            (
                json!({"name": "v", "projected": {"sources": [
                    {"configMap": {"name": "conf", "items": [{"key": "a", "path": "a"}]}},
                    {"secret": {"name": "key"}},
                    {"downwardAPI": {"items": [{"path": "name", "fieldRef": {"fieldPath": "metadata.name"}}]}},
                ]}}),
                &["a:644=1", "name:644=web", "token:644=t"],
            ),
        ] {
            assert_eq!(check(volume).unwrap(), expected);
        }
    }

    #[test]
    fn what_is_missing_or_leads_out_is_named() {
        let items = |key: &str, path: &str| json!({"name": "v", "configMap": {"name": "conf", "items": [{"key": key, "path": path}]}});
        for (volume, expected) in [
            (json!({"name": "v", "configMap": {"name": "none"}}), r#"configmap "none" not found"#),
            (items("z", "z"), "configmap references non-existent configmap key: z"),
            (items("a", "../a"), r#"path "../a" must be relative and stay in its volume"#),
            (items("a", "/a"), r#"path "/a" must be relative and stay in its volume"#),
            (items("a", "x/../../a"), r#"path "x/../../a" must be relative and stay in its volume"#),
            (items("a", "..data"), r#"path "..data" must be relative and stay in its volume"#),
        ] {
            assert_eq!(check(volume).unwrap_err(), expected);
        }
    }
}
