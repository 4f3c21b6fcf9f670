//! What the store promises, over a real folder: content is what its name says, uploads resume, repositories keep to
//! themselves, and nothing in use goes.

use std::path::PathBuf;

use futures::TryStreamExt as _;
use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::config::ImageConfig;
use crate::digest::Algorithm;
use crate::manifest::media;
use crate::reference::RepositoryName;

struct Fixture {
    folder: TempDir,
    store: ContentStore,
}

impl Fixture {
    async fn new() -> Self {
        Self::with(|_| ()).await
    }

    async fn with(change: impl FnOnce(&mut Options)) -> Self {
        let folder = TempDir::new().unwrap();
        let mut options = Options::at(folder.path().to_owned());
        change(&mut options);
        Self { store: ContentStore::open(options).await.unwrap(), folder }
    }

    async fn reopened(self) -> Self {
        let options = Options::at(self.folder.path().to_owned());
        drop(self.store);
        Self { store: ContentStore::open(options).await.unwrap(), folder: self.folder }
    }

    async fn upload(&self, name: &str, content: &'static [u8]) -> Digest {
        let repository = repository(name);
        let digest = Digest::of(content);
        let id = self.store.start_upload(&repository).await.unwrap();
        let mut append = self.store.append(&repository, id, None).await.unwrap();
        append.write(Bytes::from_static(content)).await.unwrap();
        append.finish().await.unwrap();
        drop(self.store.finish_upload(&repository, id, &digest).await.unwrap());
        digest
    }

    /// Pushes an image of one layer and gives the manifest's digest.
    async fn push(&self, name: &str, tag: &str, content: &'static [u8]) -> Digest {
        self.upload(name, b"{}").await;
        self.upload(name, content).await;
        let manifest = image(content, None);
        let target = Target::parse(tag).unwrap();
        self.store.put_manifest(&repository(name), &target, None, manifest).await.unwrap().digest
    }

    async fn content(&self, digest: &Digest) -> Vec<u8> {
        let blob = self.store.blob(digest).await.unwrap();
        let whole = 0..blob.size_bytes;
        read(blob, whole).await
    }

    /// Every file below the store's folder.
    fn files(&self) -> Vec<PathBuf> {
        let mut folders = vec![self.folder.path().to_owned()];
        let mut files = Vec::new();
        while let Some(folder) = folders.pop() {
            for child in std::fs::read_dir(folder).unwrap() {
                let path = child.unwrap().path();
                if path.is_dir() { folders.push(path) } else { files.push(path) }
            }
        }
        files
    }
}

async fn read(blob: Blob, range: Range<u64>) -> Vec<u8> {
    let chunks: Vec<Bytes> = blob.stream(range).await.unwrap().try_collect().await.unwrap();
    chunks.concat()
}

fn repository(name: &str) -> RepositoryName {
    RepositoryName::parse(name).unwrap()
}

fn image(layer: &[u8], subject: Option<&Digest>) -> Bytes {
    let mut manifest = json!({
        "schemaVersion": 2,
        "mediaType": media::MANIFEST,
        "config": {"mediaType": media::WASM_CONFIG, "digest": Digest::of(b"{}"), "size": 2},
        "layers": [{"mediaType": media::WASM, "digest": Digest::of(layer), "size": layer.len()}],
    });
    if let Some(subject) = subject {
        manifest["subject"] = json!({"mediaType": media::MANIFEST, "digest": subject, "size": 1});
    }
    manifest.to_string().into()
}

#[tokio::test]
async fn content_has_the_name_of_its_digest_and_survives_a_restart() {
    let fixture = Fixture::new().await;
    let stored = fixture.store.put(Bytes::from_static(b"hello")).await.unwrap();
    assert_eq!((&stored.digest, stored.size_bytes), (&Digest::of(b"hello"), 5));
    let digest = stored.digest.clone();
    drop(stored);

    let fixture = fixture.reopened().await;
    assert_eq!(fixture.content(&digest).await, b"hello");
    assert_eq!(fixture.store.metrics().blobs, 1);
}

#[tokio::test]
async fn content_that_is_not_its_digest_leaves_nothing_behind() {
    let fixture = Fixture::new().await;
    let mut ingest = fixture.store.ingest(Algorithm::Sha256, 100).await.unwrap();
    ingest.write(Bytes::from_static(b"evil")).await.unwrap();
    let error = ingest.commit(Some(&Digest::of(b"good"))).await.unwrap_err();
    assert!(matches!(error, Error::DigestMismatch { .. }), "{error}");
    assert_eq!(fixture.files(), Vec::<PathBuf>::new());
    assert_eq!(fixture.store.metrics(), Metrics { bytes_max: 10 << 30, ..Metrics::default() });
}

