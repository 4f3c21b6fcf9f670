//! GET of one object.

use api::status::Status;

use super::Call;
use crate::objects;
use crate::options::{At, Query};
use crate::respond::Answer;

/// Answers with the object, from the watch cache. The cache shows every acknowledged write, so the newest state and
/// any `resourceVersion` up to it are the same answer.
pub(crate) async fn serve(call: &Call) -> Result<Answer, Status> {
    wait_for_version(call, &call.query).await?;
    let object = call.objects().find(&call.resource, call.namespace(), call.name()?)?;
    Ok(Answer::Cached(object))
}

/// `resourceVersion=N` on a GET means "not older than N".
async fn wait_for_version(call: &Call, query: &Query) -> Result<(), Status> {
    if let At::NotOlderThan(revision) | At::Exact(revision) = At::read(query, false)? {
        let reached = call.objects().caches().reached(revision).await;
        reached.map_err(|error| objects::not_reached(&error))?;
    }
    Ok(())
}
