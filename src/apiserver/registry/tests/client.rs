//! The registry as programs by others meet it: a client library that oras-like tools and wkg are built on, over TLS.

use futures::StreamExt as _;
use images::content::Options;
use images::manifest::media;
use oci_client::client::BlobResponse;
use oci_client::client::{Certificate, CertificateEncoding, ClientConfig, ClientProtocol, Config, ImageLayer};
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, Reference};

use crate::tests::Cluster;
use crate::tests::door::{Door, TOKEN};

async fn door() -> Door {
    let cluster = Cluster::start().await;
    let content = Options::at(cluster.folder.path().join("blobs"));
    cluster.server.keep_artifacts_in(images::ContentStore::open(content).await.unwrap());
    Door::open(cluster).await
}

fn client(door: &Door, use_monolithic_push: bool) -> Client {
    // The library leaves it to the process which cryptography it uses; another test may have chosen already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let data = door.authority.certificate_pem().as_bytes().to_vec();
    Client::new(ClientConfig {
        protocol: ClientProtocol::Https,
        tls_certs_only: vec![Certificate { encoding: CertificateEncoding::Pem, data }],
        use_monolithic_push,
        ..ClientConfig::default()
    })
}

fn image(door: &Door, name: &str) -> Reference {
    format!("{}/{name}", door.address).parse().unwrap()
}

async fn push(client: &Client, image: &Reference, wasm: Vec<u8>) {
    let layer = ImageLayer::new(wasm, "application/wasm".to_owned(), None);
    let config = Config::new("{}".as_bytes().to_vec(), "application/vnd.wasm.config.v0+json".to_owned(), None);
    let auth = RegistryAuth::Basic("anybody".to_owned(), TOKEN.to_owned());
    client.push(image, &[layer], config, &auth, None).await.unwrap();
}

#[tokio::test]
async fn what_a_client_pushes_it_pulls_again() {
    let door = door().await;
    let auth = RegistryAuth::Basic("anybody".to_owned(), TOKEN.to_owned());
    for (use_monolithic_push, tag) in [(false, "in-chunks"), (true, "at-once")] {
        let client = client(&door, use_monolithic_push);
        // More than one chunk of the library.
        let wasm: Vec<u8> = (0..9_u32 << 20).map(|index| index.to_le_bytes()[index as usize % 4]).collect();
        let image = image(&door, &format!("default/app:{tag}"));
        push(&client, &image, wasm.clone()).await;
        let pulled = client.pull(&image, &auth, vec!["application/wasm"]).await.unwrap();
        assert!(pulled.layers[0].data == wasm, "{tag}");
        let layer = pulled.manifest.unwrap().layers[0].clone();
        let BlobResponse::Partial(part) =
            client.pull_blob_stream_partial(&image, &layer, 5 << 20, Some(100)).await.unwrap()
        else {
            panic!("the whole blob came")
        };
        let part: Vec<u8> = part.stream.map(|chunk| chunk.unwrap().to_vec()).concat().await;
        assert_eq!(part, wasm[5 << 20..][..100]);
        assert_eq!(client.fetch_manifest_digest(&image, &auth).await.unwrap(), pulled.digest.unwrap());
    }
    let client = client(&door, false);
    let image = image(&door, "default/app:at-once");
    let tags = client.list_tags(&image, &auth, None, None).await.unwrap();
    assert_eq!(tags.tags, ["at-once", "in-chunks"]);
    let referrers = client.pull_referrers(&image.clone_with_digest(images::Digest::of(b"x").to_string()), None).await;
    assert_eq!(referrers.unwrap().media_type.as_deref(), Some(media::INDEX));
}

#[tokio::test]
async fn a_client_without_the_right_token_is_refused() {
    let door = door().await;
    let (client, image) = (client(&door, false), image(&door, "default/app:v1"));
    for auth in [RegistryAuth::Anonymous, RegistryAuth::Basic("anybody".to_owned(), "wrong".to_owned())] {
        assert!(client.pull(&image, &auth, vec!["application/wasm"]).await.is_err(), "{auth:?}");
    }
}
