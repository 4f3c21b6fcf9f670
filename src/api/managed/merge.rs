//! Laying what is applied over what is there.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde_json::{Map, Value};

use super::shape::{Place, Shape, is_bare, items};

/// `live` with all that `applied` says.
pub(super) fn merged(place: Place<'_>, live: &Value, applied: &Value) -> Value {
    let shape = place.shape_of([live, applied]);
    if matches!(shape, Shape::Leaf) || (is_bare(Some(live)) && is_bare(Some(applied))) {
        return applied.clone();
    }
    match shape {
        Shape::Leaf => applied.clone(),
        Shape::Struct(_) | Shape::Map(_) => objects(place, live, applied),
        Shape::Set | Shape::Keyed(..) => Value::Array(lists(place, live, applied)),
    }
}

fn objects(place: Place<'_>, live: &Value, applied: &Value) -> Value {
    let mut all: Map<String, Value> = live.as_object().cloned().unwrap_or_default();
    for (name, value) in applied.as_object().into_iter().flatten() {
        let value = match (all.get(name), place.under(name)) {
            (Some(live), Some(place)) => merged(place, live, value),
            _ => value.clone(),
        };
        all.insert(name.clone(), value);
    }
    Value::Object(all)
}

/// Items of both, in an order that keeps both orders where they agree and the applied one where they do not: an item
/// that only lives stays behind what it stood behind. The result is upstream's.
fn lists(place: Place<'_>, live: &Value, applied: &Value) -> Vec<Value> {
    let (live, applied) = (items(&place, Some(live)), items(&place, Some(applied)));
    let by_element: BTreeMap<&str, &Value> = live.iter().rev().map(|(element, item)| (&**element, *item)).collect();
    let wanted: BTreeSet<&str> = applied.iter().map(|(element, _)| &**element).collect();
    let together = |element: &str, item: &Value| match (place.shape(), by_element.get(element)) {
        (Shape::Keyed(_, item_type), Some(live)) => merged(place.of_item(item_type), live, item),
        _ => item.clone(),
    };
    // Items of both in the order in which they are applied; the first of them comes next.
    let mut shared: VecDeque<&str> =
        applied.iter().map(|(element, _)| &**element).filter(|element| by_element.contains_key(element)).collect();
    let mut taken = BTreeSet::new();
    let (mut lives, mut applies) = (live.iter().peekable(), applied.iter().peekable());
    let mut list = Vec::with_capacity(live.len().max(applied.len()));
    loop {
        match (lives.peek(), applies.peek()) {
            (None, None) => return list,
            (Some((left, item)), _) if !wanted.contains(&**left) => {
                list.push((*item).clone());
                lives.next();
                continue;
            }
            (Some((left, _)), Some((right, _))) if left == right => {
                lives.next();
            }
            // It comes in another turn.
            (Some((left, _)), Some(_)) if shared.front().is_some_and(|next| *next != &**left) => {
                lives.next();
                continue;
            }
            (Some((left, _)), right) if taken.contains(&**left) => {
                let is_last = right.is_none();
                lives.next();
                if is_last {
                    continue;
                }
            }
            (Some(_), None) => {
                lives.next();
                continue;
            }
            _ => {}
        }
        if let Some((element, item)) = applies.next() {
            list.push(together(element, item));
            taken.insert(&**element);
            if shared.front() == Some(&&**element) {
                shared.pop_front();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::schema::{Schemas, Type};

    fn merge(live: Value, applied: Value) -> Value {
        let schemas = Schemas::builtin();
        let kind = Type::Object(schemas.named("io.k8s.api.core.v1.Pod").unwrap());
        merged(Place::root(schemas, &kind), &live, &applied)
    }

    #[test]
    fn fields_entries_and_items_are_laid_over_and_atomic_parts_replaced() {
        let live = json!({"metadata": {"labels": {"a": "1", "b": "1"}}, "spec": {"containers": [
            {"name": "web", "image": "1", "args": ["x", "y"]}, {"name": "side", "image": "1"}], "nodeSelector": {"a": "1"}}});
        let applied = json!({"metadata": {"labels": {"b": "2"}}, "spec": {"containers": [
            {"name": "web", "args": ["z"]}], "nodeSelector": {"b": "1"}}});
        assert_eq!(
            merge(live, applied),
            json!({"metadata": {"labels": {"a": "1", "b": "2"}}, "spec": {"containers": [
                {"name": "web", "image": "1", "args": ["z"]}, {"name": "side", "image": "1"}], "nodeSelector": {"b": "1"}}})
        );
    }

    #[test]
    fn items_are_ordered_as_upstream_orders_them() {
        let list = |names: &str| -> Value {
            names.chars().map(|name| json!({"name": name.to_string()})).collect::<Vec<_>>().into()
        };
        for (live, applied, expected) in [
            ("ab", "ab", "ab"),
            ("ab", "ba", "ba"),
            ("axb", "ba", "xba"),
            ("axby", "ba", "xbya"),
            ("ab", "ca", "cab"),
            ("ab", "ac", "abc"),
            ("abc", "cd", "abcd"),
            ("abc", "xbz", "axbcz"),
            ("", "ab", "ab"),
            ("ab", "", "ab"),
        ] {
            let with = |names| json!({"spec": {"containers": list(names)}});
            assert_eq!(merge(with(live), with(applied)), with(expected), "{live} and {applied}");
        }
    }
}
