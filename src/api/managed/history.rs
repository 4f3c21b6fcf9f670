//! Laws of what becomes of an object that several managers write.

#![allow(clippy::expect_used, reason = "a law that is broken panics")]
#![allow(clippy::indexing_slicing, reason = "a law that is broken panics")]

use std::sync::{Arc, LazyLock};

use serde_json::{Map, Value, json};

use super::compare::Comparison;
use super::merge::merged;
use super::owned::{complaints, owned};
use super::remove::without;
use super::shape::{Place, Shape, is_bare, items};
use super::{Actor, ApplyError, Fields, Managers, Operation, Typed, Write};
use crate::custom::definition;
use crate::laws::made::Maker;
use crate::schema::{Schemas, Type};
use crate::scheme::{Resource, Scheme};

const NOW: &str = "2026-11-23T08:51:14Z";
const MANAGERS: [&str; 3] = ["a", "b", "c"];

/// How many writes a history has.
const WRITES_MAX: usize = 5;

/// A custom kind with lists, maps and objects of every ownership, and parts that its schema does not describe.
pub(super) static CUSTOM: LazyLock<Arc<Resource>> = LazyLock::new(|| {
    let spec = json!({"type": "object", "properties": {
        "text": {"type": "string"}, "number": {"type": "integer"}, "either": {"x-kubernetes-int-or-string": true},
        "set": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
        "whole": {"type": "array", "x-kubernetes-list-type": "atomic", "items": {"type": "string"}},
        "plain": {"type": "array", "items": {"type": "object", "properties": {"a": {"type": "string"}}}},
        "map": {"type": "object", "additionalProperties": {"type": "string"}},
        "wholeMap": {"type": "object", "x-kubernetes-map-type": "atomic", "additionalProperties": {"type": "string"}},
        "open": {"type": "object", "x-kubernetes-preserve-unknown-fields": true,
            "properties": {"a": {"type": "string"}}},
        "anything": {"x-kubernetes-preserve-unknown-fields": true},
        "items": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name", "protocol"],
            "items": {"type": "object", "required": ["name"], "properties": {
                "name": {"type": "string"}, "protocol": {"type": "string", "default": "TCP"},
                "value": {"type": "string"}, "other": {"type": "integer"},
                "set": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}}}}},
        "maps": {"type": "object", "additionalProperties": {"type": "object", "properties": {
            "a": {"type": "string"}, "b": {"type": "string"}}}}}});
    let definition = json!({
        "spec": {"group": "example.com", "scope": "Namespaced", "versions": [{"name": "v1", "served": true, "storage": true,
            "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": spec}}}}]},
        "status": {"acceptedNames": {"kind": "Thing", "plural": "things"},
            "conditions": [{"type": "Established", "status": "True"}]}});
    Arc::new(definition::rows(&definition).remove(0))
});

/// The kinds whose objects are written.
static KINDS: LazyLock<Vec<Arc<Resource>>> = LazyLock::new(|| {
    let builtin = [("", "Pod"), ("", "Service"), ("apps", "Deployment"), ("", "ConfigMap"), ("", "ServiceAccount")];
    let rows = builtin.iter().filter_map(|(group, kind)| Scheme::builtin().by_kind(group, "v1", kind)).cloned();
    [Arc::clone(&CUSTOM)].into_iter().chain(rows).collect()
});

/// Writes of several managers to one object, and what holds after each of them.
pub fn apply(bytes: &[u8]) {
    let mut maker = Maker::new(Schemas::builtin(), bytes);
    let choice = maker.roll(2 * KINDS.len());
    // A custom kind has every way to own in little space, and so is half of all.
    let Some(row) = KINDS.get(choice).or_else(|| KINDS.first()) else { return };
    let mut maker = maker.with(row.schema.schemas());
    let mut history = History::new(row);
    if maker.once_in(3) {
        let whole = maker.object(row.schema.id());
        history.split(&mut maker, &whole);
        return;
    }
    for _ in 0..=maker.roll(WRITES_MAX) {
        let manager = maker.pick(&MANAGERS);
        match maker.roll(4) {
            0 => {
                let kind = Type::Object(row.schema.id());
                let new = maker.like(&kind, &history.object);
                history.update(manager, new);
            }
            choice => {
                let kind = Type::Object(row.schema.id());
                let applied =
                    if choice == 1 { maker.like(&kind, &history.applied) } else { maker.object(row.schema.id()) };
                history.apply(manager, &applied, maker.once_in(2));
            }
        }
    }
}

