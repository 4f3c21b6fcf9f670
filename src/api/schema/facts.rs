//! Facts about fields that k8s-openapi lacks, from upstream's own texts (see the head of each table).

use std::collections::HashMap;
use std::sync::LazyLock;

use serde_json::{Map, Value};

/// What a field is in upstream's Go sources.
#[derive(Clone, Debug)]
pub(crate) struct GoField {
    /// Its number in protobuf.
    pub number: u32,
    /// Its name in JSON; `inline` for an embedded struct.
    pub json: &'static str,
    /// Its type as Go's messages print it, without the pointer: `[]v1.Container`.
    pub type_name: String,
    /// Whether the empty value is left out.
    pub omits_empty: bool,
    /// Whether it can be unset.
    pub is_pointer: bool,
}

/// The facts of an OpenAPI definition (under `""`) and its fields: `x-kubernetes-…` and `default`.
pub(crate) type OpenApiFacts = HashMap<&'static str, Map<String, Value>>;

const GO: &str = include_str!("facts/go.tsv");
const OPENAPI: &str = include_str!("facts/openapi.tsv");

/// Fields of a definition as they stand in upstream's Go sources: an embedded struct is one field, named `inline`.
pub(crate) fn go_rows(definition: &str) -> &'static [GoField] {
    static FIELDS: LazyLock<HashMap<String, Vec<GoField>>> = LazyLock::new(read_go);
    FIELDS.get(definition).map_or(&[], Vec::as_slice)
}

/// The definition of the struct that a field named `inline` embeds in `definition`.
pub(crate) fn embedded(definition: &str, field: &GoField) -> String {
    let package = definition.rsplit_once('.').map_or("", |(package, _)| package);
    let embedded = field.type_name.rsplit('.').next().unwrap_or_default();
    format!("{package}.{embedded}")
}

/// Fields of a definition in upstream's Go sources, embedded structs resolved.
pub(crate) fn go_fields(definition: &str) -> Vec<GoField> {
    let mut fields = Vec::new();
    for field in go_rows(definition) {
        if field.json == "inline" {
            fields.extend(go_fields(&embedded(definition, field)));
        } else {
            fields.push(field.clone());
        }
    }
    fields
}

/// The OpenAPI facts of a definition.
pub(crate) fn openapi(definition: &str) -> Option<&'static OpenApiFacts> {
    static FACTS: LazyLock<HashMap<&str, OpenApiFacts>> = LazyLock::new(read_openapi);
    FACTS.get(definition)
}

fn read_go() -> HashMap<String, Vec<GoField>> {
    let mut fields: HashMap<String, Vec<GoField>> = HashMap::new();
    for row in rows(GO) {
        let [package, message, number, json, type_name, _wire, _label, omits_empty, pointer] = row.as_slice() else {
            continue;
        };
        // A message without fields has one row, of number 0.
        let Ok(number @ 1..) = number.parse() else { continue };
        fields.entry(definition_name(package, message)).or_default().push(GoField {
            number,
            json,
            type_name: printed_type(type_name, package),
            omits_empty: !omits_empty.is_empty(),
            is_pointer: !pointer.is_empty(),
        });
    }
    fields
}

fn read_openapi() -> HashMap<&'static str, OpenApiFacts> {
    let mut facts: HashMap<&str, OpenApiFacts> = HashMap::new();
    for row in rows(OPENAPI) {
        let [definition, field, values] = row.as_slice() else { continue };
        if let Ok(values) = serde_json::from_str(values) {
            facts.entry(definition).or_default().insert(field, values);
        }
    }
    facts
}

/// The rows of a table, without comments and the heading.
fn rows(table: &'static str) -> impl Iterator<Item = Vec<&'static str>> {
    table.lines().filter(|line| !line.starts_with('#')).skip(1).map(|line| line.split('\t').collect())
}

/// `api/core/v1` and `Pod` as `io.k8s.api.core.v1.Pod`.
fn definition_name(package: &str, message: &str) -> String {
    format!("io.k8s.{}.{message}", package.replace('/', "."))
}

/// A type as the sources of `package` write it, in the form that Go prints: `[]Container` is `[]v1.Container`.
fn printed_type(written: &str, package: &str) -> String {
    let written = written.trim_start_matches('*');
    if let Some(item) = written.strip_prefix("[]") {
        return if item == "byte" { "[]uint8".to_owned() } else { format!("[]{}", printed_type(item, package)) };
    }
    if let Some((key, value)) = written.strip_prefix("map[").and_then(|rest| rest.split_once(']')) {
        return format!("map[{}]{}", printed_type(key, package), printed_type(value, package));
    }
    match written.split_once('.') {
        // An import's local name (`metav1`) is not what Go prints: that is the package's own (`v1`).
        Some((import, name)) => {
            let own = import.rfind("v1").or_else(|| import.rfind("v2")).and_then(|at| import.get(at..));
            format!("{}.{name}", own.unwrap_or(import))
        }
        None if written.starts_with(|c: char| c.is_ascii_uppercase()) => {
            format!("{}.{written}", package.rsplit('/').next().unwrap_or_default())
        }
        None => written.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_printed_as_go_prints_them() {
        let check = |written: &str, expected: &str| assert_eq!(printed_type(written, "api/core/v1"), expected);
        check("[]Container", "[]v1.Container");
        check("*int32", "int32");
        check("map[string]string", "map[string]string");
        check("metav1.Time", "v1.Time");
        check("types.UID", "types.UID");
        check("[]byte", "[]uint8");
        check("ResourceList", "v1.ResourceList");
    }

    #[test]
    fn embedded_structs_bring_their_fields() {
        let fields = go_fields("io.k8s.api.core.v1.Volume");
        let config_map = fields.iter().find(|field| field.json == "configMap").unwrap();
        assert!(config_map.is_pointer && config_map.omits_empty);
        assert_eq!(config_map.type_name, "v1.ConfigMapVolumeSource");
    }

    #[test]
    fn every_row_of_the_tables_is_read() {
        assert!(rows(GO).all(|row| row.len() == 9));
        assert!(rows(OPENAPI).all(|row| row.len() == 3 && row.get(2).is_some_and(|facts| facts.starts_with('{'))));
        let facts = openapi("io.k8s.api.core.v1.PodSpec").unwrap();
        assert_eq!(facts["containers"]["x-kubernetes-patch-merge-key"], "name");
    }
}
