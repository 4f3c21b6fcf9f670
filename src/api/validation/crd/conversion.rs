//! How objects of a kind go from version to version.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::super::admission_registration::webhooks::known_versions;
use super::super::field::{Error, ErrorList, Path};
use super::super::webhook_client;
use super::spec::{Asked, enumerated};
use crate::value::{flag, has, list, part, text};

/// Whether this server, or its predecessors, can ask in this version.
pub(super) fn is_known(version: &str) -> bool {
    ["v1", "v1beta1"].contains(&version)
}

/// Whether it holds a certificate.
pub(super) fn is_bundle(base64: &str) -> bool {
    let bytes = STANDARD.decode(base64).unwrap_or_default();
    String::from_utf8_lossy(&bytes).contains("-----BEGIN CERTIFICATE-----")
}

/// A conversion is none, or a webhook's.
pub(super) fn check(errors: &mut ErrorList, path: &Path, spec: &Value, asked: &Asked) {
    let conversion = part(spec, "conversion");
    if conversion.is_null() {
        return;
    }
    let strategy = text(conversion, "strategy");
    if strategy != "None" && flag(spec, "preserveUnknownFields") {
        let detail = "must be None if spec.preserveUnknownFields is true";
        errors.push(Error::invalid(path.child("strategy"), strategy, detail));
    }
    enumerated(errors, &path.child("strategy"), strategy, &["None", "Webhook"]);
    let webhook = part(conversion, "webhook");
    // In upstream's form both stand here.
    let (client_path, versions_path) = (path.child("webhookClientConfig"), path.child("conversionReviewVersions"));
    if strategy != "Webhook" {
        let detail = "should not be set when strategy is not set to Webhook";
        if has(webhook, "clientConfig") {
            errors.push(Error::forbidden(client_path, detail));
        }
        if !list(webhook, "conversionReviewVersions").is_empty() {
            errors.push(Error::forbidden(versions_path, detail));
        }
        return;
    }
    let client = part(webhook, "clientConfig");
    if client.is_null() {
        errors.push(Error::required(client_path, "required when strategy is set to Webhook"));
    } else {
        webhook_client::client(errors, &client_path, client);
        let bundle = text(client, "caBundle");
        if asked.valid_ca && !bundle.is_empty() && !is_bundle(bundle) {
            let detail = "unable to load root certificates: unable to parse bytes as PEM block";
            errors.push(Error::invalid(client_path.child("caBundle"), bundle, detail));
        }
    }
    if list(webhook, "conversionReviewVersions").is_empty() {
        return errors.push(Error::required(versions_path, ""));
    }
    known_versions(errors, &versions_path, webhook, "conversionReviewVersions", asked.known_review_version);
}
