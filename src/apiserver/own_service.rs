//! The Service `default/kubernetes`, by which pods reach this server, its Endpoints and their slice; kept as upstream's
//! `kubernetesservice` controller and its reconciler keep them (kubernetes/kubernetes, `pkg/controlplane`).
//!
//! The Service has the first address of the range. Endpoints never hold an address that means another machine to
//! somebody else, so a server that listens on loopback, or does not say where, has none.

use std::net::SocketAddr;
use std::time::Duration;

use api::scheme::Scheme;
use base::shutdown::Shutdown;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::cache::{Interest, Subscription};
use crate::seed;
use crate::server::ApiServer;

const NAME: &str = "kubernetes";
const NAMESPACE: &str = "default";
const SERVICES: &str = "/api/v1/namespaces/default/services";
const ENDPOINTS: &str = "/api/v1/namespaces/default/endpoints";
const SLICES: &str = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices";

/// How often they are looked at even when nobody was seen to change them: what failed is tried again.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// Keeps all three until `shutdown`.
pub(crate) async fn run(server: ApiServer, address: SocketAddr, shutdown: Shutdown) {
    while shutdown.or(Box::pin(round(&server, address))).await.is_some() {}
}

/// One look, and the wait for a reason to take the next.
async fn round(server: &ApiServer, address: SocketAddr) {
    // The watches begin first, so that no change is missed.
    let (mut services, mut endpoints_watch) = (watch(server, "", "services"), watch(server, "", "endpoints"));
    let mut slices = watch(server, "discovery.k8s.io", "endpointslices");
    let kept = [(SERVICES, Some(service(server, address))), (ENDPOINTS, endpoints(address)), (SLICES, slice(address))];
    for (path, wanted) in kept {
        if let Err(error) = keep(server, path, wanted).await {
            tracing::warn!(error, "the Service default/kubernetes is not as it should be; trying again");
        }
    }
    let changed = async {
        tokio::select! {
            () = change(&mut services) => {},
            () = change(&mut endpoints_watch) => {},
            () = change(&mut slices) => {},
        }
    };
    // Nothing to do on a timeout but to look again.
    let _ = tokio::time::timeout(LOOK_EVERY, changed).await;
}

fn service(server: &ApiServer, address: SocketAddr) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": NAME, "labels": {"component": "apiserver", "provider": "kubernetes"}},
        "spec": {
            "type": "ClusterIP",
            "clusterIP": server.services().first_address().to_string(),
            "sessionAffinity": "None",
            "ports": [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": address.port()}],
        },
    })
}

/// `None` where no pod could use the address.
fn endpoints(address: SocketAddr) -> Option<Value> {
    let is_reachable = !address.ip().is_loopback() && !address.ip().is_unspecified();
    is_reachable.then(|| {
        json!({
            "apiVersion": "v1",
            "kind": "Endpoints",
            "metadata": {"name": NAME, "labels": {"endpointslice.kubernetes.io/skip-mirror": "true"}},
            "subsets": [{
                "addresses": [{"ip": address.ip()}],
                "ports": [{"name": "https", "port": address.port(), "protocol": "TCP"}],
            }],
        })
    })
}

/// As [`endpoints`].
fn slice(address: SocketAddr) -> Option<Value> {
    let endpoints = endpoints(address)?;
    let ports = endpoints.pointer("/subsets/0/ports").cloned()?;
    Some(json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": NAME, "labels": {"kubernetes.io/service-name": NAME}},
        "addressType": if address.is_ipv4() { "IPv4" } else { "IPv6" },
        "endpoints": [{"addresses": [address.ip()], "conditions": {"ready": true}}],
        "ports": ports,
    }))
}

/// Makes an object be as wanted; `None` wants none.
async fn keep(server: &ApiServer, collection: &str, wanted: Option<Value>) -> Result<(), String> {
    let path = format!("{collection}/{NAME}");
    let (code, found) = seed::ask(server, Method::GET, &path, &Value::Null).await;
    let (code, answer) = match (code, wanted) {
        (StatusCode::NOT_FOUND, None) => return Ok(()),
        (StatusCode::NOT_FOUND, Some(wanted)) => seed::ask(server, Method::POST, collection, &wanted).await,
        (StatusCode::OK, None) => seed::ask(server, Method::DELETE, &path, &Value::Null).await,
        (StatusCode::OK, Some(wanted)) if covers(&found, &wanted) => return Ok(()),
        (StatusCode::OK, Some(wanted)) => {
            let mut changed = found;
            for part in ["spec", "subsets", "endpoints", "ports"] {
                merge(&mut changed, &wanted, part);
            }
            seed::ask(server, Method::PUT, &path, &changed).await
        }
        other => (other.0, found),
    };
    if code.is_success() {
        Ok(())
    } else {
        Err(answer.get("message").and_then(Value::as_str).unwrap_or("no answer").to_owned())
    }
}

/// Whether everything that is wanted is so; what else is there is somebody else's.
fn covers(found: &Value, wanted: &Value) -> bool {
    match (found, wanted) {
        (Value::Object(found), Value::Object(wanted)) => {
            wanted.iter().all(|(key, wanted)| found.get(key).is_some_and(|found| covers(found, wanted)))
        }
        (Value::Array(found), Value::Array(wanted)) => {
            found.len() == wanted.len() && found.iter().zip(wanted).all(|(found, wanted)| covers(found, wanted))
        }
        (found, wanted) => found == wanted,
    }
}

/// Writes the fields of one part of `wanted` over those of `object`.
fn merge(object: &mut Value, wanted: &Value, part: &str) {
    match (object.get_mut(part).and_then(Value::as_object_mut), wanted.get(part)) {
        (Some(fields), Some(Value::Object(wanted))) => {
            fields.extend(wanted.iter().map(|(key, value)| (key.clone(), value.clone())));
        }
        (_, Some(wanted)) => api::meta::set_at(object, &format!("/{part}"), wanted.clone()),
        (_, None) => {}
    }
}

fn watch(server: &ApiServer, group: &str, plural: &str) -> Option<Subscription> {
    let resource = Scheme::builtin().resource(group, "v1", plural)?;
    let interest = Interest { namespace: Some(NAMESPACE.to_owned()), name: Some(NAME.to_owned()), node: None };
    let cache = server.objects().cache(resource).ok()?;
    Some(cache.watch_all(server.objects().caches().applied(), interest).1)
}

/// Waits for a change that this task did not make; one that it made itself costs one look more.
async fn change(watch: &mut Option<Subscription>) {
    match watch {
        Some(watch) => drop(watch.next().await),
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_hold_no_address_that_means_another_machine_elsewhere() {
        let check = |address: &str, expected: bool| {
            assert_eq!(endpoints(address.parse().unwrap()).is_some(), expected, "{address}");
        };
        check("127.0.0.1:6443", false);
        check("[::1]:6443", false);
        check("0.0.0.0:6443", false);
        check("192.0.2.7:6443", true);
    }

    #[test]
    fn what_others_add_is_left_alone() {
        let wanted = json!({"spec": {"ports": [{"port": 443}]}});
        assert!(covers(&json!({"spec": {"ports": [{"port": 443, "name": "x"}], "ipFamilies": ["IPv4"]}}), &wanted));
        assert!(!covers(&json!({"spec": {"ports": [{"port": 443}, {"port": 80}]}}), &wanted));
        assert!(!covers(&json!({"spec": {"ports": [{"port": 444}]}}), &wanted));
    }
}
