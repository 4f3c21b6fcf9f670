//! OCI manifests as values: what an image consists of, and where in it the Wasm is.
//!
//! The answer is taken from media types and, after the download, from bytes; annotations decide nothing, since
//! anybody can write any of them. Reading order: [`parse`], [`Index::choose`], [`Manifest::layout`].

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;

/// Media types that we write or look for.
pub mod media {
    /// An OCI image manifest.
    pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
    /// An OCI image index: one manifest a platform.
    pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
    /// Docker's forms of the two.
    pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
    /// See [`DOCKER_MANIFEST`].
    pub const DOCKER_INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
    /// The config of a Wasm artifact.
    pub const WASM_CONFIG: &str = "application/vnd.wasm.config.v0+json";
    /// A layer that is the Wasm itself.
    pub const WASM: &str = "application/wasm";
    /// Layers that are Wasm under older names: Spin's, Krustlet's and wasmCloud's, the Bytecode Alliance's.
    pub const WASM_LAYERS: [&str; 4] = [
        WASM,
        "application/vnd.wasm.content.layer.v1+wasm",
        "application/vnd.module.wasm.content.layer.v1+wasm",
        "application/vnd.bytecodealliance.wasm.component.layer.v0+wasm",
    ];
    /// The config of an ordinary image.
    pub const IMAGE_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
    /// Docker's form of it.
    pub const DOCKER_IMAGE_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
    /// What an `Accept` header of a pull lists.
    pub const MANIFESTS: [&str; 4] = [MANIFEST, INDEX, DOCKER_MANIFEST, DOCKER_INDEX];
}

/// The largest manifest or index in bytes: OCI asks registries to take 4 MiB, and nobody needs more. It is held in
/// memory; a larger one is refused.
pub const MANIFEST_BYTES_MAX: u64 = 4 << 20;

/// The largest config in bytes that is read; it is held in memory.
pub const CONFIG_BYTES_MAX: u64 = 4 << 20;

/// A compat image is a scratch image with one `.wasm`: more layers than this belong to some other kind of image, and
/// none of them is downloaded to look.
const COMPAT_LAYERS_MAX: usize = 8;

/// What a manifest says of a blob or of another manifest.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What the content is.
    pub media_type: String,
    /// The content's name.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
    /// For an index: what it runs on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// What the artifact is, in lists of referrers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// Free text for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub annotations: Option<BTreeMap<String, String>>,
    /// Where the content may lie outside the registry; such layers are never fetched and need not be there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub urls: Option<Vec<String>>,
}

/// What a manifest of an index runs on.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Platform {
    /// `wasm` for Wasm.
    pub architecture: String,
    /// `wasi`, `wasip1` or `wasip2` for Wasm.
    pub os: String,
}

/// One image or artifact.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// Always 2.
    pub schema_version: u32,
    /// The manifest's own media type; older tools leave it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// What the artifact is, where the config does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// The config.
    pub config: Descriptor,
    /// The content, bottom first.
    #[serde(default)]
    pub layers: Vec<Descriptor>,
    /// The manifest that this one is about (a signature, a bill of materials).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
    /// Free text for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub annotations: Option<BTreeMap<String, String>>,
}

/// Several manifests under one name, one a platform.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    /// Always 2.
    pub schema_version: u32,
    /// The index's own media type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// What the artifact is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// The manifests.
    #[serde(default)]
    pub manifests: Vec<Descriptor>,
    /// The manifest that this one is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
    /// Free text for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub annotations: Option<BTreeMap<String, String>>,
}

/// What stands behind a tag.
#[derive(Clone, Debug)]
pub enum Document {
    /// One image.
    Manifest(Manifest),
    /// One a platform.
    Index(Index),
}

/// Where an image holds its Wasm.
#[derive(Clone, Debug)]
pub enum Layout {
    /// This layer is the Wasm.
    Layer(Descriptor),
    /// Some file in one of these tar layers (bottom first) is, if any.
    Archives(Vec<(Descriptor, Compression)>),
}

/// How a tar layer is packed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Compression {
    /// Not at all.
    None,
    /// As a gzip stream.
    Gzip,
}

