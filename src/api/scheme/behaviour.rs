//! What a resource does with its objects: a builtin kind by its strategy, a custom one by its definition.

use std::borrow::Cow;

use jiff::Timestamp;
use serde_json::Value;

use super::{Name, Resource, Scope};
use crate::custom::{self, definition};
use crate::decode::{self, DecodeError, Decoded};
use crate::managed::Typed;
use crate::meta;
use crate::patch::{Form, PatchError};
use crate::selectors;
use crate::validation::field::{ErrorList, quote};

impl Resource {
    /// Reads a value as an object of this resource.
    ///
    /// # Errors
    /// When a value has a type that its field cannot hold.
    pub fn decode(&self, value: Value) -> Result<Decoded, DecodeError> {
        match &self.custom {
            Some(custom) => custom.decode(value),
            None => decode::decode(self.schema.schemas(), self.schema.id(), value, &self.kind),
        }
    }

    /// Brings what defaults and admission made of an object into the form that is stored.
    pub fn canonicalize(&self, object: &mut Value) {
        if self.custom.is_none() {
            decode::canonicalize(self.schema.schemas(), self.schema.id(), object);
        }
    }

    /// The type of the objects, for field management.
    #[must_use]
    pub fn typed(&self) -> Typed<'_> {
        Typed::new(self.schema.schemas(), self.schema.id())
    }

    /// `document` with `patch`.
    ///
    /// # Errors
    /// When the patch is none or does not fit the document.
    pub fn patched(&self, form: Form, document: &Value, patch: &Value) -> Result<Value, PatchError> {
        form.patched(self.schema.schemas(), self.schema.id(), document, patch)
    }

    /// Whether strategic merge patches are understood: a custom kind's definition has no strategies.
    #[must_use]
    pub fn takes_strategic_patches(&self) -> bool {
        self.custom.is_none()
    }

    /// Sets what nobody set.
    pub fn set_defaults(&self, object: &mut Value) {
        match &self.custom {
            Some(custom) => custom.default(object),
            None => (self.strategy.defaults)(object),
        }
    }

    /// Makes a new object ready, see [`super::Strategy::prepare_create`].
    pub fn prepare_create(&self, object: &mut Value) {
        match &self.custom {
            Some(custom) => custom.prepare_create(object),
            None => (self.strategy.prepare_create)(object),
        }
    }

    /// Makes an update ready, see [`super::Strategy::prepare_update`].
    pub fn prepare_update(&self, new: &mut Value, old: &Value) {
        match &self.custom {
            Some(custom) => custom.prepare_update(new, old),
            None => (self.strategy.prepare_update)(new, old),
        }
    }

    /// Makes a status update ready, see [`super::Strategy::prepare_status`]; `now` is when it is made.
    pub fn prepare_status(&self, new: &mut Value, old: &Value, now: Timestamp) {
        if self.custom.is_some() {
            *new = with_status_of(new, old);
        } else {
            (self.strategy.prepare_status)(new, old);
            (self.strategy.stamp_status)(new, old, now);
        }
    }

    /// Sets the times of a status that the server tells, see [`super::Strategy::stamp_status`].
    pub fn stamp_status(&self, new: &mut Value, old: &Value, now: Timestamp) {
        (self.strategy.stamp_status)(new, old, now);
    }

    /// What is wrong with a new object, besides its metadata.
    #[must_use]
    pub fn validate(&self, object: &Value) -> ErrorList {
        match &self.custom {
            Some(custom) => custom.validate(object),
            None => (self.strategy.validate)(object),
        }
    }

    /// What is wrong with an update, besides its metadata.
    #[must_use]
    pub fn validate_update(&self, new: &Value, old: &Value) -> ErrorList {
        match &self.custom {
            Some(custom) => custom.validate_update(new, old),
            None => (self.strategy.validate_update)(new, old),
        }
    }

    /// What is wrong with an update of the status, besides its metadata.
    #[must_use]
    pub fn validate_status(&self, new: &Value, old: &Value) -> ErrorList {
        match &self.custom {
            Some(custom) => custom.validate_status(new, old),
            None => (self.strategy.validate_status)(new, old),
        }
    }

    /// What the writer of an object should know although it is allowed.
    #[must_use]
    pub fn warnings(&self, new: &Value, old: Option<&Value>) -> Vec<String> {
        match &self.custom {
            Some(_) => finalizer_warnings(new, old),
            None => (self.strategy.warnings)(new),
        }
    }

    /// The columns of a Table, as definitions.
    #[must_use]
    pub fn columns(&self) -> Vec<Value> {
        match &self.custom {
            Some(custom) => custom.columns(),
            None => self.strategy.columns.iter().map(|column| column.to_value()).collect(),
        }
    }

    /// The cells of an object under its columns, at this time.
    #[must_use]
    pub fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        match &self.custom {
            Some(custom) => custom.cells(object, now),
            None => (self.strategy.cells)(object, now),
        }
    }

    /// The selectable fields of an object besides name and namespace; empty text for what is unset.
    #[must_use]
    pub fn fields(&self, object: &Value) -> Vec<(Name, String)> {
        match &self.custom {
            Some(custom) => custom.fields(object),
            None => {
                let fields = (self.strategy.fields)(object).into_iter();
                fields.map(|(name, value)| (Cow::Borrowed(name), value)).collect()
            }
        }
    }

    /// Whether objects can be selected by this field.
    ///
    /// # Errors
    /// Upstream's message when they cannot.
    pub fn check_field(&self, field: &str) -> Result<(), String> {
        let own: Vec<&str> = match &self.custom {
            Some(custom) => custom.field_names().collect(),
            None => {
                let stored = self.strategy.stored_fields.iter().map(|(name, _)| *name);
                self.strategy.field_names.iter().copied().chain(stored).collect()
            }
        };
        let has_own_fields = !own.is_empty();
        let is_known = match field {
            "metadata.name" => true,
            "metadata.namespace" => self.scope == Scope::Namespaced || !has_own_fields,
            other => own.contains(&other),
        };
        match (is_known, has_own_fields || self.custom.is_some()) {
            (true, _) => Ok(()),
            (false, true) => Err(format!("field label not supported: {field}")),
            (false, false) => Err(selectors::unknown_field(field)),
        }
    }

    /// The name under which stored objects have a selectable field.
    #[must_use]
    pub fn stored_field<'f>(&self, field: &'f str) -> &'f str {
        self.strategy.stored_fields.iter().find(|(name, _)| *name == field).map_or(field, |(_, stored)| stored)
    }

    /// Where a custom kind keeps what `scale` shows; `None` where it is at the usual places, or nowhere.
    #[must_use]
    pub fn scale(&self) -> Option<&custom::Scale> {
        self.custom.as_ref()?.scale()
    }

    /// Whether this is the resource of CustomResourceDefinitions.
    #[must_use]
    pub fn is_definition(&self) -> bool {
        self.group == definition::GROUP && self.plural == "customresourcedefinitions"
    }
}

/// New finalizers of custom objects should have a path.
fn finalizer_warnings(new: &Value, old: Option<&Value>) -> Vec<String> {
    let had = old.map(meta::finalizers).unwrap_or_default();
    let bare = meta::finalizers(new).into_iter().filter(|name| !had.contains(name) && !name.contains('/'));
    let told = bare.map(|name| {
        format!(
            "metadata.finalizers: {}: prefer a domain-qualified finalizer name including a path (/) to avoid accidental \
             conflicts with other finalizer writers",
            quote(&name)
        )
    });
    told.collect()
}

/// `old` with the status of `new`, and the managers that come with it.
fn with_status_of(new: &Value, old: &Value) -> Value {
    let mut kept = old.clone();
    if let Some(fields) = kept.as_object_mut() {
        match new.get("status") {
            Some(status) => fields.insert("status".to_owned(), status.clone()),
            None => fields.remove("status"),
        };
    }
    let managers = meta::field(new, "managedFields").cloned();
    match managers {
        Some(managers) => meta::set_in(&mut kept, "/metadata", "managedFields", managers),
        None => meta::remove(&mut kept, "managedFields"),
    }
    kept
}
