//! Admission policies: rules in CEL that validate or change objects (`ValidatingAdmissionPolicy`,
//! `MutatingAdmissionPolicy`), where bindings say that they hold.
//!
//! Reading order: `compiled` (policies as they are evaluated), `scope` (which bindings a request concerns, and with which
//! parameters), `authorizer` (what expressions may ask of rights), then what is done: [`validate`] and [`mutate`];
//! [`status`] tells whether expressions fit.

mod authorizer;
mod compiled;
mod mutate;
mod scope;
pub(crate) mod status;
mod validate;

use std::sync::{Arc, Mutex, PoisonError};

use api::scheme::Scheme;
use serde_json::Value;
use store::Revision;

use crate::cache::kept::Kept;
use crate::objects::Objects;
use crate::verbs::Call;
use compiled::{Mutating, Validating};

pub(crate) use authorizer::Rights;
pub(crate) use compiled::{Conditions, conditions_hold};
pub(crate) use mutate::mutate;
pub(crate) use scope::resource;
pub(crate) use validate::validate;

const GROUP: &str = "admissionregistration.k8s.io";

/// Whether there is a policy that changes objects somewhere.
pub(crate) fn may_mutate(call: &Call) -> bool {
    call.server.admission_policies().mutating(call.objects()).bound().next().is_some()
}

/// Whether there is a policy that looks at objects somewhere.
pub(crate) fn may_validate(call: &Call) -> bool {
    call.server.admission_policies().validating(call.objects()).bound().next().is_some()
}

/// Policies and bindings as the caches have them, read once a change.
#[derive(Debug, Default)]
pub(crate) struct Policies {
    validating: Mutex<Arc<Sort<Validating>>>,
    mutating: Mutex<Arc<Sort<Mutating>>>,
}

/// The policies of a sort, and their bindings.
#[derive(Debug)]
struct Sort<P> {
    policies: Kept<P>,
    bindings: Kept<Value>,
}

impl<P> Default for Sort<P> {
    fn default() -> Self {
        Self { policies: Kept::default(), bindings: Kept::default() }
    }
}

impl Policies {
    fn validating(&self, objects: &Objects) -> Arc<Sort<Validating>> {
        let plurals = ["validatingadmissionpolicies", "validatingadmissionpolicybindings"];
        current(&self.validating, objects, plurals, Validating::read)
    }

    fn mutating(&self, objects: &Objects) -> Arc<Sort<Mutating>> {
        current(
            &self.mutating,
            objects,
            ["mutatingadmissionpolicies", "mutatingadmissionpolicybindings"],
            Mutating::read,
        )
    }
}

impl<P> Sort<P> {
    /// Each policy with its bindings, in the order of their names.
    fn bound(&self) -> impl Iterator<Item = (&Arc<str>, &Arc<P>, &Arc<str>, &Arc<Value>)> {
        self.policies.objects.iter().flat_map(|(name, (_, policy))| {
            let is_own = |binding: &Value| binding.pointer("/spec/policyName").and_then(Value::as_str) == Some(name);
            let bindings = self.bindings.objects.iter().filter(move |(_, (_, binding))| is_own(binding));
            bindings.map(move |(binding_name, (_, binding))| (name, policy, binding_name, binding))
        })
    }
}

fn current<P>(
    place: &Mutex<Arc<Sort<P>>>,
    objects: &Objects,
    plurals: [&str; 2],
    read: fn(Value) -> Option<P>,
) -> Arc<Sort<P>> {
    let mut newest = place.lock().unwrap_or_else(PoisonError::into_inner);
    let snapshots = plurals.map(|plural| {
        let cache = Scheme::builtin().resource(GROUP, "v1", plural).and_then(|row| objects.cache(row).ok());
        cache.map(|cache| cache.snapshot(Revision(0)))
    });
    if let [Some(policies), Some(bindings)] = snapshots
        && (policies.revision, bindings.revision) != (newest.policies.revision, newest.bindings.revision)
    {
        *newest = Arc::new(Sort {
            policies: newest.policies.renewed(&policies, read),
            bindings: newest.bindings.renewed(&bindings, Some),
        });
    }
    Arc::clone(&newest)
}
