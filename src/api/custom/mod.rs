//! Custom resources: what a CustomResourceDefinition says of its objects, as functions of values.
//!
//! Reading order: [`structural`] (the schema), [`definition`] (a definition's rows in the scheme), `prune`,
//! `defaulting`, `embedded` (what becomes of a body), `validate` with `formats` and `lists` (what is wrong with it),
//! `types` (for server-side apply), `columns` with [`json_path`] (how it is printed), [`status`] (what a definition's
//! own status says).

mod columns;
mod defaulting;
pub mod definition;
mod embedded;
pub(crate) mod formats;
pub mod json_path;
mod lists;
mod prune;
pub mod status;
pub mod structural;
mod types;
mod validate;

use jiff::Timestamp;
use serde_json::Value;

use crate::cel::rules::{OBJECT_COST_MAX, Rules};
use crate::decode::{Complaints, DecodeError, Decoded, go_kind};
use crate::meta;
use crate::scheme::Name;
use crate::validation::field::{Error, ErrorList, Kind as ErrorKind, Path};
use json_path::JsonPath;
use structural::Structural;

/// What a served version of a custom kind is beside its names: the behaviour of its row.
#[derive(Debug)]
pub struct Kind {
    schema: Structural,
    rules: Rules,
    /// The schema as the definition has it, for OpenAPI.
    published: Value,
    columns: Vec<columns::Column>,
    /// Selectable fields: how they are called and where they are.
    fields: Vec<(Name, JsonPath)>,
    has_status: bool,
    /// Where the number of replicas is, if the kind is scaled.
    scale: Option<Scale>,
    /// What whoever uses a deprecated version is told.
    deprecation: Option<String>,
    /// How objects become those of another version: the definition's `conversion.webhook`; `None` where versions differ in
    /// nothing but their name.
    conversion: Option<Value>,
    /// Whether the definition is going, and with it all objects.
    is_ending: bool,
    edition: Edition,
}

/// Which definition a kind was made of: what was checked by another says nothing of this one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Edition {
    uid: String,
    generation: i64,
}

/// Errors after which rules are not asked (upstream's `hasBlockingErr`).
const BLOCKING: [ErrorKind; 5] =
    [ErrorKind::NotSupported, ErrorKind::Required, ErrorKind::TooLong, ErrorKind::TooMany, ErrorKind::TypeInvalid];

/// Where a custom kind keeps what `scale` shows, as JSON pointers.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Scale {
    /// How many replicas are wanted: `/spec/replicas`.
    pub wanted: String,
    /// How many there are: `/status/replicas`.
    pub found: String,
    /// A selector of the pods, as text; leads nowhere where the kind has none.
    pub selector: String,
}

impl Kind {
    /// Reads a value as an object of the kind: what the schema does not know is dropped and told.
    ///
    /// # Errors
    /// When it is no object, or its metadata is none.
    pub(crate) fn decode(&self, value: Value) -> Result<Decoded, DecodeError> {
        let mut fields = match value {
            Value::Object(fields) => fields,
            other => {
                let found = go_kind(&other);
                let text = format!("json: cannot unmarshal {found} into Go value of type map[string]interface {{}}");
                return Err(DecodeError::Value(text));
            }
        };
        let metadata = fields.remove("metadata").filter(|metadata| !metadata.is_null());
        let metadata = embedded::read_metadata(metadata.unwrap_or_else(|| Value::Object(serde_json::Map::new())))?;
        let mut unknown: Vec<String> =
            metadata.unknown.iter().map(|told| told.replacen('"', "\"metadata.", 1)).collect();
        let mut complaints = Complaints::default();
        prune::prune(&mut fields, &self.schema, &mut complaints);
        unknown.extend(complaints.into_sentences());
        let mut object = Value::Object(fields);
        unknown.extend(embedded::read(&mut object, &self.schema)?);
        if let Some(fields) = object.as_object_mut() {
            fields.insert("metadata".to_owned(), metadata.object);
        }
        Ok(Decoded { object, unknown })
    }

    /// Sets what nobody set.
    pub(crate) fn default(&self, object: &mut Value) {
        if let Some(fields) = object.as_object_mut() {
            defaulting::default(fields, &self.schema);
        }
    }

    /// An object that was stored under an older schema, as this one shows it.
    #[must_use]
    pub fn refreshed(&self, mut object: Value) -> Value {
        if let Some(fields) = object.as_object_mut() {
            prune::prune(fields, &self.schema, &mut Complaints::default());
        }
        self.default(&mut object);
        object
    }

    /// Makes a new object ready: it has no status where that is written apart, and its first generation.
    pub(crate) fn prepare_create(&self, object: &mut Value) {
        if self.has_status
            && let Some(fields) = object.as_object_mut()
        {
            fields.remove("status");
        }
        meta::set_generation(object, 1);
    }

    /// Makes an update ready: the status stays where that is written apart, and a change of anything but the metadata
    /// counts a generation.
    pub(crate) fn prepare_update(&self, new: &mut Value, old: &Value) {
        if self.has_status
            && let Some(fields) = new.as_object_mut()
        {
            match old.get("status") {
                Some(status) => fields.insert("status".to_owned(), status.clone()),
                None => fields.remove("status"),
            };
        }
        let changed = names(new).chain(names(old)).any(|name| name != "metadata" && new.get(name) != old.get(name));
        if changed {
            meta::set_generation(new, meta::generation(old).unwrap_or(0) + 1);
        }
    }

