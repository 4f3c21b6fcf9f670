//! One object as every reader gets it: its JSON bytes, encoded once, and the facts that selectors ask for.
//!
//! The store keeps an object without `kind`, `apiVersion` and `metadata.resourceVersion`, with `metadata` first:
//!
//! ```text
//! stored   {"metadata":{"creationTimestamp":…},"spec":…}
//! cached   {"metadata":{"resourceVersion":"42","creationTimestamp":…},"spec":…}
//! single   {"kind":"Pod","apiVersion":"v1","metadata":{"resourceVersion":"42",…
//! ```
//!
//! A custom object says what it is in all three, since it may have been stored in another version than it is served
//! in, and items of its lists say it, too: `{"apiVersion":…,"kind":…,"metadata":{…`.
//!
//! So a revision is spliced in at a fixed place when the store tells it, a list is the cached bytes joined by
//! commas, and neither parses anything. Labels and fields are read from the bytes when the first selector asks.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use api::protobuf;
use api::scheme::{Name, Resource};
use bytes::Bytes;
use memchr::memmem;
use serde_json::Value;
use store::Revision;

/// How stored and cached bytes of builtin kinds begin.
const HEAD: &[u8] = b"{\"metadata\":{";

/// How those of custom kinds begin.
const CUSTOM_HEAD: &[u8] = b"{\"apiVersion\":\"";

/// What their heads end with.
const METADATA: &[u8] = b"\"metadata\":{";

/// Stored bytes that are not an object as we write it: the store was written by something else, or is broken.
#[derive(Debug, thiserror::Error)]
#[error("the stored object at {key} is unreadable: {reason}")]
pub(crate) struct Unreadable {
    key: String,
    reason: String,
}

/// An object at one revision. Immutable, shared by the cache, its watch window and every response.
#[derive(Debug)]
pub(crate) struct Object {
    /// `namespace/name`, or `name` where the resource has no namespace.
    pub key: Arc<str>,
    /// The revision of its last change, which is its `resourceVersion`.
    pub revision: Revision,
    /// The cached form, see the module.
    body: Bytes,
    /// The `kind` and `apiVersion` that single objects begin with.
    resource: Arc<Resource>,
    facts: OnceLock<Facts>,
    /// See [`Object::message`].
    message: OnceLock<Bytes>,
}

/// What selectors and watch routing ask of an object.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    /// `metadata.labels`.
    pub labels: BTreeMap<String, String>,
    /// The selectable fields of its kind besides name and namespace.
    pub fields: Vec<(Name, String)>,
}

impl Object {
    /// An object from the bytes that the store holds.
    ///
    /// # Errors
    /// When the bytes do not begin as [`encode`] writes them.
    pub(crate) fn from_stored(
        resource: &Arc<Resource>,
        key: Arc<str>,
        revision: Revision,
        stored: &[u8],
    ) -> Result<Self, Unreadable> {
        let Some((head, rest)) = head_length(stored).and_then(|length| stored.split_at_checked(length)) else {
            return Err(Unreadable { key: key.to_string(), reason: "it does not begin with its metadata".into() });
        };
        let version = format!("\"resourceVersion\":\"{}\"", revision.0);
        let comma: &[u8] = if rest.first() == Some(&b'}') { b"" } else { b"," };
        let body = [head, version.as_bytes(), comma, rest].concat();
        Ok(Self {
            key,
            revision,
            body: body.into(),
            resource: Arc::clone(resource),
            facts: OnceLock::new(),
            message: OnceLock::new(),
        })
    }

    /// The same object under a later revision, as a DELETED event shows it.
    ///
    /// # Errors
    /// As [`Object::from_stored`]; it cannot happen to an object that came from there.
    pub(crate) fn at_revision(&self, revision: Revision) -> Result<Self, Unreadable> {
        Self::from_stored(&self.resource, Arc::clone(&self.key), revision, &self.to_stored())
    }

    /// The bytes as the store holds them.
    pub(super) fn to_stored(&self) -> Vec<u8> {
        let version = format!("\"resourceVersion\":\"{}\"", self.revision.0);
        let (head, rest) = self.body.split_at(head_length(&self.body).unwrap_or_default());
        let rest = rest.get(version.len()..).unwrap_or_default();
        [head, rest.strip_prefix(b",").unwrap_or(rest)].concat()
    }

    /// The object as a list holds it: without kind and apiVersion.
    #[must_use]
    pub(crate) fn list_form(&self) -> &Bytes {
        &self.body
    }

