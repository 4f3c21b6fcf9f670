//! ConfigMaps, Secrets, tokens and RuntimeClasses that pods refer to: fetched when a container starts, looked at again in a while.
//!
//! Each object is fetched once for all pods that name it. While the API server is away its last known content
//! stands, so that a container can be restarted; that there is no such object is never remembered.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base::clock::Instant;
use base::shutdown::Shutdown;
use futures::StreamExt as _;
use k8s_openapi::api::authentication::v1 as authentication;
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::node::v1 as node;
use kube::api::PostParams;
use kube::{Api, Client};

use crate::objects::{Content, Kind, Objects, Reference, Token};
use crate::pods::mailbox::Mailbox;

/// How often objects that pods mount are looked at again, as upstream's `syncFrequency`.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// How long one request may take.
const REQUEST_DEADLINE: Duration = Duration::from_secs(15);

/// How many requests are under way at once when everything is looked at again.
const PARALLEL: usize = 8;

/// A token is renewed when this part of its life is over, as upstream's token manager.
const RENEW_AT: f64 = 0.8;

/// What pods refer to. `users` is canonical; `known` has a place for what they mount, and nothing else.
pub(crate) struct Sources {
    client: Client,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Who mounts what, by pod.
    users: HashMap<Arc<str>, User>,
    /// By namespace and reference.
    known: HashMap<Key, Known>,
}

type Key = (String, Reference);

/// One object that somebody mounts.
#[derive(Debug, Default)]
struct Known {
    /// How many pods do; above zero.
    users: usize,
    /// Its last content.
    content: Option<Arc<Content>>,
}

#[derive(Debug)]
struct User {
    namespace: String,
    references: BTreeSet<Reference>,
    tokens: BTreeMap<Token, (String, Instant)>,
    mailbox: Arc<Mailbox>,
}

/// Why an object cannot be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The API server does not answer, or refuses.
    #[error("cannot fetch {kind} {name}: {source}")]
    Object {
        /// Its kind.
        kind: &'static str,
        /// Its name, with its namespace if it has one.
        name: String,
        /// What stood in the way.
        source: Box<kube::Error>,
    },
    /// No answer in time.
    #[error("cannot fetch {kind} {name}: the API server did not answer in time")]
    Late {
        /// Its kind.
        kind: &'static str,
        /// Its name, with its namespace if it has one.
        name: String,
    },
}

impl Sources {
    /// Sources behind `client`.
    pub(crate) fn new(client: Client) -> Self {
        Self { client, state: Mutex::default() }
    }

    /// Says that a pod mounts these, so that it hears of changes.
    pub(crate) fn mount(&self, uid: &Arc<str>, pod: &core::Pod, mailbox: &Arc<Mailbox>) {
        let references = crate::objects::of_volumes(pod);
        if references.is_empty() && crate::objects::tokens_of_volumes(pod).is_empty() {
            return;
        }
        let namespace = pod.metadata.namespace.clone().unwrap_or_default();
        let mut state = self.lock();
        let State { users, known } = &mut *state;
        if users.contains_key(uid) {
            return;
        }
        for reference in &references {
            known.entry((namespace.clone(), reference.clone())).or_default().users += 1;
        }
        let user = User { namespace, references, tokens: BTreeMap::new(), mailbox: Arc::clone(mailbox) };
        users.insert(Arc::clone(uid), user);
    }

    /// Says that a pod mounts nothing more.
    pub(crate) fn unmount(&self, uid: &str) {
        let mut state = self.lock();
        let Some(user) = state.users.remove(uid) else { return };
        for reference in user.references {
            let key = (user.namespace.clone(), reference);
            if let Some(known) = state.known.get_mut(&key) {
                known.users -= 1;
                if known.users == 0 {
                    state.known.remove(&key);
                }
            }
        }
    }

    /// The objects that `references` name in a pod's namespace, and the tokens that its volumes ask for.
    ///
    /// # Errors
    /// When the API server cannot be asked and has not been before.
    pub(crate) async fn fetch(
        &self,
        pod: &core::Pod,
        references: BTreeSet<Reference>,
        tokens: BTreeSet<Token>,
    ) -> Result<Objects, Error> {
        let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
        let mut objects = Objects::default();
        for reference in references {
            let content = match self.request(namespace, &reference).await {
                Ok(content) => content,
                Err(error) => match self.last_known(namespace, &reference) {
                    Some(content) => Some(content),
                    None => return Err(error),
                },
            };
            objects.found.insert(reference, content);
        }
        for token in tokens {
            let text = self.token(pod, namespace, &token).await?;
            objects.tokens.insert(token, text);
        }
        Ok(objects)
    }

    /// The RuntimeClass of that name, if there is one.
    ///
    /// # Errors
    /// When the API server cannot be asked.
    pub(crate) async fn runtime_class(&self, name: &str) -> Result<Option<node::RuntimeClass>, Error> {
        let api: Api<node::RuntimeClass> = Api::all(self.client.clone());
        within(api.get_opt(name), "RuntimeClass", name.to_owned()).await
    }

