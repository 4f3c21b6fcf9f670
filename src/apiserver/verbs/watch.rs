//! Watches: the changes of a selection, each once and in order, for as long as the client listens.
//!
//! ```text
//!   initial ──all sent──▶ (bookmark k8s.io/initial-events-end) ──▶ live ──deadline, cut off, client gone──▶ end
//! ```
//!
//! The stream pulls from the watcher's own queue, so a client that does not read holds up only itself. Events that
//! wait together leave in one chunk.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use api::status::Status;
use axum::body::Body;
use base::clock::Instant;
use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};
use serde_json::{Value, json};
use store::Revision;

use super::Call;
use crate::cache::{self, Cache, Event, Object, Subscription, TooOld};
use crate::conversion;
use crate::negotiate::{Format, MetaVersion, STREAM_MEDIA_TYPES, Shape};
use crate::objects;
use crate::options::{At, ListOptions};
use crate::respond::{partial, protobuf, table};
use crate::selection::Selection;

/// The shortest time after which a watch without `timeoutSeconds` is ended, so that clients spread anew over servers;
/// up to as much again is added at random, as upstream does.
const DURATION_MIN: Duration = Duration::from_secs(1800);

/// How often a client that asked for bookmarks gets one: each minute, as upstream.
const BOOKMARK_INTERVAL: Duration = Duration::from_secs(60);

/// Bytes that leave in one chunk; enough for some tens of pods, little enough that a chunk is no burden.
const CHUNK_BYTES_MAX: usize = 64 << 10;

/// A watch that is being served.
struct Watch {
    call: Call,
    selection: Selection,
    /// What is to be sent before any change.
    initial: VecDeque<Arc<Object>>,
    /// The bookmark that closes the initial objects, if it was asked for.
    end_of_initial: Option<Revision>,
    subscription: Subscription,
    /// When the next bookmark is due, if the client asked for them.
    bookmark: Option<Instant>,
    deadline: Instant,
    /// The newest revision that the client knows.
    seen: Revision,
    /// Whether a table has been sent, with the columns that later ones leave out.
    has_columns: bool,
}

/// Serves a watch on a collection, or on the one object that the path names.
pub(crate) fn serve(call: Call) -> Result<Response<Body>, Status> {
    let options = ListOptions::read(&call.query, true)?;
    let selection = Selection::new(&call.resource, call.namespace(), &options.labels, &options.fields)?;
    let selection = selection.of_name(call.request.name.as_deref());
    let content_type = call.accepted.format.stream_content_type();
    let content_type = content_type.ok_or_else(|| Status::not_acceptable_form(STREAM_MEDIA_TYPES))?;

    let format = call.accepted.format;
    let cache = call.objects().cache(&call.resource)?;
    let body = match Watch::begin(call, &cache, selection, &options) {
        Ok(watch) => Body::from_stream(watch.stream()),
        // As upstream: what a request that is understood cannot have is told by an event, which is where clients look.
        Err(too_old) => Body::from(error_frame(format, &Status::expired(too_old.to_string()))),
    };
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::OK;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    Ok(response)
}

impl Watch {
    /// # Errors
    ///
    /// When the changes after the revision that `options` name are forgotten.
    fn begin(call: Call, cache: &Cache, selection: Selection, options: &ListOptions) -> Result<Self, TooOld> {
        let caches = call.objects().caches().clone();
        let interest = selection.interest();
        let mut initial = VecDeque::new();
        let mut end_of_initial = None;
        let from_now = |initial: &mut VecDeque<Arc<Object>>| {
            let (snapshot, subscription) = cache.watch_all(caches.applied(), interest.clone());
            let within = snapshot.from(selection.first_key("")).take_while(|(key, _)| selection.may_follow(key));
            initial.extend(within.map(|(_, object)| Arc::clone(object)).filter(|object| selection.matches(object)));
            (subscription, snapshot.revision)
        };
        let (subscription, seen) = match options.at {
            _ if options.sends_initial_events == Some(true) => {
                let begun = from_now(&mut initial);
                end_of_initial = Some(begun.1).filter(|_| options.allows_bookmarks);
                begun
            }
            At::Newest | At::Any if options.sends_initial_events == Some(false) => from_now(&mut VecDeque::new()),
            At::Newest | At::Any => from_now(&mut initial),
            At::NotOlderThan(revision) | At::Exact(revision) => (cache.watch(revision, interest.clone())?, revision),
        };
        let now = Instant::now();
        let duration = match options.timeout_seconds {
            Some(seconds) if seconds > 0 => Duration::from_secs(seconds),
            _ => DURATION_MIN + DURATION_MIN.mul_f64(call.server.random_fraction()),
        };
        let bookmark = options.allows_bookmarks.then(|| now + BOOKMARK_INTERVAL);
        let deadline = now + duration;
        Ok(Self {
            call,
            selection,
            initial,
            end_of_initial,
            subscription,
            bookmark,
            deadline,
            seen,
            has_columns: false,
        })
    }

