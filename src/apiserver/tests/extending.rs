//! What extends the server: rules in CEL, admission policies and webhooks.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http_body_util::Full;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use rustls::ServerConfig;
use rustls_pki_types::PrivateKeyDer;
use tokio_rustls::TlsAcceptor;

use super::*;

const REGISTRATION: &str = "/apis/admissionregistration.k8s.io/v1";

/// A webhook server that answers reviews by `answer`; its `clientConfig`.
async fn webhook(answer: fn(&Value) -> Value) -> Value {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let serving = async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let acceptor = acceptor.clone();
            let connection = async move {
                let Ok(stream) = acceptor.accept(stream).await else { return };
                let service = service_fn(move |request: Request<hyper::body::Incoming>| async move {
                    let body = request.into_body().collect().await.unwrap().to_bytes();
                    let answer = answer(&serde_json::from_slice(&body).unwrap());
                    Ok::<_, std::convert::Infallible>(http::Response::new(Full::new(bytes::Bytes::from(
                        answer.to_string(),
                    ))))
                });
                // A client that goes is no failure of the test.
                let _ = auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
            };
            base::task::spawn("webhook connection", connection).detach();
        }
    };
    base::task::spawn("webhook", serving).detach();
    json!({"url": format!("https://localhost:{port}/hook"), "caBundle": STANDARD.encode(made.cert.pem())})
}

/// The answer to a review.
fn reviewed(review: &Value, mut response: Value) -> Value {
    response["uid"] = review["request"]["uid"].clone();
    json!({"apiVersion": review["apiVersion"], "kind": review["kind"], "response": response})
}

fn hook(client: &Value, extra: Value) -> Value {
    let mut hook = json!({"name": "maps.example.com", "clientConfig": client, "sideEffects": "None",
        "admissionReviewVersions": ["v1"], "rules": [{"operations": ["*"], "apiGroups": [""], "apiVersions": ["v1"],
            "resources": ["configmaps"], "scope": "*"}]});
    hook.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    hook
}

async fn configure(cluster: &Cluster, kind: &str, hooks: Value) {
    let path = format!("{REGISTRATION}/{}s", kind.to_lowercase());
    let object = json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": {"name": "hooks"}, "webhooks": hooks});
    let (code, made) = cluster.ask(Method::POST, &path, object).await;
    assert_eq!(code, 201, "{made}");
}

fn map(name: &str, value: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"v": value}})
}

#[tokio::test]
async fn a_mutating_webhook_changes_what_is_stored_and_a_validating_one_refuses() {
    let cluster = Cluster::start().await;
    let mutating = webhook(|review| {
        if review["request"]["object"].is_null() {
            return reviewed(
                review,
                json!({"allowed": review["request"]["oldObject"]["data"]["v"] != "kept",
                "status": {"message": "it is kept", "code": 403}}),
            );
        }
        let patch = json!([{"op": "add", "path": "/data/added", "value": review["request"]["operation"]}]);
        reviewed(
            review,
            json!({"allowed": true, "patchType": "JSONPatch", "patch": STANDARD.encode(patch.to_string()), "warnings": ["changed"]}),
        )
    });
    configure(&cluster, "MutatingWebhookConfiguration", json!([hook(&mutating.await, json!({}))])).await;
    let validating = webhook(|review| {
        let request = &review["request"];
        let is_good = request["operation"] == "DELETE" || request["object"]["data"]["v"] != "bad";
        reviewed(
            review,
            json!({"allowed": is_good, "status": {"message": "bad data", "code": 403, "reason": "Forbidden"}}),
        )
    });
    configure(&cluster, "ValidatingWebhookConfiguration", json!([hook(&validating.await, json!({}))])).await;

    let (code, made) = cluster.ask(Method::POST, MAPS, map("a", "good")).await;
    assert_eq!((code, &made["data"]["added"]), (201, &json!("CREATE")), "{made}");
    let (code, refused) = cluster.ask(Method::POST, MAPS, map("b", "bad")).await;
    let expected = "admission webhook \"maps.example.com\" denied the request: bad data";
    assert_eq!((code, message(&refused), &refused["reason"]), (403, expected, &json!("Forbidden")));
    let mut changed = made;
    changed["data"]["v"] = "better".into();
    let (code, changed) = cluster.ask(Method::PUT, &format!("{MAPS}/a"), changed).await;
    assert_eq!((code, &changed["data"]["added"]), (200, &json!("UPDATE")));
    assert_eq!(cluster.ask(Method::DELETE, &format!("{MAPS}/a"), Value::Null).await.0, 200);
    assert_eq!(cluster.ask(Method::POST, MAPS, map("k", "kept")).await.0, 201);
    let (code, refused) = cluster.ask(Method::DELETE, &format!("{MAPS}/k"), Value::Null).await;
    let expected = "admission webhook \"maps.example.com\" denied the request: it is kept";
    assert_eq!((code, message(&refused)), (403, expected));
}

