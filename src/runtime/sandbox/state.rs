//! What a store carries: the guest's view of WASI and the watch over its limits.

use wasmtime::component::ResourceTable;
use wasmtime::{Engine, ResourceLimiter, Store};
use wasmtime_wasi::p1::WasiP1Ctx;
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};
use wasmtime_wasi_http::{
    Error as HttpError, RequestOptions, WasiBody, WasiHttpCtx, WasiHttpCtxView, WasiHttpHooks, WasiHttpView,
};

use super::limits::{HOSTCALL_BYTES_MAX, Limiter, RESOURCES_MAX};
use crate::threads::SLICE_TICKS;

/// State of a WASI 0.1 module.
pub(crate) struct ModuleState {
    pub(crate) wasi: WasiP1Ctx,
    limiter: Limiter,
}

/// State of a component.
pub(crate) struct ComponentState {
    wasi: WasiCtx,
    table: ResourceTable,
    http: WasiHttpCtx,
    hooks: Hooks,
    limiter: Limiter,
}

/// What the host does about requests that a guest sends: it refuses them until pods have a network.
struct Hooks;

/// Bytes of one request's or response's header fields, as they lie in memory.
const FIELDS_BYTES_MAX: usize = 128 << 10;

/// A store for a module.
pub(crate) fn module_store(engine: &Engine, wasi: &mut WasiCtxBuilder, limiter: Limiter) -> Store<ModuleState> {
    let mut wasi = wasi.build_p1();
    wasi.ctx().table.set_max_capacity(RESOURCES_MAX);
    bounded(engine, ModuleState { wasi, limiter }, |state| &mut state.limiter)
}

/// A store for a component.
pub(crate) fn component_store(engine: &Engine, wasi: &mut WasiCtxBuilder, limiter: Limiter) -> Store<ComponentState> {
    let mut table = ResourceTable::new();
    table.set_max_capacity(RESOURCES_MAX);
    let mut http = WasiHttpCtx::new();
    http.set_field_size_limit(FIELDS_BYTES_MAX);
    let state = ComponentState { wasi: wasi.build(), table, http, hooks: Hooks, limiter };
    let mut store = bounded(engine, state, |state| &mut state.limiter);
    // Tasks, streams and futures of WASI 0.3 are in a table of their own.
    if let Some(table) = store.concurrent_resource_table() {
        table.set_max_capacity(RESOURCES_MAX);
    }
    store
}

/// A store whose guest yields at the end of each slice and takes no more than its limits.
fn bounded<T: Send + 'static>(engine: &Engine, state: T, limiter: fn(&mut T) -> &mut dyn ResourceLimiter) -> Store<T> {
    let mut store = Store::new(engine, state);
    store.limiter(limiter);
    store.set_epoch_deadline(SLICE_TICKS);
    store.epoch_deadline_async_yield_and_update(SLICE_TICKS);
    store.set_hostcall_fuel(HOSTCALL_BYTES_MAX);
    store
}

impl WasiView for ComponentState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for ComponentState {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { ctx: &mut self.http, table: &mut self.table, hooks: &mut self.hooks }
    }
}

type Sending<T> = Box<dyn Future<Output = Result<T, HttpError>> + Send>;

impl WasiHttpHooks for Hooks {
    fn send_request(
        &mut self,
        _request: http::Request<WasiBody>,
        _options: Option<RequestOptions>,
        _sent: Sending<()>,
    ) -> Sending<(http::Response<WasiBody>, Sending<()>)> {
        Box::new(std::future::ready(Err(HttpError::HttpRequestDenied)))
    }
}
