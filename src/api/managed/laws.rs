//! What holds of any sequence of applications: random appliers write random parts of a pod, seeds are fixed.

use serde_json::{Map, Value, json};

use super::compare::Comparison;
use super::owned::owned;
use super::shape::Place;
use super::*;
use crate::laws::dice::Dice;

const NOW: &str = "2026-11-23T08:51:14Z";
const APPLIERS: [&str; 3] = ["a", "b", "c"];

impl Dice {
    /// A map with the first key and some others: an empty one is dropped when it is stored, and so is not there to own.
    fn map(&mut self, keys: &[&str]) -> Value {
        let mut map = Map::new();
        for (index, key) in keys.iter().enumerate() {
            if index == 0 || self.roll(2) == 0 {
                map.insert((*key).to_owned(), self.pick(&["1", "2"]).into());
            }
        }
        Value::Object(map)
    }

    /// Some fields of a pod: a map, a set, an atomic list, items by one key and by two with a default.
    fn pod(&mut self) -> Value {
        let mut pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}});
        if self.roll(2) == 0 {
            pod["metadata"]["labels"] = self.map(&["x", "y", "z"]);
        }
        if self.roll(2) == 0 {
            pod["metadata"]["finalizers"] = json!([format!("{}.example/f", self.pick(&["x", "y"]))]);
        }
        if self.roll(3) == 0 {
            pod["spec"]["nodeSelector"] = self.map(&["x", "y"]);
        }
        let mut containers = Vec::new();
        for name in ["one", "two", "three"] {
            if self.roll(2) == 0 {
                let mut container = json!({"name": name, "image": self.pick(&["i", "j"])});
                if self.roll(2) == 0 {
                    container["args"] = json!([self.pick(&["u", "v"])]);
                }
                if self.roll(2) == 0 {
                    container["ports"] = json!([{"containerPort": 80 + self.roll(2)}]);
                }
                containers.push(container);
            }
        }
        if self.roll(2) == 0 {
            containers.reverse();
        }
        if !containers.is_empty() {
            pod["spec"]["containers"] = containers.into();
        }
        pod
    }
}

struct Law {
    id: Id,
}

impl Law {
    fn new() -> Self {
        Self { id: Schemas::builtin().named("io.k8s.api.core.v1.Pod").unwrap() }
    }

    /// What applying makes of an object and its managers.
    fn apply(&self, (live, managers): &(Value, Managers), manager: &str, pod: &Value) -> (Value, Managers) {
        let actor = Actor {
            operation: Operation::Apply,
            manager: manager.to_owned(),
            api_version: "v1".to_owned(),
            subresource: String::new(),
        };
        let typed = Typed::new(Schemas::builtin(), self.id);
        let write = typed.write(actor, NOW.to_owned(), Fields::default());
        let done = write.apply(live, managers.clone(), pod, true).unwrap();
        let object = crate::decode::decode(Schemas::builtin(), self.id, done.object, "Pod").unwrap().object;
        (object, done.managers)
    }

    fn empty(&self) -> (Value, Managers) {
        (crate::decode::decode(Schemas::builtin(), self.id, json!({}), "Pod").unwrap().object, Managers::default())
    }

    fn owned(&self, object: &Value) -> Fields {
        let kind = Type::Object(self.id);
        owned(Place::root(Schemas::builtin(), &kind), object)
    }

    /// As a value: the object, and who owns what.
    fn shown(&self, (object, managers): &(Value, Managers)) -> Value {
        let mut shown = object.clone();
        shown["metadata"]["uid"] = "u".into();
        managers.clone().put(&mut shown);
        shown
    }
}

#[test]
fn applying_the_same_again_changes_nothing() {
    let (law, mut dice) = (Law::new(), Dice(1));
    for round in 0..300 {
        let mut state = law.empty();
        for _ in 0..4 {
            let (manager, pod) = (dice.pick(&APPLIERS), dice.pod());
            state = law.apply(&state, manager, &pod);
            let again = law.apply(&state, manager, &pod);
            assert_eq!(law.shown(&again), law.shown(&state), "round {round}: {manager} applies {pod}");
        }
    }
}

#[test]
fn what_is_applied_is_there_and_owned() {
    let (law, mut dice) = (Law::new(), Dice(2));
    let kind = Type::Object(law.id);
    let place = Place::root(Schemas::builtin(), &kind);
    for round in 0..300 {
        let mut state = law.empty();
        for _ in 0..4 {
            let (manager, pod) = (dice.pick(&APPLIERS), dice.pod());
            state = law.apply(&state, manager, &pod);
            let laid_over = super::merge::merged(place, &state.0, &pod);
            let rest = Comparison::of(place, &state.0, &laid_over);
            assert!(rest.touched.is_empty(), "round {round}: {manager} applies {pod}");
            let there = law.owned(&state.0);
            for entry in &state.1.entries {
                let gone = entry.fields.difference(&there);
                assert!(gone.is_empty(), "round {round}: {:?} owns {:?}", entry.actor.manager, gone.paths());
            }
        }
    }
}

#[test]
fn who_applies_nothing_any_more_leaves_what_others_own_alone() {
    let (law, mut dice) = (Law::new(), Dice(3));
    let nothing = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}});
    for round in 0..300 {
        let (mine, theirs) = (dice.pod(), dice.pod());
        let alone = law.apply(&law.empty(), "b", &theirs);
        let both = law.apply(&law.apply(&law.empty(), "b", &theirs), "a", &theirs);
        let left = law.apply(&both, "a", &nothing);
        assert_eq!(left.0, alone.0, "round {round}: {theirs}");
        let before = law.apply(&law.empty(), "a", &mine);
        let after = law.apply(&before, "a", &nothing);
        assert_eq!(after.0["spec"]["containers"], Value::Null, "round {round}: {mine}");
        assert!(after.1.is_empty(), "round {round}: {mine}");
    }
}

#[test]
fn the_order_of_appliers_that_want_different_things_does_not_matter() {
    let (law, mut dice) = (Law::new(), Dice(4));
    for round in 0..300 {
        let labels = |keys: &[&str], dice: &mut Dice| json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "labels": dice.map(keys)}});
        let (one, other) = (labels(&["a", "b"], &mut dice), labels(&["c", "d"], &mut dice));
        let forth = law.apply(&law.apply(&law.empty(), "a", &one), "b", &other);
        let back = law.apply(&law.apply(&law.empty(), "b", &other), "a", &one);
        assert_eq!(law.shown(&forth), law.shown(&back), "round {round}: {one} and {other}");
    }
}