/// An object, its managers, and what was applied last.
pub(super) struct History<'a> {
    row: &'a Resource,
    typed: Typed<'a>,
    kind: Type,
    pub(super) object: Value,
    pub(super) managers: Managers,
    applied: Value,
}

impl<'a> History<'a> {
    pub(super) fn new(row: &'a Resource) -> Self {
        let (typed, kind) = (row.typed(), Type::Object(row.schema.id()));
        let mut history =
            Self { row, typed, kind, object: json!({}), managers: Managers::default(), applied: json!({}) };
        history.object = history.write(Operation::Apply, "").empty();
        history
    }

    fn place(&self) -> Place<'_> {
        Place::root(self.row.schema.schemas(), &self.kind)
    }

    fn write(&self, operation: Operation, manager: &str) -> Write<'_> {
        let (manager, api_version) = (manager.to_owned(), self.row.api_version());
        let actor = Actor { operation, manager, api_version, subresource: String::new() };
        self.typed.write(actor, NOW.to_owned(), Fields::default())
    }

    /// An object as it is stored, if it can be.
    fn stored(&self, value: Value) -> Option<Value> {
        let mut object = self.row.decode(value).ok()?.object;
        self.row.set_defaults(&mut object);
        self.row.canonicalize(&mut object);
        object["metadata"]["uid"] = "u".into();
        Some(object)
    }

    /// What is said in `applied`, in the words in which it is stored: else it would differ from what it made. Nothing is
    /// said of what is null, which is not stored, and of what is empty while its parts have owners of their own: as upstream,
    /// that goes with the last part that its manager takes away.
    fn canonical(&self, applied: &Value) -> Option<Value> {
        let is_known = self.row.decode(applied.clone()).is_ok_and(|decoded| decoded.unknown.is_empty());
        let stored = is_known.then(|| self.stored(applied.clone()))??;
        let both = what_is_in_both(self.place(), &stored, applied);
        // An item without one of its keys has another name once it is stored; validation refuses such an object.
        let is_named = owned(self.place(), &both).difference(&owned(self.place(), &stored)).is_empty();
        is_named.then_some(both)
    }

    fn update(&mut self, manager: &str, new: Value) {
        let Some(new) = self.stored(new) else { return };
        let managers = self.write(Operation::Update, manager).update(&self.object, &new, self.managers.clone());
        (self.object, self.managers) = (new, managers);
        self.all_is_there(&format!("{manager} updates to {}", self.object));
    }

    pub(super) fn apply(&mut self, manager: &str, applied: &Value, force: bool) {
        let Some(applied) = self.canonical(applied) else { return };
        let told = format!("{manager} applies {applied} to {}", self.shown());
        let write = self.write(Operation::Apply, manager);
        let done = match write.apply(&self.object, self.managers.clone(), &applied, force) {
            Err(ApplyError::Unfit(_)) => return,
            Err(ApplyError::Conflicts(conflicts)) => {
                assert!(!force && !conflicts.is_empty(), "{told}: {conflicts:?}");
                let forced = write.apply(&self.object, self.managers.clone(), &applied, true);
                assert!(forced.is_ok(), "{told}, by force");
                return;
            }
            Ok(done) => done,
        };
        if !force {
            let forced =
                write.apply(&self.object, self.managers.clone(), &applied, true).expect("it went without force");
            assert_eq!((&forced.object, &forced.managers), (&done.object, &done.managers), "{told}, by force");
        }
        let Some(object) = self.stored(done.object) else { return };
        let managers = done.managers;
        let rest = Comparison::of(self.place(), &object, &merged(self.place(), &object, &applied));
        assert!(rest.touched.is_empty(), "{told}, and {:?} are not there: {object}", rest.touched.paths());

        // Who owns nothing is nobody: what is there then counts as there before anybody applied.
        if !managers.is_empty() {
            let again = write.apply(&object, managers.clone(), &applied, false).expect("who applied may apply again");
            let same = self.stored(again.object);
            assert_eq!(same.as_ref(), Some(&object), "{told}, twice");
            assert_eq!(shown(&object, &again.managers), shown(&object, &managers), "{told}, twice");
        }
        (self.object, self.managers, self.applied) = (object, managers, applied);
        self.all_is_there(&told);
    }

    /// Nobody owns what is not there, and who owns what is written and read again.
    fn all_is_there(&self, told: &str) {
        // An empty list is there for who adds it, although an applier owns no part of it.
        let added = Comparison::of(self.place(), &json!({}), &self.object).touched;
        let there = owned(self.place(), &self.object).union(&added);
        for entry in &self.managers.entries {
            let (actor, object) = (&entry.actor, &self.object);
            assert!(are_there(&entry.fields, &there), "{told}: {actor:?} owns {:?} of {object}", entry.fields.paths());
        }
        let shown = self.shown();
        assert_eq!(super::history::shown(&self.object, &Managers::of(&shown)), shown, "{told}");
    }

    pub(super) fn shown(&self) -> Value {
        shown(&self.object, &self.managers)
    }

    /// What managers say of the object. What nobody says are defaults, and some depend on what was there when they were
    /// set.
    fn said(&self) -> Value {
        let entries = self.managers.entries.iter();
        let said = entries.fold(Fields::default(), |said, entry| said.union(&entry.fields));
        let unsaid = owned(self.place(), &self.object).difference(&said);
        without_nulls(without(self.place(), &self.object, &unsaid))
    }

    /// Two managers apply a part each: in either order the same becomes of it, and it is what one who applies all gets.
    fn split(&mut self, maker: &mut Maker<'_, '_>, whole: &Value) {
        let Some(whole) = self.canonical(whole).filter(|whole| complaints(self.place(), whole).is_empty()) else {
            return;
        };
        let (one, other) = parts(self.place(), &whole, maker);
        let (one, other) = (one.unwrap_or_else(|| json!({})), other.unwrap_or_else(|| json!({})));
        self.commutes(&whole, &one, &other);
    }

    pub(super) fn commutes(&self, whole: &Value, one: &Value, other: &Value) {
        let after = |writes: &[(&str, &Value)]| {
            let mut history = History::new(self.row);
            for (manager, applied) in writes {
                let write = history.write(Operation::Apply, manager);
                let done = write.apply(&history.object, history.managers.clone(), applied, false);
                let done = match done {
                    Ok(done) => done,
                    Err(ApplyError::Unfit(_)) => return None,
                    Err(conflicts) => unreachable!("{one} and {other}: {conflicts}"),
                };
                let object = history.stored(done.object)?;
                (history.object, history.managers) = (object, done.managers);
            }
            let said = sort(history.place(), &mut history.said())?;
            Some((shown(&said, &history.managers), said))
        };
        // Who applies no more than an empty list owns nothing, and what is there counts as there before anybody applied.
        let owns = |applied: &Value| {
            after(&[("a", applied)]).is_some_and(|(shown, _)| shown.pointer("/metadata/managedFields").is_some())
        };
        if !owns(one) || !owns(other) {
            return;
        }
        let (forth, back) = (after(&[("a", one), ("b", other)]), after(&[("b", other), ("a", one)]));
        assert_eq!(forth.as_ref().map(|(shown, _)| shown), back.as_ref().map(|(shown, _)| shown), "{one} and {other}");
        if let (Some((_, both)), Some((_, alone))) = (forth, after(&[("a", whole)])) {
            assert_eq!(both, alone, "{one} and {other}");
        }
    }
}

