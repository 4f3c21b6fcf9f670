//! Pulling from a registry that a test scripts, on a loopback port: every layout, resumption, and what is refused.

use std::collections::HashMap;
use std::io::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::archive::tests::tar;
use crate::content::Options;
use crate::manifest::media;

/// What a scripted registry holds and how it behaves.
#[derive(Clone, Default)]
struct Script {
    manifests: HashMap<String, Bytes>,
    blobs: HashMap<String, Bytes>,
    /// How many answers with content break off in the middle.
    breaks: Arc<AtomicUsize>,
    /// What `Authorization` must be.
    authorization: Option<String>,
    /// How often content was asked for.
    asked: Arc<AtomicUsize>,
}

impl Script {
    /// Puts a manifest of these layers under `tag`.
    fn image(mut self, tag: &str, config: (&str, &Value), layers: &[(&str, Vec<u8>)]) -> Self {
        let config = (config.0, config.1.to_string().into_bytes());
        let mut described = [&config].into_iter().chain(layers).map(|(media_type, content)| {
            let digest = Digest::of(content).to_string();
            self.blobs.insert(digest.clone(), content.clone().into());
            json!({"mediaType": media_type, "digest": digest, "size": content.len()})
        });
        let config = described.next();
        let layers: Vec<_> = described.collect();
        let manifest = json!({"schemaVersion": 2, "mediaType": media::MANIFEST, "config": config, "layers": layers});
        self.manifest(tag, &manifest)
    }

    fn manifest(mut self, tag: &str, manifest: &Value) -> Self {
        let content = Bytes::from(manifest.to_string());
        self.manifests.insert(Digest::of(&content).to_string(), content.clone());
        self.manifests.insert(tag.to_owned(), content);
        self
    }

    async fn serve(self) -> Registry {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new()
            .route("/v2/ns/app/manifests/{target}", get(manifest))
            .route("/v2/ns/app/blobs/{digest}", get(blob))
            .with_state(self.clone());
        let server = base::task::spawn("registry", async move { axum::serve(listener, router).await.unwrap() });
        let folder = TempDir::new().unwrap();
        let mut options = Options::at(folder.path().to_owned());
        options.artifact_bytes_max = 1 << 20;
        let store = ContentStore::open(options).await.unwrap();
        let puller = Puller::with(
            store,
            distribution::Options::default(),
            BuiltInPlace::Elsewhere,
            Law::exact(Duration::ZERO, Duration::ZERO),
        );
        Registry { address: address.to_string(), puller, script: self, _folder: folder, _server: server }
    }
}

struct Registry {
    address: String,
    puller: Puller,
    script: Script,
    _folder: TempDir,
    _server: base::task::Task<()>,
}

impl Registry {
    async fn pull(&self, target: &str) -> Result<Artifact, Error> {
        self.pull_with(target, &Keyring::empty()).await
    }

    async fn pull_with(&self, target: &str, keyring: &Keyring) -> Result<Artifact, Error> {
        let reference = Reference::parse(&format!("{}/ns/app{target}", self.address)).unwrap();
        self.puller.pull(&reference, keyring, &|_| ()).await
    }

    async fn refuses(&self, target: &str, expected: &str) {
        let error = self.pull(target).await.unwrap_err().to_string();
        assert!(error.contains(expected), "{error:?} does not say {expected:?}");
    }
}

fn is_allowed(script: &Script, headers: &HeaderMap) -> bool {
    let shown = headers.get("authorization").and_then(|it| it.to_str().ok());
    script.authorization.as_deref().is_none_or(|wanted| shown == Some(wanted))
}

