//! Lists: consistent at one revision, filtered, in pages.
//!
//! A list is a walk over an immutable map, so it neither holds up writers nor sees half a change. A page's `continue`
//! token names the revision and the key to go on from (upstream's form); the snapshot is pinned for as long as the
//! token is good, since the watch window may forget that revision.

use api::decode;
use api::status::Status;
use base64::Engine as _;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, NO_PAD, URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use store::Revision;

use super::Call;
use crate::cache::{Object, Snapshot};
use crate::objects;
use crate::options::{At, ListOptions};
use crate::respond::{Answer, Page};
use crate::selection::Selection;

/// A page's token, in upstream's form; what it lacks is empty.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default)]
struct Token {
    /// The token's own version.
    v: String,
    /// The revision of the list; -1 asks for the newest (a list that went on after its revision was forgotten).
    rv: i64,
    /// Where to go on: `/` and the first key of the next page.
    start: String,
}

/// Reads as Go does: left-over bits of the last character are nobody's business.
const LENIENT: GeneralPurpose = {
    const CONFIG: GeneralPurposeConfig = NO_PAD.with_decode_allow_trailing_bits(true);
    GeneralPurpose::new(&base64::alphabet::URL_SAFE, CONFIG)
};

const TOKEN_VERSION: &str = "meta.k8s.io/v1";

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
    let start = token.as_ref().map_or("", |token| token.start.trim_start_matches('/'));
    let limit = options.limit.unwrap_or(usize::MAX);

    let mut items = Vec::new();
    let mut next = None;
    for (key, object) in snapshot.from(selection.first_key(start)) {
        if !selection.may_follow(key) {
            break;
        }
        if items.len() == limit {
            next = Some(key.to_string());
            break;
        }
        if selection.matches(object) {
            items.push(std::sync::Arc::clone(object));
        }
    }
    let token = next.map(|key| Token::new(snapshot.revision, &after_last(&items, &key)));
    let remaining = match (&token, selection.is_everything()) {
        (Some(_), true) => {
            let shown_before = snapshot.from(selection.first_key(""));
            let total = shown_before.take_while(|(key, _)| selection.may_follow(key)).count();
            let first = selection.first_key(start);
            let before = snapshot.from(selection.first_key("")).take_while(|(key, _)| ***key < *first);
            Some(total - before.count() - items.len())
        }
        _ => None,
    };
    if token.is_some() {
        call.server.pins().pin(&call.objects().cache(&call.resource)?, &snapshot);
    }
    Ok(Page { items, revision: snapshot.revision, continue_token: token.map(|token| token.print()), remaining })
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
        let Ok(revision) = u64::try_from(token.rv) else { return Ok(cache.snapshot(caches.applied())) };
        let revision = Revision(revision);
        let pinned = call.server.pins().find(&cache, revision);
        return pinned.or_else(|| cache.snapshot_at(revision).ok()).ok_or_else(|| {
            let newest = Token { v: TOKEN_VERSION.into(), rv: -1, start: token.start.clone() };
            Status::expired_continue(&newest.print())
        });
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

impl Token {
    fn new(revision: Revision, start: &str) -> Self {
        Self { v: TOKEN_VERSION.into(), rv: i64::try_from(revision.0).unwrap_or(i64::MAX), start: format!("/{start}") }
    }

    fn parse(text: &str) -> Result<Self, Status> {
        let bad = |reason: String| {
            Status::bad_request(format!("invalid continue token: continue key is not valid: {reason}"))
        };
        let bytes = LENIENT.decode(text.trim_end_matches('=')).map_err(|error| bad(error.to_string()))?;
        let parsed = decode::parse_json(&bytes).map_err(|error| bad(error.to_string()))?;
        let token: Self = serde_json::from_value(parsed.value).map_err(|error| bad(error.to_string()))?;
        if token.v != TOKEN_VERSION {
            return Err(bad(format!("server does not recognize this encoded version {:?}", token.v)));
        }
        if !token.start.starts_with('/') || token.start.split('/').any(|part| part == "..") {
            return Err(bad(token.start));
        }
        Ok(token)
    }

    fn print(&self) -> String {
        // Three plain fields always encode.
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(self).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_of_upstream_is_understood_and_one_of_ours_looks_like_it() {
        let token = Token::parse("eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6MzIyLCJzdGFydCI6Ii9hXHUwMDAwIn0").unwrap();
        assert_eq!((token.rv, token.start.as_str()), (322, "/a\0"));
        assert_eq!(
            Token::new(Revision(322), "a\0").print(),
            "eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6MzIyLCJzdGFydCI6Ii9hXHUwMDAwIn0"
        );
    }

    #[test]
    fn rubbish_is_refused() {
        for text in ["rubbish", "!!", "e30"] {
            assert_eq!(Token::parse(text).unwrap_err().code, 400, "{text}");
        }
    }
}
