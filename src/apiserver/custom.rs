//! Custom resources: the rows that CustomResourceDefinitions make, from the moment that their names are accepted until
//! their last object is gone.
//!
//! One task follows the definitions. What their status should say and which rows they make are functions of `api`'s
//! ([`api::custom`]); here they are carried out: first the cache, then the scheme, then the status, so that whoever finds
//! a resource in discovery, or its definition established, can use it.

mod ending;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use api::custom::{definition, status};
use api::meta;
use api::scheme::{Resource, Scheme};
use base::clock;
use base::shutdown::Shutdown;
use base::task::{self, Task};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use store::Revision;

use crate::cache::kept::Kept;
use crate::cache::{Cache, Interest, Object, Subscription, object};
use crate::seed;
use crate::server::ApiServer;

const PATH: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

/// How often all definitions are looked at even when none was seen to change: what failed is tried again.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// What is known of the definitions.
pub(crate) struct Definitions {
    /// By name.
    served: BTreeMap<String, Served>,
    /// Those that end, each in a task of its own: its objects may be many.
    ending: BTreeMap<String, Task<()>>,
    /// What is in the cache, read once a change.
    kept: Kept<Value>,
}

/// A definition and the rows made of it.
struct Served {
    /// What the rows were made of.
    source: Value,
    rows: Vec<Arc<Resource>>,
    /// The row as whose objects new ones are stored, whether it is served or not.
    stored: Option<Arc<Resource>>,
}

impl Definitions {
    /// Serves what the definitions in the store say, before the first request.
    pub(crate) fn load(server: &ApiServer) -> Self {
        let mut definitions = Self { served: BTreeMap::new(), ending: BTreeMap::new(), kept: Kept::default() };
        let settled = settled(definitions.all(server));
        definitions.take_in(server, &settled, Since::Definition);
        definitions
    }

    /// Follows the definitions until `shutdown`.
    pub(crate) async fn run(mut self, server: ApiServer, shutdown: Shutdown) {
        while shutdown.or(Box::pin(self.round(&server))).await.is_some() {}
    }

    /// One look at all definitions, and the wait for a reason to take the next.
    async fn round(&mut self, server: &ApiServer) {
        // The watch begins first, so that no change is missed.
        let Some(mut watch) = cache(server).map(|cache| follow(server, &cache)) else {
            return tokio::time::sleep(LOOK_EVERY).await;
        };
        let found = self.all(server);
        let settled = settled(found.clone());
        self.take_in(server, &settled, Since::Ever);
        if tell(server, &found, &settled).await {
            // What was written is seen in the next round.
            return;
        }
        self.ending.retain(|name, _| self.served.contains_key(name));
        for (name, served) in &self.served {
            if meta::deletion_timestamp(&served.source).is_some() && !self.ending.contains_key(name) {
                let ending = ending::run(server.clone(), name.clone(), served.stored.clone());
                self.ending.insert(name.clone(), task::spawn("end of a definition", ending));
            }
        }
        // On a timeout there is nothing to do but to look again.
        let _ = tokio::time::timeout(LOOK_EVERY, watch.next()).await;
    }

    /// Every definition, with the revision of its last change.
    fn all(&mut self, server: &ApiServer) -> Vec<(Arc<Value>, Revision)> {
        if let Some(cache) = cache(server) {
            self.kept = self.kept.renewed(&cache.snapshot(Revision(0)), Some);
        }
        self.kept.objects.values().map(|(revision, definition)| (Arc::clone(definition), *revision)).collect()
    }

    /// Makes rows of definitions that are new or changed, and serves them.
    fn take_in(&mut self, server: &ApiServer, found: &[(Arc<Value>, Revision)], since: Since) {
        let mut is_changed = false;
        let gone = |name: &String| !found.iter().any(|(definition, _)| meta::name(definition) == name);
        for name in self.served.keys().filter(|name| gone(name)).cloned().collect::<Vec<_>>() {
            is_changed = true;
            if let Some(row) = self.served.remove(&name).and_then(|served| served.stored) {
                server.objects().caches().remove(&row);
            }
        }
        for (definition, revision) in found {
            let name = meta::name(definition).to_owned();
            let source = source(definition);
            if self.served.get(&name).is_some_and(|served| served.source == source) {
                continue;
            }
            is_changed = true;
            let before = self.served.get(&name).map(|served| &served.source);
            let since = match before.is_some_and(|before| before.get("spec") == source.get("spec")) {
                // Nothing that objects are made by has changed.
                true => Some(Revision(0)),
                false => Some(*revision).filter(|_| since == Since::Definition),
            };
            let served = Served::of(definition, source);
            served.adopt(server, definition, since);
            self.served.insert(name, served);
        }
        if is_changed {
            let mut rows: Vec<&Arc<Resource>> = self.served.values().flat_map(|served| &served.rows).collect();
            rows.sort_by(|one, other| {
                let version = || status::compare_versions(&other.version, &one.version);
                one.group.cmp(&other.group).then_with(version).then_with(|| one.plural.cmp(&other.plural))
            });
            server.serve_scheme(Scheme::builtin().with(rows.into_iter().cloned()));
        }
    }
}

