//! Guests that harm nobody but themselves, seen as their pods' statuses.

use serde_json::{Value, json};

use crate::testing::{FOREVER, HELLO, TestNode, node};

/// Grows its memory until it gets no more, and traps then as allocators do.
const MEMORY_BOMB: &str = r#"(module (memory (export "memory") 1) (func (export "_start")
    (loop $again (br_if $again (i32.ge_s (memory.grow (i32.const 1)) (i32.const 0))))
    unreachable))"#;

/// The same with a table.
const TABLE_BOMB: &str = r#"(module (memory (export "memory") 1) (table $large 0 funcref) (func (export "_start")
    (loop $again (br_if $again (i32.ge_s (table.grow $large (ref.null func) (i32.const 1000)) (i32.const 0))))
    unreachable))"#;

/// Is too large before it has begun.
const BORN_LARGE: &str = r#"(module (memory (export "memory") 1000) (func (export "_start")))"#;

/// Traps two calls deep.
const DEEP_TRAP: &str = r#"(module $tool (memory (export "memory") 1)
    (func $dig unreachable)
    (func $main (export "_start") (call $dig)))"#;

/// Never comes to its entry.
const ENDLESS_START: &str = r#"(module (memory (export "memory") 1)
    (func $spin (loop $again (br $again)))
    (start $spin)
    (func (export "_start")))"#;

/// Creates a pod of this program that is run once, with these limits.
fn create(node: &TestNode, name: &str, program: &str, limits: &Value, deadline_seconds: Option<i64>) {
    let image = node.image(name, program);
    let container = json!({"name": "c", "image": image, "resources": {"limits": limits}});
    let mut spec = json!({"restartPolicy": "Never", "containers": [container]});
    if let Some(seconds) = deadline_seconds {
        spec["activeDeadlineSeconds"] = seconds.into();
    }
    node.create(name, spec);
}

/// `exitCode reason` of the pod's one container.
fn end(pod: &Value) -> String {
    let ended = &pod["status"]["containerStatuses"][0]["state"]["terminated"];
    format!("{} {}", ended["exitCode"], ended["reason"].as_str().unwrap_or_default())
}

#[tokio::test]
async fn a_guest_that_wants_more_memory_than_its_limit_is_oom_killed() {
    let (_folder, node) = node().await;
    for (name, program) in [("memory", MEMORY_BOMB), ("table", TABLE_BOMB), ("born", BORN_LARGE)] {
        create(&node, name, program, &json!({"memory": "1Mi"}), None);
        let pod = node.api.pod_in(name, "Failed").await;
        assert_eq!(end(&pod), "137 OOMKilled", "{name}");
    }
    node.stop().await;
}

#[tokio::test]
async fn a_trap_tells_where_it_happened() {
    let (_folder, node) = node().await;
    create(&node, "trap", DEEP_TRAP, &json!({}), None);
    let pod = node.api.pod_in("trap", "Failed").await;
    assert_eq!(end(&pod), "134 Error");
    let ended = &pod["status"]["containerStatuses"][0]["state"]["terminated"];
    let message = ended["message"].as_str().unwrap();
    assert!(["unreachable", "tool!dig", "tool!main"].iter().all(|word| message.contains(word)), "{message}");
    node.stop().await;
}

#[tokio::test]
async fn a_guest_that_never_ends_is_ended_at_its_pods_deadline() {
    let (_folder, node) = node().await;
    let endless = [("loop", FOREVER), ("start", ENDLESS_START)];
    for (name, program) in endless {
        create(&node, name, program, &json!({}), Some(1));
    }
    for (name, _) in endless {
        let pod = node.api.pod_in(name, "Failed").await;
        assert_eq!(pod["status"]["reason"], "DeadlineExceeded", "{name}");
        assert_eq!(end(&pod), "143 Error", "{name}");
    }
    node.stop().await;
}

#[tokio::test]
async fn busy_guests_hold_up_no_neighbour() {
    let (_folder, node) = node().await;
    for (name, limits) in [("throttled", json!({"cpu": "100m"})), ("one", json!({})), ("two", json!({}))] {
        create(&node, name, FOREVER, &limits, None);
        node.api.pod_in(name, "Running").await;
    }
    create(&node, "neighbour", HELLO, &json!({}), None);
    node.api.pod_in("neighbour", "Succeeded").await;
    node.stop().await;
}
