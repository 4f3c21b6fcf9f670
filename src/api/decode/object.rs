//! From a value to an object of a type: wrong types are refused in Go's words, unknown fields are dropped and told,
//! scalars become canonical.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Number, Value};

use super::canonical::{canonicalize, zero};
use super::path::{Complaints, Path};
use super::{DecodeError, go_kind, time};
use crate::quantity::Quantity;
use crate::schema::{Definition, Field, Id, Other, Schemas, Type};

/// An object in canonical form.
#[derive(Clone, Debug, PartialEq)]
pub struct Decoded {
    /// The object, with `apiVersion` and `kind` as they were.
    pub object: Value,
    /// A sentence for each field that the type does not know: `unknown field "spec.foo"`.
    pub unknown: Vec<String>,
}

/// Reads a value as an object of a type. `null` means absent everywhere; `kind` names the object in errors about the
/// whole of it.
///
/// # Errors
/// When a value has a type that its field cannot hold. The text is Go's.
pub fn decode(schemas: &Schemas, id: Id, value: Value, kind: &str) -> Result<Decoded, DecodeError> {
    let fields = match value {
        Value::Object(fields) => fields,
        other => return Err(not_of_kind(&other, kind)),
    };
    let mut reader = Reader::new(schemas);
    let mut object = Value::Object(reader.object(schemas.get(id), fields)?);
    canonicalize(schemas, id, &mut object);
    Ok(Decoded { object, unknown: reader.complaints.into_sentences() })
}

struct Reader<'a> {
    schemas: &'a Schemas,
    path: Path,
    /// The names of the fields on the way, as Go's errors have them: without indices and keys.
    go_path: Vec<&'a str>,
    complaints: Complaints,
}

/// A field being read: what its values' errors name.
#[derive(Clone, Copy)]
struct Place<'a> {
    /// The struct that has the field.
    owner: &'a str,
    /// The Go type of the value in question.
    go_type: &'a str,
}

impl<'a> Reader<'a> {
    fn new(schemas: &'a Schemas) -> Self {
        Self { schemas, path: Path::default(), go_path: Vec::new(), complaints: Complaints::default() }
    }

    fn object(
        &mut self,
        definition: &'a Definition,
        fields: Map<String, Value>,
    ) -> Result<Map<String, Value>, DecodeError> {
        let mut object = Map::new();
        let mut unknown = Vec::new();
        for (name, value) in fields {
            let Some(field) = definition.field(&name) else {
                unknown.push(name);
                continue;
            };
            if value.is_null() {
                continue;
            }
            self.path.push_field(&name);
            let value = self.field(definition, field, value)?;
            self.path.pop();
            object.insert(name, value);
        }
        for name in unknown {
            self.path.push_field(&name);
            self.complaints.unknown(&self.path);
            self.path.pop();
        }
        Ok(object)
    }

    fn field(&mut self, definition: &'a Definition, field: &'a Field, value: Value) -> Result<Value, DecodeError> {
        self.go_path.push(&field.name);
        let value = self.value(&field.kind, Place { owner: &definition.go_name, go_type: &field.go_type }, value)?;
        self.go_path.pop();
        Ok(value)
    }

    fn value(&mut self, kind: &'a Type, place: Place<'a>, value: Value) -> Result<Value, DecodeError> {
        Ok(match (kind, value) {
            (_, Value::Null) => zero(self.schemas, kind),
            (Type::Raw | Type::Json, value) => value,
            (Type::SchemaOr(id, other), value) => self.schema_or(*id, *other, value)?,
            (Type::Object(id), Value::Object(fields)) => Value::Object(self.object(self.schemas.get(*id), fields)?),
            (Type::List(item), Value::Array(items)) => self.list(item, place, items)?,
            (Type::Map(item), Value::Object(entries)) => self.map(item, place, entries)?,
            (Type::Quantity, value) => quantity(&value)?,
            (Type::Time, value) => time::seconds(text(&value)?)?.into(),
            (Type::MicroTime, value) => time::micros(text(&value)?)?.into(),
            (Type::IntOrString, Value::String(text)) => Value::String(text),
            (Type::IntOrString, value) => int_of_union(value)?,
            (Type::Bytes, Value::String(text)) => bytes(&text)?.into(),
            (Type::String, Value::String(text)) => Value::String(text),
            (Type::Boolean, Value::Bool(value)) => Value::Bool(value),
            (Type::Number, Value::Number(number)) => float(number),
            (Type::Int32, Value::Number(number)) if number.as_i64().is_some_and(|n| i32::try_from(n).is_ok()) => {
                Value::Number(number)
            }
            (Type::Int64, Value::Number(number)) if number.is_i64() => Value::Number(number),
            (Type::Int32 | Type::Int64, Value::Number(number)) => {
                return Err(self.mismatch(&format!("number {number}"), place));
            }
            (_, value) => return Err(self.mismatch(go_kind(&value), place)),
        })
    }

