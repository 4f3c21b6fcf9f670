//! Who owns what after a write: the managers of an object, kept by every verb that writes one.
//!
//! The rules are [`api::managed`]'s. Here stands who the manager is (`fieldManager`, else the `User-Agent` up to its
//! slash, as upstream), and which fields a write of a part never changes.

use api::managed::{Actor, Fields, Managers, Operation, Typed};
use api::meta;
use api::schema::Schemas;
use base::clock;
use serde_json::Value;

use crate::verbs::Call;
use crate::verbs::update::Part;

/// The longest name that is taken from a `User-Agent`, as upstream.
const NAME_CHARS_MAX: usize = 128;

/// The managers of an object that is created from what a client sent.
pub(crate) fn of_created(call: &Call, object: &Value) -> Managers {
    let sent = Managers::of(object);
    on_write(call, Part::Main, Operation::Update, |write| {
        let empty = write.empty();
        write.update(&empty, object, sent)
    })
}

/// The managers of an object after `old` became `new` by a whole object or a patch. One without managers stays so.
pub(crate) fn of_updated(call: &Call, part: Part, old: &Value, new: &Value) -> Managers {
    let before = match part {
        Part::Main => Managers::before(new, old).unwrap_or_default(),
        Part::Status | Part::Approval | Part::Finalizers | Part::Scale => Managers::of(old),
    };
    if before.is_empty() {
        return before;
    }
    on_write(call, part, Operation::Update, |write| write.update(old, new, before))
}

/// Does `work` with the write of this call.
pub(crate) fn on_write<T>(
    call: &Call,
    part: Part,
    operation: Operation,
    work: impl FnOnce(api::managed::Write<'_>) -> T,
) -> T {
    let actor = Actor {
        operation,
        manager: manager(call),
        api_version: call.resource.api_version(),
        subresource: part.subresource().to_owned(),
    };
    let typed = Typed::new(Schemas::builtin(), call.resource.schema);
    work(typed.write(actor, meta::time(clock::now()), fixed(call, part)))
}

/// Puts `managers` into `new`. A write that changes nothing but the time of a manager changes nothing.
pub(crate) fn put(managers: Managers, new: &mut Value, old: &Value) {
    managers.put(new);
    if differs_in_times_alone(new, old)
        && let (Some(new), Some(old)) = (new.get_mut("metadata"), old.pointer("/metadata/managedFields"))
    {
        new["managedFields"] = old.clone();
    }
}

/// Whether two objects are the same but for the times of their managers, and their versions.
fn differs_in_times_alone(new: &Value, old: &Value) -> bool {
    same_but(new, old, &["metadata"])
        && same_but(part(new, "metadata"), part(old, "metadata"), &["managedFields", "resourceVersion"])
        && match (managers(new), managers(old)) {
            (Some(new), Some(old)) => {
                new.len() == old.len() && new.iter().zip(old).all(|(new, old)| same_but(new, old, &["time"]))
            }
            (None, None) => true,
            _ => false,
        }
}

fn part<'v>(object: &'v Value, name: &str) -> &'v Value {
    object.get(name).unwrap_or(&Value::Null)
}

fn managers(object: &Value) -> Option<&Vec<Value>> {
    object.pointer("/metadata/managedFields").and_then(Value::as_array)
}

/// Whether two objects are the same but for these fields.
fn same_but(new: &Value, old: &Value, fields: &[&str]) -> bool {
    let (Some(new), Some(old)) = (new.as_object(), old.as_object()) else { return new == old };
    let counts = |key: &&String| !fields.contains(&key.as_str());
    new.keys().filter(counts).count() == old.keys().filter(counts).count()
        && new.keys().filter(counts).all(|key| new.get(key) == old.get(key))
}

/// The manager's name. Callers in this process have no `User-Agent` and are called by their user's name: `kubelet` for a
/// node, `kube-scheduler` for `system:kube-scheduler`.
fn manager(call: &Call) -> String {
    if let Some(manager) = call.query.find("fieldManager") {
        return manager.to_owned();
    }
    let agent = call.parts.headers.get(http::header::USER_AGENT).and_then(|agent| agent.to_str().ok());
    let user = &*call.user.name;
    let name = match agent.and_then(|agent| agent.split('/').next()).filter(|name| !name.is_empty()) {
        Some(name) => name,
        None if user.starts_with("system:node:") => "kubelet",
        None if user == "system:apiserver" => "kube-apiserver",
        None => user.strip_prefix("system:").unwrap_or(user),
    };
    name.chars().take(NAME_CHARS_MAX).collect()
}

/// What a write of this part never changes, and so never owns.
fn fixed(call: &Call, part: Part) -> Fields {
    let has_status = call.resource.subresource("status").is_some();
    match part {
        Part::Main | Part::Scale if has_status => Fields::of(&[&["f:status"]]),
        Part::Main | Part::Scale => Fields::default(),
        Part::Status => Fields::of(&[&["f:spec"]]),
        Part::Approval => Fields::of(&[&["f:spec"], &["f:status", "f:certificate"]]),
        Part::Finalizers => Fields::of(&[&["f:status"]]),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_write_that_changes_nothing_keeps_the_times_of_managers() {
        let object = |version: &str, time: &str, data: &str| {
            json!({"data": data, "metadata": {"resourceVersion": version, "managedFields": [
                {"manager": "m", "operation": "Update", "apiVersion": "v1", "time": time, "fieldsType": "FieldsV1",
                    "fieldsV1": {"f:data": {}}}]}})
        };
        let old = object("1", "2026-01-01T00:00:00Z", "a");
        for (data, time) in [("a", "2026-01-01T00:00:00Z"), ("b", "2026-01-01T00:00:09Z")] {
            let mut new = object("", "2026-01-01T00:00:09Z", data);
            let managers = Managers::of(&new);
            put(managers, &mut new, &old);
            assert_eq!(new["metadata"]["managedFields"][0]["time"], time, "{data}");
        }
    }
}
