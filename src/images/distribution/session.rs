//! Requests to one repository, with whatever the registry wants to know of the caller.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt as _};
use reqwest::header::{
    ACCEPT, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION, RANGE, WWW_AUTHENTICATE,
};
use reqwest::{Method, Response, StatusCode, Url};
use serde::Deserialize;
use tokio::sync::Mutex;

use super::challenge::{self, Challenge};
use super::{Endpoint, Error, READ_IDLE_MAX};
use crate::credentials::Credentials;
use crate::digest::{Digest, Hasher};
use crate::manifest::{MANIFEST_BYTES_MAX, media};
use crate::reference::RepositoryName;

/// The longest token answer that is read, in bytes.
const TOKEN_BYTES_MAX: u64 = 256 << 10;

/// How much of an error's text is shown, in bytes.
const MESSAGE_BYTES_MAX: u64 = 512;

/// The slowest link that content can be pushed over, in bytes a second: it bounds how long one push may take.
const PUSH_RATE_MIN: u64 = 16 << 10;

/// What the caller wants to do, as token servers name it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Access {
    Pull,
    Push,
}

/// A conversation about one repository.
#[derive(Debug)]
pub(crate) struct Session {
    endpoint: Endpoint,
    repository: RepositoryName,
    access: Access,
    credentials: Option<Credentials>,
    /// What the registry wanted, once it was asked.
    authorization: Mutex<Option<HeaderValue>>,
}

/// A manifest as it came.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) content: Bytes,
    pub(crate) media_type: Option<String>,
    pub(crate) digest: Digest,
}

/// One request, without what authorizes it: it may have to be sent twice.
struct Ask {
    method: Method,
    url: Url,
    headers: HeaderMap,
    body: Body,
    deadline: Duration,
}

enum Body {
    Empty,
    Bytes(Bytes),
    File(std::path::PathBuf),
}

impl Session {
    pub(crate) fn new(
        endpoint: Endpoint,
        repository: RepositoryName,
        access: Access,
        credentials: Option<Credentials>,
    ) -> Self {
        Self { endpoint, repository, access, credentials, authorization: Mutex::new(None) }
    }

    /// Fetches a manifest by tag or digest; a digest is verified.
    pub(crate) async fn manifest(&self, target: &str) -> Result<Sent, Error> {
        let mut ask = self.ask(Method::GET, &format!("manifests/{target}"))?;
        ask.headers.insert(ACCEPT, header(&media::MANIFESTS.join(", "))?);
        let what = format!("{}/{}:{target}", self.endpoint.registry, self.repository);
        let answer = self.expect(ask, &[StatusCode::OK], &what).await?;
        let media_type = answer.headers().get(CONTENT_TYPE).and_then(|it| it.to_str().ok()).map(str::to_owned);
        let content = self.read(answer, MANIFEST_BYTES_MAX, "a manifest").await?;
        let digest = match Digest::parse(target) {
            Ok(expected) => self.verified(&content, expected)?,
            Err(_) => Digest::of(&content),
        };
        Ok(Sent { content, media_type, digest })
    }

    /// Streams a blob from byte `from` on. Where the registry sends the whole instead, the beginning is dropped here.
    pub(crate) async fn blob(
        &self,
        digest: &Digest,
        from: u64,
    ) -> Result<impl Stream<Item = Result<Bytes, Error>> + Send + use<>, Error> {
        let mut ask = self.ask(Method::GET, &format!("blobs/{digest}"))?;
        if from > 0 {
            ask.headers.insert(RANGE, header(&format!("bytes={from}-"))?);
        }
        let what = format!("blob {digest} of {}/{}", self.endpoint.registry, self.repository);
        let answer = self.expect(ask, &[StatusCode::OK, StatusCode::PARTIAL_CONTENT], &what).await?;
        let mut unwanted = if answer.status() == StatusCode::OK { from } else { 0 };
        let registry = self.endpoint.registry.clone();
        Ok(bounded(answer).map(move |chunk| {
            let mut chunk = chunk.map_err(|why| Error::Unreachable { registry: registry.clone(), why })?;
            let dropped = unwanted.min(chunk.len() as u64);
            unwanted -= dropped;
            // A chunk is in memory, so its length fits.
            drop(chunk.split_to(usize::try_from(dropped).unwrap_or(chunk.len())));
            Ok(chunk)
        }))
    }

