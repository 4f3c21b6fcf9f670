//! Sessions of writers with one object; where a source is named, its result was recorded from upstream.

use serde_json::{Value, json};

use super::*;

const NOW: &str = "2026-11-23T08:51:14Z";

/// An object and those who write it.
struct Session {
    definition: &'static str,
    api_version: &'static str,
    object: Option<Value>,
}

impl Session {
    fn new(definition: &'static str, api_version: &'static str) -> Self {
        Self { definition, api_version, object: None }
    }

    fn actor(&self, operation: Operation, manager: &str) -> Actor {
        let (manager, api_version) = (manager.to_owned(), self.api_version.to_owned());
        Actor { operation, manager, api_version, subresource: String::new() }
    }

    fn apply(&mut self, manager: &str, force: bool, applied: Value) -> Result<(), String> {
        let schemas = Schemas::builtin();
        let typed = Typed::new(schemas, schemas.named(self.definition).unwrap());
        let write = typed.write(self.actor(Operation::Apply, manager), NOW.into(), Fields::default());
        let live = self.object.clone().unwrap_or_else(|| write.empty());
        let done = write.apply(&live, Managers::of(&live), &applied, force).map_err(|error| error.to_string())?;
        let id = schemas.named(self.definition).unwrap();
        let mut object = crate::decode::decode(schemas, id, done.object, "X").unwrap().object;
        object["metadata"]["uid"] = "u".into();
        done.managers.put(&mut object);
        self.object = Some(object);
        Ok(())
    }

    fn update(&mut self, manager: &str, change: impl FnOnce(&mut Value)) {
        let schemas = Schemas::builtin();
        let typed = Typed::new(schemas, schemas.named(self.definition).unwrap());
        let write = typed.write(self.actor(Operation::Update, manager), NOW.into(), Fields::default());
        let old = self.object.clone().unwrap_or_else(|| write.empty());
        let mut new = old.clone();
        change(&mut new);
        let managers = Managers::before(&new, &old).unwrap_or_default();
        let managers = write.update(&old, &new, managers);
        new["metadata"]["uid"] = "u".into();
        managers.put(&mut new);
        self.object = Some(new);
    }

    /// Each manager with its operation and fields.
    #[track_caller]
    fn owns(&self, expected: Value) {
        let object = self.object.as_ref().unwrap();
        let listed = object["metadata"]["managedFields"].as_array().cloned().unwrap_or_default();
        let found: Vec<Value> =
            listed.iter().map(|entry| json!([entry["manager"], entry["operation"], entry["fieldsV1"]])).collect();
        assert_eq!(Value::from(found), expected);
    }

    fn data(&self) -> &Value {
        &self.object.as_ref().unwrap()["data"]
    }
}

fn config_map(data: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "ssa"}, "data": data})
}

/// Answers 114 to 121 of upstream's that are recorded.
#[test]
fn appliers_share_conflict_force_and_let_go() {
    let mut map = Session::new("io.k8s.api.core.v1.ConfigMap", "v1");
    map.apply("m1", false, config_map(json!({"x": "1", "y": "1"}))).unwrap();
    map.owns(json!([["m1", "Apply", {"f:data": {"f:x": {}, "f:y": {}}}]]));
    map.apply("m1", false, config_map(json!({"x": "1"}))).unwrap();
    assert_eq!(map.data(), &json!({"x": "1"}));

    let refused = map.apply("m2", false, config_map(json!({"x": "2"}))).unwrap_err();
    assert_eq!(refused, "Apply failed with 1 conflict: conflict with \"m1\": .data.x");
    map.apply("m2", true, config_map(json!({"x": "2"}))).unwrap();
    map.owns(json!([["m2", "Apply", {"f:data": {"f:x": {}}}]]));
    map.apply("m1", false, config_map(json!({"x": "2", "z": "3"}))).unwrap();
    map.owns(json!([
        ["m1", "Apply", {"f:data": {"f:x": {}, "f:z": {}}}],
        ["m2", "Apply", {"f:data": {"f:x": {}}}]
    ]));
    // What another still owns stays.
    map.apply("m1", false, config_map(json!({}))).unwrap();
    assert_eq!(map.data(), &json!({"x": "2"}));
    map.owns(json!([["m1", "Apply", {"f:data": {}}], ["m2", "Apply", {"f:data": {"f:x": {}}}]]));
}