#[tokio::test]
async fn a_webhook_that_gives_no_answer_stops_writes_unless_its_failure_is_ignored() {
    let cluster = Cluster::start().await;
    let client = json!({"url": "https://127.0.0.1:1/hook"});
    configure(&cluster, "ValidatingWebhookConfiguration", json!([hook(&client, json!({"timeoutSeconds": 2}))])).await;
    let (code, refused) = cluster.ask(Method::POST, MAPS, map("a", "x")).await;
    let begins = "Internal error occurred: failed calling webhook \"maps.example.com\": failed to call webhook: \
                  Post \"https://127.0.0.1:1/hook?timeout=2s\": ";
    assert!(code == 500 && message(&refused).starts_with(begins), "{refused}");

    let path = format!("{REGISTRATION}/validatingwebhookconfigurations/hooks");
    let patch = json!([{"op": "replace", "path": "/webhooks/0/failurePolicy", "value": "Ignore"}]);
    let admin = User::master("admin");
    cluster.ask_as(admin, Method::PATCH, &path, "application/json-patch+json", patch).await;
    assert_eq!(cluster.ask(Method::POST, MAPS, map("a", "x")).await.0, 201);
}

#[tokio::test]
async fn conditions_and_selectors_say_which_requests_a_webhook_is_asked_about() {
    let cluster = Cluster::start().await;
    let denying = webhook(|review| reviewed(review, json!({"allowed": false}))).await;
    let conditions =
        json!([{"name": "only-bad", "expression": "object.data.v == 'bad' && request.userInfo.username == 'admin'"}]);
    configure(
        &cluster,
        "ValidatingWebhookConfiguration",
        json!([hook(
            &denying,
            json!({"matchConditions": conditions,
        "objectSelector": {"matchExpressions": [{"key": "spare", "operator": "DoesNotExist"}]}})
        )]),
    )
    .await;
    assert_eq!(cluster.ask(Method::POST, MAPS, map("a", "good")).await.0, 201);
    assert_eq!(cluster.ask(Method::POST, MAPS, map("b", "bad")).await.0, 400);
    let mut spared = map("c", "bad");
    spared["metadata"]["labels"] = json!({"spare": "me"});
    assert_eq!(cluster.ask(Method::POST, MAPS, spared).await.0, 201);
}

async fn policy(cluster: &Cluster, sort: &str, spec: Value, binding: Value) {
    let api_version = "admissionregistration.k8s.io/v1";
    let plural = sort.to_lowercase();
    let object = json!({"apiVersion": api_version, "kind": format!("{sort}AdmissionPolicy"), "metadata": {"name": "p"}, "spec": spec});
    let (code, made) = cluster.ask(Method::POST, &format!("{REGISTRATION}/{plural}admissionpolicies"), object).await;
    assert_eq!(code, 201, "{made}");
    let object = json!({"apiVersion": api_version, "kind": format!("{sort}AdmissionPolicyBinding"), "metadata": {"name": "b"}, "spec": binding});
    let (code, made) =
        cluster.ask(Method::POST, &format!("{REGISTRATION}/{plural}admissionpolicybindings"), object).await;
    assert_eq!(code, 201, "{made}");
}

