//! Custom resources, from their definition to its end.

use super::*;

const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const TABS: &str = "/apis/stable.example.com/v1/namespaces/default/crontabs";

/// `crontabs.stable.example.com`, with two versions.
fn definition() -> Value {
    let schema = json!({"openAPIV3Schema": {"type": "object", "properties": {
        "spec": {"type": "object", "required": ["cron"], "properties": {
            "cron": {"type": "string", "pattern": "^[*0-9 ]+$"},
            "replicas": {"type": "integer", "minimum": 0, "default": 1},
            "ports": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
                "items": {"type": "object", "required": ["name"],
                    "properties": {"name": {"type": "string"}, "port": {"type": "integer"}}}},
            "extra": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}},
        "status": {"type": "object", "properties": {"replicas": {"type": "integer"}, "selector": {"type": "string"}}}}}});
    let subresources = json!({"status": {}, "scale": {"specReplicasPath": ".spec.replicas",
        "statusReplicasPath": ".status.replicas", "labelSelectorPath": ".status.selector"}});
    let columns = json!([{"name": "Cron", "type": "string", "jsonPath": ".spec.cron"}]);
    json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "crontabs.stable.example.com"},
        "spec": {"group": "stable.example.com", "scope": "Namespaced",
            "names": {"plural": "crontabs", "kind": "CronTab", "shortNames": ["ct"], "categories": ["all"]},
            "versions": [
                {"name": "v1", "served": true, "storage": true, "schema": schema, "subresources": subresources,
                    "additionalPrinterColumns": columns, "selectableFields": [{"jsonPath": ".spec.cron"}]},
                {"name": "v1beta1", "served": true, "storage": false, "schema": schema, "deprecated": true,
                    "selectableFields": [{"jsonPath": ".spec.cron"}]}]}})
}

fn tab(name: &str, spec: Value) -> Value {
    json!({"apiVersion": "stable.example.com/v1", "kind": "CronTab", "metadata": {"name": name}, "spec": spec})
}

async fn defined() -> Cluster {
    let cluster = Cluster::start().await;
    let (code, made) = cluster.ask(Method::POST, DEFINITIONS, definition()).await;
    assert_eq!(code, 201, "{made}");
    cluster.until(DEFINITIONS, "crontabs.stable.example.com", is_established).await;
    cluster
}

fn is_established(definition: &Value) -> bool {
    api::custom::definition::is_established(definition)
}

