//! Objects that are written by the thousand, as text: a client that builds each anew would be measured, too.

use anyhow::{Result, ensure};
use base::clock::Instant;
use http::Method;

use crate::cluster::{DEADLINE, POLL};
use crate::connection::{Connection, Server};

/// What stands in a template for the object's name.
const NAME: &str = "NAME";

/// What a change changes: a label, whose value counts changes.
const LABEL: &str = "\"turn\":\"0\"";

/// A kind, one namespace's collection of it, and what its objects look like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kind {
    /// As a row of the table says it.
    pub(crate) plural: &'static str,
    /// The collection.
    pub(crate) path: &'static str,
    template: &'static str,
    /// What a change replaces.
    turn: &'static str,
}

/// Pods that no scheduler cares for, so that nothing but the API works on them.
pub(crate) const PODS: Kind = Kind {
    plural: "pods",
    path: "/api/v1/namespaces/default/pods",
    template: r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"NAME","labels":{"app":"bench","turn":"0"}},"spec":{
"schedulerName":"nobody","containers":[{"name":"c","image":"registry.minke.local/default/hello",
"args":["sleep","1000000"],"imagePullPolicy":"IfNotPresent"}]}}"#,
    turn: LABEL,
};

/// ConfigMaps.
pub(crate) const CONFIG_MAPS: Kind = Kind {
    plural: "config maps",
    path: "/api/v1/namespaces/default/configmaps",
    template: r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"NAME","labels":{"turn":"0"}},
"data":{"value":"watched"}}"#,
    turn: LABEL,
};

/// Leases as nodes have them.
pub(crate) const LEASES: Kind = Kind {
    plural: "leases",
    path: "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases",
    template: r#"{"apiVersion":"coordination.k8s.io/v1","kind":"Lease","metadata":{"name":"NAME"},
"spec":{"holderIdentity":"NAME","leaseDurationSeconds":40,"renewTime":"2026-01-01T00:00:00.000000Z"}}"#,
    turn: "\"renewTime\":\"2026-01-01T00:00:00.000000Z\"",
};

/// Objects of the kind that [`define`] makes.
pub(crate) const WIDGETS: Kind = Kind {
    plural: "custom objects",
    path: "/apis/bench.minke.dev/v1/namespaces/default/widgets",
    template: r#"{"apiVersion":"bench.minke.dev/v1","kind":"Widget","metadata":{"name":"NAME","labels":{"turn":"0"}},
"spec":{"replicas":2,"image":"registry.minke.local/default/hello","ports":[{"name":"web","port":80},
{"name":"admin","port":81}],"parameters":{"one":"first","two":"second"}}}"#,
    turn: LABEL,
};

const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

/// A kind with a schema, defaults, a list by keys and one rule over two fields.
const DEFINITION: &str = r#"{"apiVersion":"apiextensions.k8s.io/v1","kind":"CustomResourceDefinition",
"metadata":{"name":"widgets.bench.minke.dev"},"spec":{"group":"bench.minke.dev","scope":"Namespaced",
"names":{"kind":"Widget","listKind":"WidgetList","plural":"widgets","singular":"widget"},
"versions":[{"name":"v1","served":true,"storage":true,"schema":{"openAPIV3Schema":{"type":"object","required":["spec"],
"properties":{"spec":{"type":"object","required":["replicas","image"],
"x-kubernetes-validations":[{"rule":"self.replicas <= self.maxReplicas","message":"more replicas than allowed"}],
"properties":{"replicas":{"type":"integer","minimum":0},"maxReplicas":{"type":"integer","default":10},
"image":{"type":"string","maxLength":200},"policy":{"type":"string","enum":["Always","Never"],"default":"Always"},
"ports":{"type":"array","maxItems":16,"x-kubernetes-list-type":"map","x-kubernetes-list-map-keys":["name"],
"items":{"type":"object","required":["name","port"],"properties":{"name":{"type":"string"},"port":{"type":"integer"},
"protocol":{"type":"string","default":"TCP"}}}},
"parameters":{"type":"object","additionalProperties":{"type":"string"}}}},
"status":{"type":"object","properties":{"ready":{"type":"integer"}}}}}}}]}}"#;

impl Kind {
    /// The object of this name.
    pub(crate) fn object(&self, name: &str) -> String {
        self.template.replace(NAME, name)
    }

    /// The object as it is after so many changes.
    pub(crate) fn changed(&self, object: &str, turns: u64) -> String {
        object.replacen(self.turn, &self.turn_at(turns), 1)
    }

    /// The object with one more change than it has.
    pub(crate) fn next(&self, object: &str, turns: u64) -> String {
        object.replacen(&self.turn_at(turns), &self.turn_at(turns + 1), 1)
    }

    /// The merge patch that makes a change.
    pub(crate) fn patch(&self, turns: u64) -> String {
        format!("{{\"metadata\":{{\"labels\":{{{}}}}}}}", self.turn_at(turns))
    }

    /// The object's path.
    pub(crate) fn path_of(&self, name: &str) -> String {
        format!("{}/{name}", self.path)
    }

    fn turn_at(&self, turns: u64) -> String {
        match self.turn.strip_suffix("000000Z\"") {
            Some(time) => format!("{time}{:06}Z\"", turns % 1_000_000),
            None => LABEL.replace('0', &turns.to_string()),
        }
    }
}

/// Creates the kind of [`WIDGETS`], and waits until one can be created and the rule is looked at.
pub(crate) async fn define(server: &Server) -> Result<()> {
    let mut connection = Connection::open(server).await?;
    connection.ask(Method::POST, DEFINITIONS, Some(DEFINITION.into())).await?;
    let path = format!("{}?dryRun=All", WIDGETS.path);
    let object = WIDGETS.object("first");
    let started = Instant::now();
    while connection.ask(Method::POST, &path, Some(object.clone().into())).await.is_err() {
        ensure!(started.elapsed() < DEADLINE, "no custom object can be created after {DEADLINE:?}");
        tokio::time::sleep(POLL).await;
    }
    let broken = object.replace("\"replicas\":2", "\"replicas\":20");
    let answer = connection.ask(Method::POST, &path, Some(broken.into())).await;
    ensure!(answer.is_err(), "the rule of the custom kind is not looked at");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_change_is_another_object() {
        for kind in [PODS, CONFIG_MAPS, LEASES, WIDGETS] {
            let first = kind.object("a");
            assert!(serde_json::from_str::<serde_json::Value>(&first).is_ok(), "{first}");
            let second = kind.next(&first, 0);
            assert_ne!(first, second);
            assert_eq!(second, kind.changed(&first, 1));
            assert_ne!(kind.next(&second, 1), second);
        }
        assert_eq!(PODS.patch(3), r#"{"metadata":{"labels":{"turn":"3"}}}"#);
    }
}