    /// Looks again at what pods mount until the end is asked for, and tells those of which something changed.
    pub(crate) async fn run(self: Arc<Self>, shutdown: Shutdown) {
        while shutdown.or(tokio::time::sleep(LOOK_AGAIN)).await.is_some() {
            shutdown.or(self.look_again()).await;
        }
    }

    async fn look_again(&self) {
        let wanted: Vec<Key> = self.lock().known.keys().cloned().collect();
        let looks = futures::stream::iter(wanted).map(|(namespace, reference)| async move {
            let before = self.last_known(&namespace, &reference);
            match self.request(&namespace, &reference).await {
                Ok(now) if now != before => self.tell(&namespace, &reference),
                Ok(_) => {}
                Err(error) => tracing::debug!(%error, "cannot look again at what pods mount"),
            }
        });
        looks.buffer_unordered(PARALLEL).collect::<()>().await;
        let now = Instant::now();
        for user in self.lock().users.values() {
            if user.tokens.iter().any(|(token, (_, issued))| is_old(token, *issued, now)) {
                user.mailbox.content_changed();
            }
        }
    }

    fn tell(&self, namespace: &str, reference: &Reference) {
        for user in self.lock().users.values() {
            if user.namespace == namespace && user.references.contains(reference) {
                user.mailbox.content_changed();
            }
        }
    }

    async fn request(&self, namespace: &str, reference: &Reference) -> Result<Option<Arc<Content>>, Error> {
        let Reference { kind, name } = reference;
        let client = self.client.clone();
        let request = async {
            match kind {
                Kind::ConfigMap => {
                    let found = Api::<core::ConfigMap>::namespaced(client, namespace).get_opt(name).await?;
                    Ok(found.map(Content::from))
                }
                Kind::Secret => {
                    let found = Api::<core::Secret>::namespaced(client, namespace).get_opt(name).await?;
                    Ok(found.map(Content::from))
                }
            }
        };
        let content = within(request, kind.name(), format!("{namespace}/{name}")).await?.map(Arc::new);
        // Only what a pod mounts is kept: of the rest nobody would ever say that it may go.
        if let Some(known) = self.lock().known.get_mut(&(namespace.to_owned(), reference.clone())) {
            known.content.clone_from(&content);
        }
        Ok(content)
    }

    async fn token(&self, pod: &core::Pod, namespace: &str, token: &Token) -> Result<String, Error> {
        let uid = pod.metadata.uid.as_deref().unwrap_or_default();
        let now = Instant::now();
        let known = self.lock().users.get(uid).and_then(|user| user.tokens.get(token)).cloned();
        if let Some((text, issued)) = known
            && !is_old(token, issued, now)
        {
            return Ok(text);
        }
        let account = pod.spec.as_ref().and_then(|spec| spec.service_account_name.as_deref()).unwrap_or("default");
        let body = token_request(pod, token);
        let api: Api<core::ServiceAccount> = Api::namespaced(self.client.clone(), namespace);
        let params = PostParams::default();
        let request = api.create_subresource("token", account, &params, &body);
        let issued: authentication::TokenRequest =
            within(request, "a token of ServiceAccount", format!("{namespace}/{account}")).await?;
        let text = issued.status.and_then(|status| status.token).unwrap_or_default();
        if let Some(user) = self.lock().users.get_mut(uid) {
            user.tokens.insert(token.clone(), (text.clone(), now));
        }
        Ok(text)
    }

    fn last_known(&self, namespace: &str, reference: &Reference) -> Option<Arc<Content>> {
        self.lock().known.get(&(namespace.to_owned(), reference.clone())).and_then(|known| known.content.clone())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn within<T>(
    request: impl Future<Output = kube::Result<T>>,
    kind: &'static str,
    name: String,
) -> Result<T, Error> {
    match tokio::time::timeout(REQUEST_DEADLINE, request).await {
        Ok(answer) => answer.map_err(|source| Error::Object { kind, name, source: Box::new(source) }),
        Err(_) => Err(Error::Late { kind, name }),
    }
}

fn is_old(token: &Token, issued: Instant, now: Instant) -> bool {
    let life = Duration::from_secs(u64::try_from(token.expiration_seconds).unwrap_or(0));
    now.duration_since(issued) >= life.mul_f64(RENEW_AT)
}

/// A token that ends with its pod.
fn token_request(pod: &core::Pod, token: &Token) -> authentication::TokenRequest {
    authentication::TokenRequest {
        spec: Some(authentication::TokenRequestSpec {
            audiences: (!token.audience.is_empty()).then(|| vec![token.audience.clone()]),
            expiration_seconds: Some(token.expiration_seconds),
            bound_object_ref: Some(authentication::BoundObjectReference {
                api_version: Some("v1".to_owned()),
                kind: Some("Pod".to_owned()),
                name: pod.metadata.name.clone(),
                uid: pod.metadata.uid.clone(),
            }),
        }),
        ..authentication::TokenRequest::default()
    }
}
