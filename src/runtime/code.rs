//! From a `.wasm` file to code that can be started: compiled or taken from the cache, linked, its kind known.

pub(crate) mod cache;
pub(crate) mod compiler;
pub(crate) mod imports;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wasmtime::component::{self, Component};
use wasmtime::{Engine, ExternType, InstancePre, Module};
use wasmtime_wasi::{p2, p3};
use wasmtime_wasi_http::p2::bindings::ProxyPre;
use wasmtime_wasi_http::p3::bindings::ServicePre;

use crate::mappings::{self, Mapped, Mappings, NoMappings, StoreMappings};
use crate::profiles::{POOL_STORES, Profile, fingerprint};
use crate::runtime::Metrics;
use crate::sandbox::INSTANCES_MAX;
use crate::sandbox::state::{ComponentState, ModuleState};
use cache::{Artifact, Cache, Kept, Key, Native};
use compiler::Compilers;
use imports::{Line, Linkers};

/// What a program is, by what it exports.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// A WASI 0.1 module with `_start`: runs once.
    Module,
    /// A component with `wasi:cli/run`: runs once.
    Command,
    /// A component with `wasi:http/incoming-handler`, or `wasi:http/handler` of WASI 0.3: an instance serves each
    /// request.
    Http,
}

/// Code that is loaded and linked; clones share it. Sandboxes of one image share its pages.
#[derive(Clone)]
pub struct Code {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    kind: Kind,
    profile: Profile,
    on_demand: Program,
    /// For [`Profile::Request`], unless the program is too large for a slot of the pool.
    pooled: Option<(Program, Arc<Semaphore>)>,
    /// Where its stores take their mappings.
    mappings: Mappings,
    /// Those of the code itself.
    _mapped: Mapped,
    /// The code's file stays in the cache.
    _kept: Kept,
}

/// A linked program of one engine.
#[derive(Clone)]
pub(crate) enum Program {
    Module(InstancePre<ModuleState>),
    Command(p2::bindings::CommandPre<ComponentState>),
    Http(ProxyPre<ComponentState>),
    /// A command of WASI 0.3.
    Command3(p3::bindings::CommandPre<ComponentState>),
    /// An http component of WASI 0.3.
    Http3(ServicePre<ComponentState>),
}

impl Program {
    /// Linear memories of one instance.
    fn memories(&self) -> usize {
        let of_component = |component: &Component| component.resources_required();
        let required = match self {
            Self::Module(pre) => Some(pre.module().resources_required()),
            Self::Command(pre) => of_component(pre.instance_pre().component()),
            Self::Http(pre) => of_component(pre.instance_pre().component()),
            Self::Command3(pre) => of_component(pre.instance_pre().component()),
            Self::Http3(pre) => of_component(pre.instance_pre().component()),
        };
        // One that is handed modules from outside could have any number; nothing here hands it any.
        required.map_or(INSTANCES_MAX, |required| usize::try_from(required.num_memories).unwrap_or(INSTANCES_MAX))
    }
}