#[tokio::test]
async fn what_is_defined_is_served_in_every_version() {
    let cluster = defined().await;
    let (code, made) = cluster.ask(Method::POST, TABS, tab("a", json!({"cron": "* *", "typo": 1}))).await;
    assert_eq!(code, 201, "{made}");
    assert_eq!(made["spec"], json!({"cron": "* *", "replicas": 1}));
    assert_eq!(made["metadata"]["generation"], 1);

    let beta = "/apis/stable.example.com/v1beta1/namespaces/default/crontabs";
    let (_, other) = cluster.get(&format!("{beta}/a")).await;
    assert_eq!((&other["apiVersion"], &other["spec"]), (&json!("stable.example.com/v1beta1"), &made["spec"]));
    let (_, list) = cluster.get(beta).await;
    assert_eq!((&list["kind"], &list["items"][0]["kind"]), (&json!("CronTabList"), &json!("CronTab")));

    let (_, found) = cluster.get("/apis/stable.example.com").await;
    assert_eq!(found["preferredVersion"]["version"], "v1");
    let (_, found) = cluster.get("/apis/stable.example.com/v1").await;
    let names: Vec<&str> = found["resources"].as_array().unwrap().iter().map(|r| r["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["crontabs", "crontabs/scale", "crontabs/status"]);
    let (_, openapi) = cluster.get("/openapi/v3/apis/stable.example.com/v1").await;
    let kind = &openapi["components"]["schemas"]["com.example.stable.v1.CronTab"];
    assert_eq!(kind["properties"]["spec"]["properties"]["replicas"]["default"], 1);
    assert!(kind["properties"]["metadata"].is_object());
}

#[tokio::test]
async fn what_does_not_fit_the_schema_is_refused_in_upstreams_words() {
    let cluster = defined().await;
    let check = async |spec: Value, expected: &str| {
        let (code, refused) = cluster.ask(Method::POST, TABS, tab("a", spec)).await;
        assert_eq!(
            (code, message(&refused)),
            (422, format!("CronTab.stable.example.com \"a\" is invalid: {expected}").as_str())
        );
    };
    check(json!({}), "spec.cron: Required value").await;
    check(
        json!({"cron": 5}),
        "spec.cron: Invalid value: \"integer\": spec.cron in body must be of type string: \"integer\"",
    )
    .await;
    check(json!({"cron": "x"}), "spec.cron: Invalid value: \"x\": spec.cron in body should match '^[*0-9 ]+$'").await;
    check(
        json!({"cron": "*", "ports": [{"name": "a"}, {"name": "a"}]}),
        "spec.ports[1]: Duplicate value: {\"name\":\"a\"}",
    )
    .await;

    let strict = format!("{TABS}?fieldValidation=Strict");
    let (code, refused) = cluster.ask(Method::POST, &strict, tab("a", json!({"cron": "*", "typo": 1}))).await;
    assert_eq!(code, 400);
    assert!(message(&refused).ends_with("strict decoding error: unknown field \"spec.typo\""), "{refused}");
}

#[tokio::test]
async fn status_and_scale_are_parts_of_their_own() {
    let cluster = defined().await;
    cluster.ask(Method::POST, TABS, tab("a", json!({"cron": "*"}))).await;
    let mut changed = tab("a", json!({"cron": "1"}));
    changed["status"] = json!({"replicas": 2, "selector": "a=b"});
    changed["metadata"]["resourceVersion"] =
        cluster.get(&format!("{TABS}/a")).await.1["metadata"]["resourceVersion"].clone();
    let (code, stood) = cluster.ask(Method::PUT, &format!("{TABS}/a/status"), changed).await;
    assert_eq!((code, &stood["spec"]["cron"], &stood["status"]["replicas"]), (200, &json!("*"), &json!(2)));
    assert_eq!(stood["metadata"]["generation"], 1);

    let patch = json!({"spec": {"replicas": 5}});
    let admin = User::master("admin");
    let path = format!("{TABS}/a/scale");
    let (code, scale) = cluster.ask_as(admin, Method::PATCH, &path, "application/merge-patch+json", patch).await;
    assert_eq!(
        (code, &scale["spec"], &scale["status"]),
        (200, &json!({"replicas": 5}), &json!({"replicas": 2, "selector": "a=b"}))
    );
    let (_, now) = cluster.get(&format!("{TABS}/a")).await;
    assert_eq!((&now["spec"]["replicas"], &now["metadata"]["generation"]), (&json!(5), &json!(2)));
}

#[tokio::test]
async fn appliers_share_a_custom_object_by_its_list_keys() {
    let cluster = defined().await;
    let apply = async |manager: &str, ports: Value| {
        let object = tab("a", json!({"cron": "*", "ports": ports, "extra": {"any": {manager: 1}}}));
        let path = format!("{TABS}/a?fieldManager={manager}");
        let admin = User::master("admin");
        cluster.ask_as(admin, Method::PATCH, &path, "application/apply-patch+yaml", object).await
    };
    assert_eq!(apply("one", json!([{"name": "a", "port": 1}])).await.0, 201);
    let (code, both) = apply("two", json!([{"name": "b", "port": 2}])).await;
    assert_eq!(code, 200, "{both}");
    assert_eq!(both["spec"]["ports"], json!([{"name": "a", "port": 1}, {"name": "b", "port": 2}]));
    assert_eq!(both["spec"]["extra"], json!({"any": {"one": 1, "two": 1}}));
    let (code, refused) = apply("two", json!([{"name": "a", "port": 2}])).await;
    assert_eq!(code, 409);
    assert_eq!(refused["details"]["causes"][0]["field"], ".spec.ports[name=\"a\"].port");
}

#[tokio::test]
async fn a_custom_kind_is_printed_and_selected_as_its_definition_says() {
    let cluster = defined().await;
    for (name, cron) in [("a", "1"), ("b", "2")] {
        cluster.ask(Method::POST, TABS, tab(name, json!({ "cron": cron }))).await;
    }
    let (_, chosen) = cluster.get(&format!("{TABS}?fieldSelector=spec.cron%3D2")).await;
    assert_eq!((chosen["items"].as_array().unwrap().len(), &chosen["items"][0]["metadata"]["name"]), (1, &json!("b")));
    let mut request = Request::get(TABS)
        .header("Accept", "application/json;as=Table;g=meta.k8s.io;v=v1")
        .body(Body::empty())
        .unwrap();
    request.extensions_mut().insert(User::master("admin"));
    let body = cluster.server.handle(request).await.into_body().collect().await.unwrap().to_bytes();
    let table: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(table["rows"][1]["cells"], json!(["b", "2"]));
}

#[tokio::test]
async fn an_older_object_is_shown_as_its_definition_has_it_now_also_after_a_restart() {
    let cluster = defined().await;
    cluster.ask(Method::POST, TABS, tab("a", json!({"cron": "*", "extra": {"x": 1}}))).await;
    let path = format!("{DEFINITIONS}/crontabs.stable.example.com");
    let (_, mut changed) = cluster.get(&path).await;
    for version in 0..2 {
        let properties =
            &mut changed["spec"]["versions"][version]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"];
        properties["zone"] = json!({"type": "string", "default": "UTC"});
        properties.as_object_mut().unwrap().remove("extra");
    }
    let (code, answer) = cluster.ask(Method::PUT, &path, changed).await;
    assert_eq!(code, 200, "{answer}");
    let expected = json!({"cron": "*", "replicas": 1, "zone": "UTC"});
    let cluster = cluster.restart().await;
    assert_eq!(cluster.get(&format!("{TABS}/a")).await.1["spec"], expected);
}

#[tokio::test]
async fn a_definition_ends_with_its_last_object() {
    let cluster = defined().await;
    let mut held = tab("held", json!({"cron": "*"}));
    held["metadata"]["finalizers"] = json!(["example.com/held"]);
    cluster.ask(Method::POST, TABS, held).await;
    cluster.ask(Method::POST, TABS, tab("a", json!({"cron": "*"}))).await;
    let path = format!("{DEFINITIONS}/crontabs.stable.example.com");
    assert_eq!(cluster.ask(Method::DELETE, &path, Value::Null).await.0, 200);
    let is_ending = |definition: &Value| {
        let condition = api::custom::status::condition(definition, "Terminating");
        condition.is_some_and(|condition| condition["reason"] == "InstanceDeletionInProgress")
    };
    cluster.until(DEFINITIONS, "crontabs.stable.example.com", is_ending).await;
    assert_eq!(cluster.get(&format!("{TABS}/a")).await.0, 404);
    let (code, refused) = cluster.ask(Method::POST, TABS, tab("b", json!({"cron": "*"}))).await;
    assert_eq!((code, message(&refused)), (405, "create not allowed while custom resource definition is terminating"));

    let gone = cluster.stream(&format!("{DEFINITIONS}?watch=true&resourceVersion=0")).await;
    let admin = User::master("admin");
    let patch = json!({"metadata": {"finalizers": null}});
    cluster.ask_as(admin, Method::PATCH, &format!("{TABS}/held"), "application/merge-patch+json", patch).await;
    until_deleted(gone).await;
    // Who sees it gone may be a moment ahead of what serves it.
    while cluster.get(TABS).await.0 != 404 {
        tokio::task::yield_now().await;
    }
    assert_eq!(cluster.get("/apis/stable.example.com").await.0, 404);
}

/// Reads a watch until something is deleted.
async fn until_deleted(mut watch: Body) {
    let deleted = async {
        while let Some(frame) = watch.frame().await {
            let text = String::from_utf8(frame.unwrap().into_data().unwrap().to_vec()).unwrap();
            if text.contains("\"type\":\"DELETED\"") {
                return;
            }
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(10), deleted).await.unwrap();
}