    /// The body: chunks of whole lines.
    fn stream(self) -> impl futures::Stream<Item = Result<Bytes, std::convert::Infallible>> {
        futures::stream::unfold(self, |mut watch| async move {
            let chunk = watch.next_chunk().await?;
            Some((Ok(chunk), watch))
        })
    }

    /// The next lines to send; `None` when the watch has ended.
    async fn next_chunk(&mut self) -> Option<Bytes> {
        let mut chunk = BytesMut::new();
        while chunk.len() < CHUNK_BYTES_MAX {
            let Some(object) = self.initial.pop_front() else { break };
            chunk.extend_from_slice(&self.object_frame("ADDED", &object).await);
        }
        if self.initial.is_empty()
            && let Some(revision) = self.end_of_initial.take()
        {
            self.seen = revision;
            chunk.extend_from_slice(&self.bookmark_frame(revision, &json!({"k8s.io/initial-events-end": "true"})));
        }
        if !chunk.is_empty() {
            return Some(chunk.freeze());
        }
        self.next_change().await
    }

    /// Waits for changes that the selection covers, a due bookmark, or the end.
    async fn next_change(&mut self) -> Option<Bytes> {
        loop {
            let bookmark = self.bookmark.unwrap_or(self.deadline);
            let event = tokio::select! {
                biased;
                event = self.subscription.next() => event?,
                () = tokio::time::sleep_until(self.deadline.min(bookmark)) => {
                    if Instant::now() >= self.deadline {
                        return None;
                    }
                    return Some(self.due_bookmark().await);
                }
                () = self.call.server.shutdown().requested() => return None,
            };
            let mut chunk = self.frame(&event).await.unwrap_or_default();
            // What waits already leaves in the same chunk; a lone event leaves as the shared bytes.
            if let Some(second) = self.subscription.try_next() {
                let mut many = BytesMut::from(&chunk[..]);
                let mut next = Some(second);
                while let Some(event) = next {
                    many.extend_from_slice(&self.frame(&event).await.unwrap_or_default());
                    next = if many.len() < CHUNK_BYTES_MAX { self.subscription.try_next() } else { None };
                }
                chunk = many.freeze();
            }
            if !chunk.is_empty() {
                return Some(chunk);
            }
        }
    }

    /// An event as this watch shows it: a change that moves an object into the selection adds it, one that moves it
    /// out deletes it.
    async fn frame(&mut self, event: &Event) -> Option<Bytes> {
        self.seen = event.object.revision;
        let was = event.previous.as_ref().is_some_and(|previous| self.selection.matches(previous));
        let is = !event.is_deletion && self.selection.matches(&event.object);
        let kind = match (was, is) {
            (false, false) => return None,
            (false, true) => "ADDED",
            (true, true) => "MODIFIED",
            (true, false) => "DELETED",
        };
        let is_natural = (was == event.previous.is_some()) && (is != event.is_deletion);
        if is_natural && self.is_plain(&event.object) {
            return Some(event.frame());
        }
        Some(match (&event.previous, kind) {
            // Who leaves the selection is shown as it was last seen, under the revision of the change.
            (Some(previous), "DELETED") if !event.is_deletion => match previous.at_revision(event.object.revision) {
                Ok(object) => self.object_frame(kind, &object).await,
                Err(error) => error_frame(self.call.accepted.format, &objects::unreadable(error)),
            },
            _ => self.object_frame(kind, &event.object).await,
        })
    }

    fn is_plain(&self, object: &Object) -> bool {
        let accepted = &self.call.accepted;
        let is_whole = accepted.format == Format::Json && accepted.shape == Shape::Whole;
        is_whole && object.is_served_by(&self.call.resource)
    }