/// Whether all fields are among these. Who applied `{}` owns an object that others may have filled since.
fn are_there(fields: &Fields, there: &Fields) -> bool {
    fields.nodes().all(|(element, node)| there.get(element).is_some_and(|there| are_there(&node.inner, &there.inner)))
}

fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let there = fields.into_iter().map(|(name, part)| (name, without_nulls(part)));
            Value::Object(there.filter(|(_, part)| !part.is_null()).collect())
        }
        Value::Array(items) => items.into_iter().map(without_nulls).collect(),
        other => other,
    }
}

/// As a value: the object, and who owns what.
pub(super) fn shown(object: &Value, managers: &Managers) -> Value {
    let mut shown = object.clone();
    managers.clone().put(&mut shown);
    shown
}

/// Of `canonical` what has a counterpart in `said`; what has one owner is kept whole.
fn what_is_in_both(place: Place<'_>, canonical: &Value, said: &Value) -> Value {
    match (place.shape_of([canonical]), canonical, said) {
        (Shape::Struct(_) | Shape::Map(_), Value::Object(parts), Value::Object(said)) => {
            let said = |name: &str| said.get(name).filter(|said| !said.is_null());
            let both = parts.iter().filter(|(_, part)| !part.is_null()).filter_map(|(name, part)| {
                let place = place.under(name)?;
                let both = what_is_in_both(place, part, said(name)?);
                let is_said = matches!(place.shape(), Shape::Leaf) || !is_bare(Some(&both));
                is_said.then(|| (name.clone(), both))
            });
            Value::Object(both.collect())
        }
        (Shape::Keyed(_, item_type), Value::Array(items), Value::Array(said)) => {
            let place = place.of_item(item_type);
            items.iter().zip(said).map(|(item, said)| what_is_in_both(place, item, said)).collect()
        }
        _ => canonical.clone(),
    }
}

