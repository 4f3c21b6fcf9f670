//! An operator as people write them with kube: a kind derived from a type, a controller that makes what its objects own, and
//! a finalizer that cleans up after them.

use std::sync::Arc;
use std::time::Duration;

use base::task;
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{DeleteParams, ListParams, ObjectMeta, Patch, PatchParams, PostParams};
use kube::runtime::controller::{Action, Controller};
use kube::runtime::finalizer::{self, Event, finalizer};
use kube::runtime::wait::{await_condition, conditions};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client, CustomResource, CustomResourceExt as _, Resource as _, ResourceExt as _};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::harness::{Cluster, DEADLINE};

const MANAGER: &str = "whale-operator";

/// A whale that sings.
#[derive(Clone, CustomResource, Debug, Deserialize, JsonSchema, Serialize)]
#[kube(group = "sea.example", version = "v1", kind = "Whale", namespaced, status = "WhaleStatus")]
#[kube(shortname = "wh", category = "sea", selectable = ".spec.mood")]
#[kube(scale(spec_replicas_path = ".spec.length", status_replicas_path = ".status.songs"))]
#[kube(printcolumn(name = "Length", type_ = "integer", json_path = ".spec.length"))]
struct WhaleSpec {
    /// Metres.
    #[schemars(range(min = 1, max = 30))]
    length: u32,
    #[serde(default)]
    mood: Mood,
    /// What it sings.
    song: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, Serialize)]
enum Mood {
    #[default]
    Calm,
    Playful,
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize)]
struct WhaleStatus {
    songs: i32,
    observed_generation: Option<i64>,
}

type Result<T, E = finalizer::Error<kube::Error>> = std::result::Result<T, E>;

async fn reconcile(whale: Arc<Whale>, client: Arc<Client>) -> Result<Action> {
    let whales: Api<Whale> = Api::namespaced((*client).clone(), "default");
    finalizer(&whales.clone(), "sea.example/mourned", whale, |event| async {
        match event {
            Event::Apply(whale) => sing(&whale, &whales, (*client).clone()).await?,
            Event::Cleanup(whale) => write(&format!("{}-mourned", whale.name_any()), None, (*client).clone()).await?,
        }
        Ok(Action::await_change())
    })
    .await
}

/// Keeps the whale's song in a map that it owns, and tells so in its status.
async fn sing(whale: &Whale, whales: &Api<Whale>, client: Client) -> kube::Result<()> {
    write(&format!("{}-song", whale.name_any()), Some(whale), client).await?;
    let status = json!({"status": WhaleStatus { songs: 1, observed_generation: whale.meta().generation }});
    whales.patch_status(&whale.name_any(), &PatchParams::default(), &Patch::Merge(status)).await?;
    Ok(())
}

async fn write(name: &str, owner: Option<&Whale>, client: Client) -> kube::Result<()> {
    let song = owner.and_then(|whale| whale.spec.song.clone()).unwrap_or_default();
    let map = ConfigMap {
        metadata: ObjectMeta {
            name: Some(name.into()),
            owner_references: owner.and_then(|whale| whale.controller_owner_ref(&())).map(|owner| vec![owner]),
            ..ObjectMeta::default()
        },
        data: Some([("song".to_owned(), song)].into()),
        ..ConfigMap::default()
    };
    let params = PatchParams::apply(MANAGER).force();
    Api::<ConfigMap>::namespaced(client, "default").patch(name, &params, &Patch::Apply(map)).await?;
    Ok(())
}

/// Declares the kind and waits until it is served.
async fn declare(client: &Client) {
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    let params = PatchParams::apply(MANAGER);
    definitions.patch(Whale::crd_name(), &params, &Patch::Apply(Whale::crd())).await.unwrap();
    let established = await_condition(definitions, Whale::crd_name(), conditions::is_crd_established());
    tokio::time::timeout(DEADLINE, established).await.unwrap().unwrap();
}

/// Runs the operator for as long as the answer is kept.
fn operate(client: &Client) -> task::Task<()> {
    let whales: Api<Whale> = Api::namespaced(client.clone(), "default");
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), "default");
    let controller = Controller::new(whales, watcher::Config::default()).owns(maps, watcher::Config::default());
    let retry =
        |_: Arc<Whale>, _: &finalizer::Error<kube::Error>, _: Arc<Client>| Action::requeue(Duration::from_secs(1));
    let run = controller.run(reconcile, retry, Arc::new(client.clone())).for_each(|_| async {});
    task::spawn("operator", run)
}

