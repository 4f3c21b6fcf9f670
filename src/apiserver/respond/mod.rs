//! Answers as bytes: whole objects, lists, tables or metadata, in JSON, YAML or protobuf, compressed when the client
//! takes it.
//!
//! A cached object in plain JSON is copied, never parsed, and one in protobuf encoded once; every other form goes through
//! a value.

pub(crate) mod partial;
pub(crate) mod protobuf;
pub(crate) mod status;
pub(crate) mod table;
pub(crate) mod yaml;

use std::io::Write as _;
use std::sync::Arc;

use api::scheme::Resource;
use api::status::Status;
use axum::body::Body;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures::StreamExt as _;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, VARY, WARNING};
use http::{HeaderMap, Response, StatusCode};
use http_body::Body as _;
use serde_json::{Value, json};
use store::Revision;

use crate::cache::Object;
use crate::conversion;
use crate::limits::LARGE_ANSWER_BYTES;
use crate::negotiate::{self, Accepted, Format, Shape};
use crate::objects::unreadable;
use crate::verbs::Call;

/// Answers below this are sent as they are, as upstream does: gzip would cost more than it saves.
const GZIP_BYTES_MIN: usize = 128 << 10;

/// What a verb answers.
#[derive(Debug)]
pub(crate) enum Answer {
    /// An object as it is now, from the cache.
    Cached(Arc<Object>),
    /// An object that the verb made or changed.
    Object { value: Value, code: StatusCode },
    /// A page of objects.
    List(Page),
    /// A `Status` that says that something was done.
    Status(Status),
}

impl Answer {
    /// What a binding or eviction is answered with.
    pub(crate) fn created() -> Self {
        Self::Status(Status::created())
    }
}

/// A page of a list.
#[derive(Debug)]
pub(crate) struct Page {
    pub items: Vec<Arc<Object>>,
    pub revision: Revision,
    pub continue_token: Option<String>,
    pub remaining: Option<usize>,
}

impl Page {
    /// Whether all its objects are as `resource` serves them.
    fn is_served_by(&self, resource: &Resource) -> bool {
        match resource.custom {
            Some(_) => self.items.iter().all(|item| item.is_served_by(resource)),
            None => conversion::is_storage(resource),
        }
    }

    /// The list's own metadata.
    pub(crate) fn metadata(&self) -> Value {
        let mut metadata = json!({"resourceVersion": self.revision.0.to_string()});
        if let Some(fields) = metadata.as_object_mut() {
            fields.extend(self.continue_token.as_ref().map(|token| ("continue".to_owned(), token.clone().into())));
            fields.extend(self.remaining.map(|remaining| ("remainingItemCount".to_owned(), remaining.into())));
        }
        metadata
    }
}

/// Writes an answer in the form that the client accepts.
pub(crate) async fn answer(call: &Call, answer: Answer) -> Result<Response<Body>, Status> {
    let is_list = matches!(answer, Answer::List(_));
    if let Some(wants_list) = call.accepted.of_list.filter(|wants_list| *wants_list != is_list)
        && !matches!(answer, Answer::Status(_))
    {
        let kind = format!("{}.{}", call.resource.version, call.resource.kind);
        return Err(Status::not_acceptable_number(wants_list, &kind));
    }
    let direct = protobuf::direct(&call.accepted, &call.resource);
    let (code, body) = match (&call.accepted, answer, direct) {
        (accepted, Answer::Status(status), _) => {
            let code = StatusCode::from_u16(status.code).unwrap_or(StatusCode::OK);
            (code, write_value(*accepted, &status.to_value())?)
        }
        (accepted, Answer::Object { value, code }, _) => (code, write_value(*accepted, &shaped(call, &value)?)?),
        (accepted, Answer::Cached(object), _) if is_plain(accepted) && object.is_served_by(&call.resource) => {
            let mut out = Vec::with_capacity(object.size_bytes() + 64);
            object.write_single(&mut out);
            out.push(b'\n');
            (StatusCode::OK, out)
        }
        (_, Answer::Cached(object), Some(direct)) => {
            (StatusCode::OK, protobuf::object(direct, &call.resource, &object)?)
        }
        (accepted, Answer::Cached(object), None) => {
            let stored = object.to_value().map_err(unreadable)?;
            let value = conversion::from_storage(&call.server, &call.resource, stored).await?;
            (StatusCode::OK, write_value(*accepted, &shaped(call, &value)?)?)
        }
        (accepted, Answer::List(page), _) if is_plain(accepted) && page.is_served_by(&call.resource) => {
            (StatusCode::OK, write_list(call, &page))
        }
        (_, Answer::List(page), Some(direct)) => (StatusCode::OK, protobuf::list(direct, &call.resource, &page)?),
        (accepted, Answer::List(page), None) => {
            (StatusCode::OK, write_value(*accepted, &shaped_list(call, &page).await?)?)
        }
    };
    respond(call, code, body)
}

/// A refusal, with the warnings that were given before it.
pub(crate) fn refusal(call: &Call, status: &Status) -> Response<Body> {
    let mut response = status::response(status, &call.parts.headers);
    add_warnings(response.headers_mut(), &call.warnings());
    response
}

fn is_plain(accepted: &Accepted) -> bool {
    accepted.format == Format::Json && accepted.shape == Shape::Whole && !accepted.is_pretty
}

