//! `ResourceQuota`: what a namespace may use. A new object is charged to the quotas that are about it before it is made,
//! and what it was charged is given back when it is not.
//!
//! What is used besides, a controller counts (`plugin/pkg/admission/resourcequota`).

use std::sync::{Mutex, PoisonError};

use api::amounts::Amounts;
use api::scheme::{Resource, Scheme};
use api::status::Status;
use api::{meta, quota};
use serde_json::{Value, json};

use super::in_namespace;
use crate::objects::Change;
use crate::options::Keep;
use crate::verbs::Call;

/// What an object was charged to quotas.
#[derive(Debug, Default)]
pub(crate) struct Charged {
    quotas: Vec<String>,
    used: Amounts,
}

/// Charges a new object, or refuses it. A dry run is only looked at.
pub(crate) async fn charge(call: &Call, object: &Value, keep: Keep) -> Result<Charged, Status> {
    let Some(resource) = Scheme::builtin().resource("", "v1", "resourcequotas") else { return Ok(Charged::default()) };
    if call.namespace().is_none() {
        return Ok(Charged::default());
    }
    let (group, plural) = (&*call.resource.group, &*call.resource.plural);
    let mut quotas = in_namespace(call, resource)?;
    if quotas.is_empty() {
        return Ok(Charged::default());
    }
    let used = quota::usage(group, plural, object);
    let bounds = |quota: &Value| quota.pointer("/status/hard").and_then(Value::as_object).cloned().unwrap_or_default();
    quotas.retain(|quota| {
        used.keys().any(|name| bounds(quota).contains_key(name)) && quota::is_about(quota, group, plural, object)
    });
    let refused = |why: String| Status::forbidden(group, plural, meta::name(object), &why);
    // All are looked at before any is charged.
    for quota in &quotas {
        if let Some(why) = (plural == "pods").then(|| quota::unsaid(quota, object)).flatten() {
            return Err(refused(why));
        }
        quota::charged(quota, &used, &Amounts::new()).map_err(refused)?;
    }
    let mut charged = Charged { quotas: Vec::new(), used };
    if keep == Keep::DryRun {
        return Ok(charged);
    }
    for quota in quotas {
        let name = meta::name(&quota).to_owned();
        match put(call, resource, &name, &charged.used, &Amounts::new()).await {
            Ok(()) => charged.quotas.push(name),
            // It was deleted meanwhile, and bounds nothing any more.
            Err(Refusal::Failed(status)) if status.code == 404 => {}
            Err(refusal) => {
                give_back(call, charged).await;
                return Err(match refusal {
                    Refusal::Exceeded(why) => refused(why),
                    Refusal::Failed(status) => status,
                });
            }
        }
    }
    Ok(charged)
}

/// Gives back what an object was charged that was not made. What cannot be given back, the controller finds.
pub(crate) async fn give_back(call: &Call, charged: Charged) {
    let Some(resource) = Scheme::builtin().resource("", "v1", "resourcequotas") else { return };
    for name in &charged.quotas {
        if let Err(refusal) = put(call, resource, name, &Amounts::new(), &charged.used).await {
            tracing::debug!(quota = name, ?refusal, "a quota is charged for what was not made");
        }
    }
}

/// Why a quota was not charged.
#[derive(Debug)]
enum Refusal {
    /// It does not fit, in upstream's words.
    Exceeded(String),
    /// The quota could not be written.
    Failed(Status),
}

/// Writes what is used after `more` came and `less` went.
async fn put(call: &Call, resource: &Resource, name: &str, more: &Amounts, less: &Amounts) -> Result<(), Refusal> {
    let exceeded = Mutex::new(None);
    let refused = &exceeded;
    let changed = call.objects().change(resource, call.namespace(), name, Keep::Stored, |_, mut quota| async move {
        let mut used = match quota::charged(&quota, more, &Amounts::new()) {
            Ok(used) => used,
            Err(why) => {
                *refused.lock().unwrap_or_else(PoisonError::into_inner) = Some(why);
                return Ok(Change::Nothing(quota));
            }
        };
        for (name, amount) in less {
            if let Some(used) = used.get_mut(name) {
                *used = used.minus(*amount);
            }
        }
        let used: Value = used.iter().map(|(name, amount)| (name.clone(), json!(amount.to_string()))).collect();
        meta::set_at(&mut quota, "/status/used", used);
        Ok(Change::Put(quota))
    });
    changed.await.map_err(Refusal::Failed)?;
    exceeded.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), |why| Err(Refusal::Exceeded(why)))
}
