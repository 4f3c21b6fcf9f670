//! `Table`: an object's columns, as kubectl prints them. The columns and cells are the row's strategy's.

use api::printers::workloads;
use api::status::Status;
use base::clock;
use serde_json::{Value, json};

use super::partial;
use crate::negotiate::MetaVersion;
use crate::verbs::Call;

/// How much of each object a row carries besides its cells.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Include {
    Nothing,
    Metadata,
    Whole,
}

/// A table of `values` with its column definitions.
pub(crate) fn table(call: &Call, version: MetaVersion, values: &[Value], metadata: Value) -> Result<Value, Status> {
    let columns = match is_scale(call) {
        true => workloads::SCALE.iter().map(|column| column.to_value()).collect(),
        false => call.resource.columns(),
    };
    let mut table = rows(call, version, values)?;
    if let Some(fields) = table.as_object_mut() {
        fields.insert("metadata".into(), metadata);
        fields.insert("columnDefinitions".into(), columns.into());
    }
    Ok(table)
}

/// The same without definitions, as a watch sends after its first table.
pub(crate) fn rows(call: &Call, version: MetaVersion, values: &[Value]) -> Result<Value, Status> {
    let include = include(call)?;
    let now = clock::now();
    let rows: Vec<Value> = values
        .iter()
        .map(|value| {
            let cells = if is_scale(call) { workloads::scale(value, now) } else { call.resource.cells(value, now) };
            match include {
                Include::Nothing => json!({"cells": cells}),
                Include::Metadata => json!({"cells": cells, "object": partial::object(value, version)}),
                Include::Whole => json!({"cells": cells, "object": value}),
            }
        })
        .collect();
    Ok(
        json!({"kind": "Table", "apiVersion": version.api_version(), "metadata": {}, "columnDefinitions": null, "rows": rows}),
    )
}

/// Whether what is shown is the scale that everything with replicas shares.
fn is_scale(call: &Call) -> bool {
    call.request.subresource.as_deref() == Some("scale")
}

/// `?includeObject=`, which is metadata if nothing is said.
fn include(call: &Call) -> Result<Include, Status> {
    match call.query.find("includeObject") {
        None | Some("Metadata") => Ok(Include::Metadata),
        Some("None") => Ok(Include::Nothing),
        Some("Object") => Ok(Include::Whole),
        Some(other) => Err(Status::bad_request(format!("unrecognized includeObject value: {:?}", other))),
    }
}