    /// The object as it stands alone, appended to `out`.
    pub(crate) fn write_single(&self, out: &mut Vec<u8>) {
        if self.has_type() {
            out.extend_from_slice(&self.body);
        } else {
            write_type_meta(&self.resource, out);
            out.extend_from_slice(self.body.get(1..).unwrap_or_default());
        }
    }

    /// Its size as the cache counts it.
    #[must_use]
    pub(crate) fn size_bytes(&self) -> usize {
        self.body.len() + self.key.len()
    }

    /// The object as a value, with kind and apiVersion, to be changed and written back.
    ///
    /// # Errors
    /// When the bytes are not JSON.
    pub(crate) fn to_value(&self) -> Result<Value, Unreadable> {
        let mut value: Value = serde_json::from_slice(&self.body).map_err(|error| self.unreadable(&error))?;
        if !self.has_type()
            && let Some(object) = value.as_object_mut()
        {
            object.insert("kind".into(), self.resource.kind.to_string().into());
            object.insert("apiVersion".into(), self.resource.api_version().into());
        }
        Ok(value)
    }

    /// Whether the bytes say what the object is.
    fn has_type(&self) -> bool {
        self.body.starts_with(CUSTOM_HEAD)
    }

    /// Whether the bytes are the object as `resource` serves it.
    pub(crate) fn is_served_by(&self, resource: &Resource) -> bool {
        if resource.custom.is_none() {
            return resource.conversion.is_none();
        }
        let rest = self.body.strip_prefix(CUSTOM_HEAD).and_then(|rest| rest.strip_prefix(resource.group.as_bytes()));
        let rest = rest.and_then(|rest| rest.strip_prefix(b"/")?.strip_prefix(resource.version.as_bytes()));
        rest.is_some_and(|rest| rest.starts_with(b"\""))
    }

    /// The object's protobuf message, without an envelope, encoded once for all readers.
    ///
    /// It is made when the first client asks for this object in protobuf and kept as long as the object. That costs
    /// about half as much again as the JSON beside it, which no bound counts: where no typed client lists a resource,
    /// nothing.
    ///
    /// # Errors
    /// When the bytes are no object of the resource's type.
    pub(crate) fn message(&self) -> Result<Bytes, Unreadable> {
        if let Some(message) = self.message.get() {
            return Ok(message.clone());
        }
        let message =
            protobuf::message(self.resource.schema.id(), &self.body).map_err(|error| self.unreadable(&error))?;
        Ok(self.message.get_or_init(|| message.into()).clone())
    }

    /// The message of the object's metadata alone, made anew.
    ///
    /// # Errors
    /// When the bytes are no object.
    pub(crate) fn metadata_message(&self) -> Result<Vec<u8>, Unreadable> {
        protobuf::metadata_message(&self.body).map_err(|error| self.unreadable(&error))
    }

    /// Labels and selectable fields; read from the bytes once.
    pub(crate) fn facts(&self) -> &Facts {
        self.facts.get_or_init(|| {
            // What cannot be read matches no selector; reading the object itself tells the error.
            self.to_value().map(|value| Facts::of(&self.resource, &value)).unwrap_or_default()
        })
    }

    /// The value of a selectable field, name and namespace included; empty when it is unset.
    #[must_use]
    pub(crate) fn field(&self, path: &str) -> &str {
        match path {
            "metadata.name" => self.name(),
            "metadata.namespace" => self.namespace().unwrap_or_default(),
            _ => self.facts().fields.iter().find(|(name, _)| *name == path).map_or("", |(_, value)| value),
        }
    }

    /// `metadata.name`.
    #[must_use]
    pub(crate) fn name(&self) -> &str {
        self.key.rsplit_once('/').map_or(&*self.key, |(_, name)| name)
    }

    fn unreadable(&self, error: &impl ToString) -> Unreadable {
        Unreadable { key: self.key.to_string(), reason: error.to_string() }
    }

    /// `metadata.namespace`, if the resource has namespaces.
    #[must_use]
    pub(crate) fn namespace(&self) -> Option<&str> {
        self.key.rsplit_once('/').map(|(namespace, _)| namespace)
    }
}

impl Facts {
    fn of(resource: &Resource, value: &Value) -> Self {
        let labels = value.pointer("/metadata/labels").and_then(Value::as_object);
        let labels = labels.into_iter().flatten();
        Self {
            labels: labels.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect(),
            fields: resource.fields(value),
        }
    }
}

