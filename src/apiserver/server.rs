//! The API server as one value: its table, store, caches and limits, and the tower service that callers speak to.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::task::{Context, Poll};
use std::time::Duration;

use api::scheme::Scheme;
use api::status::Status;
use axum::body::Body;
use base::clock::Instant;
use base::pki;
use base::shutdown::Shutdown;
use base::task::{self, Task};
use http::{Request, Response};
use rand::RngExt as _;
use store::Store;

use crate::authentication::service_account::{self, KeyError, Tokens};
use crate::authentication::{self, TokenSecret, User, impersonation};
use crate::authorization::Facts as _;
use crate::authorization::rbac::Policies;
use crate::cache::feed::Caches;
use crate::health::Health;
use crate::limits::Limits;
use crate::metrics::{self, Metrics};
use crate::objects::Objects;
use crate::options::Query;
use crate::registry::{self, Registry};
use crate::request_id;
use crate::request_info::{RequestInfo, ResourceRequest};
use crate::respond::status;
use crate::seed;
use crate::services::Services;
use crate::shares::Shares;
use crate::{authorization, custom, event_ttl, nodes, own_service, paths, policies};
use crate::{service_addresses, services, verbs, webhooks};

/// What the API server is told once, at its start.
#[derive(Debug)]
pub struct Options {
    /// Where ClusterIPs and node ports come from.
    pub services: services::Ranges,
    /// `minke`'s own version, which is part of `gitVersion`.
    pub version: String,
    /// How long a pod stays bound to a node in trouble unless it says so itself.
    pub toleration_seconds: TolerationSeconds,
    /// How long an Event is kept after its last change; upstream's `--event-ttl`.
    pub event_ttl: Duration,
    /// Where clients reach this server, upstream's `--advertise-address` and `--secure-port`; the Service
    /// `default/kubernetes` leads there. `None` where nobody does over a network.
    pub advertised: Option<SocketAddr>,
    /// Whose certificates are trusted, for servers that extend this one.
    pub authorities: Option<Authorities>,
    /// With which the tokens of service accounts are signed: the public and the private key in PEM. `None` makes new ones,
    /// and the tokens end with the server.
    pub service_account_keys: Option<(String, String)>,
    /// Where backups are put together, with room for one as large as the store; `None` gives none.
    pub backup_folder: Option<PathBuf>,
}

/// The certificates of authorities, in PEM.
#[derive(Clone, Debug)]
pub struct Authorities {
    /// Signs clients.
    pub clients: String,
    /// Signs aggregators, which speak for others.
    pub front_proxy: String,
}

/// What `DefaultTolerationSeconds` gives to pods, in seconds; upstream's flags of the same names.
#[derive(Clone, Copy, Debug)]
pub struct TolerationSeconds {
    /// `--default-not-ready-toleration-seconds`
    pub not_ready: i64,
    /// `--default-unreachable-toleration-seconds`
    pub unreachable: i64,
}

impl Options {
    /// Upstream's defaults for a server of Minke's version `version`.
    #[must_use]
    pub fn new(version: &str) -> Self {
        let toleration_seconds = TolerationSeconds { not_ready: 300, unreachable: 300 };
        Self {
            services: services::Ranges::default(),
            version: version.to_owned(),
            toleration_seconds,
            event_ttl: Duration::from_hours(1),
            advertised: None,
            authorities: None,
            service_account_keys: None,
            backup_folder: None,
        }
    }
}

