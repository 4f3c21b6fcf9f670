//! The registry as programs by others meet it: a client library that oras-like tools and wkg are built on, over TLS.

use std::sync::Arc;

use futures::StreamExt as _;
use images::content::Options;
use images::credentials::Keyring;
use images::distribution::{self, BuiltIn};
use images::manifest::media;
use images::pull::Puller;
use oci_client::client::BlobResponse;
use oci_client::client::{Certificate, CertificateEncoding, ClientConfig, ClientProtocol, Config, ImageLayer};
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, Reference};
use serde_json::json;

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

#[tokio::test]
async fn a_node_elsewhere_pulls_what_its_pods_name_and_nothing_else() {
    let door = door().await;
    let admin = client(&door, true);
    for name in ["default/app:v1", "default/secret:v1"] {
        push(&admin, &image(&door, name), b"\0asm\x01\0\0\0".to_vec()).await;
    }
    let ask = async |path: &str, body| door.cluster.ask(http::Method::POST, path, body).await;
    ask("/api/v1/namespaces/default/serviceaccounts", json!({"metadata": {"name": "default"}})).await;
    let container = json!({"name": "c", "image": "registry.minke.local/default/app:v1"});
    let pod = json!({"metadata": {"name": "p"}, "spec": {"nodeName": "a", "containers": [container]}});
    let (code, made) = ask("/api/v1/namespaces/default/pods", pod).await;
    assert_eq!(code, 201, "{made}");

    let pull = async |node: &str, name: &str| {
        let folder = tempfile::tempdir().unwrap();
        let store = images::ContentStore::open(Options::at(folder.path().to_owned())).await.unwrap();
        let tls = Arc::new(door.client_config(&format!("system:node:{node}"), "system:nodes"));
        let built_in = BuiltIn { url: format!("https://{}", door.address), tls, bearer: None };
        let puller = Puller::new(store, distribution::Options { built_in: Some(built_in), ..Default::default() });
        let image = images::Reference::parse(&format!("registry.minke.local/{name}")).unwrap();
        puller.pull(&image, &Keyring::empty(), &|_| ()).await.map(|artifact| artifact.size_bytes)
    };
    assert_eq!(pull("a", "default/app:v1").await.unwrap(), 8);
    for (node, name) in [("a", "default/secret:v1"), ("b", "default/app:v1")] {
        let denied = pull(node, name).await.unwrap_err().to_string();
        assert!(denied.contains("denies access"), "{node} {name}: {denied}");
    }
}
