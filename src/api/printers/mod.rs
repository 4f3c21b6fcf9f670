//! The columns in which objects are printed for people.

use serde_json::{Value, json};

/// A column of a Table.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Column {
    /// Its heading.
    pub name: &'static str,
    /// The JSON type of its cells: `string`, `integer`, `number`, `boolean` or `date`.
    pub kind: &'static str,
    /// How the type is meant; `name` marks the column that identifies the object.
    pub format: &'static str,
    /// What the column tells.
    pub description: &'static str,
    /// 0 is always shown, more only when wide output is asked for.
    pub priority: i32,
}

impl Column {
    /// The column's definition as a Table has it.
    #[must_use]
    pub fn to_value(&self) -> Value {
        json!({"name": self.name, "type": self.kind, "format": self.format, "description": self.description,
            "priority": self.priority})
    }
}