/// A list in plain JSON, by joining the cached bytes.
fn write_list(call: &Call, page: &Page) -> Vec<u8> {
    let size: usize = page.items.iter().map(|item| item.list_form().len() + 1).sum();
    let mut out = Vec::with_capacity(size + 256);
    out.extend_from_slice(b"{\"kind\":\"");
    out.extend_from_slice(call.resource.list_kind.as_bytes());
    out.extend_from_slice(b"\",\"apiVersion\":\"");
    out.extend_from_slice(call.resource.api_version().as_bytes());
    out.extend_from_slice(b"\",\"metadata\":");
    out.extend_from_slice(page.metadata().to_string().as_bytes());
    out.extend_from_slice(b",\"items\":[");
    for (index, item) in page.items.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.extend_from_slice(item.list_form());
    }
    out.extend_from_slice(b"]}\n");
    out
}

/// One object in the shape that the client accepts.
fn shaped(call: &Call, value: &Value) -> Result<Value, Status> {
    Ok(match call.accepted.shape {
        Shape::Whole => value.clone(),
        Shape::Metadata(version) => partial::object(value, version),
        Shape::Table(version) => {
            let metadata = value.get("metadata").and_then(|metadata| metadata.get("resourceVersion"));
            let metadata = metadata.map_or_else(|| json!({}), |version| json!({"resourceVersion": version}));
            table::table(call, version, std::slice::from_ref(value), metadata)?
        }
    })
}

/// A page in the shape that the client accepts.
async fn shaped_list(call: &Call, page: &Page) -> Result<Value, Status> {
    let values: Result<Vec<Value>, _> = page.items.iter().map(|item| item.to_value()).collect();
    let values = conversion::list_from_storage(&call.server, &call.resource, values.map_err(unreadable)?).await?;
    Ok(match call.accepted.shape {
        Shape::Whole => {
            let is_custom = call.resource.custom.is_some();
            let items: Vec<Value> = if is_custom { values } else { values.into_iter().map(without_type).collect() };
            json!({"kind": call.resource.list_kind, "apiVersion": call.resource.api_version(),
                "metadata": page.metadata(), "items": items})
        }
        Shape::Metadata(version) => partial::list(&values, version, page.metadata()),
        Shape::Table(version) => table::table(call, version, &values, page.metadata())?,
    })
}

/// Items of a typed list do not repeat its kind.
fn without_type(mut value: Value) -> Value {
    if let Some(object) = value.as_object_mut() {
        object.remove("kind");
        object.remove("apiVersion");
    }
    value
}

/// A value in the client's format.
pub(crate) fn write_value(accepted: Accepted, value: &Value) -> Result<Vec<u8>, Status> {
    let written = match accepted.format {
        Format::Protobuf => return protobuf::value(value),
        Format::Yaml => Ok(yaml::write(value).into_bytes()),
        Format::Json if accepted.is_pretty => serde_json::to_vec_pretty(value),
        Format::Json => serde_json::to_vec(value),
    };
    let mut written = written.map_err(|error| Status::internal(format!("the answer could not be encoded: {error}")))?;
    if accepted.format == Format::Json {
        written.push(b'\n');
    }
    Ok(written)
}

fn respond(call: &Call, code: StatusCode, body: Vec<u8>) -> Result<Response<Body>, Status> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = code;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(call.accepted.format.content_type()));
    add_warnings(headers, &call.warnings());
    *response.body_mut() = compress(headers, &call.parts.headers, body)?;
    bounded(call, response)
}

/// Counts a large answer as long as it is in memory.
fn bounded(call: &Call, response: Response<Body>) -> Result<Response<Body>, Status> {
    let length = response.body().size_hint().exact().and_then(|length| usize::try_from(length).ok());
    let Some(length) = length.filter(|length| *length >= LARGE_ANSWER_BYTES) else { return Ok(response) };
    let share = call.server.limits().answers.take(&call.user.name, length);
    let share =
        share.ok_or_else(|| Status::too_many_requests("too many large answers at once, please try again", 1))?;
    let (mut parts, body) = response.into_parts();
    parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    // The share lives in this closure, so as long as the body.
    let body = body.into_data_stream().inspect(move |_| {
        let _held = &share;
    });
    Ok(Response::from_parts(parts, Body::from_stream(body)))
}

/// The body, compressed if it is large and the client takes gzip.
pub(crate) fn compress(headers: &mut HeaderMap, asked: &HeaderMap, body: Vec<u8>) -> Result<Body, Status> {
    if body.len() < GZIP_BYTES_MIN || !negotiate::takes_gzip(asked) {
        return Ok(Body::from(body));
    }
    // Level 1, as upstream: on a local network the time to compress is what a client waits for.
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 8), Compression::fast());
    let packed = encoder.write_all(&body).and_then(|()| encoder.finish());
    let packed = packed.map_err(|error| Status::internal(format!("the answer could not be compressed: {error}")))?;
    headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    headers.append(VARY, HeaderValue::from_static("Accept-Encoding"));
    Ok(Body::from(packed))
}

/// `Warning: 299 - "text"` for each text, quoted as RFC 7234 asks.
pub(crate) fn add_warnings(headers: &mut HeaderMap, warnings: &[String]) {
    for text in warnings {
        let quoted: String = text.chars().filter(|c| !c.is_control()).flat_map(quote).collect();
        if let Ok(value) = HeaderValue::from_bytes(format!("299 - \"{quoted}\"").as_bytes()) {
            headers.append(WARNING, value);
        }
    }
}

fn quote(c: char) -> impl Iterator<Item = char> {
    let escape = matches!(c, '"' | '\\').then_some('\\');
    escape.into_iter().chain(std::iter::once(c))
}
