//! The Kubernetes API over the store: what kubectl, controllers and nodes speak to.
//!
//! This floor must never know what runs a pod, call another component, or keep state that is not in the store or
//! rebuilt from it. It is the only one that touches the store.
//!
//! Reading order, along a request's way: [`serve`] (connections), [`authentication`], `request_id`, [`request_info`],
//! [`server`] (the one way in), [`authorization`], `limits` (what one caller may take), `verbs` (what happens to
//! objects), `field_manager` (who owns what of them), `admission`, `policies` and `webhooks`, `objects` (changes without loss), `cache` (every
//! object in memory, watches), `respond` (bytes).
//! Beside it: `paths` (discovery, OpenAPI, health), `registry` and `submission` (artifacts, and pods made of them),
//! `nodes` (what a pod's node answers), `custom` (the rows that definitions make), `event_ttl`, `own_service` and
//! `service_addresses` (what the server keeps by itself), [`bootstrap`]
//! (keys and certificates at first start).

mod admission;
mod cache;
mod conversion;
mod custom;
mod event_ttl;
mod field_manager;
mod idle;
mod limits;
mod negotiate;
mod objects;
mod options;
mod own_group;
mod own_service;
mod paths;
mod policies;
mod registry;
mod request_id;
mod respond;
mod seed;
mod selection;
mod shares;
mod submission;
mod verbs;

pub mod authentication;
pub mod authorization;
pub mod bootstrap;
pub mod health;
pub mod metrics;
pub mod nodes;
pub mod request_info;
pub mod serve;
pub mod server;
mod service_addresses;
pub mod services;
pub mod version;
mod webhooks;

pub use server::{ApiServer, Authorities, InProcess, Options, StartError, TolerationSeconds};

#[cfg(test)]
mod tests;
