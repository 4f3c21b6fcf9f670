//! From a `.wasm` file to an artifact in a registry.
//!
//! What is written is the CNCF's Wasm artifact: a config `application/vnd.wasm.config.v0+json` that says what the Wasm
//! imports and exports, one layer `application/wasm`, and an OCI image manifest over both.

use std::path::Path;

use bytes::Bytes;
use serde_json::{Value, json};

use crate::credentials::Keyring;
use crate::digest::{Algorithm, Digest, Hasher};
use crate::distribution::session::{Access, Session};
use crate::distribution::{self, Transport};
use crate::inspect::{Inspection, Kind, NotWasm, Wasi, inspect_file};
use crate::manifest::media;
use crate::reference::Reference;

/// How much of a file is hashed at once, in bytes.
const HASH_BYTES: usize = 256 << 10;

/// The documents of an artifact, ready to be stored beside its Wasm.
#[derive(Clone, Debug)]
pub struct Documents {
    /// The config's bytes and their digest.
    pub config: (Bytes, Digest),
    /// The manifest's bytes and their digest.
    pub manifest: (Bytes, Digest),
}

/// Pushes artifacts. It needs no content store.
#[derive(Debug)]
pub struct Pusher {
    transport: Transport,
}

/// What was pushed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Pushed {
    /// The manifest's digest.
    pub digest: Digest,
    /// The Wasm's digest.
    pub wasm: Digest,
    /// The Wasm's length.
    pub size_bytes: u64,
}

/// Why nothing was pushed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file is none.
    #[error("cannot push {path}: {source}")]
    NotWasm {
        /// Which.
        path: String,
        /// What it is.
        source: NotWasm,
    },
    /// The registry did not help.
    #[error(transparent)]
    Registry(#[from] distribution::Error),
}

impl Pusher {
    /// A pusher that reaches registries as `options` say.
    #[must_use]
    pub fn new(options: distribution::Options) -> Self {
        Self { transport: Transport::new(options) }
    }

    /// Pushes the file at `path` under `reference`. Content that the registry has is not sent again.
    ///
    /// # Errors
    /// When the file is no Wasm, or the registry refuses.
    pub async fn push(&self, reference: &Reference, path: &Path, keyring: &Keyring) -> Result<Pushed, Error> {
        let at = |source| Error::NotWasm { path: path.display().to_string(), source };
        let inspection = inspect_file(path).await.map_err(at)?;
        let wasm = digest_of(path).await.map_err(|error| at(NotWasm::Io(error)))?;
        let documents = documents(&inspection, &wasm);
        let mut last = distribution::Error::NoBuiltIn;
        for session in self.transport.sessions(reference, Access::Push, keyring)? {
            match send(&session, reference, path, &inspection, (&wasm, &documents)).await {
                Ok(()) => {
                    let digest = documents.manifest.1;
                    return Ok(Pushed { digest, wasm, size_bytes: inspection.size_bytes });
                }
                Err(error) if error.is_worth_another_way() => last = error,
                Err(error) => return Err(error.into()),
            }
        }
        Err(last.into())
    }
}

/// Content first, the manifest last: a registry takes no manifest whose content it has not seen.
async fn send(
    session: &Session,
    reference: &Reference,
    path: &Path,
    inspection: &Inspection,
    (wasm, documents): (&Digest, &Documents),
) -> Result<(), distribution::Error> {
    if !session.has_blob(wasm).await? {
        session.push_file(wasm, path, inspection.size_bytes).await?;
    }
    let (config, digest) = &documents.config;
    if !session.has_blob(digest).await? {
        session.push_bytes(digest, config.clone()).await?;
    }
    session.push_manifest(&reference.target(), media::MANIFEST, documents.manifest.0.clone()).await
}

