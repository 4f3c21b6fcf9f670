//! What the test server does with a write, and what it says of itself.

use http::Method;
use serde_json::{Value, json};

use super::path::Path;
use super::{Refusal, State};

const CREATED: &str = "2026-01-01T00:00:00Z";
const DELETED: &str = "2026-01-02T00:00:00Z";

/// Completes the metadata of an object that is put at a path.
pub(super) fn fill(object: &mut Value, path: &Path) {
    let meta = &mut object["metadata"];
    meta["name"] = json!(path.name);
    if !path.namespace.is_empty() {
        meta["namespace"] = json!(path.namespace);
    }
    if meta["uid"].is_null() {
        meta["uid"] = json!(format!("uid-of-{}", path.name));
    }
    if meta["creationTimestamp"].is_null() {
        meta["creationTimestamp"] = json!(CREATED);
    }
}

impl State {
    pub(super) fn write(&mut self, method: &Method, path: &Path, body: Value) -> Result<Value, Refusal> {
        let whole = path.whole();
        match (method.as_str(), path.subresource.as_str()) {
            ("POST", "binding") => {
                let mut pod = self.get(path)?;
                pod["spec"]["nodeName"] = body["target"]["name"].clone();
                self.store(&whole, pod);
                Ok(json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}))
            }
            ("POST", _) => self.create(path, body),
            ("PUT", subresource) => {
                let mut object = self.get(path)?;
                expect(&object, "resourceVersion", &body["metadata"]["resourceVersion"], path)?;
                match subresource {
                    "status" => object["status"] = body["status"].clone(),
                    "approval" => object["status"]["conditions"] = body["status"]["conditions"].clone(),
                    "finalize" => object["spec"]["finalizers"] = body["spec"]["finalizers"].clone(),
                    _ => {
                        object = body;
                        fill(&mut object, &whole);
                    }
                }
                Ok(self.settle(&whole, object))
            }
            ("PATCH", _) => {
                let mut object = self.get(path)?;
                for field in ["uid", "resourceVersion"] {
                    expect(&object, field, &body["metadata"][field], path)?;
                }
                merge(&mut object, &body);
                Ok(self.settle(&whole, object))
            }
            ("DELETE", _) if path.name.is_empty() => {
                let paths: Vec<Path> = self.objects.keys().filter(|object| whole.holds(object)).cloned().collect();
                for path in paths {
                    self.delete(&path, &body)?;
                }
                Ok(json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}))
            }
            ("DELETE", _) => self.delete(&whole, &body),
            _ => Err(Refusal { code: 405, reason: "MethodNotAllowed", message: method.to_string() }),
        }
    }

    fn get(&self, path: &Path) -> Result<Value, Refusal> {
        self.objects.get(&path.whole()).cloned().ok_or_else(|| Refusal::not_found(path))
    }

    fn create(&mut self, path: &Path, mut body: Value) -> Result<Value, Refusal> {
        let name = body["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let at = Path { name, ..path.whole() };
        if self.objects.contains_key(&at) {
            return Err(Refusal::conflict("AlreadyExists", &at));
        }
        fill(&mut body, &at);
        body["metadata"]["uid"] = json!(format!("uid-{}", self.revision + 1));
        Ok(self.store(&at, body))
    }

    fn delete(&mut self, path: &Path, options: &Value) -> Result<Value, Refusal> {
        let mut object = self.get(path)?;
        for field in ["uid", "resourceVersion"] {
            expect(&object, field, &options["preconditions"][field], path)?;
        }
        let finalizer = match options["propagationPolicy"].as_str() {
            Some("Foreground") => Some("foregroundDeletion"),
            Some("Orphan") => Some("orphan"),
            _ => None,
        };
        let meta = &mut object["metadata"];
        if let Some(finalizer) = finalizer {
            let mut finalizers = meta["finalizers"].as_array().cloned().unwrap_or_default();
            finalizers.push(json!(finalizer));
            meta["finalizers"] = json!(finalizers);
        }
        let is_graceful = path.resource == "pods"
            && options["gracePeriodSeconds"] != json!(0)
            && object["spec"]["nodeName"].is_string();
        let is_held = is_graceful || has_finalizers(&object);
        object["metadata"]["deletionTimestamp"] = json!(DELETED);
        if is_held {
            return Ok(self.store(path, object));
        }
        self.remove(path);
        Ok(object)
    }

    /// Stores an object; one that is being deleted goes once nothing holds it.
    fn settle(&mut self, path: &Path, object: Value) -> Value {
        let is_graceful = path.resource == "pods" && object["spec"]["nodeName"].is_string();
        let is_deleted = object["metadata"]["deletionTimestamp"].is_string();
        let object = self.store(path, object);
        if is_deleted && !is_graceful && !has_finalizers(&object) {
            self.remove(path);
        }
        object
    }
}

fn has_finalizers(object: &Value) -> bool {
    let has = |list: &Value| list.as_array().is_some_and(|list| !list.is_empty());
    has(&object["metadata"]["finalizers"]) || has(&object["spec"]["finalizers"])
}

fn expect(object: &Value, field: &str, wanted: &Value, path: &Path) -> Result<(), Refusal> {
    let is_as_wanted = wanted.is_null() || *wanted == object["metadata"][field];
    if is_as_wanted { Ok(()) } else { Err(Refusal::conflict("Conflict", path)) }
}

/// A merge patch in which conditions are merged by their type.
fn merge(object: &mut Value, patch: &Value) {
    let Value::Object(fields) = patch else {
        *object = patch.clone();
        return;
    };
    if !object.is_object() {
        *object = json!({});
    }
    for (name, value) in fields {
        match (name.as_str(), value) {
            (_, Value::Null) => {
                if let Some(object) = object.as_object_mut() {
                    object.remove(name);
                }
            }
            ("conditions", Value::Array(conditions)) => merge_conditions(&mut object[name], conditions),
            _ => merge(&mut object[name], value),
        }
    }
}

fn merge_conditions(list: &mut Value, conditions: &[Value]) {
    let mut merged = list.as_array().cloned().unwrap_or_default();
    for condition in conditions {
        match merged.iter_mut().find(|known| known["type"] == condition["type"]) {
            Some(known) => merge(known, condition),
            None => merged.push(condition.clone()),
        }
    }
    *list = json!(merged);
}

/// Aggregated discovery of the few resources that tests use.
pub(super) fn discovery(path: &str) -> Option<Value> {
    let resource = |(plural, kind, scope): &(&str, &str, &str)| {
        json!({"resource": plural, "scope": scope, "singularResource": kind.to_lowercase(),
               "responseKind": {"group": "", "version": "v1", "kind": kind},
               "verbs": ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]})
    };
    let core = [
        ("configmaps", "ConfigMap", "Namespaced"),
        ("namespaces", "Namespace", "Cluster"),
        ("nodes", "Node", "Cluster"),
        ("pods", "Pod", "Namespaced"),
    ];
    let core: Vec<Value> = core.iter().map(resource).collect();
    let items = match path {
        "/api" => json!([{"metadata": {}, "versions": [{"version": "v1", "resources": core, "freshness": "Current"}]}]),
        "/apis" => json!([]),
        _ => return None,
    };
    Some(
        json!({"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items}),
    )
}