fn about_maps() -> Value {
    json!({"resourceRules": [{"operations": ["CREATE", "UPDATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"]}]})
}

#[tokio::test]
async fn a_validating_policy_refuses_by_its_parameters_and_tells_why() {
    let cluster = Cluster::start().await;
    cluster.ask(Method::POST, MAPS, map("limit", "3")).await;
    let spec = json!({"matchConstraints": about_maps(), "paramKind": {"apiVersion": "v1", "kind": "ConfigMap"},
        "variables": [{"name": "max", "expression": "int(params.data.v)"}],
        "validations": [{"expression": "object.metadata.name == 'limit' || size(object.data.v) <= variables.max",
            "messageExpression": "'at most ' + string(variables.max)", "reason": "Forbidden"}]});
    let binding = json!({"policyName": "p", "validationActions": ["Deny"],
        "paramRef": {"name": "limit", "namespace": "default", "parameterNotFoundAction": "Deny"}});
    policy(&cluster, "Validating", spec, binding).await;
    assert_eq!(cluster.ask(Method::POST, MAPS, map("a", "123")).await.0, 201);
    let (code, refused) = cluster.ask(Method::POST, MAPS, map("b", "1234")).await;
    let expected =
        "configmaps \"b\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: at most 3";
    assert_eq!((code, message(&refused), &refused["reason"]), (403, expected, &json!("Forbidden")));
}

#[tokio::test]
async fn a_mutating_policy_applies_a_configuration_and_patches() {
    let cluster = Cluster::start().await;
    let spec = json!({"matchConstraints": about_maps(), "failurePolicy": "Fail", "reinvocationPolicy": "Never", "mutations": [
        {"patchType": "ApplyConfiguration", "applyConfiguration": {"expression":
            "Object{metadata: Object.metadata{labels: Object.metadata.labels{by: 'policy'}}}"}},
        {"patchType": "JSONPatch", "jsonPatch": {"expression":
            "[JSONPatch{op: 'add', path: '/data/name', value: object.metadata.name}]"}}]});
    policy(&cluster, "Mutating", spec, json!({"policyName": "p"})).await;
    let (code, made) = cluster.ask(Method::POST, MAPS, map("a", "x")).await;
    assert_eq!(code, 201, "{made}");
    assert_eq!(
        (&made["metadata"]["labels"], &made["data"]),
        (&json!({"by": "policy"}), &json!({"v": "x", "name": "a"}))
    );
}

#[tokio::test]
async fn an_ill_typed_policy_is_refused_when_it_is_made() {
    let cluster = Cluster::start().await;
    let object = json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy", "metadata": {"name": "p"},
        "spec": {"matchConstraints": about_maps(), "validations": [{"expression": "1 + 'a' == 2"}]}});
    let (code, refused) =
        cluster.ask(Method::POST, &format!("{REGISTRATION}/validatingadmissionpolicies"), object).await;
    assert_eq!(code, 422);
    assert!(message(&refused).contains("spec.validations[0].expression: Invalid value: \"1 + 'a' == 2\": compilation failed: ERROR: <input>:1:3: found no matching overload for '_+_' applied to '(int, string)'"), "{refused}");
}