/// The bytes to store for `object`, see the module.
///
/// # Errors
/// When `object` has no metadata; everything that reaches the store was decoded, so this is a bug.
pub(crate) fn encode(object: &Value, is_custom: bool) -> Result<Bytes, Unreadable> {
    let unreadable = |reason: &str| Unreadable { key: "a new object".into(), reason: reason.into() };
    let fields = object.as_object().ok_or_else(|| unreadable("it is not a JSON object"))?;
    let metadata = fields.get("metadata").and_then(Value::as_object).ok_or_else(|| unreadable("no metadata"))?;

    let mut out = Vec::with_capacity(1024);
    if is_custom {
        let text = |name: &str| fields.get(name).and_then(Value::as_str).unwrap_or_default();
        out.extend_from_slice(CUSTOM_HEAD);
        out.extend_from_slice(text("apiVersion").as_bytes());
        out.extend_from_slice(b"\",\"kind\":\"");
        out.extend_from_slice(text("kind").as_bytes());
        out.extend_from_slice(b"\",");
        out.extend_from_slice(METADATA);
    } else {
        out.extend_from_slice(HEAD);
    }
    for (index, (key, value)) in metadata.iter().filter(|(key, _)| *key != "resourceVersion").enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write_field(&mut out, key, value).map_err(|error| unreadable(&error.to_string()))?;
    }
    out.push(b'}');
    for (key, value) in fields.iter().filter(|(key, _)| !["metadata", "kind", "apiVersion"].contains(&key.as_str())) {
        out.push(b',');
        write_field(&mut out, key, value).map_err(|error| unreadable(&error.to_string()))?;
    }
    out.push(b'}');
    Ok(out.into())
}

/// `{"kind":…,"apiVersion":…,` for objects of `resource`.
pub(crate) fn write_type_meta(resource: &Resource, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"kind\":\"");
    out.extend_from_slice(resource.kind.as_bytes());
    out.extend_from_slice(b"\",\"apiVersion\":\"");
    out.extend_from_slice(resource.api_version().as_bytes());
    out.extend_from_slice(b"\",");
}

/// How long what stands before the first field of the metadata is.
fn head_length(bytes: &[u8]) -> Option<usize> {
    if bytes.starts_with(HEAD) {
        return Some(HEAD.len());
    }
    // Groups, versions and kinds hold no quotes, so the first metadata is the object's own.
    let found = bytes.starts_with(CUSTOM_HEAD).then(|| memmem::find(bytes, METADATA))??;
    Some(found + METADATA.len())
}

fn write_field(out: &mut Vec<u8>, key: &str, value: &Value) -> Result<(), serde_json::Error> {
    serde_json::to_writer(&mut *out, key)?;
    out.push(b':');
    serde_json::to_writer(out, value)
}

#[cfg(test)]
mod tests {
    use api::scheme::Scheme;
    use serde_json::json;

    use super::*;

    fn config_map(value: &Value, revision: u64) -> Object {
        let resource = Scheme::builtin().resource("", "v1", "configmaps").unwrap();
        Object::from_stored(resource, "rec/a".into(), Revision(revision), &encode(value, false).unwrap()).unwrap()
    }

    #[test]
    fn what_is_stored_comes_back_with_its_revision() {
        let value = json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"k": "1"},
            "metadata": {"name": "a", "namespace": "rec", "resourceVersion": "3"}});
        let object = config_map(&value, 42);
        let mut expected = value;
        expected["metadata"]["resourceVersion"] = "42".into();
        assert_eq!(object.to_value().unwrap(), expected);

        let mut single = Vec::new();
        object.write_single(&mut single);
        assert_eq!(serde_json::from_slice::<Value>(&single).unwrap(), expected);
        assert_eq!((object.namespace(), object.name()), (Some("rec"), "a"));
    }

    #[test]
    fn a_custom_object_says_in_which_version_it_is() {
        let resource = Scheme::builtin().resource("", "v1", "configmaps").unwrap();
        let value = json!({"apiVersion": "example.com/v1", "kind": "CronTab", "spec": {"metadata": {}},
            "metadata": {"name": "a", "resourceVersion": "3"}});
        let stored = encode(&value, true).unwrap();
        let object = Object::from_stored(resource, "rec/a".into(), Revision(42), &stored).unwrap();
        let mut expected = value;
        expected["metadata"]["resourceVersion"] = "42".into();
        assert_eq!(object.to_value().unwrap(), expected);
        assert_eq!(object.to_stored(), stored);
        let mut single = Vec::new();
        object.write_single(&mut single);
        assert_eq!(single, object.list_form().as_ref());
    }

    #[test]
    fn a_deleted_object_shows_the_revision_of_its_deletion() {
        let object = config_map(&json!({"metadata": {}, "data": {"k": "1"}}), 7);
        let deleted = object.at_revision(Revision(1234)).unwrap();
        assert_eq!(deleted.list_form().as_ref(), br#"{"metadata":{"resourceVersion":"1234"},"data":{"k":"1"}}"#);
    }
}
