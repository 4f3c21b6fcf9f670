//! Webhooks that look at what is about to be stored: asked at once, and each may refuse.

use api::admission::Attributes;
use api::status::Status;
use futures::future;

use super::hooks::{Hook, Sort};
use super::{ask, asked};
use crate::verbs::Call;

/// Has the webhooks that a request concerns look at it. The first refusal, in the order of the webhooks, is the answer.
pub(crate) async fn validate(call: &Call, attributes: &Attributes<'_>) -> Result<(), Status> {
    let kept = call.server.hooks().current(Sort::Validating, call.objects());
    let hooks = kept.values().flat_map(|hooks| hooks.iter());
    if attributes.is_exempt() {
        return Ok(());
    }
    let answers = future::join_all(hooks.map(|hook| one(call, hook, attributes))).await;
    answers.into_iter().collect()
}

async fn one(call: &Call, hook: &Hook, attributes: &Attributes<'_>) -> Result<(), Status> {
    let scheme = call.server.scheme();
    let Some(asked) = asked(call, hook, attributes, &scheme)? else { return Ok(()) };
    ask(call, hook, attributes, &asked, false).await.map(drop)
}