#[test]
fn an_updater_owns_what_it_changed_and_takes_it_from_others() {
    let mut map = Session::new("io.k8s.api.core.v1.ConfigMap", "v1");
    map.update("kubectl-create", |map| {
        *map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "labels": {"l": "1"}},
            "data": {"x": "1", "y": "1"}});
    });
    map.owns(json!([["kubectl-create", "Update",
        {"f:data": {".": {}, "f:x": {}, "f:y": {}}, "f:metadata": {"f:labels": {".": {}, "f:l": {}}}}]]));
    map.update("editor", |map| map["data"]["x"] = "2".into());
    map.update("editor", |map| drop(map["data"].as_object_mut().unwrap().remove("y")));
    map.owns(json!([
        ["editor", "Update", {"f:data": {"f:x": {}}}],
        ["kubectl-create", "Update", {"f:data": {}, "f:metadata": {"f:labels": {".": {}, "f:l": {}}}}]
    ]));
    map.update("editor", |map| map["metadata"]["managedFields"] = json!([{}]));
}

#[test]
fn what_was_there_before_the_first_apply_belongs_to_a_manager_of_its_own() {
    let mut map = Session::new("io.k8s.api.core.v1.ConfigMap", "v1");
    map.object = Some(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "uid": "u"},
        "data": {"x": "1"}}));
    let refused = map.apply("m", false, config_map(json!({"x": "2"}))).unwrap_err();
    assert_eq!(refused, "Apply failed with 1 conflict: conflict with \"before-first-apply\" using v1: .data.x");
}

#[test]
fn kubectl_takes_over_what_it_applied_from_the_client_side() {
    let mut map = Session::new("io.k8s.api.core.v1.ConfigMap", "v1");
    let last = config_map(json!({"x": "1"})).to_string();
    map.update("kubectl-client-side-apply", |map| {
        *map = config_map(json!({"x": "1", "y": "1"}));
        map["metadata"]["annotations"] = json!({"kubectl.kubernetes.io/last-applied-configuration": last});
    });
    let refused = map.apply("kubectl", false, config_map(json!({"x": "2", "y": "2"}))).unwrap_err();
    assert!(refused.ends_with("conflict with \"kubectl-client-side-apply\" using v1: .data.y"), "{refused}");
    map.apply("kubectl", false, config_map(json!({"x": "2"}))).unwrap();
    assert_eq!(map.data(), &json!({"x": "2", "y": "1"}));
    let annotations = &map.object.as_ref().unwrap()["metadata"]["annotations"];
    let kept = annotations["kubectl.kubernetes.io/last-applied-configuration"].as_str().unwrap();
    assert_eq!(serde_json::from_str::<Value>(kept).unwrap(), config_map(json!({"x": "2"})));
}

/// Answers 126 to 128 of upstream's that are recorded, for the template of a pod.
#[test]
fn items_have_owners_by_their_keys_and_their_defaults() {
    let template = |containers: Value| json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "d"}, "spec": {"containers": containers}});
    let mut pod = Session::new("io.k8s.api.core.v1.Pod", "v1");
    let container = |name: &str, image: &str| json!({"name": name, "image": image, "ports": [{"containerPort": 80}]});
    pod.apply("k", false, template(json!([container("a", "1"), container("b", "1")]))).unwrap();
    let owned = json!({".": {}, "f:image": {}, "f:name": {}, "f:ports": {
        "k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {".": {}, "f:containerPort": {}}}});
    pod.owns(json!([["k", "Apply", {"f:spec": {"f:containers": {
        "k:{\"name\":\"a\"}": owned, "k:{\"name\":\"b\"}": owned}}}]]));
    pod.apply("k", false, template(json!([container("a", "2")]))).unwrap();
    assert_eq!(pod.object.as_ref().unwrap()["spec"]["containers"].as_array().unwrap().len(), 1);
    let refused = pod.apply("o", false, template(json!([container("a", "3")]))).unwrap_err();
    assert!(refused.ends_with(".spec.containers[name=\"a\"].image"), "{refused}");
}

#[test]
fn what_is_not_of_the_type_cannot_be_applied() {
    let mut pod = Session::new("io.k8s.api.core.v1.Pod", "v1");
    for (spec, expected) in [
        (json!({"foo": 1}), ".spec.foo: field not declared in schema"),
        (json!({"hostNetwork": "x"}), ".spec.hostNetwork: expected boolean, got &{x}"),
        (json!({"nodeName": 1}), ".spec.nodeName: expected string, got &value.valueUnstructured{Value:1}"),
        (json!({"priority": "x"}), ".spec.priority: expected numeric (int or float), got string"),
        (json!({"containers": {}}), ".spec.containers: expected list, got &{{}}"),
        (
            json!({"containers": [{"name": "a"}, {"name": "a"}]}),
            ".spec.containers: duplicate entries for key [name=\"a\"]",
        ),
        (
            json!({"containers": [{"image": "a"}]}),
            ".spec.containers: element 0: associative list with keys has an element that omits key field \"name\" (and doesn't have default value)",
        ),
    ] {
        assert_eq!(pod.apply("m", false, json!({"spec": spec})).unwrap_err(), expected);
    }
}