    fn list(&mut self, item: &'a Type, place: Place<'a>, items: Vec<Value>) -> Result<Value, DecodeError> {
        let place = Place { go_type: place.go_type.strip_prefix("[]").unwrap_or(place.go_type), ..place };
        let mut list = Vec::with_capacity(items.len());
        for (index, value) in items.into_iter().enumerate() {
            self.path.push_index(index);
            list.push(self.value(item, place, value)?);
            self.path.pop();
        }
        Ok(Value::Array(list))
    }

    fn map(&mut self, item: &'a Type, place: Place<'a>, entries: Map<String, Value>) -> Result<Value, DecodeError> {
        let value_type = place.go_type.strip_prefix("map[").and_then(|rest| rest.split_once(']'));
        let place = Place { go_type: value_type.map_or(place.go_type, |(_, value_type)| value_type), ..place };
        let mut map = Map::new();
        for (key, value) in entries {
            self.path.push_field(&key);
            let value = self.value(item, place, value)?;
            self.path.pop();
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }

    /// A JSON schema or what stands in its place. As upstream, which reads these alone, it drops unknown fields unseen.
    fn schema_or(&self, id: Id, other: Other, value: Value) -> Result<Value, DecodeError> {
        let read = |value: Value| match value {
            Value::Object(fields) => {
                let mut reader = Reader::new(self.schemas);
                reader.object(self.schemas.get(id), fields).map(Value::Object)
            }
            other => Err(not_of_kind(&other, "JSONSchemaProps")),
        };
        match (other, value) {
            (_, value @ Value::Object(_)) => read(value),
            (Other::Boolean, value @ Value::Bool(_)) => Ok(value),
            (Other::Boolean, _) => Err(DecodeError::Value("boolean or JSON schema expected".to_owned())),
            (Other::Schemas, Value::Array(items)) => items.into_iter().map(read).collect(),
            (Other::Texts, Value::Array(items)) => items.into_iter().map(|item| text(&item).map(Value::from)).collect(),
            (Other::Schemas | Other::Texts, found) => {
                let union = other.union_name();
                Err(not_of_kind(&found, union.rsplit('.').next().unwrap_or(union)))
            }
        }
    }

    fn mismatch(&self, found: &str, place: Place<'_>) -> DecodeError {
        let (owner, go_type, path) = (place.owner, place.go_type, self.go_path.join("."));
        DecodeError::Value(format!(
            "json: cannot unmarshal {found} into Go struct field {owner}.{path} of type {go_type}"
        ))
    }
}

fn not_of_kind(found: &Value, kind: &str) -> DecodeError {
    DecodeError::Value(format!("json: cannot unmarshal {} into Go value of type v1.{kind}", go_kind(found)))
}

/// A number as Go prints a `float64`: one that is whole has no fraction.
fn float(number: Number) -> Value {
    /// Up to here a `float64` tells all whole numbers apart.
    const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;
    match number.as_f64().filter(|float| number.is_f64() && float.fract() == 0.0 && float.abs() <= WHOLE_MAX) {
        #[expect(clippy::cast_possible_truncation, reason = "it is whole and in range")]
        Some(whole) => Value::from(whole as i64),
        None => Value::Number(number),
    }
}

/// A quantity from any number or text, in canonical form.
fn quantity(value: &Value) -> Result<Value, DecodeError> {
    let text = match value {
        Value::String(text) => text.trim().to_owned(),
        // A number that is whole is written without the fraction that our reader gave it.
        Value::Number(number) => number.to_string().trim_end_matches(".0").to_owned(),
        other => other.to_string(),
    };
    Quantity::parse(&text)
        .map(|quantity| quantity.to_string().into())
        .map_err(|error| DecodeError::Value(error.to_string()))
}

fn text(value: &Value) -> Result<&str, DecodeError> {
    let wrong =
        || DecodeError::Value(format!("json: cannot unmarshal {} into Go value of type string", go_kind(value)));
    value.as_str().ok_or_else(wrong)
}

/// The number of an int-or-string.
fn int_of_union(value: Value) -> Result<Value, DecodeError> {
    let found = match &value {
        Value::Number(number) if number.as_i64().is_some_and(|n| i32::try_from(n).is_ok()) => return Ok(value),
        Value::Number(number) => format!("number {number}"),
        other => go_kind(other).to_owned(),
    };
    Err(DecodeError::Value(format!("json: cannot unmarshal {found} into Go value of type int32")))
}

/// Base64 in canonical form. Go's decoder skips line ends.
fn bytes(text: &str) -> Result<String, DecodeError> {
    let packed: String = text.chars().filter(|c| !matches!(c, '\r' | '\n')).collect();
    let bytes = STANDARD.decode(&packed).map_err(|error| {
        let at = match error {
            base64::DecodeError::InvalidByte(at, _) | base64::DecodeError::InvalidLastSymbol(at, _) => at,
            base64::DecodeError::InvalidLength(_) | base64::DecodeError::InvalidPadding => packed.len() / 4 * 4,
        };
        DecodeError::Value(format!("illegal base64 data at input byte {at}"))
    })?;
    Ok(STANDARD.encode(bytes))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(kind: &str, value: Value) -> Result<Decoded, DecodeError> {
        let schemas = Schemas::builtin();
        decode(schemas, schemas.named(&format!("io.k8s.api.core.v1.{kind}")).unwrap(), value, kind)
    }

    #[track_caller]
    fn refuse(kind: &str, value: Value, expected: &str) {
        assert_eq!(read(kind, value).unwrap_err().to_string(), expected);
    }

    #[test]
    fn wrong_types_are_refused_in_gos_words() {
        // The first three are recorded from a kube-apiserver 1.36.2.
        refuse(
            "ConfigMap",
            json!({"data": {"k": 1}}),
            "json: cannot unmarshal number into Go struct field ConfigMap.data of type string",
        );
        refuse(
            "Pod",
            json!({"spec": {"containers": "x"}}),
            "json: cannot unmarshal string into Go struct field PodSpec.spec.containers of type []v1.Container",
        );
        refuse(
            "Pod",
            json!({"spec": {"containers": [{"resources": {"limits": {"memory": "10Q"}}}]}}),
            "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
        );
        refuse(
            "ConfigMap",
            json!({"data": 5}),
            "json: cannot unmarshal number into Go struct field ConfigMap.data of type map[string]string",
        );
        refuse(
            "Pod",
            json!({"spec": {"containers": [{"ports": [{"containerPort": "x"}]}]}}),
            "json: cannot unmarshal string into Go struct field ContainerPort.spec.containers.ports.containerPort of type int32",
        );
        refuse(
            "Pod",
            json!({"spec": {"activeDeadlineSeconds": 1.5}}),
            "json: cannot unmarshal number 1.5 into Go struct field PodSpec.spec.activeDeadlineSeconds of type int64",
        );
        refuse(
            "Pod",
            json!({"spec": {"containers": [5]}}),
            "json: cannot unmarshal number into Go struct field PodSpec.spec.containers of type v1.Container",
        );
        refuse(
            "Pod",
            json!({"metadata": {"name": true}}),
            "json: cannot unmarshal bool into Go struct field ObjectMeta.metadata.name of type string",
        );
        refuse("Secret", json!({"data": {"a": "!"}}), "illegal base64 data at input byte 0");
        refuse(
            "Service",
            json!({"spec": {"ports": [{"targetPort": true}]}}),
            "json: cannot unmarshal bool into Go value of type int32",
        );
        refuse("Pod", json!([]), "json: cannot unmarshal array into Go value of type v1.Pod");
    }

    #[test]
    fn unknown_fields_are_dropped_and_told_with_their_paths() {
        let decoded =
            read("ConfigMap", json!({"metadata": {"name": "fv", "oops": 2}, "extra": 1, "data": {"any": "x"}}));
        let decoded = decoded.unwrap();
        // As recorded: known fields first.
        assert_eq!(decoded.unknown, ["unknown field \"metadata.oops\"", "unknown field \"extra\""]);
        assert_eq!(decoded.object, json!({"metadata": {"name": "fv"}, "data": {"any": "x"}}));
        let decoded = read("Pod", json!({"spec": {"containers": [{"foo": 1}]}})).unwrap();
        assert_eq!(decoded.unknown, ["unknown field \"spec.containers[0].foo\""]);
    }

    #[test]
    fn scalars_become_canonical_and_null_is_absent() {
        let decoded = read(
            "Pod",
            json!({"metadata": {"creationTimestamp": "2026-11-23T10:00:00+01:00", "labels": {"a": null}},
                "spec": {"nodeName": null, "containers": [{"name": "c", "args": [null, "x"],
                    "resources": {"limits": {"cpu": 0.5, "memory": "1024Mi", "pods": 110}}}]}}),
        );
        assert_eq!(
            decoded.unwrap().object,
            json!({"metadata": {"creationTimestamp": "2026-11-23T09:00:00Z", "labels": {"a": ""}}, "status": {},
                "spec": {"containers": [{"name": "c", "args": ["", "x"],
                    "resources": {"limits": {"cpu": "500m", "memory": "1Gi", "pods": "110"}}}]}})
        );
    }

    #[test]
    fn what_upstream_printed_comes_back_unchanged() {
        for line in include_str!("recorded.jsonl").lines().filter(|line| !line.starts_with('#')) {
            let object: Value = serde_json::from_str(line).unwrap();
            let kind = object["kind"].as_str().unwrap().to_owned();
            let decoded = read(&kind, object.clone()).unwrap();
            assert_eq!(decoded, Decoded { object, unknown: vec![] });
        }
    }
}