    /// A frame around an object in the shape that the client accepts.
    async fn object_frame(&mut self, kind: &str, object: &Object) -> Bytes {
        if self.is_plain(object) {
            return cache::frame(kind, object);
        }
        if let Some(direct) = protobuf::direct(&self.call.accepted, &self.call.resource) {
            return match protobuf::object(direct, &self.call.resource, object) {
                Ok(object) => protobuf::frame(kind, &object),
                Err(status) => error_frame(self.call.accepted.format, &status),
            };
        }
        let served = match object.to_value() {
            Ok(value) => conversion::from_storage(&self.call.server, &self.call.resource, value).await,
            Err(error) => Err(objects::unreadable(error)),
        };
        match served {
            Ok(value) => self.value_frame(kind, &value),
            Err(status) => error_frame(self.call.accepted.format, &status),
        }
    }

    fn value_frame(&mut self, kind: &str, value: &Value) -> Bytes {
        let shaped = match self.call.accepted.shape {
            Shape::Whole => Ok(value.clone()),
            Shape::Metadata(version) => Ok(partial::object(value, version)),
            Shape::Table(version) => self.table(version, value),
        };
        match shaped {
            Ok(shaped) => written(self.call.accepted.format, kind, &shaped),
            Err(status) => error_frame(self.call.accepted.format, &status),
        }
    }

    fn table(&mut self, version: MetaVersion, value: &Value) -> Result<Value, Status> {
        let revision = value.pointer("/metadata/resourceVersion").cloned().unwrap_or_default();
        let values = std::slice::from_ref(value);
        if !std::mem::replace(&mut self.has_columns, true) {
            return table::table(&self.call, version, values, json!({"resourceVersion": revision}));
        }
        let mut rows = table::rows(&self.call, version, values)?;
        if let Some(fields) = rows.as_object_mut() {
            fields.insert("metadata".into(), json!({"resourceVersion": revision}));
        }
        Ok(rows)
    }

    /// The bookmark that is due, at the newest revision whose changes this watch has all seen.
    async fn due_bookmark(&mut self) -> Bytes {
        self.bookmark = Some(Instant::now() + BOOKMARK_INTERVAL);
        // Read before the queue is found empty: what the feed applies later has a later revision.
        let applied = self.call.objects().caches().applied();
        let mut chunk = BytesMut::new();
        while let Some(event) = self.subscription.try_next() {
            chunk.extend_from_slice(&self.frame(&event).await.unwrap_or_default());
        }
        self.seen = self.seen.max(applied);
        chunk.extend_from_slice(&self.bookmark_frame(self.seen, &Value::Null));
        chunk.freeze()
    }

    fn bookmark_frame(&mut self, revision: Revision, annotations: &Value) -> Bytes {
        let mut metadata = json!({"resourceVersion": revision.0.to_string()});
        if let (Some(fields), false) = (metadata.as_object_mut(), annotations.is_null()) {
            fields.insert("annotations".into(), annotations.clone());
        }
        let resource = &self.call.resource;
        let object = match self.call.accepted.shape {
            Shape::Metadata(version) => {
                json!({"kind": "PartialObjectMetadata", "apiVersion": version.api_version(), "metadata": metadata})
            }
            Shape::Table(version) => {
                let rows = json!([{"cells": [], "object": {"kind": "PartialObjectMetadata",
                    "apiVersion": version.api_version(), "metadata": metadata}}]);
                json!({"kind": "Table", "apiVersion": version.api_version(), "metadata": metadata,
                    "columnDefinitions": null, "rows": rows})
            }
            Shape::Whole => json!({"kind": resource.kind, "apiVersion": resource.api_version(), "metadata": metadata}),
        };
        written(self.call.accepted.format, "BOOKMARK", &object)
    }
}

fn error_frame(format: Format, status: &Status) -> Bytes {
    written(format, "ERROR", &status.to_value())
}

/// A frame around a value in the client's format.
fn written(format: Format, kind: &str, object: &Value) -> Bytes {
    if format != Format::Protobuf {
        return Bytes::from(format!("{}\n", json!({"type": kind, "object": object})));
    }
    match protobuf::value(object) {
        Ok(object) => protobuf::frame(kind, &object),
        // A status always has a message, so that this does not go on.
        Err(status) => protobuf::frame("ERROR", &protobuf::value(&status.to_value()).unwrap_or_default()),
    }
}