    /// A blob in memory, verified; for configs.
    pub(crate) async fn small_blob(&self, digest: &Digest, bytes_max: u64) -> Result<Bytes, Error> {
        let mut chunks = std::pin::pin!(self.blob(digest, 0).await?);
        let mut content = BytesMut::new();
        while let Some(chunk) = chunks.next().await {
            content.extend_from_slice(&chunk?);
            if content.len() as u64 > bytes_max {
                return Err(self.too_large("a config", bytes_max));
            }
        }
        let content = content.freeze();
        self.verified(&content, digest.clone())?;
        Ok(content)
    }

    /// Whether the repository has a blob.
    pub(crate) async fn has_blob(&self, digest: &Digest) -> Result<bool, Error> {
        let ask = self.ask(Method::HEAD, &format!("blobs/{digest}"))?;
        match self.expect(ask, &[StatusCode::OK], "a blob").await {
            Ok(_) => Ok(true),
            Err(Error::NotFound(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Sends a blob that is a file.
    pub(crate) async fn push_file(&self, digest: &Digest, path: &std::path::Path, size: u64) -> Result<(), Error> {
        self.push(digest, Body::File(path.to_owned()), size).await
    }

    /// Sends a blob that is in memory.
    pub(crate) async fn push_bytes(&self, digest: &Digest, content: Bytes) -> Result<(), Error> {
        let size = content.len() as u64;
        self.push(digest, Body::Bytes(content), size).await
    }

    /// Puts a manifest under a tag or digest.
    pub(crate) async fn push_manifest(&self, target: &str, media_type: &str, content: Bytes) -> Result<(), Error> {
        let mut ask = self.ask(Method::PUT, &format!("manifests/{target}"))?;
        ask.headers.insert(CONTENT_TYPE, header(media_type)?);
        ask.body = Body::Bytes(content);
        self.expect(ask, &[StatusCode::CREATED], "a manifest").await.map(drop)
    }

    async fn push(&self, digest: &Digest, body: Body, size: u64) -> Result<(), Error> {
        let begin = self.ask(Method::POST, "blobs/uploads/")?;
        let begun = self.expect(begin, &[StatusCode::ACCEPTED], "an upload").await?;
        let location = begun.headers().get(LOCATION).and_then(|it| it.to_str().ok());
        let mut url = location
            .and_then(|location| begun.url().join(location).ok())
            .ok_or_else(|| self.answered(StatusCode::ACCEPTED, "an upload", "no usable Location".to_owned()))?;
        url.query_pairs_mut().append_pair("digest", &digest.to_string());
        let mut ask = self.ask(Method::PUT, "")?;
        ask.url = url;
        ask.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        ask.headers.insert(CONTENT_LENGTH, HeaderValue::from(size));
        ask.body = body;
        ask.deadline = READ_IDLE_MAX + Duration::from_secs(size / PUSH_RATE_MIN);
        self.expect(ask, &[StatusCode::CREATED, StatusCode::NO_CONTENT], "a blob").await.map(drop)
    }

    fn ask(&self, method: Method, path: &str) -> Result<Ask, Error> {
        let url = format!("{}/v2/{}/{path}", self.endpoint.base, self.repository);
        let url = Url::parse(&url).map_err(|error| Error::Setup(format!("{url}: {error}")))?;
        Ok(Ask { method, url, headers: HeaderMap::new(), body: Body::Empty, deadline: READ_IDLE_MAX })
    }

    /// Sends, answers a challenge once, and turns every status but the wanted ones into an error.
    async fn expect(&self, ask: Ask, wanted: &[StatusCode], what: &str) -> Result<Response, Error> {
        let known = self.authorization.lock().await.clone();
        let mut answer = self.send(&ask, known.as_ref()).await?;
        if answer.status() == StatusCode::UNAUTHORIZED {
            let header = answer.headers().get(WWW_AUTHENTICATE).and_then(|it| it.to_str().ok());
            let challenge = header.and_then(challenge::parse).ok_or_else(|| self.denied())?;
            let authorization = self.answer(challenge).await?;
            answer = self.send(&ask, Some(&authorization)).await?;
            *self.authorization.lock().await = Some(authorization);
        }
        match answer.status() {
            status if wanted.contains(&status) => Ok(answer),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(self.denied()),
            StatusCode::NOT_FOUND => Err(Error::NotFound(what.to_owned())),
            StatusCode::TOO_MANY_REQUESTS => Err(Error::TooManyRequests(self.endpoint.registry.clone())),
            status => {
                let message = self.read_some(answer, MESSAGE_BYTES_MAX).await;
                Err(self.answered(status, what, String::from_utf8_lossy(&message).trim().to_owned()))
            }
        }
    }

    async fn send(&self, ask: &Ask, authorization: Option<&HeaderValue>) -> Result<Response, Error> {
        let mut request =
            self.endpoint.client.request(ask.method.clone(), ask.url.clone()).headers(ask.headers.clone());
        // What a registry's uploads point to may be another host; it gets no credentials of the first.
        if Url::parse(&self.endpoint.base).is_ok_and(|base| base.origin() == ask.url.origin()) {
            if let Some(authorization) = authorization {
                request = request.header(AUTHORIZATION, authorization.clone());
            } else if let Some(token) = &self.endpoint.bearer {
                request = request.bearer_auth(&token.0);
            }
        }
        let request = match &ask.body {
            Body::Empty => request,
            Body::Bytes(content) => request.body(content.clone()),
            Body::File(path) => {
                let file = tokio::fs::File::open(path).await;
                let file = file.map_err(|source| Error::File { path: path.display().to_string(), source })?;
                request.body(reqwest::Body::wrap_stream(tokio_util::io::ReaderStream::with_capacity(file, 64 << 10)))
            }
        };
        match tokio::time::timeout(ask.deadline, request.send()).await {
            Ok(answer) => answer.map_err(|error| self.unreachable(&error)),
            Err(_) => Err(Error::Unreachable {
                registry: self.endpoint.registry.clone(),
                why: format!("no answer within {} seconds", ask.deadline.as_secs()),
            }),
        }
    }

    /// What to send along from now on.
    async fn answer(&self, challenge: Challenge) -> Result<HeaderValue, Error> {
        match (challenge, &self.credentials) {
            (Challenge::Basic, None) => Err(self.denied()),
            (Challenge::Basic, Some(credentials)) => basic(credentials),
            (Challenge::Bearer { realm, service, scope }, credentials) => {
                let token = self.token(&realm, service, scope, credentials.as_ref()).await?;
                secret(&format!("Bearer {token}"))
            }
        }
    }

    /// Fetches a token, with credentials or as nobody.
    async fn token(
        &self,
        realm: &str,
        service: Option<String>,
        scope: Option<String>,
        credentials: Option<&Credentials>,
    ) -> Result<String, Error> {
        #[derive(Deserialize)]
        struct Answer {
            token: Option<String>,
            access_token: Option<String>,
        }
        let mut url = Url::parse(realm).map_err(|error| Error::Setup(format!("realm {realm:?}: {error}")))?;
        let actions = if self.access == Access::Push { "pull,push" } else { "pull" };
        // The scope that the registry names is what it wants; some name none.
        let scope = scope.unwrap_or_else(|| format!("repository:{}:{actions}", self.repository));
        url.query_pairs_mut().extend_pairs(service.map(|service| ("service", service))).append_pair("scope", &scope);
        let mut headers = HeaderMap::new();
        if let Some(credentials) = credentials {
            headers.insert(AUTHORIZATION, basic(credentials)?);
        }
        let request = self.endpoint.client.get(url).headers(headers).timeout(READ_IDLE_MAX);
        let answer = request.send().await.map_err(|error| self.unreachable(&error))?;
        if !answer.status().is_success() {
            return Err(self.denied());
        }
        let content = self.read(answer, TOKEN_BYTES_MAX, "a token").await?;
        let answer: Option<Answer> = serde_json::from_slice(&content).ok();
        answer.and_then(|answer| answer.token.or(answer.access_token)).ok_or_else(|| self.denied())
    }

    async fn read(&self, answer: Response, bytes_max: u64, what: &'static str) -> Result<Bytes, Error> {
        let content = self.read_some(answer, bytes_max + 1).await;
        if content.len() as u64 > bytes_max { Err(self.too_large(what, bytes_max)) } else { Ok(content) }
    }

    /// Reads at most `bytes_max` bytes; an answer that breaks off is as long as what came, and no valid document.
    async fn read_some(&self, answer: Response, bytes_max: u64) -> Bytes {
        let mut content = BytesMut::new();
        let mut chunks = std::pin::pin!(bounded(answer));
        while let Some(Ok(chunk)) = chunks.next().await {
            let room = bytes_max - content.len() as u64;
            let taken = chunk.len().min(usize::try_from(room).unwrap_or(usize::MAX));
            content.extend_from_slice(chunk.get(..taken).unwrap_or_default());
            if content.len() as u64 >= bytes_max {
                break;
            }
        }
        content.freeze()
    }

    fn verified(&self, content: &[u8], expected: Digest) -> Result<Digest, Error> {
        let mut hasher = Hasher::new(expected.algorithm());
        hasher.update(content);
        let found = hasher.finish();
        if found == expected {
            Ok(found)
        } else {
            Err(Error::DigestMismatch { registry: self.endpoint.registry.clone(), expected, found })
        }
    }

    fn denied(&self) -> Error {
        Error::Denied { registry: self.endpoint.registry.clone(), repository: self.repository.to_string() }
    }

    fn too_large(&self, what: &'static str, max: u64) -> Error {
        Error::TooLarge { registry: self.endpoint.registry.clone(), what, max }
    }

    fn answered(&self, status: StatusCode, what: &str, message: String) -> Error {
        Error::Answer {
            registry: self.endpoint.registry.clone(),
            code: status.as_u16(),
            what: what.to_owned(),
            message,
        }
    }

    fn unreachable(&self, error: &reqwest::Error) -> Error {
        Error::Unreachable { registry: self.endpoint.registry.clone(), why: base::causes(error) }
    }
}

/// An answer's content; it breaks off when nothing comes for [`READ_IDLE_MAX`].
fn bounded(answer: Response) -> impl Stream<Item = Result<Bytes, String>> + Send {
    let chunks = Box::pin(answer.bytes_stream());
    futures::stream::unfold(Some(chunks), |chunks| async move {
        let mut chunks = chunks?;
        match tokio::time::timeout(READ_IDLE_MAX, chunks.next()).await {
            Ok(Some(Ok(chunk))) => Some((Ok(chunk), Some(chunks))),
            Ok(Some(Err(error))) => Some((Err(base::causes(&error)), None)),
            Ok(None) => None,
            Err(_) => Some((Err(format!("nothing came for {} seconds", READ_IDLE_MAX.as_secs())), None)),
        }
    })
}

fn basic(credentials: &Credentials) -> Result<HeaderValue, Error> {
    use base64::Engine as _;
    let text = format!("{}:{}", credentials.username, credentials.password);
    secret(&format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(text)))
}

fn secret(text: &str) -> Result<HeaderValue, Error> {
    let mut value = header(text)?;
    value.set_sensitive(true);
    Ok(value)
}

fn header(text: &str) -> Result<HeaderValue, Error> {
    HeaderValue::from_str(text).map_err(|_| Error::Setup("a header has characters that no header may have".to_owned()))
}