/// Bytes that are no manifest we know.
#[derive(Debug, thiserror::Error)]
pub enum InvalidManifest {
    /// Not JSON, or not of the schema.
    #[error("the manifest cannot be read: {0}")]
    Json(#[from] serde_json::Error),
    /// Schema 1, or something from the future.
    #[error("the manifest has schemaVersion {0}, want 2")]
    Schema(u32),
    /// A media type that is no manifest's.
    #[error("a manifest of media type {0:?} is not supported")]
    MediaType(String),
}

/// Why an image cannot run here, as it goes on after "has no WebAssembly: ".
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NoWasm {
    /// An index without a fitting manifest.
    #[error("it is built for {0} and not for wasi/wasm")]
    Platforms(String),
    /// An index in an index.
    #[error("its index leads to another index")]
    NestedIndex,
    /// An index of nothing.
    #[error("its index is empty")]
    EmptyIndex,
    /// Layers of unknown media types.
    #[error("its layers are of type {0}, want application/wasm")]
    Layers(String),
    /// No layers at all.
    #[error("it has no layers")]
    NoLayers,
    /// An ordinary image, too large to be a compat one.
    #[error("it is a container image of {0} layers for {COMPAT_LAYERS_MAX} at most that are searched for a .wasm file")]
    TooManyLayers(usize),
    /// An ordinary image, too large to be a compat one.
    #[error("it is a container image of {size} bytes, and up to {max} are searched for a .wasm file")]
    LargeLayers {
        /// The layers together.
        size: u64,
        /// The bound.
        max: u64,
    },
    /// Several Wasm layers, as in a Spin app of several components.
    #[error("it has {0} Wasm layers and a container runs one of them only; give each component its own image")]
    Several(usize),
    /// Tar layers packed in a way that we do not read.
    #[error("its layers are packed as {0}; use gzip or none")]
    Packing(String),
    /// The search through tar layers found none.
    #[error("no file of its layers begins as Wasm does, so it is an ordinary container image")]
    NoFile,
    /// The search found several, and the entrypoint chooses none.
    #[error("its layers hold {count} Wasm files and its entrypoint {entrypoint:?} names none of them")]
    Ambiguous {
        /// How many there are.
        count: usize,
        /// The entrypoint's first word.
        entrypoint: String,
    },
    /// A layer of a Wasm media type whose bytes are something else.
    #[error("its layer cannot be run: {0}")]
    Bytes(String),
}

/// Reads a manifest or an index. Which of the two it is, the media type in the document says; where there is none,
/// the one that it was sent with; where that is vague too, its fields.
///
/// # Errors
/// When it is neither.
pub fn parse(bytes: &[u8], sent_as: Option<&str>) -> Result<Document, InvalidManifest> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Head {
        schema_version: u32,
        media_type: Option<String>,
        manifests: Option<serde::de::IgnoredAny>,
    }
    let head: Head = serde_json::from_slice(bytes)?;
    if head.schema_version != 2 {
        return Err(InvalidManifest::Schema(head.schema_version));
    }
    let sent_as = sent_as.map(|text| text.split(';').next().unwrap_or(text).trim());
    let known = sent_as.filter(|text| media::MANIFESTS.contains(text));
    match head.media_type.as_deref().or(known) {
        Some(media::MANIFEST | media::DOCKER_MANIFEST) => Ok(Document::Manifest(serde_json::from_slice(bytes)?)),
        Some(media::INDEX | media::DOCKER_INDEX) => Ok(Document::Index(serde_json::from_slice(bytes)?)),
        Some(other) => Err(InvalidManifest::MediaType(other.to_owned())),
        None if head.manifests.is_some() => Ok(Document::Index(serde_json::from_slice(bytes)?)),
        None => Ok(Document::Manifest(serde_json::from_slice(bytes)?)),
    }
}

impl Document {
    /// The manifest's media type: what it says, or else OCI's.
    #[must_use]
    pub fn media_type(&self) -> &str {
        match self {
            Self::Manifest(manifest) => manifest.media_type.as_deref().unwrap_or(media::MANIFEST),
            Self::Index(index) => index.media_type.as_deref().unwrap_or(media::INDEX),
        }
    }

