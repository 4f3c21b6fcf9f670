//! Answers in protobuf: the same objects as in JSON, in upstream's bytes.

use api::protobuf;
use api::schema::Schemas;
use api::scheme::Scheme;
use bytes::Bytes;
use http::header::ACCEPT;

use super::*;

const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";

/// What is asked, in which form, with which body.
struct Asked<'a> {
    method: Method,
    path: &'a str,
    accept: &'a str,
    body: Body,
}

impl<'a> Asked<'a> {
    fn get(path: &'a str, accept: &'a str) -> Self {
        Self { method: Method::GET, path, accept, body: Body::empty() }
    }

    /// The code, the content type and the body of the answer. A body is protobuf.
    async fn of(self, cluster: &Cluster) -> (u16, String, Body) {
        let request = Request::builder().method(self.method).uri(self.path).header(ACCEPT, self.accept);
        let mut request = request.header(CONTENT_TYPE, PROTOBUF).body(self.body).unwrap();
        request.extensions_mut().insert(User::master("admin"));
        let response = cluster.server.handle(request).await;
        let content_type = response.headers()[CONTENT_TYPE].to_str().unwrap().to_owned();
        (response.status().as_u16(), content_type, response.into_body())
    }

    async fn bytes(self, cluster: &Cluster) -> (u16, String, Bytes) {
        let (code, content_type, body) = self.of(cluster).await;
        (code, content_type, body.collect().await.unwrap().to_bytes())
    }
}

/// The answer at `path` is in protobuf what it is in JSON, under `code`.
async fn is_the_same(cluster: &Cluster, path: &str, code: u16) {
    let json = cluster.get(path).await;
    let accept = format!("{PROTOBUF},application/json");
    let (found, content_type, body) = Asked::get(path, &accept).bytes(cluster).await;
    assert_eq!((found, content_type.as_str(), json.0), (code, PROTOBUF, code), "{path}");
    assert!(body == protobuf::encode(&json.1).unwrap(), "{path}: {}", json.1);
}

#[tokio::test]
async fn what_is_answered_is_the_same_as_in_json() {
    let cluster = Cluster::start().await;
    cluster.config_map("a", "1").await;
    cluster.config_map("b", "2").await;
    let deployment = json!({"metadata": {"name": "web"}, "spec": {"selector": {"matchLabels": {"a": "b"}}, "template":
        {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}}});
    let deployments = "/apis/apps/v1/namespaces/default/deployments";
    assert_eq!(cluster.ask(Method::POST, deployments, deployment).await.0, 201);
    let event = json!({"metadata": {"name": "e"}, "involvedObject": {"kind": "Pod", "namespace": "default"},
        "firstTimestamp": "2026-11-28T08:00:00Z", "reason": "Made", "count": 2});
    assert_eq!(cluster.ask(Method::POST, "/api/v1/namespaces/default/events", event).await.0, 201);
    for (path, code) in [
        (&*format!("{MAPS}/a"), 200),
        (MAPS, 200),
        (&*format!("{MAPS}?limit=1&labelSelector=app%3Da"), 200),
        (&*format!("{deployments}/web/scale"), 200),
        // Events are stored in another form than this one.
        ("/apis/events.k8s.io/v1/namespaces/default/events", 200),
        ("/apis/events.k8s.io/v1/namespaces/default/events/e", 200),
        ("/api", 200),
        ("/apis", 200),
        ("/api/v1", 200),
        ("/apis/apps", 200),
        ("/apis/apps/v1", 200),
        ("/apis/run.minke.dev/v1", 200),
        (&*format!("{MAPS}/none"), 404),
        ("/api/v1/nothing", 404),
        (&*format!("{MAPS}?continue=rubbish"), 400),
    ] {
        is_the_same(&cluster, path, code).await;
    }
}

#[tokio::test]
async fn an_object_is_made_and_removed_without_json() {
    let cluster = Cluster::start().await;
    let asked = |method, path, body: &Value| Asked {
        method,
        path,
        accept: PROTOBUF,
        body: Body::from(protobuf::encode(body).unwrap()),
    };
    let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"k": ""}});
    let (code, content_type, made) = asked(Method::POST, MAPS, &object).bytes(&cluster).await;
    assert_eq!((code, content_type.as_str()), (201, PROTOBUF));
    let row = Scheme::builtin().resource("", "v1", "configmaps").unwrap();
    let made = protobuf::decode(row.schema.id(), &made).unwrap().value;
    assert_eq!((&made["metadata"]["name"], &made["data"]), (&json!("a"), &json!({"k": ""})));
    // What protobuf always writes is not kept: JSON shows no empty texts.
    let (_, kept) = cluster.get(&format!("{MAPS}/a")).await;
    assert_eq!((&kept["metadata"]["generateName"], &kept["metadata"]["uid"]), (&Value::Null, &made["metadata"]["uid"]));

    let (code, _, again) = asked(Method::POST, MAPS, &object).bytes(&cluster).await;
    let conflict = cluster.ask(Method::POST, MAPS, object).await;
    assert!(code == 409 && again == protobuf::encode(&conflict.1).unwrap());

    let path = format!("{MAPS}/a");
    let delete = |options: &Value| {
        let id = Schemas::builtin().named("io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions").unwrap();
        let message = protobuf::message(id, options.to_string().as_bytes()).unwrap();
        let body = Body::from(protobuf::envelope("v1", "DeleteOptions", &message));
        Asked { method: Method::DELETE, body, ..Asked::get(&path, PROTOBUF) }
    };
    let other = delete(&json!({"preconditions": {"uid": "another"}})).bytes(&cluster).await;
    assert_eq!(other.0, 409);
    let dry = delete(&json!({"dryRun": ["All"]})).bytes(&cluster).await;
    assert_eq!((dry.0, cluster.get(&path).await.0), (200, 200));
    let (code, _, gone) = delete(&json!({"gracePeriodSeconds": 0})).bytes(&cluster).await;
    let status = protobuf::decode_any(&gone).unwrap();
    assert_eq!((code, &status["status"], &status["details"]["name"]), (200, &json!("Success"), &json!("a")));
}

