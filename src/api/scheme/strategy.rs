//! What differs between kinds, as functions and rules.

use std::fmt;

use jiff::Timestamp;
use serde_json::Value;

use crate::names::NameRule;
use crate::printers::Column;
use crate::validation::field::ErrorList;

/// What differs between kinds: plain functions of values, and rules.
///
/// Objects handed in are decoded and have `apiVersion` and `kind`. Functions that make an object ready run before
/// validation; `prepare_*` follow upstream's `PrepareForCreate` and `PrepareForUpdate`.
#[derive(Clone, Copy)]
pub struct Strategy {
    /// Sets what nobody set.
    pub defaults: fn(&mut Value),
    /// Makes a new object ready: drops `status` where it is a subresource, sets `generation` where the kind has one.
    pub prepare_create: fn(&mut Value),
    /// Makes an update ready (new, old): keeps `status`, raises `generation` when the spec changed.
    pub prepare_update: fn(&mut Value, &Value),
    /// Makes a status update ready (new, old): keeps the spec, and of metadata what only other updates change.
    pub prepare_status: fn(&mut Value, &Value),
    /// What `prepare_status` keeps, as paths of managed fields (upstream's `GetResetFields`): who writes it in a status
    /// update does not own it.
    pub status_resets: &'static [&'static [&'static str]],
    /// Sets the times of a status update that the server tells (new, old, now).
    pub stamp_status: fn(&mut Value, &Value, Timestamp),
    /// What is wrong with a new object, besides its metadata.
    pub validate: fn(&Value) -> ErrorList,
    /// What is wrong with an update (new, old), besides metadata.
    pub validate_update: fn(&Value, &Value) -> ErrorList,
    /// What is wrong with a status update (new, old), besides metadata.
    pub validate_status: fn(&Value, &Value) -> ErrorList,
    /// What the writer should know although it is allowed.
    pub warnings: fn(&Value) -> Vec<String>,
    /// What names its objects may have.
    pub name: NameRule,
    /// The columns of a Table.
    pub columns: &'static [Column],
    /// The cells of an object under `columns`, at this time.
    pub cells: fn(&Value, Timestamp) -> Vec<Value>,
    /// The selectable fields that the kind offers besides `metadata.name` (and, for namespaced kinds,
    /// `metadata.namespace`).
    pub field_names: &'static [&'static str],
    /// Selectable fields that objects are stored under another name for: what they are called, and what they are stored as.
    pub stored_fields: &'static [(&'static str, &'static str)],
    /// The values of `field_names`; empty text for what is unset.
    pub fields: fn(&Value) -> Vec<(&'static str, String)>,
    /// How long its end may take when the deletion does not say; `None` where objects end at once.
    pub default_grace_seconds: fn(&Value) -> Option<i64>,
    /// Whether dependents stay when a deletion does not say what becomes of them (upstream's
    /// `DefaultGarbageCollectionPolicy`).
    pub orphans_dependents: bool,
    /// Whether `metadata.generation` counts changes of the spec.
    pub has_generation: bool,
    /// Whether PUT makes an object that is not there.
    pub allows_create_on_update: bool,
    /// Whether PUT without a `resourceVersion` replaces whatever is there.
    pub allows_unconditional_update: bool,
}

impl Strategy {
    /// Does nothing and allows what most kinds allow.
    pub const DEFAULT: Self = Self {
        defaults: |_| {},
        prepare_create: |_| {},
        prepare_update: |_, _| {},
        prepare_status: |_, _| {},
        status_resets: &[&["f:spec"]],
        stamp_status: |_, _, _| {},
        validate: |_| ErrorList::new(),
        validate_update: |_, _| ErrorList::new(),
        validate_status: |_, _| ErrorList::new(),
        warnings: |_| Vec::new(),
        name: NameRule::Subdomain,
        columns: &[],
        cells: |_, _| Vec::new(),
        field_names: &[],
        stored_fields: &[],
        fields: |_| Vec::new(),
        default_grace_seconds: |_| None,
        orphans_dependents: false,
        has_generation: false,
        allows_create_on_update: false,
        allows_unconditional_update: true,
    };
}

impl fmt::Debug for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Strategy").field("name", &self.name).field("fields", &self.field_names).finish_non_exhaustive()
    }
}