/// Why the API server could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The store could not be read into the caches.
    #[error("the store cannot be served: {0}")]
    Store(String),
    /// No keys for the tokens of service accounts could be made.
    #[error(transparent)]
    Keys(pki::Error),
    /// The keys for the tokens of service accounts are no pair of ours.
    #[error(transparent)]
    Tokens(#[from] KeyError),
    /// What every cluster has could not be made.
    #[error(transparent)]
    Seed(#[from] seed::Error),
}

/// A running API server; cheap to clone.
#[derive(Clone, Debug)]
pub struct ApiServer {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    options: Options,
    /// The builtin resources and the custom ones that are served now.
    scheme: RwLock<Arc<Scheme>>,
    objects: Objects,
    nodes: nodes::Nodes,
    services: Services,
    health: Health,
    metrics: Metrics,
    paths: paths::Paths,
    registry: OnceLock<Registry>,
    policies: Policies,
    hooks: webhooks::Hooks,
    admission_policies: policies::Policies,
    webhooks: webhooks::Clients,
    tokens: Tokens,
    limits: Limits,
    shutdown: Shutdown,
    _feed: Arc<Task<()>>,
}

impl ApiServer {
    /// Starts over `store`: fills the watch caches from it and keeps them fed until `shutdown`.
    ///
    /// # Errors
    /// When the store holds what cannot be read or is closed meanwhile, or cannot be written.
    pub async fn start(store: Store, options: Options, shutdown: Shutdown) -> Result<Self, StartError> {
        let scheme = Scheme::builtin();
        let (public, private) = match &options.service_account_keys {
            Some(keys) => keys.clone(),
            None => pki::service_account_keys().map_err(StartError::Keys)?,
        };
        let tokens = Tokens::new(&public, &private)?;
        let filled = Caches::start(scheme, &store, shutdown.clone()).await;
        let (caches, feed) = filled.map_err(|error| StartError::Store(error.to_string()))?;
        let feed = Arc::new(feed);
        let shared = Shared {
            services: Services::new(&options.services),
            options,
            health: health(store.clone(), &feed, shutdown.clone()),
            metrics: Metrics::default(),
            scheme: RwLock::new(Arc::new(scheme.clone())),
            objects: Objects::new(store, caches),
            nodes: nodes::Nodes::default(),
            paths: paths::Paths::default(),
            registry: OnceLock::new(),
            policies: Policies::default(),
            hooks: webhooks::Hooks::default(),
            admission_policies: policies::Policies::default(),
            webhooks: webhooks::Clients::default(),
            tokens,
            limits: Limits::default(),
            shutdown: shutdown.clone(),
            _feed: feed,
        };
        let server = Self { shared: Arc::new(shared) };
        let definitions = custom::Definitions::load(&server);
        seed::plant(&server).await?;
        task::spawn("custom resources", definitions.run(server.clone(), shutdown.clone())).detach();
        task::spawn("policies", policies::status::run(server.clone(), shutdown.clone())).detach();
        // Both hold what they work on, so they end by the signal and not with the server's last handle.
        let (objects, ttl) = (server.objects().clone(), server.options().event_ttl);
        task::spawn("event expiry", event_ttl::run(objects, ttl, shutdown.clone())).detach();
        let addresses = service_addresses::run(server.clone(), shutdown.clone());
        task::spawn("addresses of Services", addresses).detach();
        if let Some(address) = server.options().advertised {
            task::spawn("service of the API", own_service::run(server.clone(), address, shutdown)).detach();
        }
        Ok(server)
    }

    /// Serves the registry and uploads from `content`, from now on; a second call changes nothing.
    pub fn keep_artifacts_in(&self, content: images::ContentStore) {
        let shared = &self.shared;
        shared.registry.get_or_init(|| Registry::new(content, shared.objects.clone(), shared.shutdown.clone()));
    }

    /// Shows at `/metrics` what `source` measures, too: other parts of this process.
    pub fn measure(&self, source: metrics::Source) {
        self.shared.metrics.add(source);
    }

    /// Answers one request. Who asks stands in the request's extensions as a [`User`]; without one it is nobody.
    pub async fn handle(&self, request: Request<Body>) -> Response<Body> {
        let user = request.extensions().get::<User>().cloned().unwrap_or_else(User::anonymous);
        let headers = request.headers().clone();
        let uri = request.uri();
        let info = RequestInfo::parse(request.method(), uri.path(), uri.query().unwrap_or_default());
        let user = match impersonation::impersonated(self, &user, &headers, &info) {
            Ok(acting) => acting.unwrap_or(user),
            Err(refused) => return status::response(&refused, &headers),
        };
        let started = Instant::now();
        let (verb, resource) = info.labels(&self.scheme());
        if let (RequestInfo::Path { path, .. }, Some(registry)) = (&info, self.registry())
            && registry::is_registry(path)
        {
            let verb = registry::verb(request.method());
            let response = registry::serve(self, registry, &user, request).await;
            self.shared.metrics.count(verb, "artifacts", response.status().as_u16(), started.elapsed());
            return response;
        }
        let Ok(_turn) = self.shared.limits.turn(&user, &info) else {
            let refused = Status::too_many_requests("Too many requests, please try again later.", 1);
            self.shared.metrics.count(verb, &resource, refused.code, started.elapsed());
            return status::response(&refused, &headers);
        };
        let answered = match info {
            RequestInfo::Resource(resource) => verbs::serve(self.clone(), user, resource, request).await,
            RequestInfo::Path { path, verb } => {
                let query = Query::parse(request.uri().query().unwrap_or_default());
                verbs::within_deadline(&query, Box::pin(paths::serve(self, &user, &path, &verb, request))).await
            }
        };
        let response = answered.unwrap_or_else(|status| status::response(&status, &headers));
        self.shared.metrics.count(verb, &resource, response.status().as_u16(), started.elapsed());
        response
    }

    /// The service that a `kube::Client` of this process speaks to, as `user`.
    #[must_use]
    pub fn service_as(&self, user: User) -> InProcess {
        InProcess { server: self.clone(), user }
    }

    /// Refuses what the caller has no right to.
    pub(crate) fn authorize(&self, user: &User, request: &ResourceRequest, query: &Query) -> Result<(), Status> {
        authorization::check_resource(self, user, request, query)
    }

    /// Whom a token that the cluster gave lets in, and for which of `audiences` it is; none of them asks for this server.
    pub(crate) fn token_user(&self, token: &str, audiences: &[&str]) -> Option<(User, Vec<String>)> {
        let own = [service_account::ISSUER];
        let audiences = if audiences.is_empty() { &own } else { audiences };
        let now = base::clock::now();
        if let Some((id, secret)) = token.split_once('.').filter(|(_, secret)| !secret.contains('.')) {
            let found = authentication::TOKEN_PREFIXES
                .iter()
                .find_map(|prefix| self.object("", "secrets", Some("kube-system"), &format!("{prefix}{id}")))?;
            let user = TokenSecret::read(&found)?.user(id, secret, now)?;
            return audiences.contains(&own[0]).then(|| (user, vec![own[0].to_owned()]));
        }
        let claims = self.tokens().read(token, now)?;
        let meant: Vec<String> =
            claims.aud.iter().filter(|audience| audiences.contains(&audience.as_str())).cloned().collect();
        let user = claims.user(|plural, namespace, name| self.object("", plural, namespace, name))?;
        (!meant.is_empty()).then_some((user, meant))
    }

    /// Signs and reads the tokens of service accounts.
    pub(crate) fn tokens(&self) -> &Tokens {
        &self.shared.tokens
    }

    /// Roles and bindings.
    pub(crate) fn policies(&self) -> &Policies {
        &self.shared.policies
    }

    /// The configurations of webhooks.
    pub(crate) fn hooks(&self) -> &webhooks::Hooks {
        &self.shared.hooks
    }

    /// Admission policies and their bindings.
    pub(crate) fn admission_policies(&self) -> &policies::Policies {
        &self.shared.admission_policies
    }

    /// Connections to webhooks.
    pub(crate) fn webhooks(&self) -> &webhooks::Clients {
        &self.shared.webhooks
    }

    pub(crate) fn options(&self) -> &Options {
        &self.shared.options
    }

    /// The resources that are served now.
    pub(crate) fn scheme(&self) -> Arc<Scheme> {
        Arc::clone(&self.shared.scheme.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Serves other resources from now on.
    pub(crate) fn serve_scheme(&self, scheme: Scheme) {
        self.paths().forget(&scheme);
        *self.shared.scheme.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(scheme);
    }

    pub(crate) fn objects(&self) -> &Objects {
        &self.shared.objects
    }

    pub(crate) fn nodes(&self) -> &nodes::Nodes {
        &self.shared.nodes
    }

    pub(crate) fn services(&self) -> &Services {
        &self.shared.services
    }

    pub(crate) fn health(&self) -> &Health {
        &self.shared.health
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.shared.metrics
    }

    pub(crate) fn paths(&self) -> &paths::Paths {
        &self.shared.paths
    }

    /// The cluster's own registry, once it has a place to keep artifacts.
    pub(crate) fn registry(&self) -> Option<&Registry> {
        self.shared.registry.get()
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.shared.limits
    }

    /// The room for bodies in memory.
    pub(crate) fn bodies(&self) -> &Shares {
        &self.shared.limits.bodies
    }

    pub(crate) fn shutdown(&self) -> &Shutdown {
        &self.shared.shutdown
    }

    /// Random bytes for names.
    pub(crate) fn random_bytes(&self) -> [u8; 5] {
        rand::rng().random()
    }

    /// A random number from 0 to 1, to spread what would else happen at once.
    pub(crate) fn random_fraction(&self) -> f64 {
        rand::rng().random()
    }
}

/// What `/healthz`, `/livez` and `/readyz` ask.
fn health(store: Store, feed: &Arc<Task<()>>, shutdown: Shutdown) -> Health {
    let mut health = Health::default();
    health.add("store", move || store.check().map_err(|error| error.to_string()));
    // The server holds the feed, and this does not hold it up.
    let feed = Arc::downgrade(feed);
    health.add("watch-cache", move || match feed.upgrade().is_some_and(|feed| !feed.is_finished()) {
        true => Ok(()),
        false => Err("what is written no longer reaches readers: start again".to_owned()),
    });
    health.add_to_readiness("shutdown", move || match shutdown.is_requested() {
        true => Err("process is shutting down".to_owned()),
        false => Ok(()),
    });
    health
}

/// The API server as a tower service, for a caller in this process: no socket, no TLS, the same rights.
#[derive(Clone, Debug)]
pub struct InProcess {
    server: ApiServer,
    user: User,
}

impl<B> tower::Service<Request<B>> for InProcess
where
    B: http_body::Body<Data = bytes::Bytes> + Send + 'static,
    B::Error: Into<tower::BoxError>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let server = self.server.clone();
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(self.user.clone());
        let answer = |request| async move { server.handle(request).await };
        Box::pin(async move { Ok(request_id::identified(request, answer).await) })
    }
}
