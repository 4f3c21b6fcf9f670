//! The configurations of webhooks as the watch caches have them, read once a change.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use api::meta;
use api::scheme::Scheme;
use serde_json::Value;
use store::Revision;

use super::TIMEOUT_DEFAULT;
use crate::cache::kept::Kept;
use crate::objects::Objects;
use crate::policies::Conditions;

/// Configurations of both sorts.
#[derive(Debug, Default)]
pub(crate) struct Hooks {
    mutating: Mutex<Arc<Kept<Vec<Hook>>>>,
    validating: Mutex<Arc<Kept<Vec<Hook>>>>,
}

/// Which sort of webhooks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Sort {
    Mutating,
    Validating,
}

/// One webhook of a configuration.
#[derive(Debug)]
pub(super) struct Hook {
    pub name: String,
    /// The whole of it, for its selectors and conditions.
    pub said: Value,
    pub rules: Vec<Value>,
    /// `matchConditions`, or why they cannot be asked.
    pub conditions: Result<Conditions, String>,
    /// `WebhookClientConfig`
    pub client: Value,
    pub timeout: Duration,
    /// The version of the review that it understands best.
    pub version: &'static str,
    /// `failurePolicy: Ignore`
    pub may_fail: bool,
    /// `matchPolicy: Equivalent`
    pub is_equivalent: bool,
    /// `reinvocationPolicy: IfNeeded`
    pub is_asked_again: bool,
    /// Whether asking it changes something even in a dry run.
    pub has_side_effects: bool,
}

impl Hooks {
    /// The webhooks of a sort, in the order in which they are asked: by their configurations' names, then as they stand.
    pub(super) fn current(&self, sort: Sort, objects: &Objects) -> Arc<Kept<Vec<Hook>>> {
        let (place, plural) = match sort {
            Sort::Mutating => (&self.mutating, "mutatingwebhookconfigurations"),
            Sort::Validating => (&self.validating, "validatingwebhookconfigurations"),
        };
        let mut newest = place.lock().unwrap_or_else(PoisonError::into_inner);
        let resource = Scheme::builtin().resource("admissionregistration.k8s.io", "v1", plural);
        let cache = resource.and_then(|resource| objects.cache(resource).ok());
        if let Some(snapshot) = cache.map(|cache| cache.snapshot(Revision(0)))
            && snapshot.revision != newest.revision
        {
            *newest = Arc::new(newest.renewed(&snapshot, |configuration| Some(Hook::all(&configuration))));
        }
        Arc::clone(&newest)
    }

    /// Whether there is any webhook of a sort.
    pub(super) fn has(&self, sort: Sort, objects: &Objects) -> bool {
        self.current(sort, objects).values().any(|hooks| !hooks.is_empty())
    }
}

impl Hook {
    fn all(configuration: &Value) -> Vec<Self> {
        if meta::deletion_timestamp(configuration).is_some() {
            return Vec::new();
        }
        let hooks = configuration.get("webhooks").and_then(Value::as_array).into_iter().flatten();
        hooks.map(Self::of).collect()
    }

    fn of(said: &Value) -> Self {
        let text = |name: &str| said.get(name).and_then(Value::as_str).unwrap_or_default();
        let seconds = said.get("timeoutSeconds").and_then(Value::as_u64);
        let versions = said.get("admissionReviewVersions").and_then(Value::as_array);
        let understands =
            |version: &str| versions.is_some_and(|versions| versions.iter().any(|found| found == version));
        let first =
            versions.and_then(|versions| versions.iter().find(|version| *version == "v1" || *version == "v1beta1"));
        let is_beta = first.is_some_and(|first| first == "v1beta1") && understands("v1beta1");
        Self {
            name: text("name").to_owned(),
            rules: said.get("rules").and_then(Value::as_array).cloned().unwrap_or_default(),
            conditions: Conditions::compile(
                said.get("matchConditions").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default(),
                false,
            ),
            client: said.get("clientConfig").cloned().unwrap_or_default(),
            timeout: seconds.map_or(TIMEOUT_DEFAULT, Duration::from_secs),
            version: if is_beta { "v1beta1" } else { "v1" },
            may_fail: text("failurePolicy") == "Ignore",
            is_equivalent: text("matchPolicy") != "Exact",
            is_asked_again: text("reinvocationPolicy") == "IfNeeded",
            has_side_effects: !["None", "NoneOnDryRun"].contains(&text("sideEffects")),
            said: said.clone(),
        }
    }
}
