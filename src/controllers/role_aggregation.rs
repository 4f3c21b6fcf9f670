//! Gathers the rules of cluster roles that aggregate others: `admin`, `edit` and `view` hold what roles with their labels
//! hold (upstream's `pkg/controller/clusterroleaggregation`).

use std::collections::BTreeMap;

use api::selectors::LabelSelector;
use base::queue::Queue;
use base::shutdown::Shutdown;
use client::{Informer, Informers, Key, refusal};
use k8s_openapi::api::rbac::v1::{ClusterRole, PolicyRule};
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use serde_json::json;

use crate::reconcile::{self, Next, Outcome};

/// The manager of the rules that this writes, as upstream's.
const MANAGER: &str = "clusterrole-aggregation-controller";

/// The one key: all roles are looked at together.
const ALL: &str = "all";

/// The controller.
pub(crate) struct RoleAggregation {
    client: Client,
    roles: Informer<ClusterRole>,
}

impl RoleAggregation {
    pub(crate) fn new(informers: &Informers) -> Self {
        Self { client: informers.client().clone(), roles: informers.of() }
    }

    pub(crate) async fn run(self, shutdown: Shutdown) {
        let queue = Queue::new();
        // Any role may be one that another gathers, and there are few that gather.
        let _roles = reconcile::feed(&self.roles, &queue, |_| Key::of_cluster(ALL));
        if shutdown.or(self.roles.synced()).await.is_some() {
            reconcile::run(&queue, 1, &shutdown, |_| self.sync()).await;
        }
    }

    async fn sync(&self) -> Outcome {
        let all = self.roles.all();
        for (key, role) in &all {
            let gathered = gathered(role, all.values().map(AsRef::as_ref));
            let Some(rules) = gathered.filter(|rules| role.rules.as_deref().unwrap_or_default() != rules) else {
                continue;
            };
            let patch = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
                "metadata": {"name": key.name}, "rules": rules});
            let api: Api<ClusterRole> = Api::all(self.client.clone());
            let params = PatchParams::apply(MANAGER).force();
            refusal::found(api.patch(&key.name, &params, &Patch::Apply(patch)).await)?;
        }
        Ok(Next::Changed)
    }
}

/// The rules of all roles that a role gathers, by the names of these, each rule once; `None` for a role that gathers none.
fn gathered<'a>(role: &ClusterRole, all: impl Iterator<Item = &'a ClusterRole>) -> Option<Vec<PolicyRule>> {
    let selectors = role.aggregation_rule.as_ref()?.cluster_role_selectors.as_deref().unwrap_or_default();
    // Validation lets in no other selectors than those that can be read.
    let selectors: Vec<LabelSelector> =
        selectors.iter().filter_map(|selector| LabelSelector::from_value(&json!(selector)).ok()).collect();
    let none = BTreeMap::new();
    let is_gathered = |other: &&ClusterRole| {
        let labels = other.metadata.labels.as_ref().unwrap_or(&none);
        other.metadata.name != role.metadata.name && selectors.iter().any(|selector| selector.matches(labels))
    };
    let mut found: Vec<&ClusterRole> = all.filter(is_gathered).collect();
    found.sort_by(|a, b| a.metadata.name.cmp(&b.metadata.name));
    let mut rules: Vec<PolicyRule> = Vec::new();
    for rule in found.into_iter().flat_map(|role| role.rules.iter().flatten()) {
        if !rules.contains(rule) {
            rules.push(rule.clone());
        }
    }
    Some(rules)
}

#[cfg(test)]
mod tests {
    use base::{shutdown, task};
    use client::testing::FakeServer;
    use serde_json::Value;

    use super::*;

    const ROLES: &str = "/apis/rbac.authorization.k8s.io/v1/clusterroles";

    fn rule(resource: &str) -> Value {
        json!({"verbs": ["get"], "apiGroups": [""], "resources": [resource]})
    }

    #[tokio::test(start_paused = true)]
    async fn a_role_holds_what_roles_of_its_label_hold() {
        let server = FakeServer::default();
        let gathers = json!({"clusterRoleSelectors": [{"matchLabels": {"to-view": "true"}}]});
        server.put(&format!("{ROLES}/view"), json!({"aggregationRule": gathers, "rules": []}));
        let labelled = |rules: Value| json!({"metadata": {"labels": {"to-view": "true"}}, "rules": rules});
        server.put(&format!("{ROLES}/b"), labelled(json!([rule("pods")])));
        server.put(&format!("{ROLES}/other"), json!({"rules": [rule("nodes")]}));
        let (_trigger, shutdown) = shutdown::channel();
        task::spawn("roles", RoleAggregation::new(&Informers::new(server.client())).run(shutdown)).detach();

        let view = format!("{ROLES}/view");
        let has = |rules: Value| move |role: Option<&Value>| role.is_some_and(|role| role["rules"] == rules);
        server.wait(&view, has(json!([rule("pods")]))).await;
        server.put(&format!("{ROLES}/a"), labelled(json!([rule("services"), rule("pods")])));
        server.wait(&view, has(json!([rule("services"), rule("pods")]))).await;
    }
}