#[tokio::test]
async fn policies_are_asked_about_what_is_not_stored() {
    let cluster = Cluster::start().await;
    let everything = json!([{"operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"], "scope": "*",
        "resources": ["pods/binding", "pods/eviction", "pods/attach", "serviceaccounts/token", "selfsubjectreviews"]}]);
    let message = "request.operation + ' ' + (has(request.subResource) ? request.subResource : 'itself') + ' of a ' + object.kind";
    let spec = json!({"matchConstraints": {"resourceRules": everything},
        "validations": [{"expression": "false", "messageExpression": message}]});
    policy(&cluster, "Validating", spec, json!({"policyName": "p", "validationActions": ["Deny"]})).await;

    let accounts = "/api/v1/namespaces/default/serviceaccounts";
    assert_eq!(cluster.ask(Method::POST, accounts, json!({"metadata": {"name": "default"}})).await.0, 201);
    let pod = json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    assert_eq!(cluster.ask(Method::POST, "/api/v1/namespaces/default/pods", pod).await.0, 201);
    let refused = async |path: &str, body: Value, expected: &str| {
        let (code, refused) = cluster.ask(Method::POST, path, body).await;
        let text = refused["message"].as_str().unwrap_or_default();
        assert!(code == 422 && text.ends_with(&format!("denied request: {expected}")), "{path}: {refused}");
    };
    let pod = "/api/v1/namespaces/default/pods/p";
    let named = json!({"name": "p"});
    let binding = json!({"metadata": named, "target": {"kind": "Node", "name": "n"}});
    refused(&format!("{pod}/binding"), binding, "CREATE binding of a Binding").await;
    refused(&format!("{pod}/eviction"), json!({"metadata": named}), "CREATE eviction of a Eviction").await;
    refused(&format!("{pod}/attach?stdin=true"), Value::Null, "CONNECT attach of a PodAttachOptions").await;
    refused(&format!("{accounts}/default/token"), json!({"spec": {"audiences": []}}), "CREATE token of a TokenRequest")
        .await;
    // Who asks who they are gets an answer, whatever policies there are.
    let review = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
    assert_eq!(cluster.ask(Method::POST, review, json!({})).await.0, 201);
    assert_eq!(cluster.ask(Method::DELETE, pod, Value::Null).await.0, 200);
}

#[tokio::test]
async fn a_mutating_policy_changes_a_scale() {
    let cluster = Cluster::start().await;
    let rules = json!([{"operations": ["UPDATE"], "apiGroups": ["apps"], "apiVersions": ["v1"], "resources": ["deployments/scale"]}]);
    let spec = json!({"matchConstraints": {"resourceRules": rules}, "failurePolicy": "Fail", "reinvocationPolicy": "Never",
        "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression":
            "[JSONPatch{op: 'replace', path: '/spec/replicas', value: 3}]"}}]});
    policy(&cluster, "Mutating", spec, json!({"policyName": "p"})).await;
    let labels = json!({"app": "web"});
    let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": {"replicas": 1,
        "selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "i"}]}}}});
    let path = "/apis/apps/v1/namespaces/default/deployments";
    assert_eq!(cluster.ask(Method::POST, path, deployment).await.0, 201);
    let scale = json!({"metadata": {"name": "web", "namespace": "default"}, "spec": {"replicas": 9}});
    let (code, scaled) = cluster.ask(Method::PUT, &format!("{path}/web/scale"), scale).await;
    assert_eq!((code, &scaled["spec"]["replicas"]), (200, &json!(3)), "{scaled}");
}

const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

fn versions(schema: &Value) -> Value {
    json!([{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}},
        {"name": "v2", "served": true, "storage": false, "schema": {"openAPIV3Schema": schema}}])
}

fn definition(schema: &Value, conversion: Value) -> Value {
    json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "boats.example.com"},
        "spec": {"group": "example.com", "scope": "Namespaced", "names": {"plural": "boats", "kind": "Boat"},
            "versions": versions(schema), "conversion": conversion}})
}

async fn define(cluster: &Cluster, definition: Value) {
    let (code, made) = cluster.ask(Method::POST, DEFINITIONS, definition).await;
    assert_eq!(code, 201, "{made}");
    cluster.until(DEFINITIONS, "boats.example.com", api::custom::definition::is_established).await;
}

fn boat(version: &str, spec: Value) -> Value {
    json!({"apiVersion": format!("example.com/{version}"), "kind": "Boat", "metadata": {"name": "a"}, "spec": spec})
}

