//! Values of a type, as bytes choose them. Bytes that are used up choose what is smallest.

use arbitrary::Unstructured;
use serde_json::{Map, Value, json};

use crate::schema::{Definition, Field, Id, ListType, Other, Schemas, Type};

/// How deep a value is made; what lies deeper is null.
const DEPTH_MAX: usize = 9;

/// Keys of maps, names of items, texts: few, so that they meet.
const WORDS: [&str; 8] = ["a", "b", "c", "a.example/b", "", "1", "\u{e9}\"", "TCP"];

/// What appliers of metadata write.
const METADATA: [&str; 4] = ["annotations", "finalizers", "labels", "ownerReferences"];

/// Makes values.
pub(crate) struct Maker<'a, 'b> {
    schemas: &'a Schemas,
    bytes: Unstructured<'b>,
}

impl<'a, 'b> Maker<'a, 'b> {
    pub(crate) fn new(schemas: &'a Schemas, bytes: &'b [u8]) -> Self {
        Self { schemas, bytes: Unstructured::new(bytes) }
    }

    /// The same bytes, for values of other schemas.
    pub(crate) fn with<'c>(self, schemas: &'c Schemas) -> Maker<'c, 'b> {
        Maker { schemas, bytes: self.bytes }
    }

    /// A number below `sides`.
    pub(crate) fn roll(&mut self, sides: usize) -> usize {
        self.bytes.int_in_range(0..=sides.saturating_sub(1)).unwrap_or_default()
    }

    /// Whether something happens that happens once in `sides` times.
    pub(crate) fn once_in(&mut self, sides: usize) -> bool {
        self.roll(sides) == sides - 1
    }

    pub(crate) fn pick<'v, V: ?Sized>(&mut self, values: &[&'v V]) -> &'v V {
        let at = self.roll(values.len());
        values.get(at).expect("there are values to pick from")
    }

    /// An object of a type.
    pub(crate) fn object(&mut self, id: Id) -> Value {
        self.of_type(&Type::Object(id), 0)
    }

    fn of_type(&mut self, kind: &Type, depth: usize) -> Value {
        if depth > DEPTH_MAX {
            return Value::Null;
        }
        if self.once_in(32) {
            return self.anything(depth);
        }
        match kind {
            Type::Object(id) => Value::Object(self.fields(self.schemas.get(*id), depth)),
            Type::List(item) => (0..self.roll(4)).map(|_| self.of_type(item, depth + 1)).collect(),
            Type::Map(item) => {
                Value::Object((0..self.roll(4)).map(|_| (self.word(), self.of_type(item, depth + 1))).collect())
            }
            Type::String => self.word().into(),
            Type::Int32 | Type::Int64 => self.number(),
            Type::Number => {
                if self.once_in(4) {
                    0.5.into()
                } else {
                    self.number()
                }
            }
            Type::Boolean => (self.roll(2) == 1).into(),
            Type::Time | Type::MicroTime => self
                .pick(&["2026-11-28T08:00:00Z", "2026-11-28T08:00:00.5+01:00", "0001-01-01T00:00:00Z", "now"])
                .into(),
            Type::Bytes => self.pick(&["AAEC/w==", "", "!"]).into(),
            Type::Quantity => self.pick(&["1", "500m", "1.5Ki", "1e3", "-0.5", "1n"]).into(),
            Type::IntOrString => {
                if self.roll(2) == 0 {
                    self.number()
                } else {
                    "80%".into()
                }
            }
            Type::Raw | Type::Json | Type::Any => self.anything(depth),
            Type::SchemaOr(id, other) => match (self.roll(2), other) {
                (0, _) => Value::Object(self.fields(self.schemas.get(*id), depth)),
                (_, Other::Boolean) => true.into(),
                (_, Other::Schemas) => json!([{"type": "string"}]),
                (_, Other::Texts) => json!(["a", "b"]),
            },
        }
    }

    fn fields(&mut self, definition: &Definition, depth: usize) -> Map<String, Value> {
        let is_metadata = &*definition.go_name == "ObjectMeta";
        let choice: Vec<&Field> =
            definition.fields.iter().filter(|field| !is_metadata || METADATA.contains(&&*field.name)).collect();
        let mut fields = Map::new();
        for _ in 0..self.roll(6) {
            if let Some(field) = choice.get(self.roll(choice.len())) {
                fields.insert(field.name.to_string(), self.field(field, depth));
            }
        }
        if definition.rest.is_some() || self.once_in(64) {
            fields.insert(self.word(), self.anything(depth));
        }
        fields
    }

    fn field(&mut self, field: &Field, depth: usize) -> Value {
        let mut value = self.of_type(&field.kind, depth + 1);
        if let (ListType::Map(keys), Value::Array(items)) = (&field.merge.list, &mut value) {
            for item in items.iter_mut().filter_map(Value::as_object_mut) {
                for key in keys {
                    if !self.once_in(6) {
                        let number = matches!(&**key, "port" | "containerPort").then(|| json!(80 + self.roll(2)));
                        let value = number.unwrap_or_else(|| self.pick(&["a", "b", "TCP"]).into());
                        item.insert(key.to_string(), value);
                    }
                }
            }
        }
        value
    }

    /// Any JSON.
    pub(crate) fn anything(&mut self, depth: usize) -> Value {
        match self.roll(if depth > DEPTH_MAX { 5 } else { 7 }) {
            0 => Value::Null,
            1 => (self.roll(2) == 1).into(),
            2 => self.number(),
            3 => self.word().into(),
            4 => 0.5.into(),
            5 => (0..self.roll(3)).map(|_| self.anything(depth + 1)).collect(),
            _ => Value::Object((0..self.roll(3)).map(|_| (self.word(), self.anything(depth + 1))).collect()),
        }
    }

    pub(crate) fn word(&mut self) -> String {
        self.pick(&WORDS).to_owned()
    }

    fn number(&mut self) -> Value {
        let at = self.roll(8);
        [0, 1, 2, 80, -1, i64::from(i32::MAX), i64::MAX, i64::MIN].get(at).copied().unwrap_or_default().into()
    }

    /// An object like `value`: parts of it are gone, others new or changed.
    pub(crate) fn like(&mut self, kind: &Type, value: &Value) -> Value {
        self.like_at(kind, value, 0)
    }

    fn like_at(&mut self, kind: &Type, value: &Value, depth: usize) -> Value {
        if self.once_in(8) {
            return self.of_type(kind, depth);
        }
        match (kind, value) {
            (Type::Object(id), Value::Object(parts)) => {
                let definition = self.schemas.get(*id);
                let mut like = Map::new();
                for (name, part) in parts {
                    if !self.once_in(8) {
                        let kind = definition.field(name).map_or(&Type::Any, |field| &field.kind);
                        like.insert(name.clone(), self.like_at(kind, part, depth + 1));
                    }
                }
                if self.once_in(4) {
                    like.extend(self.fields(definition, depth));
                }
                Value::Object(like)
            }
            (Type::List(item), Value::Array(items)) => {
                let mut like: Vec<Value> = Vec::new();
                for part in items {
                    if !self.once_in(8) {
                        like.push(self.like_at(item, part, depth + 1));
                    }
                }
                let turns = self.roll(like.len().max(1));
                like.rotate_left(turns);
                like.into()
            }
            (Type::Map(item), Value::Object(parts)) => Value::Object(
                parts.iter().map(|(key, part)| (key.clone(), self.like_at(item, part, depth + 1))).collect(),
            ),
            _ => value.clone(),
        }
    }
}
