//! Webhooks and policies that look at requests, as `pkg/apis/admissionregistration/validation`.
//!
//! Reading order: [`webhooks`], [`policies`], [`bindings`], then `rules` (which requests are meant), `conditions` and
//! `expressions` (what is written in CEL).

pub mod bindings;
mod conditions;
mod expressions;
pub mod policies;
mod rules;
pub mod webhooks;

use serde_json::Value;

use super::field::{Error, ErrorList, Path};
use crate::meta;
use crate::value::text;

const FAILURE_POLICIES: [&str; 2] = ["Fail", "Ignore"];
const MATCH_POLICIES: [&str; 2] = ["Equivalent", "Exact"];
const REINVOCATION_POLICIES: [&str; 2] = ["IfNeeded", "Never"];

/// What the writer of a configuration, policy or binding should know.
pub fn warnings(object: &Value) -> Vec<String> {
    const SUFFIX: &str = ".static.k8s.io";
    let warning = || {
        format!(
            "metadata.name: names ending with \"{SUFFIX}\" will be reserved for static manifest-based configurations when the ManifestBasedAdmissionControlConfig feature gate is enabled"
        )
    };
    meta::name(object).ends_with(SUFFIX).then(warning).into_iter().collect()
}

/// A field that is one of these words, where it is set.
fn word(errors: &mut ErrorList, path: &Path, object: &Value, field: &str, supported: &[&str]) {
    if crate::value::has(object, field) && !supported.contains(&text(object, field)) {
        errors.push(Error::not_supported(path.child(field), text(object, field), supported));
    }
}

/// A field that is set, to one of these words.
fn required_word(errors: &mut ErrorList, path: &Path, object: &Value, field: &str, supported: &[&str]) {
    if crate::value::has(object, field) {
        word(errors, path, object, field, supported);
    } else {
        errors.push(Error::required(path.child(field), ""));
    }
}
