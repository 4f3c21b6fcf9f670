//! Webhooks that look at what is about to be stored: asked at once, and each may refuse.

use api::admission::Attributes;
use api::status::Status;
use futures::future;

use super::hooks::{Hook, Sort};
use super::{ask, asked};
use crate::verbs::Call;

/// Webhooks that are asked about one request at once. Each holds its question in memory, and clusters have few.
const ASKED_AT_ONCE: usize = 16;

/// Has the webhooks that a request concerns look at it. The first refusal, in the order of the webhooks, is the answer.
pub(crate) async fn validate(call: &Call, attributes: &Attributes<'_>) -> Result<(), Status> {
    let kept = call.server.hooks().current(Sort::Validating, call.objects());
    let hooks: Vec<&Hook> = kept.values().flat_map(|hooks| hooks.iter()).collect();
    if attributes.is_exempt() {
        return Ok(());
    }
    for hooks in hooks.chunks(ASKED_AT_ONCE) {
        let answers = future::join_all(hooks.iter().map(|hook| one(call, hook, attributes))).await;
        answers.into_iter().collect::<Result<(), Status>>()?;
    }
    Ok(())
}

async fn one(call: &Call, hook: &Hook, attributes: &Attributes<'_>) -> Result<(), Status> {
    let scheme = call.server.scheme();
    let Some(asked) = asked(call, hook, attributes, attributes.object, &scheme)? else { return Ok(()) };
    ask(call, hook, attributes, &asked, false).await.map(drop)
}
