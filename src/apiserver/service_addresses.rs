//! An `IPAddress` for each address of a Service, as upstream's allocator makes them. Here they tell what Services have:
//! which address is free is read from the Services themselves.
//!
//! They are made and removed as Services change, and put back when somebody removes one that is in use.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use api::meta;
use api::scheme::Scheme;
use base::shutdown::Shutdown;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::authorization::Facts as _;
use crate::cache::{Event, Interest, Object, Snapshot, Subscription};
use crate::seed;
use crate::server::ApiServer;

const PATH: &str = "/apis/networking.k8s.io/v1/ipaddresses";
const MANAGED_BY: &str = "ipaddress.kubernetes.io/managed-by";
const FAMILY: &str = "ipaddress.kubernetes.io/ip-family";
const MANAGER: &str = "ipallocator";

/// How long what failed waits before everything is looked at again.
const RETRY: Duration = Duration::from_secs(5);

/// Which Service has which address.
type Owners = HashMap<String, Owner>;

/// A Service by namespace and name.
type Owner = (String, String);

/// Keeps them until `shutdown`.
pub(crate) async fn run(server: ApiServer, shutdown: Shutdown) {
    let keeping = async {
        loop {
            if let Err(error) = Box::pin(follow(&server)).await {
                tracing::warn!(error, "the IPAddresses of Services are not as they should be; trying again");
                tokio::time::sleep(RETRY).await;
            }
        }
    };
    // It never ends by itself.
    let _: Option<()> = shutdown.or(keeping).await;
}

/// Looks at everything, then at each change, until a watch falls behind or something fails.
async fn follow(server: &ApiServer) -> Result<(), String> {
    let (services, mut service_changes) = watch(server, "", "services")?;
    let (addresses, mut address_changes) = watch(server, "networking.k8s.io", "ipaddresses")?;
    let mut owners = Owners::new();
    for service in services.objects.values() {
        let (owner, has) = addresses_of(service)?;
        owners.extend(has.into_iter().map(|address| (address, owner.clone())));
    }
    let there: HashSet<String> = addresses.objects.values().map(|object| object.name().to_owned()).collect();
    for address in there.iter().chain(owners.keys()).cloned().collect::<HashSet<_>>() {
        settle(server, &address, owners.get(&address)).await?;
    }
    loop {
        let changed = tokio::select! {
            event = service_changes.next() => match event {
                Some(event) => owned(&mut owners, &event)?,
                None => return Ok(()),
            },
            event = address_changes.next() => match event {
                Some(event) => HashSet::from([event.object.name().to_owned()]),
                None => return Ok(()),
            },
        };
        for address in changed {
            settle(server, &address, owners.get(&address)).await?;
        }
    }
}

fn watch(server: &ApiServer, group: &str, plural: &str) -> Result<(Snapshot, Subscription), String> {
    let resource = Scheme::builtin().resource(group, "v1", plural).ok_or("the table lacks a kind")?;
    let cache = server.objects().cache(resource).map_err(|status| status.to_string())?;
    Ok(cache.watch_all(server.objects().caches().applied(), Interest::default()))
}

/// Takes a change of a Service in; tells which addresses to look at.
fn owned(owners: &mut Owners, event: &Event) -> Result<HashSet<String>, String> {
    let mut changed = HashSet::new();
    if let Some(previous) = &event.previous {
        let (owner, had) = addresses_of(previous)?;
        for address in had {
            if owners.get(&address) == Some(&owner) {
                owners.remove(&address);
            }
            changed.insert(address);
        }
    }
    if !event.is_deletion {
        let (owner, has) = addresses_of(&event.object)?;
        for address in has {
            owners.insert(address.clone(), owner.clone());
            // What it had and has is as it was.
            if !changed.remove(&address) {
                changed.insert(address);
            }
        }
    }
    Ok(changed)
}

/// A Service and the addresses that it has.
fn addresses_of(service: &Object) -> Result<(Owner, Vec<String>), String> {
    let value = service.to_value().map_err(|error| error.to_string())?;
    let owner = (meta::namespace(&value).unwrap_or_default().to_owned(), meta::name(&value).to_owned());
    let addresses = value.pointer("/spec/clusterIPs").and_then(Value::as_array).into_iter().flatten();
    let addresses = addresses.filter_map(Value::as_str).filter(|address| *address != "None");
    Ok((owner, addresses.map(str::to_owned).collect()))
}

/// Makes the object of an address be as wanted.
async fn settle(server: &ApiServer, address: &str, owner: Option<&Owner>) -> Result<(), String> {
    let found = server.object("networking.k8s.io", "ipaddresses", None, address);
    let path = format!("{PATH}/{address}");
    match (found, owner) {
        (None, None) => Ok(()),
        (None, Some(owner)) => done(seed::ask(server, Method::POST, PATH, &object(address, owner)).await),
        (Some(found), Some(owner)) if parent(&found) == parent(&object(address, owner)) => Ok(()),
        // What is another's says who looks after it.
        (Some(found), None) if meta::label(&found, MANAGED_BY) != Some(MANAGER) => Ok(()),
        // Its parent never changes; the deletion brings the next look.
        (Some(_), _) => done(seed::ask(server, Method::DELETE, &path, &Value::Null).await),
    }
}

fn done((code, answer): (StatusCode, Value)) -> Result<(), String> {
    match code {
        code if code.is_success() || code == StatusCode::NOT_FOUND || code == StatusCode::CONFLICT => Ok(()),
        code => Err(answer.get("message").and_then(Value::as_str).map_or_else(|| code.to_string(), str::to_owned)),
    }
}

fn parent(address: &Value) -> Option<&Value> {
    address.pointer("/spec/parentRef")
}

fn object(address: &str, (namespace, name): &Owner) -> Value {
    let family = if address.contains(':') { "IPv6" } else { "IPv4" };
    json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "IPAddress",
        "metadata": {"name": address, "labels": {FAMILY: family, MANAGED_BY: MANAGER}},
        "spec": {"parentRef": {"resource": "services", "namespace": namespace, "name": name}},
    })
}