    /// What is wrong with a new object.
    pub(crate) fn validate(&self, object: &Value) -> ErrorList {
        let mut errors = validate::validate(object, None, &self.schema, "");
        errors.extend(self.validate_scale(object));
        errors.extend(embedded::validate(object, &self.schema));
        errors.extend(lists::duplicates(object, &self.schema));
        self.ask_rules(&mut errors, object, None);
        errors
    }

    /// What is wrong with an update.
    pub(crate) fn validate_update(&self, new: &Value, old: &Value) -> ErrorList {
        let mut errors = validate::validate(new, Some(old), &self.schema, "");
        errors.extend(self.validate_scale(new));
        errors.extend(embedded::validate(new, &self.schema));
        // Upstream asks nothing of lists that were wrong before.
        if lists::duplicates(old, &self.schema).is_empty() {
            errors.extend(lists::duplicates(new, &self.schema));
        }
        self.ask_rules(&mut errors, new, Some(old));
        errors
    }

    /// What is wrong with an update of the status.
    pub(crate) fn validate_status(&self, new: &Value, old: &Value) -> ErrorList {
        let Some(schema) = self.schema.properties.get("status") else { return ErrorList::new() };
        let (Some(status), before) = (new.get("status"), old.get("status")) else { return ErrorList::new() };
        let mut errors = validate::validate(status, before, schema, "status");
        self.ask_rules(&mut errors, new, Some(old));
        errors
    }

    /// What the schema's rules say, of an object that is not too wrong to be asked about.
    fn ask_rules(&self, errors: &mut ErrorList, new: &Value, old: Option<&Value>) {
        if self.rules.is_empty() {
            return;
        }
        if errors.iter().any(|error| BLOCKING.contains(&error.kind)) {
            let detail = "some validation rules were not checked because the object was invalid; correct the existing \
                          errors to complete validation";
            errors.push(Error::invalid("<nil>", Value::Null, detail));
            return;
        }
        let mut budget = OBJECT_COST_MAX;
        errors.extend(self.rules.validate(new, old, &Path::default(), &mut budget));
    }

    /// The numbers that `scale` shows are within what it can show.
    fn validate_scale(&self, object: &Value) -> ErrorList {
        let Some(scale) = &self.scale else { return ErrorList::new() };
        let mut errors = ErrorList::new();
        for pointer in [&scale.wanted, &scale.found] {
            let path = pointer.trim_start_matches('/').replace('/', ".");
            match object.pointer(pointer) {
                Some(Value::Number(number)) if number.as_i64().is_some_and(|n| n < 0) => {
                    errors.push(Error::invalid(path, number.clone(), "should be a non-negative integer"));
                }
                Some(Value::Number(number)) if number.as_i64().is_none_or(|n| n > i64::from(i32::MAX)) => {
                    let detail = format!("should be less than or equal to {}", i32::MAX);
                    errors.push(Error::invalid(path, number.clone(), detail));
                }
                _ => {}
            }
        }
        errors
    }

    /// The columns of a Table.
    pub(crate) fn columns(&self) -> Vec<Value> {
        columns::definitions(&self.columns)
    }

    /// The cells of an object under them.
    pub(crate) fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        columns::cells(&self.columns, object, now)
    }

    /// The names of the selectable fields.
    pub(crate) fn field_names(&self) -> impl Iterator<Item = &str> {
        self.fields.iter().map(|(name, _)| name.as_ref())
    }

    /// The selectable fields of an object; empty text for what is unset.
    pub(crate) fn fields(&self, object: &Value) -> Vec<(Name, String)> {
        let value = |path: &JsonPath| match path.find(object).first() {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
        };
        self.fields.iter().map(|(name, path)| (name.clone(), value(path))).collect()
    }

    /// Where the number of replicas is, if the kind is scaled.
    #[must_use]
    pub fn scale(&self) -> Option<&Scale> {
        self.scale.as_ref()
    }

    /// The webhook that converts between versions, if one does.
    #[must_use]
    pub fn conversion(&self) -> Option<&Value> {
        self.conversion.as_ref()
    }

    /// What whoever uses the version is told.
    #[must_use]
    pub fn deprecation(&self) -> Option<&str> {
        self.deprecation.as_deref()
    }

    /// Whether nothing can be created any more.
    #[must_use]
    pub fn is_ending(&self) -> bool {
        self.is_ending
    }

    /// Which definition it was made of.
    #[must_use]
    pub fn edition(&self) -> &Edition {
        &self.edition
    }

    /// The schema as the definition has it.
    #[must_use]
    pub fn published(&self) -> &Value {
        &self.published
    }
}

/// What is wrong by a schema with the default that it gives, which stands at `path`.
pub(crate) fn validate_default(default: &Value, schema: &Value, path: &Path) -> ErrorList {
    let errors = validate::validate(default, None, &Structural::of(schema), &path.to_string());
    if !errors.is_empty() {
        return errors;
    }
    let mut budget = OBJECT_COST_MAX;
    Rules::compile(schema).validate(default, None, path, &mut budget)
}

fn names(object: &Value) -> impl Iterator<Item = &str> {
    object.as_object().into_iter().flatten().map(|(name, _)| name.as_str())
}
