//! Lists: pages, selectors, consistency.

use super::*;

fn names(list: &Value) -> Vec<&str> {
    list["items"].as_array().unwrap().iter().map(|item| item["metadata"]["name"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn pages_show_one_revision_whatever_is_written_meanwhile() {
    let cluster = Cluster::start().await;
    for name in ["a", "b", "c", "d", "e"] {
        cluster.config_map(name, "1").await;
    }
    let (_, first) = cluster.get(&format!("{MAPS}?limit=2")).await;
    assert_eq!((names(&first), &first["metadata"]["remainingItemCount"]), (vec!["a", "b"], &json!(3)));

    cluster.config_map("bb", "late").await;
    cluster.ask(Method::DELETE, &format!("{MAPS}/d"), Value::Null).await;
    let token = first["metadata"]["continue"].as_str().unwrap();
    let (_, second) = cluster.get(&format!("{MAPS}?limit=5&continue={token}")).await;
    assert_eq!(names(&second), ["c", "d", "e"]);
    assert_eq!(second["metadata"]["resourceVersion"], first["metadata"]["resourceVersion"]);
    assert_eq!(second["metadata"]["continue"], Value::Null);
}

#[tokio::test]
async fn selectors_choose_and_namespaces_bound() {
    let cluster = Cluster::start().await;
    cluster.config_map("a", "1").await;
    cluster.config_map("b", "1").await;
    let elsewhere = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}});
    cluster.ask(Method::POST, "/api/v1/namespaces/kube-public/configmaps", elsewhere).await;
    for (query, expected) in [
        ("labelSelector=app%3Da", vec!["a"]),
        ("labelSelector=app%20in%20(a,b)", vec!["a", "b"]),
        ("labelSelector=app!%3Da", vec!["b"]),
        ("fieldSelector=metadata.name%3Db", vec!["b"]),
        ("", vec!["a", "b"]),
    ] {
        let (_, list) = cluster.get(&format!("{MAPS}?{query}")).await;
        assert_eq!(names(&list), expected, "{query}");
    }
    let (_, everywhere) = cluster.get("/api/v1/configmaps").await;
    assert_eq!(names(&everywhere), ["a", "b", "a"]);
}

#[tokio::test]
async fn an_earlier_revision_is_shown_exactly_and_a_later_one_times_out() {
    let cluster = Cluster::start().await;
    let made = cluster.config_map("a", "1").await;
    cluster.config_map("b", "1").await;
    let version = made["metadata"]["resourceVersion"].as_str().unwrap();
    let (_, then) = cluster.get(&format!("{MAPS}?resourceVersion={version}&resourceVersionMatch=Exact")).await;
    assert_eq!(names(&then), ["a"]);

    let (code, refused) =
        cluster.get(&format!("{MAPS}?resourceVersion=99999999&resourceVersionMatch=NotOlderThan")).await;
    assert_eq!(code, 504);
    assert!(message(&refused).starts_with("Timeout: Too large resource version: 99999999"), "{refused}");
}

#[tokio::test]
async fn what_cannot_be_understood_is_refused() {
    let cluster = Cluster::start().await;
    for (query, code) in [
        ("limit=x", 400),
        ("continue=rubbish&limit=1", 400),
        ("fieldSelector=data.x%3D1", 400),
        ("labelSelector=a%20b%20c", 400),
        ("resourceVersion=abc", 400),
        ("resourceVersionMatch=Exact", 422),
    ] {
        assert_eq!(cluster.get(&format!("{MAPS}?{query}")).await.0, code, "{query}");
    }
}