async fn manifest(State(script): State<Script>, Path(target): Path<String>, headers: HeaderMap) -> Response {
    if !is_allowed(&script, &headers) {
        return (StatusCode::UNAUTHORIZED, [("www-authenticate", "Basic realm=\"x\"")]).into_response();
    }
    match script.manifests.get(&target) {
        Some(content) => content.clone().into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn blob(State(script): State<Script>, Path(digest): Path<String>, headers: HeaderMap) -> Response {
    script.asked.fetch_add(1, Ordering::Relaxed);
    let Some(content) = script.blobs.get(&digest).filter(|_| is_allowed(&script, &headers)) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let range = headers.get("range").and_then(|it| it.to_str().ok()?.strip_prefix("bytes=")?.strip_suffix('-'));
    let from: usize = range.map_or(0, |from| from.parse().unwrap());
    let status = if from > 0 { StatusCode::PARTIAL_CONTENT } else { StatusCode::OK };
    let rest = content.slice(from..);
    let breaks = script.breaks.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
    if breaks.is_ok() {
        let half = rest.slice(..rest.len().div_ceil(2));
        let broken = futures::stream::iter([Ok(half), Err(std::io::Error::other("cut"))]);
        return (status, Body::from_stream(broken)).into_response();
    }
    (status, rest).into_response()
}

fn wasm(name: &str) -> Vec<u8> {
    wat::parse_str(format!(r#"(module (func (export "_start")) (func (export "{name}")))"#)).unwrap()
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

const TAR: &str = "application/vnd.oci.image.layer.v1.tar";
const TAR_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

#[tokio::test]
async fn a_wasm_artifact_is_pulled_once_and_found_without_the_registry() {
    let registry =
        Script::default().image("v1", (media::WASM_CONFIG, &json!({})), &[(media::WASM, wasm("a"))]).serve().await;
    let artifact = registry.pull(":v1").await.unwrap();
    assert_eq!(std::fs::read(&artifact.path).unwrap(), wasm("a"));
    assert_eq!(artifact.wasm, Digest::of(&wasm("a")));
    let again = registry.pull(&format!("@{}", artifact.manifest_digest)).await.unwrap();
    assert_eq!(again.wasm, artifact.wasm);
    assert_eq!(registry.script.asked.load(Ordering::Relaxed), 1);
    assert!(registry.puller.store().pulled(&artifact.reference).is_some());
}

#[tokio::test]
async fn a_compat_image_gives_its_wasm_and_says_how_to_run_it() {
    let config = json!({"config": {"Entrypoint": ["/app.wasm"], "Env": ["A=1"]}});
    let archive = tar(&[("etc/motd", b"hi"), ("app.wasm", &wasm("app")), ("other.wasm", &wasm("other"))]);
    for (media_type, layer) in [(TAR, archive.clone()), (TAR_GZIP, gzip(&archive))] {
        let script = Script::default().image("v1", (media::IMAGE_CONFIG, &config), &[(media_type, layer)]);
        let registry = script.serve().await;
        let artifact = registry.pull(":v1").await.unwrap();
        assert_eq!(std::fs::read(&artifact.path).unwrap(), wasm("app"));
        assert_eq!(artifact.config.env, ["A=1"]);
        assert_eq!(registry.puller.store().metrics().blobs, 1, "the layer itself is not kept");
    }
}

#[tokio::test]
async fn a_later_layer_hides_an_earlier_ones_file() {
    let layers = [(TAR, tar(&[("a.wasm", &wasm("old"))])), (TAR, tar(&[("./a.wasm", &wasm("new"))]))];
    let registry = Script::default().image("v1", (media::IMAGE_CONFIG, &json!({})), &layers).serve().await;
    let artifact = registry.pull(":v1").await.unwrap();
    assert_eq!(std::fs::read(&artifact.path).unwrap(), wasm("new"));
}

#[tokio::test]
async fn an_index_leads_to_its_wasm_manifest_and_names_the_image() {
    let script = Script::default().image("wasm", (media::WASM_CONFIG, &json!({})), &[(media::WASM, wasm("a"))]);
    let chosen = Digest::of(&script.manifests["wasm"]);
    let entry = |os: &str, digest: &Digest| {
        json!({"mediaType": media::MANIFEST, "digest": digest, "size": 1,
               "platform": {"os": os, "architecture": if os == "linux" { "amd64" } else { "wasm" }}})
    };
    let index = json!({"schemaVersion": 2, "mediaType": media::INDEX,
                       "manifests": [entry("linux", &Digest::of(b"none")), entry("wasip2", &chosen)]});
    let registry = script.manifest("all", &index).serve().await;
    let artifact = registry.pull(":all").await.unwrap();
    assert_eq!(artifact.manifest_digest, Digest::of(index.to_string().as_bytes()));
}

#[tokio::test]
async fn an_image_without_wasm_is_told_as_such() {
    let busybox = tar(&[("bin/sh", b"\x7fELF....")]);
    let two = tar(&[("a.wasm", &wasm("a")), ("b.wasm", &wasm("b"))]);
    let registry = Script::default()
        .image("busybox", (media::IMAGE_CONFIG, &json!({})), &[(TAR_GZIP, gzip(&busybox))])
        .image("two", (media::IMAGE_CONFIG, &json!({})), &[(TAR, two)])
        .image("liar", (media::WASM_CONFIG, &json!({})), &[(media::WASM, b"\x7fELF\x02\x01\x01\xc8....".to_vec())])
        .image("text", (media::WASM_CONFIG, &json!({})), &[(media::WASM, b"(module)".to_vec())])
        .serve()
        .await;
    registry.refuses(":busybox", "has no WebAssembly: no file of its layers begins as Wasm does").await;
    registry.refuses(":two", "its layers hold 2 Wasm files").await;
    registry.refuses(":liar", "compiled by wasmtime (.cwasm)").await;
    registry.refuses(":text", "the text form (.wat)").await;
    registry.refuses(":none", "not found").await;
}

#[tokio::test]
async fn a_download_goes_on_where_it_broke_off() {
    let mut content = wasm("a");
    // A custom section makes it large enough to break often.
    content.extend([0, 0xc0, 0x84, 0x3d]);
    content.extend(vec![0; 1_000_000]);
    let script = Script::default().image("v1", (media::WASM_CONFIG, &json!({})), &[(media::WASM, content.clone())]);
    script.breaks.store(3, Ordering::Relaxed);
    let registry = script.serve().await;
    let artifact = registry.pull(":v1").await.unwrap();
    assert_eq!(artifact.wasm, Digest::of(&content));
    assert_eq!(registry.script.asked.load(Ordering::Relaxed), 4);
}

#[tokio::test]
async fn a_download_that_always_breaks_is_given_up() {
    let script = Script::default().image("v1", (media::WASM_CONFIG, &json!({})), &[(media::WASM, wasm("a"))]);
    script.breaks.store(usize::MAX, Ordering::Relaxed);
    let registry = script.serve().await;
    registry.refuses(":v1", "broke off after").await;
}

#[tokio::test]
async fn content_and_manifests_that_are_not_their_digest_are_refused() {
    let mut script = Script::default().image("v1", (media::WASM_CONFIG, &json!({})), &[(media::WASM, wasm("a"))]);
    let good = Digest::of(&wasm("a")).to_string();
    script.blobs.insert(good, wasm("b").into());
    let other = Digest::of(b"other");
    script.manifests.insert(other.to_string(), script.manifests["v1"].clone());
    let registry = script.serve().await;
    registry.refuses(":v1", "the content has digest").await;
    registry.refuses(&format!("@{other}"), "sent a manifest with digest").await;
}

#[tokio::test]
async fn bounds_hold_whatever_the_registry_says() {
    let bomb = gzip(&tar(&[("zeros", &vec![0; 64 << 20])]));
    assert!(bomb.len() < 1 << 20);
    let large = json!({"schemaVersion": 2, "config": {"mediaType": media::WASM_CONFIG, "digest": Digest::of(b"{}"), "size": 2},
                       "layers": [{"mediaType": media::WASM, "digest": Digest::of(b"x"), "size": u64::MAX}]});
    let mut script = Script::default()
        .image("bomb", (media::IMAGE_CONFIG, &json!({})), &[(TAR_GZIP, bomb)])
        .manifest("large", &large);
    script.manifests.insert("endless".to_owned(), vec![b' '; 5 << 20].into());
    let registry = script.serve().await;
    registry.refuses(":bomb", "unpacks to more than 2097152 bytes").await;
    registry.refuses(":large", "an artifact may have 1048576").await;
    registry.refuses(":endless", "more than 4194304 bytes of a manifest").await;
}

#[tokio::test]
async fn every_matching_pull_secret_is_tried() {
    let mut script = Script::default().image("v1", (media::WASM_CONFIG, &json!({})), &[(media::WASM, wasm("a"))]);
    script.authorization = Some("Basic dTpyaWdodA==".to_owned());
    let registry = script.serve().await;
    registry.refuses(":v1", "needs a pull secret").await;
    let mut keyring = Keyring::empty();
    for (path, password) in [("/ns", "wrong"), ("", "right")] {
        let auths = json!({"auths": {format!("{}{path}", registry.address): {"username": "u", "password": password}}});
        keyring.add_docker_config_json(auths.to_string().as_bytes()).unwrap();
    }
    assert!(registry.pull_with(":v1", &keyring).await.is_ok());
}

#[tokio::test]
async fn a_registry_that_is_not_there_is_unavailable() {
    let registry = Script::default().serve().await;
    let closed = Reference::parse("127.0.0.1:1/ns/app").unwrap();
    let error = registry.puller.pull(&closed, &Keyring::empty(), &|_| ()).await.unwrap_err();
    assert!(error.is_unavailable(), "{error}");
}

#[tokio::test]
async fn the_clusters_own_registry_is_read_from_the_store_that_it_keeps_its_content_in() {
    let folder = TempDir::new().unwrap();
    let store = ContentStore::open(Options::at(folder.path().to_owned())).await.unwrap();
    let wasm = store.put(Bytes::from_static(b"\0asm\x01\0\0\0")).await.unwrap();
    let documents = crate::push::documents(&inspect_file(&wasm.path).await.unwrap(), &wasm.digest);
    let config = store.put(documents.config.0).await.unwrap();
    let name = crate::reference::RepositoryName::parse("ns/app").unwrap();
    for digest in [&wasm.digest, &config.digest] {
        store.link_blob(&name, digest).await.unwrap();
    }
    let tag = crate::content::Target::Tag("v1".to_owned());
    let put = store.put_manifest(&name, &tag, Some(media::MANIFEST), documents.manifest.0).await.unwrap();

    let puller = Puller::in_registry(store, distribution::Options::default());
    let pull = async |name: &str| puller.pull(&Reference::parse(name).unwrap(), &Keyring::empty(), &|_| ()).await;
    let pulled = pull("registry.minke.local/ns/app:v1").await.unwrap();
    assert_eq!((&pulled.wasm, &pulled.manifest_digest), (&wasm.digest, &put.digest));
    let missing = pull("registry.minke.local/ns/other:v1").await.unwrap_err().to_string();
    assert_eq!(missing, "registry.minke.local/ns/other:v1: not found");
}
