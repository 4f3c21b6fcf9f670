//! Kubernetes objects as pure values: what the API is, without any server.
//!
//! This floor must never open a file or socket, read a clock, or hold state beyond tables built once. The same input
//! gives the same result everywhere, so all of it is tested as tables.
//!
//! Objects are `serde_json::Value`s with sorted maps. What they may hold comes from one schema ([`schema`]), what
//! kinds there are from one table ([`scheme`]); nothing here is written a kind but defaults, validation and printers.
//!
//! Reading order: [`scheme`] (a row a resource), [`schema`] (types), [`decode`] (bytes to canonical objects) with [`protobuf`],
//! [`strategies`] with [`defaults`], [`validation`] and [`printers`] (what differs between kinds), [`patch`] and
//! [`managed`] (what becomes of a write), [`meta`] and [`status`] (what all kinds share), [`events`] and [`autoscaling`]
//! (the kinds with two forms), [`custom`] (kinds made at run time), [`cel`] (expressions in objects), [`admission`] (whom
//! webhooks and policies are asked about), [`access`], [`quota`] and [`pod_security`] (what is allowed, as functions),
//! [`selectors`] and [`paging`] (which objects of a collection), [`quantity`] with [`amounts`], [`names`], then
//! [`discovery`] and [`openapi`] (how the table is told to clients). `laws` is what tests and fuzzers hold all of it to.
//!
//! # Why
//!
//! 2026-11-23: values instead of typed structs. Builtin kinds and custom resources go through the same code, what a
//! client sent is kept where upstream keeps it, and a list key or a default is data instead of code. The price is that
//! a misspelt field name is found by a test instead of the compiler.

pub mod access;
pub mod admission;
pub mod amounts;
pub mod autoscaling;
pub mod cel;
pub mod cron;
pub mod custom;
pub mod decode;
pub mod defaults;
pub mod discovery;
pub mod durations;
pub mod events;
pub mod flow_control;
#[cfg(any(test, fuzzing))]
pub mod laws;
pub mod managed;
pub mod meta;
pub mod names;
pub mod openapi;
pub mod paging;
pub mod patch;
pub mod pattern;
pub mod pod_security;
pub mod printers;
pub mod protobuf;
pub mod quantity;
pub mod quota;
pub mod schema;
pub mod scheme;
pub mod selectors;
pub mod services;
pub mod status;
pub mod strategies;
pub mod taints;
pub mod validation;
mod value;
