//! What is said beside the body, and bodies too large for a table.

use http::Request;
use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use serde_json::{Value, json};

use crate::session::Session;

/// As upstream: what is larger is sent compressed to a client that takes gzip.
const GZIP_BYTES_MIN: usize = 128 << 10;

/// As upstream: what is larger is not read.
const BODY_BYTES_MAX: usize = 3 << 20;

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

fn config_map(name: &str, size_bytes: usize) -> Request<String> {
    let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"k": "x".repeat(size_bytes)}});
    Request::post(MAPS).header(CONTENT_TYPE, "application/json").body(object.to_string()).unwrap()
}

fn get(path: &str) -> http::request::Builder {
    Request::get(path)
}

#[tokio::test]
async fn a_large_answer_is_compressed_for_who_takes_gzip() {
    let session = Session::start().await;
    for (name, size_bytes) in [("large", GZIP_BYTES_MIN), ("small", GZIP_BYTES_MIN / 2)] {
        assert_eq!(session.send(config_map(name, size_bytes)).await.status(), 201);
    }
    for (name, accepted, is_compressed) in [
        ("large", "gzip", true),
        ("large", "br, gzip;q=0.5", true),
        ("large", "identity", false),
        ("small", "gzip", false),
    ] {
        let request = get(&format!("{MAPS}/{name}")).header(ACCEPT_ENCODING, accepted).body(String::new()).unwrap();
        let response = session.send(request).await;
        let coding = response.headers().get(CONTENT_ENCODING).map(|value| value.to_str().unwrap());
        assert_eq!(coding, is_compressed.then_some("gzip"), "{name} for {accepted}");
        let plain = if is_compressed { unpacked(response.body()) } else { response.body().to_vec() };
        let object: Value = serde_json::from_slice(&plain).unwrap();
        assert_eq!(object["metadata"]["name"], name, "for {accepted}");
    }
}

fn unpacked(packed: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(packed), &mut plain).unwrap();
    plain
}

#[tokio::test]
async fn a_client_that_knows_a_discovery_document_is_not_sent_it_again() {
    let session = Session::start().await;
    for path in ["/api", "/apis", "/openapi/v3/api/v1", "/openapi/v2"] {
        let first = session.send(get(path).body(String::new()).unwrap()).await;
        let tag = first.headers().get(ETAG).unwrap_or_else(|| panic!("{path} has no ETag")).clone();
        let again = session.send(get(path).header(IF_NONE_MATCH, tag).body(String::new()).unwrap()).await;
        assert_eq!((again.status().as_u16(), again.body().len()), (304, 0), "{path}");
        let changed = session.send(get(path).header(IF_NONE_MATCH, "\"other\"").body(String::new()).unwrap()).await;
        assert_eq!((changed.status().as_u16(), changed.body()), (200, first.body()), "{path}");
    }
}

#[tokio::test]
async fn a_description_in_protobuf_is_named_by_a_valid_media_type() {
    let session = Session::start().await;
    let named = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";
    for asked in [named, "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"] {
        let response = session.send(get("/openapi/v2").header(ACCEPT, asked).body(String::new()).unwrap()).await;
        assert_eq!(response.headers().get(CONTENT_TYPE).unwrap(), named, "for {asked}");
    }
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_whatever_it_is_for() {
    let session = Session::start().await;
    let large = config_map("large", BODY_BYTES_MAX);
    let response = session.send(large).await;
    let status: Value = serde_json::from_slice(response.body()).unwrap();
    assert_eq!((response.status().as_u16(), &status["reason"]), (413, &json!("RequestEntityTooLarge")), "{status}");
}