    /// The manifest that this one is about.
    #[must_use]
    pub fn subject(&self) -> Option<&Descriptor> {
        match self {
            Self::Manifest(manifest) => manifest.subject.as_ref(),
            Self::Index(index) => index.subject.as_ref(),
        }
    }
}

impl Index {
    /// The manifest to run: one for Wasm, else the only one there is.
    ///
    /// # Errors
    /// When none can be for Wasm.
    pub fn choose(&self) -> Result<&Descriptor, NoWasm> {
        // Build tools add attestations as manifests of the platform unknown/unknown.
        let mut images =
            self.manifests.iter().filter(|entry| entry.platform.as_ref().is_none_or(|it| it.os != "unknown"));
        if let Some(wasm) = self.manifests.iter().find(|entry| entry.platform.as_ref().is_some_and(Platform::is_wasm)) {
            return Ok(wasm);
        }
        match (images.next(), images.next()) {
            (None, _) => Err(NoWasm::EmptyIndex),
            (Some(only), None) => Ok(only),
            (Some(_), Some(_)) => {
                let platforms = self.manifests.iter().filter_map(|entry| entry.platform.as_ref());
                Err(NoWasm::Platforms(listed(platforms.map(|it| format!("{}/{}", it.os, it.architecture)))))
            }
        }
    }
}

impl Platform {
    fn is_wasm(&self) -> bool {
        matches!(self.architecture.as_str(), "wasm" | "wasm32" | "wasm64")
            || matches!(self.os.as_str(), "wasi" | "wasip1" | "wasip2")
    }
}

impl Manifest {
    /// Where the Wasm is, as far as media types tell.
    ///
    /// # Errors
    /// When no layer can hold any.
    pub fn layout(&self) -> Result<Layout, NoWasm> {
        let is_wasm = |layer: &&Descriptor| media::WASM_LAYERS.contains(&layer.media_type.as_str());
        let mut wasm = self.layers.iter().filter(is_wasm);
        match (wasm.next(), wasm.count()) {
            (Some(layer), 0) => return Ok(Layout::Layer(layer.clone())),
            (Some(_), more) => return Err(NoWasm::Several(more + 1)),
            (None, _) => {}
        }
        if self.layers.is_empty() {
            return Err(NoWasm::NoLayers);
        }
        if !matches!(self.config.media_type.as_str(), media::IMAGE_CONFIG | media::DOCKER_IMAGE_CONFIG) {
            return Err(NoWasm::Layers(listed(self.layers.iter().map(|layer| layer.media_type.clone()))));
        }
        if self.layers.len() > COMPAT_LAYERS_MAX {
            return Err(NoWasm::TooManyLayers(self.layers.len()));
        }
        let packed = |layer: &Descriptor| Ok((layer.clone(), Compression::of(&layer.media_type)?));
        Ok(Layout::Archives(self.layers.iter().map(packed).collect::<Result<_, NoWasm>>()?))
    }
}

impl Compression {
    fn of(media_type: &str) -> Result<Self, NoWasm> {
        match media_type {
            "application/vnd.oci.image.layer.v1.tar" => Ok(Self::None),
            "application/vnd.oci.image.layer.v1.tar+gzip" | "application/vnd.docker.image.rootfs.diff.tar.gzip" => {
                Ok(Self::Gzip)
            }
            other => Err(NoWasm::Packing(listed(std::iter::once(other.to_owned())))),
        }
    }
}

