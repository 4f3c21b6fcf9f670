//! Who owns what after a write, and what an applied object makes of the one that is there.

use std::sync::LazyLock;

use serde_json::Value;

use super::compare::Comparison;
use super::fields::Fields;
use super::managers::{Actor, Entry, Managers, Operation};
use super::merge::merged;
use super::owned::{complaints, owned};
use super::remove::{with_named, without};
use super::shape::Place;

/// The manager of what was there before anybody applied.
const BEFORE_FIRST_APPLY: &str = "before-first-apply";

/// The manager whose client-side apply becomes ours.
const KUBECTL: &str = "kubectl";

/// Where client-side apply keeps what it applied.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// The largest annotation that is kept in step, in bytes: upstream's bound on all annotations of an object.
const LAST_APPLIED_BYTES_MAX: usize = 256 << 10;

/// Fields that nobody owns: what names an object, and what the server writes.
const UNOWNED: [&[&str]; 12] = [
    &["f:apiVersion"],
    &["f:kind"],
    &["f:metadata"],
    &["f:metadata", "f:name"],
    &["f:metadata", "f:namespace"],
    &["f:metadata", "f:creationTimestamp"],
    &["f:metadata", "f:selfLink"],
    &["f:metadata", "f:uid"],
    &["f:metadata", "f:clusterName"],
    &["f:metadata", "f:generation"],
    &["f:metadata", "f:managedFields"],
    &["f:metadata", "f:resourceVersion"],
];

/// A write: who, when, of what.
pub struct Write<'a> {
    /// Who writes.
    pub actor: Actor,
    /// When, as RFC 3339.
    pub now: String,
    /// The type of the object.
    pub(super) place: Place<'a>,
    /// Fields that a write of this part never changes.
    pub(super) fixed: Fields,
}

/// What an application gives.
#[derive(Debug)]
pub struct Applied {
    /// The object, without managers.
    pub object: Value,
    /// Its managers.
    pub managers: Managers,
}

/// Why an object cannot be applied.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ApplyError {
    /// It is not of its type; the texts are upstream's.
    #[error("{}", told(.0))]
    Unfit(Vec<String>),
    /// Others own fields that it would change.
    #[error("{}", conflicts_told(.0))]
    Conflicts(Vec<Conflict>),
}

/// A field that another manager owns.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Conflict {
    /// The manager, as it is told.
    pub manager: String,
    /// The field's path: `.spec.replicas`.
    pub field: String,
}

/// The set of [`UNOWNED`].
fn unowned() -> &'static Fields {
    static FIELDS: LazyLock<Fields> = LazyLock::new(|| Fields::of(&UNOWNED));
    &FIELDS
}

impl<'a> Write<'a> {
    pub(super) fn new(actor: Actor, now: String, place: Place<'a>, fixed: Fields) -> Self {
        Self { actor, now, place, fixed }
    }

    /// The managers after `old` became `new` by a whole object or a patch.
    #[must_use]
    pub fn update(&self, old: &Value, new: &Value, managers: Managers) -> Managers {
        let compared = self.compared(old, new);
        let mine = compared.touched.difference(unowned());
        let mut managers = self.left_to_others(managers, &compared);
        if !mine.is_empty() {
            let before = managers.take(&self.actor).map(|entry| entry.fields).unwrap_or_default();
            let (actor, time) = (self.actor.clone(), Some(self.now.clone()));
            managers.entries.push(Entry { actor, time, fields: before.union(&mine) });
        }
        managers.cap();
        managers
    }

    /// What an object of the type is before anything is said of it: the `old` of one that is created.
    #[must_use]
    pub fn empty(&self) -> Value {
        let mut empty = Value::Object(serde_json::Map::new());
        if let crate::schema::Type::Object(id) = self.place.kind {
            crate::decode::canonicalize(self.place.schemas, *id, &mut empty);
        }
        empty
    }

    /// `live` with what `applied` says and without what its manager no longer says. Where there is no object yet,
    /// `live` is [`Write::empty`].
    ///
    /// # Errors
    /// When `applied` is not of the type, or others own what it would change and `force` is not set.
    pub fn apply(&self, live: &Value, managers: Managers, applied: &Value, force: bool) -> Result<Applied, ApplyError> {
        let unfit = complaints(self.place, applied);
        if !unfit.is_empty() {
            return Err(ApplyError::Unfit(unfit));
        }
        let managers = if managers.is_empty() { self.before_first_apply(live) } else { managers };
        let done = self.try_apply(live, managers.clone(), applied, force);
        let mut done = match done {
            Err(ApplyError::Conflicts(conflicts)) if self.actor.manager == KUBECTL => {
                let conflicts = self.beyond_last_applied(live, conflicts);
                if !conflicts.is_empty() {
                    return Err(ApplyError::Conflicts(conflicts));
                }
                self.try_apply(live, managers, applied, true)?
            }
            done => done?,
        };
        if self.actor.manager == KUBECTL {
            keep_last_applied(&mut done.object, applied);
        }
        Ok(done)
    }

    fn try_apply(
        &self,
        live: &Value,
        mut managers: Managers,
        applied: &Value,
        force: bool,
    ) -> Result<Applied, ApplyError> {
        let before = managers.take(&self.actor);
        let fields = owned(self.place, applied).outside(&self.fixed);
        let merged = merged(self.place, live, applied);
        let object = match &before {
            Some(before) => self.pruned(merged, &managers, &before.fields, &fields),
            None => merged,
        };
        let compared = self.compared(live, &object);
        let conflicts = self.conflicts(&managers, &compared);
        if !conflicts.is_empty() && !force {
            return Err(ApplyError::Conflicts(conflicts));
        }
        let mut managers = self.left_to_others(managers, &compared);
        let fields = fields.difference(unowned());
        if !fields.is_empty() {
            let is_same = object == *live;
            let time = before.filter(|_| is_same).map_or_else(|| Some(self.now.clone()), |before| before.time);
            managers.entries.push(Entry { actor: self.actor.clone(), time, fields });
        }
        Ok(Applied { object, managers })
    }