#[tokio::test]
async fn content_beyond_the_artifact_bound_is_refused_while_it_streams() {
    let fixture = Fixture::with(|options| options.artifact_bytes_max = 10).await;
    let mut ingest = fixture.store.ingest(Algorithm::Sha256, fixture.store.artifact_bytes_max()).await.unwrap();
    ingest.write(Bytes::from_static(b"0123456789")).await.unwrap();
    ingest.write(Bytes::from_static(b"x")).await.unwrap();
    assert!(matches!(ingest.commit(None).await, Err(Error::TooLarge { max: 10 })));
    assert_eq!(fixture.store.metrics().incoming_bytes, 0);
}

#[tokio::test]
async fn a_dropped_ingest_gives_its_space_back() {
    let fixture = Fixture::new().await;
    let mut ingest = fixture.store.ingest(Algorithm::Sha256, 1 << 20).await.unwrap();
    ingest.write(Bytes::from(vec![7; 300 << 10])).await.unwrap();
    assert_eq!(fixture.store.metrics().incoming_bytes, 300 << 10);
    drop(ingest);
    assert_eq!(fixture.store.metrics().incoming_bytes, 0);
    assert_eq!(fixture.files(), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn any_range_of_content_can_be_read() {
    let fixture = Fixture::new().await;
    let stored = fixture.store.put(Bytes::from_static(b"0123456789")).await.unwrap();
    for (range, expected) in [(0..10, "0123456789"), (3..5, "34"), (9..10, "9"), (4..4, "")] {
        let blob = fixture.store.blob(&stored.digest).await.unwrap();
        assert_eq!(read(blob, range).await, expected.as_bytes());
    }
}

#[tokio::test]
async fn an_upload_goes_on_where_it_stood_also_after_a_restart() {
    let fixture = Fixture::new().await;
    let name = repository("ns/app");
    let id = fixture.store.start_upload(&name).await.unwrap();
    let mut append = fixture.store.append(&name, id, Some(0)).await.unwrap();
    append.write(Bytes::from_static(b"first ")).await.unwrap();
    assert_eq!(append.finish().await.unwrap(), 6);

    let fixture = fixture.reopened().await;
    assert_eq!(fixture.store.upload_offset(&name, id).unwrap(), 6);
    assert_eq!(fixture.store.metrics().incoming_bytes, 6);
    let wrong = fixture.store.append(&name, id, Some(2)).await.unwrap_err();
    assert!(matches!(wrong, Error::Offset { expected: 6, found: 2 }), "{wrong}");
    let mut append = fixture.store.append(&name, id, Some(6)).await.unwrap();
    append.write(Bytes::from_static(b"second")).await.unwrap();
    append.finish().await.unwrap();
    let digest = Digest::of(b"first second");
    drop(fixture.store.finish_upload(&name, id, &digest).await.unwrap());

    assert_eq!(fixture.content(&digest).await, b"first second");
    assert_eq!(fixture.store.repository_blob_size(&name, &digest), Some(12));
    assert!(matches!(fixture.store.upload_offset(&name, id), Err(Error::UnknownUpload)));
    assert_eq!(fixture.store.metrics().incoming_bytes, 0);
}

#[tokio::test]
async fn an_upload_has_one_writer_and_belongs_to_its_repository() {
    let fixture = Fixture::new().await;
    let name = repository("ns/app");
    let id = fixture.store.start_upload(&name).await.unwrap();
    let held = fixture.store.append(&name, id, None).await.unwrap();
    assert!(matches!(fixture.store.append(&name, id, None).await, Err(Error::UploadBusy)));
    drop(held);
    assert!(fixture.store.append(&name, id, None).await.is_ok());
    let stranger = repository("other/app");
    assert!(matches!(fixture.store.append(&stranger, id, None).await, Err(Error::UnknownUpload)));
    assert!(matches!(fixture.store.cancel_upload(&stranger, id).await, Err(Error::UnknownUpload)));
    fixture.store.cancel_upload(&name, id).await.unwrap();
    assert_eq!(fixture.files(), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn an_upload_of_the_wrong_digest_is_gone_and_one_by_sha512_is_kept() {
    let fixture = Fixture::new().await;
    let name = repository("ns/app");
    let id = fixture.store.start_upload(&name).await.unwrap();
    let error = fixture.store.finish_upload(&name, id, &Digest::of(b"something")).await.unwrap_err();
    assert!(matches!(error, Error::DigestMismatch { .. }), "{error}");
    assert!(fixture.store.upload_offset(&name, id).is_err());

    let mut hasher = crate::digest::Hasher::new(Algorithm::Sha512);
    hasher.update(b"abc");
    let digest = hasher.finish();
    let id = fixture.store.start_upload(&name).await.unwrap();
    let mut append = fixture.store.append(&name, id, None).await.unwrap();
    append.write(Bytes::from_static(b"abc")).await.unwrap();
    append.finish().await.unwrap();
    drop(fixture.store.finish_upload(&name, id, &digest).await.unwrap());
    assert_eq!(fixture.content(&digest).await, b"abc");
}

#[tokio::test]
async fn uploads_are_bounded_by_namespace_and_end_with_their_life() {
    let fixture = Fixture::with(|options| options.upload_life = Duration::ZERO).await;
    for _ in 0..16 {
        fixture.store.start_upload(&repository("ns/app")).await.unwrap();
    }
    let error = fixture.store.start_upload(&repository("ns/other")).await.unwrap_err();
    assert!(matches!(error, Error::TooMany { max: 16, .. }), "{error}");
    assert!(fixture.store.start_upload(&repository("neighbour/app")).await.is_ok());
    fixture.store.drop_expired_uploads().await;
    assert_eq!(fixture.store.metrics().uploads, 0);
    assert_eq!(fixture.files(), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn a_repository_shows_only_what_was_pushed_to_it() {
    let fixture = Fixture::new().await;
    let digest = fixture.upload("mine/app", b"secret").await;
    let (mine, other) = (repository("mine/app"), repository("other/app"));
    assert!(fixture.store.repository_blob(&mine, &digest).await.is_ok());
    assert!(matches!(fixture.store.repository_blob(&other, &digest).await, Err(Error::UnknownBlob(_))));
    fixture.upload("other/app", b"{}").await;
    let target = Target::Tag("v1".to_owned());
    let stolen = fixture.store.put_manifest(&other, &target, None, image(b"secret", None)).await.unwrap_err();
    assert!(matches!(stolen, Error::UnknownReference(_)), "{stolen}");
    assert!(fixture.store.link_blob(&other, &digest).await.unwrap());
    fixture.store.put_manifest(&other, &target, None, image(b"secret", None)).await.unwrap();
}

#[tokio::test]
async fn tags_move_and_manifests_go_with_their_tags() {
    let fixture = Fixture::new().await;
    let name = repository("ns/app");
    let first = fixture.push("ns/app", "v1", b"one").await;
    let second = fixture.push("ns/app", "v1", b"two").await;
    fixture.push("ns/app", "latest", b"two").await;
    let fixture = fixture.reopened().await;
    let tag = |tag: &str| fixture.store.resolve(&name, &Target::parse(tag).unwrap());
    assert_eq!(fixture.store.tags(&name).unwrap(), ["latest", "v1"]);
    assert_eq!((tag("v1"), tag(&first.to_string())), (Some(second.clone()), Some(first.clone())));

    let gone = fixture.store.delete_manifest(&name, &Target::Digest(second.clone())).await.unwrap();
    assert!(gone);
    assert_eq!((tag("v1"), tag("latest"), tag(&second.to_string())), (None, None, None));
    let fixture = fixture.reopened().await;
    assert_eq!(fixture.store.tags(&name).unwrap(), Vec::<String>::new());
    assert!(fixture.store.manifest(&name, &Target::Digest(first)).await.unwrap().is_some());
}

#[tokio::test]
async fn a_repository_without_anything_is_gone() {
    let fixture = Fixture::new().await;
    let digest = fixture.upload("ns/a/b", b"x").await;
    assert_eq!(fixture.store.repositories(), [repository("ns/a/b")]);
    assert!(fixture.store.unlink_blob(&repository("ns/a/b"), &digest).await.unwrap());
    assert_eq!(fixture.store.repositories(), []);
    assert_eq!(fixture.store.tags(&repository("ns/a/b")), None);
    assert!(!fixture.folder.path().join("repositories/ns").exists());
}

#[tokio::test]
async fn referrers_are_found_by_their_subject() {
    let fixture = Fixture::new().await;
    let name = repository("ns/app");
    let subject = fixture.push("ns/app", "v1", b"one").await;
    let signature = image(b"one", Some(&subject));
    let target = Target::Digest(Digest::of(&signature));
    let put = fixture.store.put_manifest(&name, &target, None, signature).await.unwrap();
    assert_eq!(put.subject, Some(subject.clone()));
    let referrers = fixture.store.referrers(&name, &subject).await.unwrap();
    assert_eq!(referrers.len(), 1);
    assert_eq!((&referrers[0].digest, referrers[0].artifact_type.as_deref()), (&put.digest, Some(media::WASM_CONFIG)));
}

#[tokio::test]
async fn the_oldest_image_makes_room_and_one_in_use_does_not() {
    let fixture = Fixture::with(|options| options.bytes_max = 6 * state::CHARGE_MIN).await;
    let first = fixture.push("ns/first", "v1", b"first").await;
    let second = fixture.push("ns/second", "v1", b"second").await;
    // Five blobs: two manifests, two layers, one config. Reading makes the first the more recently used.
    assert!(fixture.store.manifest(&repository("ns/first"), &Target::Digest(first)).await.unwrap().is_some());
    let third = fixture.store.put(Bytes::from(vec![1; 30 << 10])).await.unwrap();
    assert_eq!(fixture.store.resolve(&repository("ns/second"), &Target::Digest(second)), None);
    assert!(fixture.store.has(&third.digest));
    assert_eq!(fixture.store.metrics().removed_blobs, 2);

    fixture.store.set_in_use([Reference::parse("registry.minke.local/ns/first:v1").unwrap()]);
    let full = fixture.store.put(Bytes::from(vec![2; 30 << 10])).await.unwrap_err();
    assert!(matches!(full, Error::Full { .. }), "{full}");
}

#[tokio::test]
async fn a_pulled_image_is_found_again_after_a_restart() {
    let fixture = Fixture::new().await;
    let reference = Reference::parse("ghcr.io/a/b:1").unwrap();
    let stored = fixture.store.put(Bytes::from_static(b"\0asm")).await.unwrap();
    let config = ImageConfig { env: vec!["A=1".to_owned()], ..ImageConfig::default() };
    let pulled =
        fixture.store.record_pulled(&reference, Digest::of(b"manifest"), stored, config.clone()).await.unwrap();
    drop(pulled);

    let fixture = fixture.reopened().await;
    let artifact = fixture.store.pulled(&reference).unwrap();
    assert_eq!((artifact.wasm, artifact.config), (Digest::of(b"\0asm"), config));
    assert_eq!(std::fs::read(artifact.path).unwrap(), b"\0asm");
    assert_eq!(fixture.store.pulled_images()[0].reference, "ghcr.io/a/b:1");
    assert!(fixture.store.pulled(&Reference::parse("ghcr.io/a/b:2").unwrap()).is_none());
}

#[tokio::test]
async fn strange_files_do_not_keep_the_store_from_opening() {
    let fixture = Fixture::new().await;
    fixture.push("ns/app", "v1", b"one").await;
    let root = fixture.folder.path();
    std::fs::write(root.join("pulled/nonsense"), "{").unwrap();
    std::fs::create_dir_all(root.join("sha256/zz")).unwrap();
    std::fs::write(root.join("sha256/zz/not-a-digest"), "").unwrap();
    std::fs::write(root.join("repositories/ns/app/_tags/dangling"), Digest::of(b"none").to_string()).unwrap();
    std::fs::create_dir_all(root.join("uploads/not-a-uuid")).unwrap();
    let fixture = fixture.reopened().await;
    assert_eq!(fixture.store.tags(&repository("ns/app")).unwrap(), ["v1"]);
}

#[tokio::test]
async fn a_namespace_that_is_gone_leaves_nothing_to_the_next_of_its_name() {
    let fixture = Fixture::new().await;
    let digest = fixture.push("ns/app", "v1", b"one").await;
    fixture.push("ns-2/app", "v1", b"two").await;
    let upload = fixture.store.start_upload(&repository("ns/new")).await.unwrap();
    assert_eq!(fixture.store.remove_namespace("ns").await.unwrap(), 1);
    assert_eq!(fixture.store.repositories(), [repository("ns-2/app")]);
    assert_eq!(fixture.store.resolve(&repository("ns/app"), &Target::Digest(digest)), None);
    assert!(matches!(fixture.store.upload_offset(&repository("ns/new"), upload), Err(Error::UnknownUpload)));
    let fixture = fixture.reopened().await;
    assert_eq!(fixture.store.repositories(), [repository("ns-2/app")]);
}
