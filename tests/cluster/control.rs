//! Namespaces, accounts and owners, kept by the controllers.

use k8s_openapi::api::core::v1 as core;
use kube::Api;
use kube::api::{DeleteParams, PostParams};
use serde_json::{Value, json};

use crate::harness::Cluster;

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_has_its_account_and_is_emptied_when_it_goes() {
    let cluster = Cluster::up().await;
    cluster.create("apiVersion: v1\nkind: Namespace\nmetadata: {name: blue}").await;
    let maps: Api<core::ConfigMap> = Api::namespaced(cluster.client.clone(), "blue");
    let accounts: Api<core::ServiceAccount> = Api::namespaced(cluster.client.clone(), "blue");
    while accounts.get_opt("default").await.unwrap().is_none() {
        tokio::task::yield_now().await;
    }
    cluster.create("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: mine, namespace: blue}").await;

    cluster.delete("Namespace", "blue").await;
    cluster.until("Namespace", "blue", Value::is_null).await;
    assert!(maps.get_opt("mine").await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_object_owns_goes_with_it_or_is_orphaned() {
    let cluster = Cluster::up().await;
    let maps: Api<core::ConfigMap> = Api::namespaced(cluster.client.clone(), "default");
    for (owner, params, stays) in [
        ("back", DeleteParams::background(), false),
        ("fore", DeleteParams::foreground(), false),
        ("orphan", DeleteParams::orphan(), true),
    ] {
        let made =
            cluster.try_create(&format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {owner}}}")).await.unwrap();
        let child = json!({"metadata": {"name": format!("{owner}-child"), "ownerReferences": [{
            "apiVersion": "v1", "kind": "ConfigMap", "name": owner, "uid": made["metadata"]["uid"], "blockOwnerDeletion": true}]}});
        maps.create(&PostParams::default(), &serde_json::from_value(child).unwrap()).await.unwrap();
        maps.delete(owner, &params).await.unwrap();
        cluster.until("ConfigMap", owner, Value::is_null).await;
        let is_done =
            |child: &Value| if stays { child["metadata"]["ownerReferences"].is_null() } else { child.is_null() };
        cluster.until("ConfigMap", &format!("{owner}-child"), is_done).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_process_measures_server_node_and_itself_in_one_answer() {
    let cluster = Cluster::up().await;
    let request = http::Request::get("/metrics").body(Vec::new()).unwrap();
    let text = cluster.client.request_text(request).await.unwrap();
    for name in ["apiserver_storage_objects", "minke_code_cache_max_bytes", "process_resident_memory_bytes"] {
        assert_eq!(text.matches(&format!("# TYPE {name} gauge")).count(), 1, "{name} in\n{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quota_bounds_what_a_namespace_uses_and_is_counted() {
    let cluster = Cluster::up().await;
    let quota = "apiVersion: v1\nkind: ResourceQuota\nmetadata: {name: q}\nspec: {hard: {count/configmaps: \"2\"}}";
    cluster.create(quota).await;
    let used = |count: &'static str| move |quota: &Value| quota["status"]["used"]["count/configmaps"] == count;
    // The authority's certificate is one.
    cluster.until("ResourceQuota", "q", used("1")).await;
    let map = |name: &str| format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}");
    cluster.create(&map("a")).await;
    cluster.until("ResourceQuota", "q", used("2")).await;
    let refused = cluster.try_create(&map("b")).await.unwrap_err();
    let why = "exceeded quota: q, requested: count/configmaps=1, used: count/configmaps=2, limited: count/configmaps=2";
    assert_eq!(refused, format!("configmaps \"b\" is forbidden: {why}"));
    cluster.delete("ConfigMap", "a").await;
    cluster.until("ResourceQuota", "q", used("1")).await;
    cluster.create(&map("b")).await;
}
