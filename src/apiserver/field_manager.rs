//! Who owns what after a write: the managers of an object, kept by every verb that writes one.
//!
//! The rules are [`api::managed`]'s. Here stands who the manager is (`fieldManager`, else the `User-Agent` up to its
//! slash, as upstream), and which fields a write of a part never changes.

use api::managed::{Actor, Fields, Managers, Operation};
use api::meta;
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
    let typed = call.resource.typed();
    work(typed.write(actor, meta::time(clock::now()), fixed(call, part)))
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
        Part::Status => Fields::of(call.resource.strategy.status_resets),
        Part::Approval => Fields::of(&[&["f:spec"], &["f:status", "f:certificate"]]),
        Part::Finalizers => Fields::of(&[&["f:status"]]),
    }
}
