//! What becomes of one object: a pure function of its own state, its owners and its dependents.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;

use super::graph::{FOREGROUND, Fate, ORPHAN};

/// An object as the API server has it.
#[derive(Clone, Debug)]
pub(super) struct Object {
    pub(super) fate: Fate,
    pub(super) finalizers: Vec<String>,
    pub(super) owners: Vec<Owner>,
}

/// An owner that an object names.
#[derive(Clone, Debug)]
pub(super) struct Owner {
    pub(super) reference: OwnerReference,
    pub(super) state: OwnerState,
}

/// How an owner is, as the API server has it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum OwnerState {
    /// It is there, and stays.
    Solid,
    /// It goes once its dependents are gone.
    GoesLast,
    /// There is none.
    Absent,
}

/// Those that name the object as their owner, as far as the graph knows.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Dependents {
    /// How many there are.
    pub(super) count: usize,
    /// How many hold up the object's deletion.
    pub(super) blocking: usize,
    /// Whether one of them goes only once its own dependents are gone.
    pub(super) has_one_that_goes_last: bool,
}

/// What shall be done.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Plan {
    /// Nothing.
    Keep,
    /// Its dependents shall be looked at; it waits for them.
    LookAtDependents,
    /// Nobody holds it up any more: this finalizer goes.
    LetGo(&'static str),
    /// Its dependents shall forget it; then it may go.
    Orphan,
    /// It shall name only these owners from now on.
    Name(Vec<OwnerReference>),
    /// It shall name these owners without holding up any of them, and be deleted after its dependents: otherwise a
    /// ring of owners would wait for ever.
    Unblock(Vec<OwnerReference>),
    /// It shall be deleted.
    Delete(Policy),
}

/// What shall become of the dependents of an object that is deleted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Policy {
    /// They go after it.
    Background,
    /// They go before it.
    Foreground,
    /// They stay.
    Orphan,
}

/// The decision.
pub(super) fn plan(object: &Object, dependents: Dependents) -> Plan {
    match object.fate {
        Fate::Orphans => return Plan::Orphan,
        Fate::GoesLast if dependents.blocking == 0 => return Plan::LetGo(FOREGROUND),
        Fate::GoesLast => return Plan::LookAtDependents,
        Fate::Goes => return Plan::Keep,
        Fate::Stays => {}
    }
    if object.owners.is_empty() {
        return Plan::Keep;
    }
    let in_state = |state: OwnerState| object.owners.iter().filter(move |owner| owner.state == state);
    let solid: Vec<OwnerReference> = in_state(OwnerState::Solid).map(|owner| owner.reference.clone()).collect();
    if solid.len() == object.owners.len() {
        return Plan::Keep;
    }
    if !solid.is_empty() {
        return Plan::Name(solid);
    }
    if in_state(OwnerState::GoesLast).next().is_some() && dependents.count > 0 {
        if dependents.has_one_that_goes_last && blocks(object) {
            return Plan::Unblock(object.owners.iter().map(|owner| unblocking(&owner.reference)).collect());
        }
        return Plan::Delete(Policy::Foreground);
    }
    Plan::Delete(policy(object))
}

/// Whether the object holds up an owner of its own.
fn blocks(object: &Object) -> bool {
    object.owners.iter().any(|owner| owner.reference.block_owner_deletion == Some(true))
}

fn unblocking(reference: &OwnerReference) -> OwnerReference {
    OwnerReference { block_owner_deletion: Some(false), ..reference.clone() }
}

/// The policy that the object's own finalizers ask for.
fn policy(object: &Object) -> Policy {
    let has = |name: &str| object.finalizers.iter().any(|finalizer| finalizer == name);
    match (has(ORPHAN), has(FOREGROUND)) {
        (true, _) => Policy::Orphan,
        (false, true) => Policy::Foreground,
        (false, false) => Policy::Background,
    }
}

#[cfg(test)]
pub(super) mod testing {
    //! A kind for the tables of this controller.

    use kube::discovery::ApiResource;

    use crate::resources::Kind;

    /// A namespaced kind of the core group.
    pub(in crate::garbage) fn kind(kind: &str) -> Kind {
        let resource = ApiResource {
            group: String::new(),
            version: "v1".into(),
            api_version: "v1".into(),
            kind: kind.into(),
            plural: format!("{}s", kind.to_lowercase()),
        };
        Kind::for_test(resource)
    }
}

#[cfg(test)]
mod tests {
    use super::OwnerState::{Absent, GoesLast, Solid};
    use super::*;

    fn owner(state: OwnerState) -> Owner {
        let uid = format!("{state:?}");
        let reference = OwnerReference { uid, block_owner_deletion: Some(true), ..OwnerReference::default() };
        Owner { reference, state }
    }

    #[track_caller]
    fn check(states: &[OwnerState], finalizers: &[&str], dependents: Dependents, expected: Plan) {
        let object = Object {
            fate: Fate::Stays,
            finalizers: finalizers.iter().map(|name| (*name).to_owned()).collect(),
            owners: states.iter().map(|state| owner(*state)).collect(),
        };
        assert_eq!(plan(&object, dependents), expected, "{states:?}");
    }

    const NONE: Dependents = Dependents { count: 0, blocking: 0, has_one_that_goes_last: false };

    #[test]
    fn an_object_stays_while_one_owner_is_solid() {
        check(&[], &[], NONE, Plan::Keep);
        check(&[Solid], &[], NONE, Plan::Keep);
        let solid = || vec![owner(Solid).reference];
        check(&[Solid, Absent], &[], NONE, Plan::Name(solid()));
        check(&[Solid, GoesLast, Absent], &[], NONE, Plan::Name(solid()));
    }

    #[test]
    fn an_object_without_a_solid_owner_goes_the_way_it_asked_for() {
        check(&[Absent], &[], NONE, Plan::Delete(Policy::Background));
        check(&[Absent], &[ORPHAN], NONE, Plan::Delete(Policy::Orphan));
        check(&[Absent], &[FOREGROUND], NONE, Plan::Delete(Policy::Foreground));
        check(&[GoesLast], &[], NONE, Plan::Delete(Policy::Background));
    }

    #[test]
    fn an_object_whose_owner_waits_for_it_goes_after_its_own_dependents() {
        let some = Dependents { count: 1, ..NONE };
        check(&[GoesLast], &[], some, Plan::Delete(Policy::Foreground));
        let ring = Dependents { has_one_that_goes_last: true, ..some };
        check(&[GoesLast], &[], ring, Plan::Unblock(vec![unblocking(&owner(GoesLast).reference)]));
    }

    #[test]
    fn an_object_that_is_being_deleted_follows_its_fate() {
        let check = |fate, blocking, expected| {
            let object = Object { fate, finalizers: Vec::new(), owners: vec![owner(Absent)] };
            let dependents = Dependents { count: 2, blocking, has_one_that_goes_last: false };
            assert_eq!(plan(&object, dependents), expected, "{fate:?} {blocking}");
        };
        check(Fate::Orphans, 1, Plan::Orphan);
        check(Fate::GoesLast, 1, Plan::LookAtDependents);
        check(Fate::GoesLast, 0, Plan::LetGo(FOREGROUND));
        check(Fate::Goes, 1, Plan::Keep);
    }
}