/// Why a program cannot be had. Each text is for the pod's author.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// It could not be compiled.
    #[error(transparent)]
    Compile(#[from] compiler::Error),
    /// It imports what no host here offers.
    #[error("imports that are not offered here: {}", listed(.0))]
    UnknownImports(Vec<String>),
    /// It imports or exports WASI 0.3, in another profile than that for it.
    #[error("uses {0}, which is WASI 0.3: only the profile wasi-preview3 of a node with --wasi-preview3 runs it")]
    Preview3(String),
    /// The runtime has no such profile.
    #[error("there is no profile {0}: the node runs without --{0}")]
    NoProfile(&'static str),
    /// It fits no interface, although all names are known.
    #[error("cannot be linked: {0}")]
    Unlinkable(String),
    /// It exports nothing that could be run.
    #[error("exports neither _start nor wasi:cli/run nor wasi:http/incoming-handler")]
    NoEntry,
    /// The code cache failed.
    #[error(transparent)]
    Cache(#[from] cache::Error),
    /// The process has no mappings left for its code.
    #[error("cannot be loaded: {0}")]
    Mappings(#[from] NoMappings),
    /// The runtime is ending.
    #[error("cannot be loaded: {0}")]
    Ending(#[from] base::task::Ended),
}

/// Names of imports that an error tells: a program may lack thousands, and a person reads a few.
const NAMES_MAX: usize = 8;

/// An engine and its linkers.
pub(crate) struct Host {
    pub(crate) engine: Engine,
    linkers: Linkers,
}

/// All that loading needs.
pub(crate) struct Loader {
    pooled: Host,
    dense: Host,
    guarded: Host,
    /// Only where it was asked for.
    preview3: Option<Host>,
    /// One permit a slot of the pool.
    slots: Arc<Semaphore>,
    mappings: Mappings,
    cache: Cache,
    compilers: Compilers,
}

impl Code {
    /// What the program is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.inner.kind
    }

    /// The profile that it was loaded for.
    #[must_use]
    pub fn profile(&self) -> Profile {
        self.inner.profile
    }

    /// The program to start, with a slot of the pool if there is a free one and the profile wants it.
    pub(crate) fn program(&self) -> (&Program, Option<OwnedSemaphorePermit>) {
        let pooled = self.inner.pooled.as_ref();
        let slot = pooled.and_then(|(program, slots)| Some((program, Arc::clone(slots).try_acquire_owned().ok()?)));
        match slot {
            Some((program, slot)) => (program, Some(slot)),
            None => (&self.inner.on_demand, None),
        }
    }

    /// The mappings of one store outside the pool.
    pub(crate) fn map_store(&self) -> Result<StoreMappings, NoMappings> {
        StoreMappings::take(&self.inner.mappings, self.inner.on_demand.memories())
    }

    pub(crate) fn downgrade(&self) -> std::sync::Weak<Inner> {
        Arc::downgrade(&self.inner)
    }

    pub(crate) fn from_inner(inner: Arc<Inner>) -> Self {
        Self { inner }
    }
}

impl Host {
    pub(crate) fn new(profile: Profile) -> wasmtime::Result<Self> {
        let engine = profile.engine()?;
        let linkers = Linkers::new(&engine, Line::of(profile))?;
        Ok(Self { engine, linkers })
    }

    fn link(&self, artifact: &Artifact) -> Result<Program, LoadError> {
        match artifact.load(&self.engine).map_err(unlinkable)? {
            Native::Module(module) => self.link_module(&module),
            Native::Component(component) => self.link_component(&component),
        }
    }

    fn link_module(&self, module: &Module) -> Result<Program, LoadError> {
        refuse(imports::missing_of_module(module), Line::Preview2)?;
        match module.get_export("_start") {
            Some(ExternType::Func(start)) if start.params().len() == 0 && start.results().len() == 0 => {}
            _ => return Err(LoadError::NoEntry),
        }
        self.linkers.modules.instantiate_pre(module).map(Program::Module).map_err(unlinkable)
    }

    fn link_component(&self, component: &Component) -> Result<Program, LoadError> {
        let line = self.linkers.line;
        refuse(imports::missing_of_component(component, &self.engine, line), line)?;
        let exports = component.component_type();
        let entry = Entry::of(exports.exports(&self.engine).map(|(name, _)| name));
        let linked: component::InstancePre<_> =
            self.linkers.components.instantiate_pre(component).map_err(unlinkable)?;
        let program = match (entry, line) {
            (Some((Entry::Http3 | Entry::Command3, name)), Line::Preview2) => {
                return Err(LoadError::Preview3(name.to_owned()));
            }
            (Some((Entry::Http3, _)), Line::Preview3) => ServicePre::new(linked).map(Program::Http3),
            (Some((Entry::Command3, _)), Line::Preview3) => {
                p3::bindings::CommandPre::new(linked).map(Program::Command3)
            }
            (Some((Entry::Http, _)), _) => ProxyPre::new(linked).map(Program::Http),
            (Some((Entry::Command, _)), _) => p2::bindings::CommandPre::new(linked).map(Program::Command),
            (None, _) => return Err(LoadError::NoEntry),
        };
        program.map_err(unlinkable)
    }
}

/// What a component is run by. Where it exports several, the first of these is taken.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Entry {
    Http3,
    Http,
    Command3,
    Command,
}

impl Entry {
    /// The entry among exported names, and its name.
    fn of<'a>(exports: impl Iterator<Item = &'a str>) -> Option<(Self, &'a str)> {
        let entry = |name| Some((Self::named(name)?, name));
        exports.filter_map(entry).min()
    }

    fn named(export: &str) -> Option<Self> {
        let lines = [
            ("wasi:http/handler@0.3.", Self::Http3),
            ("wasi:http/incoming-handler@0.2.", Self::Http),
            ("wasi:cli/run@0.3.", Self::Command3),
            ("wasi:cli/run@0.2.", Self::Command),
        ];
        lines.into_iter().find_map(|(line, entry)| export.starts_with(line).then_some(entry))
    }
}

impl Loader {
    pub(crate) fn new(
        cache: Cache,
        compilers: Compilers,
        mappings: Mappings,
        preview3: bool,
    ) -> wasmtime::Result<Self> {
        Ok(Self {
            pooled: Host::new(Profile::Request)?,
            dense: Host::new(Profile::Dense)?,
            guarded: Host::new(Profile::Guarded)?,
            preview3: preview3.then(|| Host::new(Profile::Preview3)).transpose()?,
            slots: Arc::new(Semaphore::new(usize::try_from(POOL_STORES).unwrap_or(usize::MAX))),
            mappings,
            cache,
            compilers,
        })
    }

    /// Every engine, to be ticked.
    pub(crate) fn engines(&self) -> Vec<Engine> {
        let always = [&self.pooled, &self.dense, &self.guarded];
        always.into_iter().chain(&self.preview3).map(|host| host.engine.clone()).collect()
    }

    /// What was compiled, and what compiled code takes.
    pub(crate) fn metrics(&self) -> Metrics {
        let (cache_bytes, cache_max_bytes) = self.cache.bytes();
        let (compilations, failed_compilations) = self.compilers.counts();
        let bounds = self.compilers.bounds();
        let (mappings, mappings_max) = self.mappings.counts();
        Metrics {
            cache_bytes,
            cache_max_bytes,
            compilations,
            failed_compilations,
            compile_deadline: bounds.deadline,
            compile_memory_bytes: bounds.memory_bytes,
            mappings,
            mappings_max,
        }
    }

    /// Loads the program at `wasm`, whose content has this digest.
    pub(crate) async fn load(self: &Arc<Self>, wasm: &Path, digest: &str, profile: Profile) -> Result<Code, LoadError> {
        let key = Key::new(digest, &fingerprint(&self.on_demand(profile)?.engine));
        let this = Arc::clone(self);
        let found = base::task::blocking(move || this.cache.find(key).map(|artifact| this.link(&artifact, profile)));
        if let Some(loaded) = found.await? {
            return loaded;
        }
        let staged = self.cache.stage();
        let compiled = self.compilers.compile(wasm, &staged, profile).await;
        let this = Arc::clone(self);
        base::task::blocking(move || {
            if let Err(error) = compiled {
                this.cache.discard(&staged);
                return Err(error.into());
            }
            let artifact = this.cache.admit(key, &staged)?;
            this.link(&artifact, profile)
        })
        .await?
    }

    fn on_demand(&self, profile: Profile) -> Result<&Host, LoadError> {
        match profile {
            Profile::Request | Profile::Dense => Ok(&self.dense),
            Profile::Guarded => Ok(&self.guarded),
            Profile::Preview3 => self.preview3.as_ref().ok_or(LoadError::NoProfile(profile.name())),
        }
    }

    fn link(&self, artifact: &Artifact, profile: Profile) -> Result<Code, LoadError> {
        let mut mapped = self.mappings.take(mappings::OF_CODE)?;
        let on_demand = self.on_demand(profile)?.link(artifact)?;
        let kind = match &on_demand {
            Program::Module(_) => Kind::Module,
            Program::Command(_) | Program::Command3(_) => Kind::Command,
            Program::Http(_) | Program::Http3(_) => Kind::Http,
        };
        let pooled = match profile {
            // It was just linked elsewhere, so an error means that it does not fit a slot.
            Profile::Request => match self.pooled.link(artifact) {
                Ok(program) => {
                    mapped.grow(mappings::OF_CODE)?;
                    Some((program, Arc::clone(&self.slots)))
                }
                Err(error) => {
                    tracing::debug!(%error, "a program does not fit the pool and runs on demand");
                    None
                }
            },
            Profile::Dense | Profile::Guarded | Profile::Preview3 => None,
        };
        let mappings = self.mappings.clone();
        Ok(Code::from_inner(Arc::new(Inner {
            kind,
            profile,
            on_demand,
            pooled,
            mappings,
            _mapped: mapped,
            _kept: artifact.kept(),
        })))
    }
}

/// The first few names, and how many more there are.
fn listed(names: &[String]) -> String {
    let (first, more) = names.split_at(names.len().min(NAMES_MAX));
    let more = if more.is_empty() { String::new() } else { format!(" and {} more", more.len()) };
    first.join(", ") + &more
}

fn refuse(missing: Vec<String>, line: Line) -> Result<(), LoadError> {
    match missing.iter().find(|import| imports::is_preview3(import)) {
        Some(import) if line == Line::Preview2 => Err(LoadError::Preview3(import.clone())),
        _ if missing.is_empty() => Ok(()),
        _ => Err(LoadError::UnknownImports(missing)),
    }
}

fn unlinkable(error: wasmtime::Error) -> LoadError {
    LoadError::Unlinkable(format!("{error:#}"))
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Code").field("kind", &self.inner.kind).field("profile", &self.inner.profile).finish()
    }
}
