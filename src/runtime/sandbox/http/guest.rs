//! One request's guest: a fresh instance that is handed the request, and what becomes of it.

use std::sync::Arc;

use bytes::Bytes;
use http::uri::{Authority, PathAndQuery, Scheme as UriScheme};
use http::{Request, header};
use http_body::Body;
use wasmtime::Store;
use wasmtime::component::Accessor;
use wasmtime_wasi_http::p2::bindings::ProxyPre;
use wasmtime_wasi_http::p2::bindings::http::types::Scheme;
use wasmtime_wasi_http::p3::{self, bindings::ServicePre};
use wasmtime_wasi_http::{Error as HttpError, WasiHttpView as _};

use super::reply::{Refusal, Reply};
use crate::code::{Code, Program};
use crate::sandbox::exit::trap_text;
use crate::sandbox::limits::{Denied, Limiter, Memory};
use crate::sandbox::spec::Context;
use crate::sandbox::state::{ComponentState, component_store};

/// What a request's guest is made of.
pub(in crate::sandbox) struct Guest {
    pub(in crate::sandbox) code: Code,
    pub(in crate::sandbox) context: Context,
    pub(in crate::sandbox) memory: Arc<Memory>,
}

impl Guest {
    /// Runs a guest for one request to its end, or until `ended` says why it has to end. The client is told through
    /// `reply`, people through the container's standard error.
    pub(super) async fn handle(
        &self,
        name: &str,
        request: Request<impl Body<Data = Bytes, Error = HttpError> + Send + 'static>,
        reply: Reply,
        ended: impl Future<Output = Refusal>,
    ) {
        let (program, slot) = self.code.program();
        let engine = match program {
            Program::Http(pre) => pre.engine(),
            Program::Http3(pre) => pre.engine(),
            Program::Module(_) | Program::Command(_) | Program::Command3(_) => return reply.refuse(Refusal::Failed),
        };
        let (mut wasi, outputs) = match self.context.wasi() {
            Ok(made) => made,
            Err(error) => {
                tracing::warn!(sandbox = %name, %error, "a request's guest cannot be started");
                return reply.refuse(Refusal::Failed);
            }
        };
        let mappings = match slot.is_none().then(|| self.code.map_store()).transpose() {
            Ok(mappings) => mappings,
            Err(error) => {
                tracing::warn!(sandbox = %name, %error, "a request's guest cannot be started");
                return reply.refuse(Refusal::Busy);
            }
        };
        let denied = Denied::default();
        let limiter = Limiter::new(Arc::clone(&self.memory), denied.clone(), mappings);
        let mut store = component_store(engine, &mut wasi, limiter);
        let called = async {
            match program {
                Program::Http3(pre) => call3(&mut store, pre, request, &reply).await,
                Program::Http(pre) => call(&mut store, pre, request, reply.clone()).await,
                Program::Module(_) | Program::Command(_) | Program::Command3(_) => Ok(()),
            }
        };
        let failure = tokio::select! {
            biased;
            refusal = ended => Some((refusal, None)),
            outcome = called => outcome.err().map(|error| (Refusal::Failed, Some(trap_text(&error)))),
        };
        // Before the store goes, and with it the guest's end of the body.
        reply.end(failure.is_some());
        drop(store);
        // A guest that ends well without an answer has failed its client all the same.
        let (refusal, trap) = failure.unwrap_or((Refusal::Failed, None));
        reply.refuse(refusal);
        if let Some(trap) = trap {
            let text = if denied.is_raised() { denied.exit(self.memory.max()).to_string() } else { trap };
            outputs.stderr.tell(&format!("{text}\n")).await;
        }
        outputs.drain().await;
    }
}

/// WASI 0.2: the guest hands its answer over while it runs, and its body is written before the call returns.
async fn call(
    store: &mut Store<ComponentState>,
    pre: &ProxyPre<ComponentState>,
    request: Request<impl Body<Data = Bytes, Error = HttpError> + Send + 'static>,
    reply: Reply,
) -> wasmtime::Result<()> {
    let proxy = pre.instantiate_async(&mut *store).await?;
    let request = store.data_mut().http().new_incoming_request(Scheme::Http, request)?;
    let answer = store.data_mut().http().new_response_outparam_from_callback(move |answer| match answer {
        Ok(answer) => reply.answer(answer),
        Err(code) => {
            tracing::debug!(?code, "a guest answered with an error");
            reply.refuse(Refusal::Failed);
        }
    })?;
    proxy.wasi_http_incoming_handler().call_handle(store, request, answer).await
}

/// WASI 0.3: the guest returns its answer, and tasks that it left behind write the body.
async fn call3(
    store: &mut Store<ComponentState>,
    pre: &ServicePre<ComponentState>,
    request: Request<impl Body<Data = Bytes, Error = HttpError> + Send + 'static>,
    reply: &Reply,
) -> wasmtime::Result<()> {
    let service = pre.instantiate_async(&mut *store).await?;
    let request = with_authority(request)?;
    let (request, sent) = p3::Request::from_http(store.data_mut().http().hooks, request);
    let served = async |guest: &Accessor<ComponentState>| {
        match service.handle(guest, request).await? {
            Ok(answer) => reply.answer(guest.with(|store| answer.into_http(store, sent))?),
            Err(code) => {
                tracing::debug!(?code, "a guest answered with an error");
                reply.refuse(Refusal::Failed);
            }
        }
        std::future::poll_fn(|cx| guest.poll_no_interesting_tasks(cx)).await;
        Ok(())
    };
    store.run_concurrent(served).await?
}

/// A request that names in its URI whom it is for: HTTP/1.1 has that in a header, where WASI 0.3 does not look.
fn with_authority<B>(request: Request<B>) -> wasmtime::Result<Request<B>> {
    let (mut head, body) = request.into_parts();
    let mut uri = head.uri.into_parts();
    if uri.authority.is_none()
        && let Some(host) = head.headers.get(header::HOST)
    {
        uri.authority = Some(Authority::try_from(host.as_bytes())?);
    }
    uri.scheme.get_or_insert(UriScheme::HTTP);
    uri.path_and_query.get_or_insert(PathAndQuery::from_static("/"));
    head.uri = uri.try_into()?;
    Ok(Request::from_parts(head, body))
}
