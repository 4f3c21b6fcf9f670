//! Laws of patches.

use serde_json::{Value, json};

use super::made::Maker;
use crate::decode::decode;
use crate::patch::{json_patch, merge_patch, strategic};
use crate::schema::{Id, Schemas, Type};

/// Types with every way to merge: by key, by value, whole; maps, objects and unions of which one part is set.
const TYPES: [&str; 8] = [
    "io.k8s.api.core.v1.ServiceAccount",
    "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta",
    "io.k8s.api.core.v1.Container",
    "io.k8s.api.core.v1.ServiceSpec",
    "io.k8s.api.core.v1.PodSpec",
    "io.k8s.api.core.v1.Pod",
    "io.k8s.api.apps.v1.Deployment",
    "io.k8s.api.core.v1.ConfigMap",
];

/// What tells items apart in those types.
const MERGE_KEYS: [&str; 10] =
    ["containerPort", "devicePath", "ip", "key", "mountPath", "name", "port", "topologyKey", "type", "uid"];

/// Words of JSON patches, with one that is none.
const OPERATIONS: [&str; 7] = ["add", "remove", "replace", "move", "copy", "test", "what"];

/// An object with a patch of each form is refused, or it is JSON that is read the same again; and a patch does not
/// depend on what it was made for.
pub fn patches(bytes: &[u8]) {
    let schemas = Schemas::builtin();
    let mut maker = Maker::new(schemas, bytes);
    let id = schemas.named(maker.pick(&TYPES)).expect("the types are builtin");
    let made = maker.object(id);
    // What a patch meets was decoded and stored.
    let Ok(document) = decode(schemas, id, made, "X").map(|decoded| decoded.object) else { return };
    match maker.roll(3) {
        0 => of_operations(&mut maker, id, &document),
        1 => of_merging(&mut maker, id, &document),
        _ => of_strategy(&mut maker, id, &document),
    }
}

fn of_operations(maker: &mut Maker<'_, '_>, id: Id, document: &Value) {
    let mut places = Vec::new();
    pointers(document, String::new(), &mut places);
    let place = |maker: &mut Maker<'_, '_>| {
        let at = maker.roll(places.len());
        let mut place = places.get(at).cloned().unwrap_or_default();
        if maker.once_in(4) {
            place += maker.pick(&["/-", "/0", "/a", "/1", "/a~1b", "/~2"]);
        }
        place
    };
    let mut patch = Vec::new();
    for _ in 0..=maker.roll(4) {
        let mut operation = json!({"op": maker.pick(&OPERATIONS), "path": place(maker), "value": maker.anything(0)});
        if maker.once_in(2) {
            operation["from"] = place(maker).into();
        }
        patch.push(operation);
    }
    let whole = json_patch(document, &Value::Array(patch.clone()));
    let one_by_one =
        patch.iter().try_fold(document.clone(), |document, operation| json_patch(&document, &json!([operation])));
    if let (Ok(whole), Ok(one_by_one)) = (&whole, one_by_one) {
        assert_eq!(*whole, one_by_one, "{document} with {patch:?}");
    }
    if let Ok(patched) = whole {
        is_settled(id, &patched);
    }
}

fn of_merging(maker: &mut Maker<'_, '_>, id: Id, document: &Value) {
    let patch = if maker.once_in(4) { maker.anything(0) } else { maker.like(&Type::Object(id), document) };
    let mut once = document.clone();
    merge_patch(&mut once, &patch);
    let mut twice = once.clone();
    merge_patch(&mut twice, &patch);
    assert_eq!(once, twice, "{document} with {patch}");
    is_settled(id, &once);
}