#[tokio::test]
async fn rules_of_a_definition_are_asked_of_objects_and_of_changes() {
    let cluster = Cluster::start().await;
    let schema = json!({"type": "object", "properties": {"spec": {"type": "object", "properties": {
            "min": {"type": "integer"}, "max": {"type": "integer"}},
        "x-kubernetes-validations": [{"rule": "self.min <= self.max", "message": "min is above max"},
            {"rule": "self.max >= oldSelf.max", "messageExpression": "oldSelf.max > 1 ? 'was more' : 'was less'"}]}}});
    define(&cluster, definition(&schema, json!({"strategy": "None"}))).await;
    let path = "/apis/example.com/v1/namespaces/default/boats";
    let (code, refused) = cluster.ask(Method::POST, path, boat("v1", json!({"min": 3, "max": 2}))).await;
    let expected = "Boat.example.com \"a\" is invalid: spec: Invalid value: min is above max";
    assert_eq!((code, message(&refused)), (422, expected));
    let (code, made) = cluster.ask(Method::POST, path, boat("v1", json!({"min": 1, "max": 2}))).await;
    assert_eq!(code, 201, "{made}");
    let mut changed = made;
    changed["spec"]["max"] = 1.into();
    let (code, refused) = cluster.ask(Method::PUT, &format!("{path}/a"), changed).await;
    assert!(code == 422 && message(&refused).ends_with(": was more"), "{refused}");

    let mut wrong = definition(&schema, json!({"strategy": "None"}));
    wrong["metadata"]["name"] = "ships.example.com".into();
    wrong["spec"]["names"] = json!({"plural": "ships", "kind": "Ship"});
    for version in 0..2 {
        wrong["spec"]["versions"][version]["schema"]["openAPIV3Schema"]["properties"]["spec"]["x-kubernetes-validations"] =
            json!([{"rule": "self.none == 1"}]);
    }
    let (code, refused) = cluster.ask(Method::POST, DEFINITIONS, wrong).await;
    assert!(code == 422 && message(&refused).contains("undefined field 'none'"), "{refused}");
}

#[tokio::test]
async fn a_webhook_converts_between_versions() {
    let cluster = Cluster::start().await;
    let client = webhook(|review| {
        let wanted = &review["request"]["desiredAPIVersion"];
        let convert = |object: &Value| {
            let mut object = object.clone();
            let (from, to) = if wanted == "example.com/v2" { ("old", "new") } else { ("new", "old") };
            let value = object["spec"].as_object_mut().unwrap().remove(from).unwrap_or_default();
            object["spec"][to] = value;
            object["apiVersion"] = wanted.clone();
            object
        };
        let objects: Vec<Value> = review["request"]["objects"].as_array().unwrap().iter().map(convert).collect();
        reviewed(review, json!({"result": {"status": "Success"}, "convertedObjects": objects}))
    });
    let conversion =
        json!({"strategy": "Webhook", "webhook": {"conversionReviewVersions": ["v1"], "clientConfig": client.await}});
    let schema = json!({"type": "object", "properties": {"spec": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}});
    define(&cluster, definition(&schema, conversion)).await;
    let (one, two) = ("/apis/example.com/v1/namespaces/default/boats", "/apis/example.com/v2/namespaces/default/boats");
    let (code, made) = cluster.ask(Method::POST, two, boat("v2", json!({"new": 1}))).await;
    assert_eq!((code, &made["spec"]), (201, &json!({"new": 1})), "{made}");
    assert_eq!(cluster.get(&format!("{one}/a")).await.1["spec"], json!({"old": 1}));
    assert_eq!(cluster.get(two).await.1["items"][0]["spec"], json!({"new": 1}));
    let patch = json!({"spec": {"new": 2}});
    let admin = User::master("admin");
    let (code, patched) =
        cluster.ask_as(admin, Method::PATCH, &format!("{two}/a"), "application/merge-patch+json", patch).await;
    assert_eq!((code, &patched["spec"]), (200, &json!({"new": 2})));
    assert_eq!(cluster.get(&format!("{one}/a")).await.1["spec"], json!({"old": 2}));
}