/// The config and manifest of a Wasm artifact; the same input gives the same bytes, so pushing twice changes nothing.
#[must_use]
pub fn documents(inspection: &Inspection, wasm: &Digest) -> Documents {
    let config: Bytes = config(inspection, wasm).to_string().into();
    let config_digest = Digest::of(&config);
    let manifest: Bytes = json!({
        "schemaVersion": 2,
        "mediaType": media::MANIFEST,
        "config": {"mediaType": media::WASM_CONFIG, "digest": config_digest, "size": config.len()},
        "layers": [{"mediaType": media::WASM, "digest": wasm, "size": inspection.size_bytes}],
    })
    .to_string()
    .into();
    let manifest_digest = Digest::of(&manifest);
    Documents { config: (config, config_digest), manifest: (manifest, manifest_digest) }
}

fn config(inspection: &Inspection, wasm: &Digest) -> Value {
    let os = match inspection.kind {
        Kind::CommandModule | Kind::LibraryModule => "wasip1",
        Kind::CommandComponent(Wasi::Preview3) | Kind::HttpComponent(Wasi::Preview3) => "wasip3",
        Kind::CommandComponent(_) | Kind::HttpComponent(_) | Kind::LibraryComponent => "wasip2",
    };
    let target = match inspection.kind {
        Kind::CommandModule | Kind::LibraryModule => {
            return json!({"architecture": "wasm", "os": os, "layerDigests": [wasm]});
        }
        Kind::CommandComponent(_) => target("wasi:cli/run@", "wasi:cli/command@", &inspection.exports),
        Kind::HttpComponent(_) => target("wasi:http/incoming-handler@", "wasi:http/proxy@", &inspection.exports),
        Kind::LibraryComponent => None,
    };
    let imports: Vec<String> = inspection.imports.iter().map(ToString::to_string).collect();
    json!({
        "architecture": "wasm",
        "os": os,
        "layerDigests": [wasm],
        "component": {"exports": inspection.exports, "imports": imports, "target": target},
    })
}

/// The world that a component is made for, in the version of the export that shows it.
fn target(export: &str, world: &str, exports: &[String]) -> Option<String> {
    exports.iter().find_map(|name| name.strip_prefix(export)).map(|version| format!("{world}{version}"))
}

async fn digest_of(path: &Path) -> std::io::Result<Digest> {
    use tokio::io::AsyncReadExt as _;
    let mut file = tokio::fs::File::open(path).await?;
    let mut hasher = Hasher::new(Algorithm::Sha256);
    let mut chunk = vec![0; HASH_BYTES];
    loop {
        match file.read(&mut chunk).await? {
            0 => return Ok(hasher.finish()),
            length => hasher.update(chunk.get(..length).unwrap_or_default()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;
    use crate::inspect::inspect;
    use crate::manifest::{self, Document, Layout};

    fn inspected(wat: &str) -> Inspection {
        inspect(Cursor::new(wat::parse_str(wat).unwrap())).unwrap()
    }

    #[test]
    fn the_config_says_what_the_wasm_is() {
        let wasm = Digest::of(b"wasm");
        let module = inspected(r#"(module (func (export "_start")))"#);
        assert_eq!(config(&module, &wasm), json!({"architecture": "wasm", "os": "wasip1", "layerDigests": [wasm]}));
        let component = inspected(
            r#"(component (import "wasi:cli/stdout@0.2.3" (instance)) (instance $i)
                (export "wasi:cli/run@0.2.3" (instance $i)))"#,
        );
        let expected = json!({
            "exports": ["wasi:cli/run@0.2.3"],
            "imports": ["wasi:cli/stdout@0.2.3"],
            "target": "wasi:cli/command@0.2.3",
        });
        assert_eq!(config(&component, &wasm)["component"], expected);
        assert_eq!(config(&component, &wasm)["os"], "wasip2");
    }

    #[test]
    fn what_is_pushed_is_what_a_pull_finds() {
        let wasm = Digest::of(b"wasm");
        let documents = documents(&inspected("(module)"), &wasm);
        let Ok(Document::Manifest(manifest)) = manifest::parse(&documents.manifest.0, None) else {
            panic!("no manifest")
        };
        assert_eq!(manifest.config.digest, documents.config.1);
        assert!(matches!(manifest.layout(), Ok(Layout::Layer(layer)) if layer.digest == wasm && layer.size == 8));
    }
}
