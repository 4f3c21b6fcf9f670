//! Which requests wait for which.

use jiff::Timestamp;
use serde_json::Value;

use super::{AGE, Column, NAME, NONE, age, items, name, text, text_at};

/// `FlowSchema`.
pub const FLOW_SCHEMA: &[Column] = &[
    NAME,
    text("PriorityLevel", "The level of its requests."),
    text("MatchingPrecedence", "Schemas with lower numbers are asked first."),
    text("DistinguisherMethod", "What tells its flows apart."),
    AGE,
    text("MissingPL", "Whether its level is missing."),
];

/// A schema's cells.
#[must_use]
pub fn flow_schema(object: &Value, now: Timestamp) -> Vec<Value> {
    let dangling = items(object, "/status/conditions").iter().find(|condition| condition["type"] == "Dangling");
    vec![
        name(object),
        text_at(object, "/spec/priorityLevelConfiguration/name", ""),
        object.pointer("/spec/matchingPrecedence").cloned().unwrap_or_else(|| 0.into()),
        text_at(object, "/spec/distinguisherMethod/type", NONE),
        age(object, now),
        dangling.map_or_else(|| "?".into(), |condition| text_at(condition, "/status", "")),
    ]
}

/// `PriorityLevelConfiguration`.
pub const PRIORITY_LEVEL: &[Column] = &[
    NAME,
    text("Type", "Whether its requests are limited."),
    text("NominalConcurrencyShares", "Its share of the seats."),
    text("Queues", "How many queues it has."),
    text("HandSize", "How many queues a flow may use."),
    text("QueueLengthLimit", "How many requests wait in a queue at most."),
    AGE,
];

/// A level's cells.
#[must_use]
pub fn priority_level(object: &Value, now: Timestamp) -> Vec<Value> {
    let limited = |pointer: &str| object.pointer(&format!("/spec/limited/{pointer}")).cloned();
    let count = |pointer: &str| limited(pointer).unwrap_or_else(|| NONE.into());
    vec![
        name(object),
        text_at(object, "/spec/type", ""),
        count("nominalConcurrencyShares"),
        count("limitResponse/queuing/queues"),
        count("limitResponse/queuing/handSize"),
        count("limitResponse/queuing/queueLengthLimit"),
        age(object, now),
    ]
}