fn of_strategy(maker: &mut Maker<'_, '_>, id: Id, document: &Value) {
    let schemas = Schemas::builtin();
    let mut patch = maker.like(&Type::Object(id), document);
    let is_directed = maker.once_in(2);
    if is_directed {
        direct(maker, &mut patch);
    }
    let Ok(once) = strategic(schemas, id, document, &patch) else { return };
    assert!(once.is_object(), "{document} with {patch} became {once}");
    is_settled(id, &once);
    if is_directed || has_twins(document) || has_twins(&patch) {
        return;
    }
    // Where nothing was, a part of the patch is taken over as it is; where something is, its items need their keys.
    if let Ok(twice) = strategic(schemas, id, &once, &patch) {
        assert_eq!(once, twice, "{document} with {patch}");
    }
}

/// Whether items of a list are null or cannot be told apart by a merge key: no valid object has such items.
fn has_twins(value: &Value) -> bool {
    match value {
        Value::Object(parts) => parts.values().any(has_twins),
        Value::Array(items) => {
            let are_twins = |one: &Value, other: &Value| {
                one == other || MERGE_KEYS.iter().any(|key| one.get(key).is_some() && one.get(key) == other.get(key))
            };
            let mut pairs =
                items.iter().enumerate().flat_map(|(at, one)| items.iter().skip(at + 1).map(move |it| (one, it)));
            // What a patch takes away is no key, and no object is one.
            let is_none = |key: &Value| key.is_null() || key.is_object() || key.is_array();
            let has_no_key = |item: &Value| MERGE_KEYS.iter().any(|key| item.get(key).is_some_and(is_none));
            pairs.any(|(one, other)| are_twins(one, other))
                || items.iter().any(|item| item.is_null() || has_no_key(item) || has_twins(item))
        }
        _ => false,
    }
}

/// Puts directives into a strategic patch.
fn direct(maker: &mut Maker<'_, '_>, patch: &mut Value) {
    match patch {
        Value::Array(items) => items.iter_mut().for_each(|item| direct(maker, item)),
        Value::Object(parts) => {
            parts.values_mut().for_each(|part| direct(maker, part));
            let names: Vec<String> = parts.keys().cloned().collect();
            let name = |maker: &mut Maker<'_, '_>| {
                let at = maker.roll(names.len());
                names.get(at).cloned().unwrap_or_else(|| "a".to_owned())
            };
            match maker.roll(12) {
                7 => {
                    let directive = maker.pick(&["replace", "delete", "merge", "x"]);
                    parts.insert("$patch".to_owned(), directive.into());
                }
                8 => {
                    parts.insert("$retainKeys".to_owned(), json!(names));
                }
                9 => {
                    let part = name(maker);
                    let order = parts.get(&part).cloned().unwrap_or_else(|| maker.anything(0));
                    parts.insert(format!("$setElementOrder/{part}"), order);
                }
                10 => {
                    let part = name(maker);
                    let gone = parts.get(&part).cloned().unwrap_or_else(|| maker.anything(0));
                    parts.insert(format!("$deleteFromPrimitiveList/{part}"), gone);
                }
                11 => {
                    let part = name(maker);
                    parts.insert(part, Value::Null);
                }
                _ => {}
            }
        }
        _ => {}
    }
}

/// The places in a value, as JSON pointers.
fn pointers(value: &Value, place: String, found: &mut Vec<String>) {
    match value {
        Value::Object(parts) => {
            for (name, part) in parts {
                pointers(part, format!("{place}/{}", name.replace('~', "~0").replace('/', "~1")), found);
            }
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, item)| pointers(item, format!("{place}/{index}"), found));
        }
        _ => {}
    }
    found.push(place);
}

/// What was patched is JSON, and is decoded to what is decoded to itself, or refused.
fn is_settled(id: Id, patched: &Value) {
    let again: Value = serde_json::from_str(&patched.to_string()).expect("what was patched is JSON");
    assert_eq!(again, *patched);
    let Ok(first) = decode(Schemas::builtin(), id, again, "X") else { return };
    let second = decode(Schemas::builtin(), id, first.object.clone(), "X").expect("what was decoded can be decoded");
    assert_eq!(second.object, first.object, "{patched}");
    assert_eq!(second.unknown, <[String; 0]>::default(), "{patched}");
}
