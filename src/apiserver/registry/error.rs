//! Errors as the distribution protocol writes them, and the one place where the content store's become such.

use axum::body::Body;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{Response, StatusCode};
use images::content;
use serde_json::json;

use super::receive;

/// An answer that is an error: HTTP status, the protocol's code, and a sentence.
#[derive(Debug)]
pub(super) struct Error {
    status: StatusCode,
    code: &'static str,
    message: String,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Error {
    fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), headers: Vec::new() }
    }

    #[cfg(test)]
    pub(super) fn code(&self) -> &'static str {
        self.code
    }

    pub(super) fn with(mut self, name: HeaderName, value: &str) -> Self {
        self.headers.extend(HeaderValue::from_str(value).map(|value| (name, value)));
        self
    }

    pub(super) fn unauthorized() -> Self {
        let text = "log in with any user name and a token as password";
        Self::new(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", text).with(WWW_AUTHENTICATE, "Basic realm=\"minke\"")
    }

    pub(super) fn denied(why: &str) -> Self {
        Self::new(StatusCode::FORBIDDEN, "DENIED", why)
    }

    pub(super) fn unsupported() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "UNSUPPORTED", "this path does not take this method")
    }

    pub(super) fn busy() -> Self {
        let text = "too many requests send or fetch content at this moment";
        Self::new(StatusCode::TOO_MANY_REQUESTS, "TOOMANYREQUESTS", text).with(RETRY_AFTER, "1")
    }

    pub(super) fn no_such_path() -> Self {
        Self::new(StatusCode::NOT_FOUND, "NAME_UNKNOWN", "the path names nothing that a registry has")
    }

    pub(super) fn no_namespace() -> Self {
        Self::invalid_name("a repository's name is NAMESPACE/NAME")
    }

    pub(super) fn no_such_namespace(namespace: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "NAME_UNKNOWN", format!("namespace {namespace:?} not found"))
    }

    pub(super) fn terminating_namespace(namespace: &str) -> Self {
        Self::denied(&format!("namespace {namespace} is being terminated, nothing can be pushed to it"))
    }

    pub(super) fn invalid_name(why: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "NAME_INVALID", why)
    }

    pub(super) fn unknown_name(name: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "NAME_UNKNOWN", format!("repository {name} has no content"))
    }

    pub(super) fn invalid_digest(why: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "DIGEST_INVALID", why)
    }

    pub(super) fn unknown_manifest(target: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "MANIFEST_UNKNOWN", format!("no manifest {target} is known here"))
    }

    pub(super) fn unknown_blob(digest: &images::Digest) -> Self {
        Self::from(content::Error::UnknownBlob(digest.clone()))
    }

    pub(super) fn unknown_upload() -> Self {
        Self::from(content::Error::UnknownUpload)
    }

    pub(super) fn invalid_upload(why: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BLOB_UPLOAD_INVALID", why)
    }

    pub(super) fn invalid_number(name: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "PAGINATION_NUMBER_INVALID", format!("{name} is no number from 0 on"))
    }

    pub(super) fn range_unsatisfiable(size_bytes: u64) -> Self {
        let text = format!("the content has {size_bytes} bytes");
        Self::new(StatusCode::RANGE_NOT_SATISFIABLE, "SIZE_INVALID", text)
            .with(http::header::CONTENT_RANGE, &format!("bytes */{size_bytes}"))
    }

    pub(super) fn into_response(self) -> Response<Body> {
        let body = json!({"errors": [{"code": self.code, "message": self.message, "detail": null}]});
        let mut response = Response::new(Body::from(body.to_string()));
        *response.status_mut() = self.status;
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response.headers_mut().extend(self.headers);
        response
    }
}

impl From<content::Error> for Error {
    fn from(error: content::Error) -> Self {
        use content::Error as Content;
        let (status, code) = match &error {
            Content::DigestMismatch { .. } => (StatusCode::BAD_REQUEST, "DIGEST_INVALID"),
            Content::SizeMismatch { .. } => (StatusCode::BAD_REQUEST, "SIZE_INVALID"),
            Content::TooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "SIZE_INVALID"),
            Content::Full { .. } | Content::DiskFull { .. } => (StatusCode::INSUFFICIENT_STORAGE, "DENIED"),
            Content::TooMany { .. } => (StatusCode::TOO_MANY_REQUESTS, "TOOMANYREQUESTS"),
            Content::UnknownBlob(_) => (StatusCode::NOT_FOUND, "BLOB_UNKNOWN"),
            Content::UnknownReference(_) => (StatusCode::BAD_REQUEST, "MANIFEST_BLOB_UNKNOWN"),
            Content::UnknownUpload => (StatusCode::NOT_FOUND, "BLOB_UPLOAD_UNKNOWN"),
            Content::UploadBusy => (StatusCode::CONFLICT, "BLOB_UPLOAD_INVALID"),
            Content::Offset { .. } => (StatusCode::RANGE_NOT_SATISFIABLE, "BLOB_UPLOAD_INVALID"),
            Content::InvalidManifest(_) => (StatusCode::BAD_REQUEST, "MANIFEST_INVALID"),
            Content::Closing => (StatusCode::SERVICE_UNAVAILABLE, "UNKNOWN"),
            Content::Io { .. } => {
                // Paths of this machine are for its log only.
                tracing::error!(%error, "the content store failed");
                return Self::new(StatusCode::INTERNAL_SERVER_ERROR, "UNKNOWN", "the content store failed");
            }
        };
        let message = match &error {
            Content::DiskFull { .. } => "the registry's disk is full".to_owned(),
            other => other.to_string(),
        };
        Self::new(status, code, message)
    }
}

impl From<receive::Error> for Error {
    fn from(error: receive::Error) -> Self {
        match error {
            receive::Error::Content(error) => error.into(),
            receive::Error::TooSlow => Self::new(StatusCode::REQUEST_TIMEOUT, "BLOB_UPLOAD_INVALID", error.to_string()),
            receive::Error::Broken(_) => Self::invalid_upload(&error.to_string()),
        }
    }
}