/// The first few of a list that a stranger wrote, for an error message.
fn listed(texts: impl Iterator<Item = String>) -> String {
    const SHOWN_MAX: usize = 6;
    const LENGTH_MAX: usize = 80;
    let shown: Vec<String> = texts.take(SHOWN_MAX).map(|text| text.chars().take(LENGTH_MAX).collect()).collect();
    shown.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn descriptor(media_type: &str) -> serde_json::Value {
        json!({"mediaType": media_type, "digest": Digest::of(media_type.as_bytes()), "size": 3})
    }

    fn manifest(config: &str, layers: &[&str]) -> Manifest {
        let layers: Vec<_> = layers.iter().map(|layer| descriptor(layer)).collect();
        let value = json!({"schemaVersion": 2, "config": descriptor(config), "layers": layers});
        match parse(value.to_string().as_bytes(), None).unwrap() {
            Document::Manifest(manifest) => manifest,
            Document::Index(_) => panic!("taken for an index"),
        }
    }

    fn index(platforms: &[(&str, &str)]) -> Index {
        let manifests = platforms.iter().map(|(os, architecture)| {
            let mut entry = descriptor(&format!("{os}/{architecture}"));
            entry["platform"] = json!({"os": os, "architecture": architecture});
            entry
        });
        let value = json!({"schemaVersion": 2, "mediaType": media::INDEX, "manifests": manifests.collect::<Vec<_>>()});
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn each_known_layout_leads_to_its_wasm_layer() {
        for (config, layer) in [
            (media::WASM_CONFIG, media::WASM),
            ("application/vnd.fermyon.spin.application.v1+config", media::WASM_LAYERS[1]),
            ("application/vnd.wasmcloud.actor.archive.config", media::WASM_LAYERS[2]),
            (media::IMAGE_CONFIG, media::WASM_LAYERS[3]),
        ] {
            let layout = manifest(config, &["application/vnd.wasm.content.layer.v1+data", layer]).layout();
            assert!(matches!(layout, Ok(Layout::Layer(found)) if found.media_type == layer), "{config}");
        }
    }

    #[test]
    fn an_ordinary_image_is_searched_only_while_it_can_be_a_compat_one() {
        let gzip = "application/vnd.oci.image.layer.v1.tar+gzip";
        let layout = manifest(media::IMAGE_CONFIG, &[gzip]).layout();
        assert!(matches!(layout, Ok(Layout::Archives(layers)) if layers[0].1 == Compression::Gzip));
        let many = manifest(media::IMAGE_CONFIG, &[gzip; 9]).layout();
        assert_eq!(many.unwrap_err(), NoWasm::TooManyLayers(9));
        let zstd = manifest(media::IMAGE_CONFIG, &["application/vnd.oci.image.layer.v1.tar+zstd"]).layout();
        assert!(matches!(zstd, Err(NoWasm::Packing(_))));
    }

    #[test]
    fn an_image_that_can_hold_no_wasm_says_why() {
        for (config, layers, expected) in [
            (media::WASM_CONFIG, vec![], "it has no layers"),
            ("application/vnd.cncf.helm.config.v1+json", vec!["x/chart"], "its layers are of type x/chart, want"),
            ("x/app", vec![media::WASM, media::WASM], "it has 2 Wasm layers"),
        ] {
            let error = manifest(config, &layers).layout().unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
    }

    #[test]
    fn an_index_gives_the_wasm_platform_then_its_only_image() {
        let chosen = |platforms| index(platforms).choose().map(|entry| entry.media_type.clone());
        assert_eq!(chosen(&[("linux", "amd64"), ("wasip1", "wasm")]).unwrap(), "wasip1/wasm");
        assert_eq!(chosen(&[("linux", "amd64"), ("unknown", "unknown")]).unwrap(), "linux/amd64");
        assert_eq!(
            chosen(&[("linux", "amd64"), ("linux", "arm64")]),
            Err(NoWasm::Platforms("linux/amd64, linux/arm64".to_owned()))
        );
        assert_eq!(chosen(&[]), Err(NoWasm::EmptyIndex));
    }

    #[test]
    fn the_documents_own_media_type_goes_before_the_one_it_was_sent_with() {
        let text = json!({"schemaVersion": 2, "mediaType": media::INDEX, "manifests": []}).to_string();
        assert!(matches!(parse(text.as_bytes(), Some(media::MANIFEST)), Ok(Document::Index(_))));
        let text = json!({"schemaVersion": 2, "manifests": []}).to_string();
        assert!(matches!(parse(text.as_bytes(), Some("application/json; charset=utf-8")), Ok(Document::Index(_))));
        assert!(matches!(parse(br#"{"schemaVersion": 1}"#, None), Err(InvalidManifest::Schema(1))));
        assert!(parse(b"<html>", None).is_err());
    }
}
