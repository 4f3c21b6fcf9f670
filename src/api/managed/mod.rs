//! Field management: which manager owns which fields of an object, and server-side apply.
//!
//! Rules, names and texts are those of upstream's `structured-merge-diff` and `managedfields` libraries; how lists and
//! maps are owned comes from the schema. All of it is pure: a write is a value that is told the time.
//!
//! Reading order: [`fields`] (sets of fields), `shape` (how parts are owned), `owned`, `compare`, `merge` and `remove`
//! (one walk along a value each), [`managers`] (`metadata.managedFields`), [`update`] (what a write makes of them).

mod compare;
pub mod fields;
#[cfg(any(test, fuzzing))]
pub(crate) mod history;
pub mod managers;
mod merge;
mod owned;
mod remove;
mod shape;
pub mod update;

#[cfg(test)]
mod laws;
#[cfg(test)]
mod tests;

use serde_json::Value;

pub use fields::Fields;
pub use managers::{Actor, Managers, Operation};
pub use update::{Applied, ApplyError, Conflict, Write};

use crate::schema::{Id, Schemas, Type};

/// The type of the objects that a [`Write`] is about.
#[derive(Debug)]
pub struct Typed<'a> {
    schemas: &'a Schemas,
    kind: Type,
}

impl<'a> Typed<'a> {
    /// Objects of this type.
    #[must_use]
    pub fn new(schemas: &'a Schemas, id: Id) -> Self {
        Self { schemas, kind: Type::Object(id) }
    }

    /// A write of `actor`, at `now` (RFC 3339), that never changes the fields in `fixed`.
    #[must_use]
    pub fn write(&'a self, actor: Actor, now: String, fixed: Fields) -> Write<'a> {
        Write::new(actor, now, shape::Place::root(self.schemas, &self.kind), fixed)
    }
}

impl Typed<'_> {
    /// `object` with all that `configuration` says, as an admission policy applies it: without managers, and without
    /// replacing lists, maps and objects that have one owner as a whole.
    ///
    /// # Errors
    /// When the configuration is not of the type, or holds something that would be replaced as a whole.
    pub fn overlaid(&self, object: &Value, configuration: &Value) -> Result<Value, String> {
        let place = shape::Place::root(self.schemas, &self.kind);
        let unfit = owned::complaints(place, configuration);
        if let Some(first) = unfit.first() {
            return Err(format!("error applying patch: {first}"));
        }
        let whole = owned::wholes(place, configuration);
        if !whole.is_empty() {
            return Err(format!(
                "invalid ApplyConfiguration: may not mutate atomic arrays, maps or structs: {}",
                whole.join(", ")
            ));
        }
        Ok(merge::merged(place, object, configuration))
    }
}

/// Whether a value says nothing.
fn is_bare(value: &Value) -> bool {
    shape::is_bare(Some(value)) || value.as_str() == Some("")
}