/// Two values that together say what `value` says and nothing twice but the keys of items.
fn parts(place: Place<'_>, value: &Value, maker: &mut Maker<'_, '_>) -> (Option<Value>, Option<Value>) {
    let bare = |parts: Map<String, Value>| Some(parts).filter(|parts| !parts.is_empty()).map(Value::Object);
    match (place.shape_of([value]), value) {
        (Shape::Struct(_) | Shape::Map(_), Value::Object(all)) if !all.is_empty() => {
            let (mut one, mut other) = (Map::new(), Map::new());
            for (name, part) in all {
                let Some(place) = place.under(name) else { continue };
                let (left, right) = parts(place, part, maker);
                one.extend(left.map(|left| (name.clone(), left)));
                other.extend(right.map(|right| (name.clone(), right)));
            }
            (bare(one), bare(other))
        }
        (Shape::Set | Shape::Keyed(..), Value::Array(all)) if !all.is_empty() => {
            let (mut one, mut other) = (Vec::new(), Vec::new());
            for item in all {
                let Shape::Keyed(keys, item_type) = place.shape() else {
                    if maker.roll(2) == 0 {
                        one.push(item.clone())
                    } else {
                        other.push(item.clone())
                    }
                    continue;
                };
                let (left, right) = parts(place.of_item(item_type), item, maker);
                for (half, list) in [(left, &mut one), (right, &mut other)] {
                    let Some(Value::Object(mut half)) = half else { continue };
                    half.extend(keys.iter().filter_map(|key| Some((key.to_string(), item.get(&**key)?.clone()))));
                    list.push(Value::Object(half));
                }
            }
            let bare = |list: Vec<Value>| Some(list).filter(|list| !list.is_empty()).map(Value::Array);
            (bare(one), bare(other))
        }
        _ if maker.roll(2) == 0 => (Some(value.clone()), None),
        _ => (None, Some(value.clone())),
    }
}

/// A value with the items of its lists in the order of their elements, where each has its own owners: in which order they
/// stand depends on who came first.
fn sort(place: Place<'_>, value: &mut Value) -> Option<Value> {
    match place.shape_of([&*value]) {
        Shape::Struct(_) | Shape::Map(_) => {
            for (name, part) in value.as_object_mut().into_iter().flatten() {
                if let Some(place) = place.under(name) {
                    *part = sort(place, part)?;
                }
            }
        }
        Shape::Set | Shape::Keyed(..) if value.is_array() => {
            let list = value.clone();
            let mut sorted = items(&place, Some(&list));
            sorted.sort_by(|(one, _), (other, _)| one.cmp(other));
            *value = sorted
                .into_iter()
                .filter_map(|(_, item)| match place.shape() {
                    Shape::Keyed(_, item_type) => sort(place.of_item(item_type), &mut item.clone()),
                    _ => Some(item.clone()),
                })
                .collect();
        }
        Shape::Leaf | Shape::Set | Shape::Keyed(..) => {}
    }
    Some(value.take())
}
