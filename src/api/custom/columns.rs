//! The columns of a custom kind (`additionalPrinterColumns`), as upstream's `tableconvertor` prints them.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::json_path::JsonPath;
use crate::printers::{self, age};
use crate::value::{list, number, text};

/// A column that a definition names.
#[derive(Debug)]
pub(super) struct Column {
    name: Box<str>,
    kind: Box<str>,
    format: Box<str>,
    description: Box<str>,
    priority: i64,
    path: JsonPath,
}

/// What a definition's version shows; its age where it names nothing.
pub(super) fn of(version: &Value) -> Vec<Column> {
    let named = list(version, "additionalPrinterColumns");
    if named.is_empty() {
        return age_alone().into_iter().collect();
    }
    named.iter().filter_map(Column::of).collect()
}

fn age_alone() -> Option<Column> {
    Column::of(&json!({"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp",
        "description": printers::AGE.description}))
}

/// The definitions of the columns, the name's first.
pub(super) fn definitions(columns: &[Column]) -> Vec<Value> {
    let own = columns.iter().map(|column| {
        json!({"name": column.name, "type": column.kind, "format": column.format, "description": column.description,
            "priority": column.priority})
    });
    std::iter::once(printers::NAME.to_value()).chain(own).collect()
}

/// The cells of an object.
pub(super) fn cells(columns: &[Column], object: &Value, now: Timestamp) -> Vec<Value> {
    std::iter::once(printers::name(object)).chain(columns.iter().map(|column| column.cell(object, now))).collect()
}

impl Column {
    fn of(column: &Value) -> Option<Self> {
        let path = text(column, "jsonPath");
        let description = match text(column, "description") {
            "" => format!("Custom resource definition column (in JSONPath format): {path}"),
            description => description.to_owned(),
        };
        Some(Self {
            name: text(column, "name").into(),
            kind: text(column, "type").into(),
            format: text(column, "format").into(),
            description: description.into(),
            priority: number(column, "priority").unwrap_or(0),
            path: JsonPath::parse(path).ok()?,
        })
    }

    /// The first value that the path finds, if it is of the column's type.
    fn cell(&self, object: &Value, now: Timestamp) -> Value {
        let Some(found) = self.path.find(object).into_iter().next().filter(|found| !found.is_null()) else {
            return Value::Null;
        };
        match (&*self.kind, found) {
            ("string", Value::String(text)) => text.as_str().into(),
            ("string", other) => other.to_string().into(),
            ("integer", Value::Number(number)) => number.as_i64().map_or_else(|| whole(number.as_f64()), Into::into),
            ("number", Value::Number(number)) => Value::Number(number.clone()),
            ("boolean", Value::Bool(flag)) => (*flag).into(),
            ("date", Value::String(time)) if time.parse::<Timestamp>().is_ok() => age::since(Some(time), now).into(),
            ("date", Value::String(_)) => "<invalid>".into(),
            _ => Value::Null,
        }
    }
}

/// A float without its fraction, as Go converts it.
fn whole(number: Option<f64>) -> Value {
    #[expect(clippy::cast_possible_truncation, reason = "that is what it is for; Rust's cast keeps to the bounds")]
    number.map_or(Value::Null, |number| (number.trunc() as i64).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_of_their_columns_types() {
        let version = json!({"additionalPrinterColumns": [
            {"name": "Spec", "type": "string", "jsonPath": ".spec.cron"},
            {"name": "Replicas", "type": "integer", "jsonPath": ".spec.replicas"},
            {"name": "Wrong", "type": "integer", "jsonPath": ".spec.cron"},
            {"name": "Labels", "type": "string", "jsonPath": ".metadata.labels", "priority": 1},
            {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}]});
        let columns = of(&version);
        let object = json!({"metadata": {"name": "n", "labels": {"a": "b"}, "creationTimestamp": "2026-11-28T10:00:00Z"},
            "spec": {"cron": "* *", "replicas": 3}});
        let now = "2026-11-28T10:01:00Z".parse().unwrap();
        assert_eq!(Value::Array(cells(&columns, &object, now)), json!(["n", "* *", 3, null, "{\"a\":\"b\"}", "60s"]));
        let names: Vec<Value> = definitions(&columns).iter().map(|column| column["name"].clone()).collect();
        assert_eq!(Value::Array(names), json!(["Name", "Spec", "Replicas", "Wrong", "Labels", "Age"]));
        assert_eq!(cells(&of(&json!({})), &object, now), [json!("n"), json!("60s")]);
    }
}
