//! What an object must satisfy beyond its schema, with upstream's messages.
//!
//! A file holds the rules of a kind; [`field`] is how an error is told, `checks` what several kinds share. Each
//! function answers with all that is wrong, in the order in which upstream finds it. Metadata is checked for all
//! kinds alike, in [`crate::meta`].
//!
//! Reading order: [`field`], `checks`, [`small`] and [`config`] (kinds with few rules), [`service`], [`pod`],
//! [`wasm`] (what a pod may ask for upstream and is refused here).

pub mod access;
pub mod addresses;
pub mod admission_registration;
pub mod api_service;
pub mod autoscaling;
pub mod certificate_signing_request;
mod checks;
pub mod config;
pub mod crd;
pub mod devices;
pub mod endpoint_slice;
pub mod endpoints;
pub mod event;
pub mod field;
pub mod flow_control;
pub mod jobs;
pub mod networking;
pub mod node;
pub mod pod;
pub mod policy;
pub mod quotas;
#[cfg(test)]
mod recorded;
pub mod service;
pub mod small;
pub mod storage;
#[cfg(test)]
mod testing;
mod tolerations;
pub mod volumes;
pub mod wasm;
mod webhook_client;
pub mod workloads;