#[tokio::test]
async fn subresources_read_and_answer_messages_of_their_own_kinds() {
    let cluster = Cluster::start().await;
    let pod = json!({"metadata": {"name": "p"}, "spec": {"serviceAccountName": "robot",
        "containers": [{"name": "c", "image": "i"}]}});
    let account = json!({"metadata": {"name": "robot"}});
    let base = "/api/v1/namespaces/default";
    assert_eq!(cluster.ask(Method::POST, &format!("{base}/serviceaccounts"), account).await.0, 201);
    assert_eq!(cluster.ask(Method::POST, &format!("{base}/pods"), pod).await.0, 201);
    let bodies = [
        (
            "serviceaccounts/robot/token",
            json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
            "metadata": {}, "spec": {"audiences": ["a"], "expirationSeconds": 600}}),
            "TokenRequest",
        ),
        (
            "pods/p/binding",
            json!({"apiVersion": "v1", "kind": "Binding", "metadata": {"name": "p"},
            "target": {"kind": "Node", "name": "n"}}),
            "Status",
        ),
        (
            "pods/p/eviction",
            json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "p"}}),
            "Status",
        ),
    ];
    for (path, body, kind) in bodies {
        let path = format!("{base}/{path}");
        let body = Body::from(protobuf::encode(&body).unwrap());
        let asked = Asked { method: Method::POST, path: &path, accept: PROTOBUF, body };
        let (code, _, answer) = asked.bytes(&cluster).await;
        let answer = protobuf::decode_any(&answer).unwrap();
        assert_eq!((code, &answer["kind"]), (201, &json!(kind)), "{path}: {answer}");
    }
}

#[tokio::test]
async fn metadata_alone_has_a_message_and_tables_have_none() {
    let cluster = Cluster::start().await;
    cluster.config_map("a", "1").await;
    for kind in ["PartialObjectMetadataList;g=meta.k8s.io;v=v1", "PartialObjectMetadataList;g=meta.k8s.io;v=v1beta1"] {
        let json = Asked::get(MAPS, &format!("application/json;as={kind}")).bytes(&cluster).await;
        let json: Value = serde_json::from_slice(&json.2).unwrap();
        let body = Asked::get(MAPS, &format!("{PROTOBUF};as={kind}")).bytes(&cluster).await;
        assert_eq!((body.0, body.1.as_str(), &body.2[..]), (200, PROTOBUF, &protobuf::encode(&json).unwrap()[..]));
    }
    let table = Asked::get(MAPS, &format!("{PROTOBUF};as=Table;g=meta.k8s.io;v=v1")).bytes(&cluster).await;
    let status: Value = serde_json::from_slice(&table.2).unwrap();
    assert_eq!((table.0, table.1.as_str()), (406, "application/json"));
    let expected = "only the following media types are accepted: application/json, application/yaml, \
        application/vnd.kubernetes.protobuf";
    assert_eq!(message(&status), expected);
}

#[tokio::test]
async fn a_watch_sends_frames_with_their_lengths() {
    let cluster = Cluster::start().await;
    cluster.config_map("a", "1").await;
    let path = format!(
        "{MAPS}?watch=1&timeoutSeconds=1&sendInitialEvents=true&allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan"
    );
    let begun = Asked::get(&path, &format!("{PROTOBUF};stream=watch,{PROTOBUF}")).of(&cluster).await;
    let lines = Asked::get(&path, "application/json").of(&cluster).await;
    assert_eq!((begun.0, begun.1), (200, format!("{PROTOBUF};stream=watch")));
    cluster.config_map("b", "1").await;
    cluster.ask(Method::DELETE, &format!("{MAPS}/a"), Value::Null).await;

    let lines = lines.2.collect().await.unwrap().to_bytes();
    let lines = lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let events: Vec<Value> = lines.map(|line| serde_json::from_slice(line).unwrap()).collect();
    let kinds: Vec<&str> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["ADDED", "BOOKMARK", "ADDED", "DELETED"]);
    let expected = events.iter().zip(kinds).map(|(event, kind)| {
        let object = protobuf::encode(&event["object"]).unwrap();
        protobuf::watch_frame(kind, &object)
    });
    let frames = begun.2.collect().await.unwrap().to_bytes();
    assert!(frames == expected.collect::<Vec<_>>().concat(), "{events:?}");
}

#[tokio::test]
async fn a_watch_that_cannot_begin_says_so_in_the_clients_format() {
    let cluster = Cluster::start().await;
    let path = format!("{MAPS}?watch=1&fieldSelector=spec.x%3D1");
    let (code, content_type, body) = Asked::get(&path, PROTOBUF).bytes(&cluster).await;
    assert_eq!((code, content_type.as_str(), body.starts_with(b"k8s\0")), (400, PROTOBUF, true));
}