    fn compared(&self, old: &Value, new: &Value) -> Comparison {
        let Comparison { touched, removed } = Comparison::of(self.place, old, new);
        Comparison { touched: touched.outside(&self.fixed), removed: removed.outside(&self.fixed) }
    }

    /// Others in this version of the object. What they own in another is not told apart here.
    fn is_comparable(&self, entry: &Entry) -> bool {
        entry.actor.api_version == self.actor.api_version
    }

    fn conflicts(&self, managers: &Managers, compared: &Comparison) -> Vec<Conflict> {
        let mut conflicts = Vec::new();
        for entry in managers.entries.iter().filter(|entry| self.is_comparable(entry)) {
            let fields = entry.fields.intersection(&compared.touched).paths();
            let manager = entry.actor.spoken();
            conflicts.extend(fields.into_iter().map(|field| Conflict { manager: manager.clone(), field }));
        }
        conflicts.sort();
        conflicts
    }

    /// The managers without what this write took from them.
    fn left_to_others(&self, mut managers: Managers, compared: &Comparison) -> Managers {
        let taken = compared.touched.union(&compared.removed);
        if !taken.is_empty() {
            for entry in managers.entries.iter_mut().filter(|entry| self.is_comparable(entry)) {
                let lost = if entry.actor.is(&self.actor) { &compared.removed } else { &taken };
                entry.fields = entry.fields.difference(lost);
            }
        }
        managers.entries.retain(|entry| !entry.fields.is_empty());
        managers
    }

    /// `merged` without what the manager applied before and nobody applies or owns any more.
    fn pruned(&self, merged: Value, others: &Managers, before: &Fields, now: &Fields) -> Value {
        let named = |fields: &Fields| with_named(self.place, fields);
        let before = named(before);
        if before.is_empty() {
            return merged;
        }
        let pruned = without(self.place, &merged, &before);
        let all = named(&owned(self.place, &merged));
        // What others own, or what is applied again, comes back.
        let mut kept = named(&owned(self.place, &pruned)).union(&named(now));
        for entry in others.entries.iter().filter(|entry| self.is_comparable(entry)) {
            kept = kept.union(&named(&entry.fields));
        }
        let pruned = without(self.place, &merged, &all.difference(&kept));
        // What went only because something around it went, comes back too.
        let gone = all.difference(&named(&owned(self.place, &pruned))).intersection(&before);
        without(self.place, &merged, &gone)
    }

    /// The managers of an object that nobody has applied: all of it belongs to one that updated it.
    fn before_first_apply(&self, live: &Value) -> Managers {
        let is_new = live.pointer("/metadata/uid").is_none();
        if is_new {
            return Managers::default();
        }
        let actor =
            Actor { operation: Operation::Update, manager: BEFORE_FIRST_APPLY.to_owned(), ..self.actor.clone() };
        let first = Write::new(actor, self.now.clone(), self.place, self.fixed.clone());
        first.update(&first.empty(), live, Managers::default())
    }

    /// Conflicts in fields that client-side apply did not write: what it wrote, kubectl takes over without asking.
    fn beyond_last_applied(&self, live: &Value, conflicts: Vec<Conflict>) -> Vec<Conflict> {
        let last = annotation(live).and_then(|text| serde_json::from_str::<Value>(text).ok());
        let Some(last) = last else { return conflicts };
        let allowed = owned(self.place, &last).paths();
        conflicts.into_iter().filter(|conflict| !allowed.contains(&conflict.field)).collect()
    }
}

fn annotation(object: &Value) -> Option<&str> {
    object.get("metadata")?.get("annotations")?.get(LAST_APPLIED)?.as_str()
}

/// Where client-side apply was used before, its annotation says what is applied now, so that one can go back.
fn keep_last_applied(object: &mut Value, applied: &Value) {
    if annotation(object).is_none() {
        return;
    }
    let mut applied = applied.clone();
    if let Some(annotations) = applied.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut) {
        annotations.remove(LAST_APPLIED);
    }
    let text = format!("{applied}\n");
    if let Some(annotations) = object.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut) {
        if text.len() > LAST_APPLIED_BYTES_MAX {
            annotations.remove(LAST_APPLIED);
        } else {
            annotations.insert(LAST_APPLIED.to_owned(), text.into());
        }
    }
}

/// Several complaints as one text.
fn told(complaints: &[String]) -> String {
    match complaints {
        [only] => only.clone(),
        many => format!("errors:\n{}", many.iter().map(|one| format!("  {one}")).collect::<Vec<_>>().join("\n")),
    }
}

fn conflicts_told(conflicts: &[Conflict]) -> String {
    if let [Conflict { manager, field }] = conflicts {
        return format!("Apply failed with 1 conflict: conflict with {manager}: {field}");
    }
    let of_managers = conflicts.chunk_by(|left, right| left.manager == right.manager).filter_map(|of_one| {
        let fields: Vec<String> = of_one.iter().map(|conflict| format!("- {}", conflict.field)).collect();
        Some(format!("conflicts with {}:\n{}", of_one.first()?.manager, fields.join("\n")))
    });
    format!("Apply failed with {} conflicts: {}", conflicts.len(), of_managers.collect::<Vec<_>>().join("\n"))
}