/// Waits until an object is as it should be; it says what it is when the time is over.
async fn becomes<K>(api: &Api<K>, name: &str, is: impl Fn(Option<&K>) -> bool)
where
    K: Clone + std::fmt::Debug + serde::de::DeserializeOwned,
{
    let deadline = base::clock::Instant::now() + DEADLINE;
    loop {
        let found = api.get_opt(name).await.unwrap();
        if is(found.as_ref()) {
            return;
        }
        assert!(base::clock::Instant::now() < deadline, "{name} is {found:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_makes_keeps_and_mourns() {
    let cluster = Cluster::start("server", &[]).await;
    let client = cluster.client.clone();
    declare(&client).await;
    let _operator = operate(&client);
    let whales: Api<Whale> = Api::namespaced(client.clone(), "default");
    let maps: Api<ConfigMap> = Api::namespaced(client, "default");
    let sings = |map: Option<&ConfigMap>, song: &str| {
        map.is_some_and(|map| map.data.as_ref().is_some_and(|data| data.get("song").is_some_and(|is| is == song)))
    };

    let whale = Whale::new("w", WhaleSpec { length: 7, mood: Mood::Calm, song: Some("low".into()) });
    let made = whales.create(&PostParams::default(), &whale).await.unwrap();
    becomes(&maps, "w-song", |map| sings(map, "low")).await;
    becomes(&whales, "w", |whale| whale.is_some_and(|whale| whale.status.as_ref().is_some_and(|it| it.songs == 1)))
        .await;

    // What is taken away comes back, and what is wished anew is made anew.
    maps.delete("w-song", &DeleteParams::default()).await.unwrap();
    becomes(&maps, "w-song", |map| sings(map, "low")).await;
    let wish = Patch::Merge(json!({"spec": {"song": "high"}}));
    whales.patch("w", &PatchParams::default(), &wish).await.unwrap();
    becomes(&maps, "w-song", |map| sings(map, "high")).await;
    let told = |whale: Option<&Whale>| whale.and_then(|it| it.status.as_ref()?.observed_generation) == Some(2);
    becomes(&whales, "w", told).await;

    whales.delete("w", &DeleteParams::default()).await.unwrap();
    let uid = made.uid().unwrap();
    let gone = await_condition(whales, "w", conditions::is_deleted(&uid));
    tokio::time::timeout(DEADLINE, gone).await.unwrap().unwrap();
    assert!(maps.get_opt("w-mourned").await.unwrap().is_some(), "it was not cleaned up after");
    becomes(&maps, "w-song", |map| map.is_none()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_derived_kind_is_defaulted_checked_selected_and_watched() {
    let cluster = Cluster::start("server", &[]).await;
    declare(&cluster.client).await;
    let whales: Api<Whale> = Api::namespaced(cluster.client.clone(), "default");
    let config = watcher::Config::default().streaming_lists().fields("spec.mood=Calm");
    let mut seen = std::pin::pin!(watcher(whales.clone(), config).applied_objects());

    let spec = WhaleSpec { length: 31, mood: Mood::Playful, song: None };
    let refused = whales.create(&PostParams::default(), &Whale::new("long", spec.clone())).await.unwrap_err();
    assert!(refused.to_string().contains("spec.length in body should be less than or equal to 30"), "{refused}");
    let playful = Whale::new("playful", WhaleSpec { length: 7, ..spec });
    whales.create(&PostParams::default(), &playful).await.unwrap();
    cluster.create("apiVersion: sea.example/v1\nkind: Whale\nmetadata: {name: calm}\nspec: {length: 3}").await;

    let first = tokio::time::timeout(DEADLINE, seen.next()).await.unwrap().unwrap().unwrap();
    assert_eq!((first.name_any().as_str(), first.spec.length), ("calm", 3));
    let calm = whales.list(&ListParams::default().fields("spec.mood=Calm")).await.unwrap();
    assert_eq!(calm.items.len(), 1);
    let scale =
        whales.patch_scale("calm", &PatchParams::default(), &Patch::Merge(json!({"spec": {"replicas": 5}}))).await;
    assert_eq!(scale.unwrap().spec.unwrap().replicas, Some(5));
    assert_eq!(whales.get("calm").await.unwrap().spec.length, 5);
}