/// Which objects may have been stored before their definition changed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Since {
    /// All.
    Ever,
    /// Those that are older than the definition's last change.
    Definition,
}

impl Served {
    fn of(definition: &Value, source: Value) -> Self {
        let rows: Vec<Arc<Resource>> = definition::rows(definition).into_iter().map(Arc::new).collect();
        let stored = rows.iter().find(|row| row.conversion.is_none()).cloned();
        let stored = stored.or_else(|| definition::stored_row(definition).map(Arc::new));
        Self { source, rows, stored }
    }

    /// Has the cache show its objects by the new rows. Those changed up to `until` (all, if `None`) are brought into the
    /// form that their schema has now.
    fn adopt(&self, server: &ApiServer, definition: &Value, until: Option<Revision>) {
        let Some(stored) = &self.stored else { return };
        let cache: Cache = server.objects().caches().add(stored);
        let kinds = definition::kinds(definition);
        let renewed = |old: &Object| {
            if until.is_some_and(|until| old.revision > until) {
                return Ok(None);
            }
            let value = old.to_value()?;
            let Some(kind) = kinds.get(meta::api_version(&value)) else { return Ok(None) };
            object::encode(&kind.refreshed(value), true).map(Some)
        };
        if let Err(error) = cache.adopt(stored, renewed) {
            tracing::error!(definition = meta::name(definition), %error, "an object is not as its definition has it");
        }
    }
}

/// What rows are made of.
fn source(definition: &Value) -> Value {
    json!({
        "spec": definition.get("spec"),
        "names": definition.pointer("/status/acceptedNames"),
        "isEstablished": definition::is_established(definition),
        "metadata": {"uid": meta::uid(definition), "deletionTimestamp": meta::deletion_timestamp(definition)},
    })
}

/// The definitions with the status that they should have.
fn settled(mut found: Vec<(Arc<Value>, Revision)>) -> Vec<(Arc<Value>, Revision)> {
    let now = meta::time(clock::now_seconds());
    for at in 0..found.len() {
        // What has the names that it asks for keeps them, whoever asks for them later.
        let unsettled = found.get(at).filter(|(definition, _)| !status::is_settled(definition));
        let Some((definition, _)) = unsettled else { continue };
        let others: Vec<&Value> = found.iter().map(|(definition, _)| &**definition).collect();
        let settled = status::settled(definition, &others, &now);
        if let Some((place, _)) = found.get_mut(at) {
            *place = Arc::new(settled);
        }
    }
    found
}

/// Writes the status of definitions that have another than they should; whether one was written.
async fn tell(server: &ApiServer, found: &[(Arc<Value>, Revision)], settled: &[(Arc<Value>, Revision)]) -> bool {
    let mut is_changed = false;
    for ((before, _), (settled, _)) in found.iter().zip(settled) {
        if Arc::ptr_eq(settled, before) || settled.get("status") == before.get("status") {
            continue;
        }
        let path = format!("{PATH}/{}/status", meta::name(settled));
        let (code, answer) = seed::ask(server, Method::PUT, &path, settled).await;
        is_changed |= code.is_success();
        if !code.is_success() && ![StatusCode::CONFLICT, StatusCode::NOT_FOUND].contains(&code) {
            let error = answer.get("message").and_then(Value::as_str).unwrap_or("no answer");
            tracing::warn!(definition = meta::name(settled), error, "a definition's status could not be written");
        }
    }
    is_changed
}

fn cache(server: &ApiServer) -> Option<Cache> {
    let resource = Scheme::builtin().resource(definition::GROUP, "v1", "customresourcedefinitions")?;
    server.objects().cache(resource).ok()
}

/// Every change from now on.
fn follow(server: &ApiServer, cache: &Cache) -> Subscription {
    cache.watch_all(server.objects().caches().applied(), Interest::default()).1
}
