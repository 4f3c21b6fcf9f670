//! Watches: each change once and in order, from any revision that is remembered.

use std::time::Duration;

use super::*;

/// The lines of a watch as they come.
struct Watch {
    body: Body,
    waiting: std::collections::VecDeque<Value>,
}

impl Watch {
    async fn begin(cluster: &Cluster, query: &str) -> Self {
        let mut request = Request::get(format!("{MAPS}?watch=1&{query}")).body(Body::empty()).unwrap();
        request.extensions_mut().insert(User::master("admin"));
        let response = cluster.server.handle(request).await;
        assert_eq!(response.status().as_u16(), 200);
        Self { body: response.into_body(), waiting: std::collections::VecDeque::new() }
    }

    /// The next event, as its type and the object's name.
    async fn next(&mut self) -> (String, String) {
        while self.waiting.is_empty() {
            let frame = tokio::time::timeout(Duration::from_secs(20), self.body.frame()).await;
            let frame = frame.expect("no event in time").expect("the watch ended").unwrap().into_data().unwrap();
            let lines = frame.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
            self.waiting.extend(lines.map(|line| serde_json::from_slice::<Value>(line).unwrap()));
        }
        let event = self.waiting.pop_front().unwrap();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        (text(&event["type"]), text(&event["object"]["metadata"]["name"]))
    }

    async fn sees(&mut self, expected: &[(&str, &str)]) {
        for (kind, name) in expected {
            assert_eq!(self.next().await, ((*kind).to_owned(), (*name).to_owned()));
        }
    }
}

#[tokio::test]
async fn a_watch_that_resumes_sees_each_later_change_once() {
    let cluster = Cluster::start().await;
    let made = cluster.config_map("a", "1").await;
    let version = made["metadata"]["resourceVersion"].as_str().unwrap().to_owned();
    cluster.config_map("b", "1").await;
    cluster.ask(Method::DELETE, &format!("{MAPS}/a"), Value::Null).await;
    let mut watch = Watch::begin(&cluster, &format!("resourceVersion={version}")).await;
    cluster.config_map("c", "1").await;
    watch.sees(&[("ADDED", "b"), ("DELETED", "a"), ("ADDED", "c")]).await;

    let cluster = cluster.restart().await;
    let mut watch = Watch::begin(&cluster, &format!("resourceVersion={version}")).await;
    watch.sees(&[("ADDED", "b"), ("DELETED", "a"), ("ADDED", "c")]).await;
}

#[tokio::test]
async fn an_object_that_enters_or_leaves_a_selection_is_added_or_deleted() {
    let cluster = Cluster::start().await;
    cluster.config_map("a", "1").await;
    let mut watch = Watch::begin(&cluster, "labelSelector=app%3Dfront").await;
    for label in ["front", "back"] {
        let patch = json!({"metadata": {"labels": {"app": label}}});
        let admin = User::master("admin");
        cluster.ask_as(admin, Method::PATCH, &format!("{MAPS}/a"), "application/merge-patch+json", patch).await;
    }
    watch.sees(&[("ADDED", "a"), ("DELETED", "a")]).await;
}

#[tokio::test]
async fn initial_events_end_with_a_bookmark() {
    let cluster = Cluster::start().await;
    cluster.config_map("a", "1").await;
    let query = "sendInitialEvents=true&allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan";
    let mut watch = Watch::begin(&cluster, query).await;
    watch.sees(&[("ADDED", "a"), ("BOOKMARK", "")]).await;
}

#[tokio::test]
async fn a_forgotten_revision_is_gone() {
    let cluster = Cluster::start().await;
    cluster.config_map("a", "1").await;
    cluster.ask(Method::DELETE, &format!("{MAPS}/a"), Value::Null).await;
    cluster.store.compact(cluster.store.revision()).await.unwrap();
    let cluster = cluster.restart().await;
    let (code, event) = cluster.get(&format!("{MAPS}?watch=1&resourceVersion=1")).await;
    let refused = &event["object"];
    assert_eq!((code, event["type"].as_str()), (200, Some("ERROR")), "a watch is told by an event");
    assert_eq!((refused["code"].as_u64(), refused["reason"].as_str()), (Some(410), Some("Expired")), "{refused}");
}
