//! Lists: consistent at one revision, filtered, in pages.
//!
//! A list is a walk over an immutable map, so it neither holds up writers nor sees half a change. A page's `continue`
//! token names the revision and the key to go on from (upstream's form); the snapshot is pinned for as long as the
//! token is good, since the watch window may forget that revision.

use std::sync::Arc;

use api::paging::Token;
use api::status::Status;
use store::Revision;

use super::Call;
use crate::cache::{Cache, Left, Object, Pinned, Snapshot};
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
    let Pinned { snapshot, left: known } = pinned(call, options, token.as_ref()).await?;
    let selection = Selection::new(&call.resource, call.namespace(), &options.labels, &options.fields)?;
    let first = selection.first_key(token.as_ref().map_or("", Token::start));
    let limit = options.limit.unwrap_or(usize::MAX);

    let mut items = Vec::new();
    let mut left = snapshot.from(first.clone()).take_while(|(key, _)| selection.may_follow(key)).peekable();
    while items.len() < limit
        && let Some((_, object)) = left.next()
    {
        if selection.matches(object) {
            items.push(Arc::clone(object));
        }
    }
    let Some(next) = left.peek().map(|(key, _)| after_last(&items, key)) else {
        return Ok(Page { items, revision: snapshot.revision, continue_token: None, remaining: None });
    };
    let remaining = selection.is_everything().then(|| {
        let known = known.filter(|left| left.namespace.as_deref() == call.namespace() && left.from == first);
        known.map_or_else(|| left.count(), |known| known.count - items.len())
    });
    let continue_token = Some(Token::new(snapshot.revision.0, &next).to_string());
    let page = Page { items, revision: snapshot.revision, continue_token, remaining };
    let namespace = call.namespace().map(str::to_owned);
    let left = remaining.map(|count| Left { namespace, from: selection.first_key(&next), count });
    call.objects().cache(&call.resource)?.pin(Pinned { snapshot, left });
    Ok(page)
}

/// The key right after the last object shown, as upstream's tokens have it; `next` where nothing was shown.
fn after_last(items: &[Arc<Object>], next: &str) -> String {
    items.last().map_or_else(|| next.to_owned(), |last| format!("{}\0", last.key))
}

/// The state that the list shows: what its token leads to, or what it asks for.
async fn pinned(call: &Call, options: &ListOptions, token: Option<&Token>) -> Result<Pinned, Status> {
    let cache = call.objects().cache(&call.resource)?;
    if let Some((token, revision)) = token.and_then(|token| Some((token, Revision(token.revision()?)))) {
        if let Some(pinned) = cache.pinned(revision) {
            return Ok(pinned);
        }
        let snapshot = as_of(call, &cache, revision).await;
        let snapshot = snapshot.ok_or_else(|| Status::expired_continue(&token.of_newest().to_string()))?;
        return Ok(Pinned { snapshot, left: None });
    }
    let at = if token.is_some() { At::Newest } else { options.at };
    let snapshot = snapshot(call, &cache, at).await?;
    Ok(Pinned { snapshot, left: None })
}

/// The state at a revision, if the store has not let go of its history: a token ends even where nothing has changed since.
async fn as_of(call: &Call, cache: &Cache, revision: Revision) -> Option<Snapshot> {
    if revision < call.objects().store().compacted() {
        return None;
    }
    cache.snapshot_at(revision).await.ok()
}

async fn snapshot(call: &Call, cache: &Cache, at: At) -> Result<Snapshot, Status> {
    let caches = call.objects().caches();
    match at {
        At::Newest | At::Any => Ok(cache.snapshot(caches.applied())),
        At::NotOlderThan(revision) => {
            caches.reached(revision).await.map_err(|error| objects::not_reached(&error))?;
            Ok(cache.snapshot(caches.applied()))
        }
        At::Exact(revision) => {
            caches.reached(revision).await.map_err(|error| objects::not_reached(&error))?;
            let snapshot = as_of(call, cache, revision).await;
            snapshot.ok_or_else(|| Status::expired("The resourceVersion for the provided list is too old."))
        }
    }
}
