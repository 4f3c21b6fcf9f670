//! Clusters for tests.

mod pod;
mod process;
mod registry;

use std::path::{Path, PathBuf};
use std::time::Duration;

use base::clock::Instant;
use client::connect;
use kube::api::{DeleteParams, DynamicObject, ListParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::discovery::ApiResource;
use kube::{Api, Client, Config};
use serde_json::Value;

pub(crate) use self::pod::Pod;
pub(crate) use self::process::Process;

/// How long anything may take before a test gives up: long, since machines under test are busy.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// A control plane in a process of its own, with or without a node in it. Ends with the test.
pub(crate) struct Cluster {
    pub(crate) client: Client,
    pub(crate) process: Process,
    data: PathBuf,
    _folder: Option<tempfile::TempDir>,
}

impl Cluster {
    /// `minke up` on a free port.
    pub(crate) async fn up() -> Self {
        Self::start("up", &[]).await
    }

    /// `minke VERB ARGS` on a free port, in a new folder.
    pub(crate) async fn start(verb: &str, args: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut cluster = Self::start_in(folder.path(), verb, args).await;
        cluster._folder = Some(folder);
        cluster
    }

    /// The same in a folder that stays.
    pub(crate) async fn start_in(data: &Path, verb: &str, args: &[&str]) -> Self {
        let data_dir = data.display().to_string();
        let mut line = vec![verb, "--data-dir", &data_dir, "--listen", "127.0.0.1:0"];
        line.extend(args);
        let process = Process::start(&line);
        process.says("Now type").await;
        let client = connect::by_kubeconfig(&data.join("kubeconfig")).await.unwrap();
        Self { client, process, data: data.to_owned(), _folder: None }
    }

    /// Asks the process to end and starts it again over the same data.
    pub(crate) async fn restart(self, args: &[&str]) -> Self {
        let Self { mut process, data, _folder, .. } = self;
        process.end().await;
        let cluster = Self::start_in(&data, "up", args).await;
        Self { _folder, ..cluster }
    }

    /// Kills the process and starts it again over the same data.
    pub(crate) async fn crash(self, args: &[&str]) -> Self {
        let Self { mut process, data, _folder, .. } = self;
        process.kill().await;
        let cluster = Self::start_in(&data, "up", args).await;
        Self { _folder, ..cluster }
    }

    /// The data directory.
    pub(crate) fn data(&self) -> &Path {
        &self.data
    }

    /// The API server's address.
    pub(crate) async fn url(&self) -> String {
        let kubeconfig = Kubeconfig::read_from(self.data.join("kubeconfig")).unwrap();
        let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await;
        config.unwrap().cluster_url.to_string().trim_end_matches('/').to_owned()
    }

    /// Creates every object of a YAML text, in the namespace `default` unless it says another.
    pub(crate) async fn create(&self, yaml: &str) {
        for document in yaml.split("\n---") {
            if let Err(error) = self.try_create(document).await {
                panic!("{error}\n{document}");
            }
        }
    }

    /// Creates the one object of a YAML text; a refusal's message is the error.
    pub(crate) async fn try_create(&self, yaml: &str) -> Result<Value, String> {
        let object = api::decode::parse_yaml(yaml.as_bytes()).unwrap().value;
        let (api_version, kind) = (object["apiVersion"].as_str().unwrap(), object["kind"].as_str().unwrap());
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let resource = resource(group, version, kind);
        let namespace = object["metadata"]["namespace"].as_str().unwrap_or("default");
        let api = self.api(&resource, namespace, kind);
        let object: DynamicObject = serde_json::from_value(object).unwrap();
        match api.create(&PostParams::default(), &object).await {
            Ok(made) => Ok(serde_json::to_value(made).unwrap()),
            Err(kube::Error::Api(status)) => Err(status.message),
            Err(error) => panic!("{error}"),
        }
    }

    /// One object as JSON; null if it is not there.
    pub(crate) async fn get(&self, kind: &str, name: &str) -> Value {
        let (group, version) = if kind == "Lease" { ("coordination.k8s.io", "v1") } else { ("", "v1") };
        let namespace = if kind == "Lease" { "kube-node-lease" } else { "default" };
        let found = self.api(&resource(group, version, kind), namespace, kind).get_opt(name).await.unwrap();
        found.map_or(Value::Null, |found| serde_json::to_value(found).unwrap())
    }

    /// Deletes an object, with its own grace.
    pub(crate) async fn delete(&self, kind: &str, name: &str) {
        let api = self.api(&resource("", "v1", kind), "default", kind);
        api.delete(name, &DeleteParams::default()).await.unwrap();
    }

    /// Waits until an object is as `is` wants it.
    pub(crate) async fn until(&self, kind: &str, name: &str, is: impl Fn(&Value) -> bool) -> Value {
        let begun = Instant::now();
        loop {
            let object = self.get(kind, name).await;
            if is(&object) {
                return object;
            }
            if begun.elapsed() > DEADLINE {
                let (events, log) = (self.events(name).await, self.process.log());
                panic!("{kind} {name} is not as expected:\n{object:#}\nevents:\n{events}\nlog:\n{log}");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// A pod in the namespace `default`.
    pub(crate) fn pod<'a>(&'a self, name: &'a str) -> Pod<'a> {
        Pod { cluster: self, name }
    }

    /// What was told about an object: reasons and messages, a line each.
    pub(crate) async fn events(&self, name: &str) -> String {
        let events: Api<k8s_openapi::api::core::v1::Event> = Api::all(self.client.clone());
        let about = ListParams::default().fields(&format!("involvedObject.name={name}"));
        let mut lines = Vec::new();
        for event in events.list(&about).await.unwrap() {
            lines.push(format!("{}: {}", event.reason.unwrap_or_default(), event.message.unwrap_or_default()));
        }
        lines.join("\n")
    }

    fn api(&self, resource: &ApiResource, namespace: &str, kind: &str) -> Api<DynamicObject> {
        if ["Node", "Namespace", "RuntimeClass", "PriorityClass"].contains(&kind) {
            Api::all_with(self.client.clone(), resource)
        } else {
            Api::namespaced_with(self.client.clone(), namespace, resource)
        }
    }
}

fn resource(group: &str, version: &str, kind: &str) -> ApiResource {
    ApiResource::from_gvk(&kube::core::GroupVersionKind::gvk(group, version, kind))
}

/// Waits until `is` is true.
pub(crate) async fn happens(what: &str, is: impl Fn() -> bool) {
    let happened = async {
        while !is() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(DEADLINE, happened).await.unwrap_or_else(|_| panic!("{what}"));
}

/// A guest of ours, made by `cargo xtask guests`.
pub(crate) fn guest(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("target/guests/{name}.wasm"));
    assert!(path.exists(), "{} is not there: cargo xtask guests makes it", path.display());
    path
}
