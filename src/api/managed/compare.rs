//! What differs between two objects, field by field.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::fields::{self, Fields, Node};
use super::shape::{Place, Shape, is_bare, items};

/// What a change did.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Comparison {
    /// What is new or has another value.
    pub(super) touched: Fields,
    pub(super) removed: Fields,
}

/// The same beneath one element.
#[derive(Default)]
struct Differences {
    touched: Node,
    removed: Node,
}

impl Comparison {
    /// What `new` changes of `old`.
    pub(super) fn of(place: Place<'_>, old: &Value, new: &Value) -> Self {
        let found = differences(place, Some(old), Some(new));
        Self { touched: found.touched.inner, removed: found.removed.inner }
    }
}

impl Differences {
    /// Of two that differ as a whole.
    fn of_whole<T>(old: Option<T>, new: Option<T>) -> Self {
        let gone = old.is_some() && new.is_none();
        let (leaf, none) = (Node::leaf(), Node::default());
        if gone { Self { touched: none, removed: leaf } } else { Self { touched: leaf, removed: none } }
    }

    fn put(&mut self, element: &str, found: Self) {
        self.touched.inner.put(element.into(), found.touched);
        self.removed.inner.put(element.into(), found.removed);
    }
}

fn differences(place: Place<'_>, old: Option<&Value>, new: Option<&Value>) -> Differences {
    let mut found = Differences::default();
    if old == new {
        return found;
    }
    let shape = place.shape_of(old.into_iter().chain(new));
    // Nothing and nothing may still be absent, null and empty.
    if matches!(shape, Shape::Leaf) || (is_bare(old) && is_bare(new)) {
        let mut found = Differences::of_whole(old, new);
        // What may be anything was an object whose parts had owners of their own, and is none any more.
        if new.is_some() && old.is_some_and(|old| !matches!(place.shape_of([old]), Shape::Leaf)) {
            found.removed.inner = differences(place, old, None).removed.inner;
        }
        return found;
    }
    match shape {
        Shape::Leaf => {}
        Shape::Struct(_) | Shape::Map(_) => {
            let (old, new) = (old.and_then(Value::as_object), new.and_then(Value::as_object));
            let names: BTreeSet<&String> = old.into_iter().chain(new).flat_map(serde_json::Map::keys).collect();
            for name in names {
                let Some(place) = place.under(name) else { continue };
                let (old, new) = (old.and_then(|old| old.get(name)), new.and_then(|new| new.get(name)));
                found.put(&fields::field(name), differences(place, old, new));
            }
        }
        Shape::Set | Shape::Keyed(..) => {
            let (old, new) = (grouped(&place, old), grouped(&place, new));
            let elements: BTreeSet<&Box<str>> = old.keys().chain(new.keys()).collect();
            for element in elements {
                found.put(element, of_items(place, old.get(element), new.get(element)));
            }
        }
    }
    // What stands on one side alone is itself added or removed, beside its parts; what becomes null is not stored.
    found.touched.is_member |= old.is_none();
    found.removed.is_member |= new.is_none_or(Value::is_null);
    found
}

/// The items of one element. More than one of a list is invalid and yet may be stored: those differ as a whole.
fn of_items(place: Place<'_>, old: Option<&Vec<&Value>>, new: Option<&Vec<&Value>>) -> Differences {
    let is_single = [old, new].iter().flatten().all(|items| items.len() == 1);
    if let (true, Shape::Keyed(_, item_type)) = (is_single, place.shape()) {
        let [old, new] = [old, new].map(|items| items.and_then(|items| items.first().copied()));
        return differences(place.of_item(item_type), old, new);
    }
    if old == new {
        return Differences::default();
    }
    let mut found = Differences::of_whole(old, new);
    // One that is now several has no parts any more.
    if let (Some([only]), Shape::Keyed(_, item_type)) = (old.map(Vec::as_slice), place.shape()) {
        found.removed.inner = differences(place.of_item(item_type), Some(only), None).removed.inner;
    }
    found
}

fn grouped<'v>(place: &Place<'_>, value: Option<&'v Value>) -> BTreeMap<Box<str>, Vec<&'v Value>> {
    let mut groups: BTreeMap<Box<str>, Vec<&Value>> = BTreeMap::new();
    for (element, item) in items(place, value) {
        groups.entry(element).or_default().push(item);
    }
    groups
}
