//! Lists: consistent at one revision, filtered, in pages.
//!
//! A list is a walk over an immutable map, so it neither holds up writers nor sees half a change. A page's `continue`
//! token names the revision and the key to go on from (upstream's form); the snapshot is pinned for as long as the
//! token is good, since the watch window may forget that revision.

use api::paging::Token;
use api::status::Status;
use store::Revision;

use super::Call;
use crate::cache::{Object, Snapshot};
use crate::objects;
use crate::options::{At, ListOptions};
use crate::respond::{Answer, Page};
use crate::selection::Selection;

/// Lists a collection.
pub(crate) async fn serve(call: &Call) -> Result<Answer, Status> {
    let options = ListOptions::read(&call.query, false)?;
    let page = page(call, &options).await?;
    Ok(Answer::List(page))
}

/// The objects of one page, in order of their keys.
pub(crate) async fn page(call: &Call, options: &ListOptions) -> Result<Page, Status> {
    let token = options.continue_token.as_deref().map(Token::parse).transpose()?;
    let snapshot = snapshot(call, options, token.as_ref()).await?;
    let selection = Selection::new(&call.resource, call.namespace(), &options.labels, &options.fields)?;
    let start = token.as_ref().map_or("", Token::start);
    let limit = options.limit.unwrap_or(usize::MAX);

    let mut items = Vec::new();
    let mut left =
        snapshot.from(selection.first_key(start)).take_while(|(key, _)| selection.may_follow(key)).peekable();
    while items.len() < limit
        && let Some((_, object)) = left.next()
    {
        if selection.matches(object) {
            items.push(std::sync::Arc::clone(object));
        }
    }
    let next = left.peek().map(|(key, _)| after_last(&items, key));
    let token = next.map(|next| Token::new(snapshot.revision.0, &next));
    let remaining = (token.is_some() && selection.is_everything()).then(|| left.count());
    if token.is_some() {
        call.server.pins().pin(&call.objects().cache(&call.resource)?, &snapshot);
    }
    Ok(Page { items, revision: snapshot.revision, continue_token: token.map(|token| token.to_string()), remaining })
}

/// The key right after the last object shown, as upstream's tokens have it; `next` where nothing was shown.
fn after_last(items: &[std::sync::Arc<Object>], next: &str) -> String {
    items.last().map_or_else(|| next.to_owned(), |last| format!("{}\0", last.key))
}

/// The state that the list shows.
async fn snapshot(call: &Call, options: &ListOptions, token: Option<&Token>) -> Result<Snapshot, Status> {
    let caches = call.objects().caches();
    let cache = call.objects().cache(&call.resource)?;
    if let Some(token) = token {
        let Some(revision) = token.revision().map(Revision) else { return Ok(cache.snapshot(caches.applied())) };
        let pinned = call.server.pins().find(&cache, revision);
        return pinned
            .or_else(|| cache.snapshot_at(revision).ok())
            .ok_or_else(|| Status::expired_continue(&token.of_newest().to_string()));
    }
    match options.at {
        At::Newest | At::Any => Ok(cache.snapshot(caches.applied())),
        At::NotOlderThan(revision) => {
            caches.reached(revision).await.map_err(|error| objects::not_reached(&error))?;
            Ok(cache.snapshot(caches.applied()))
        }
        At::Exact(revision) => {
            caches.reached(revision).await.map_err(|error| objects::not_reached(&error))?;
            let snapshot = cache.snapshot_at(revision);
            snapshot.map_err(|_| Status::expired("The resourceVersion for the provided list is too old."))
        }
    }
}
