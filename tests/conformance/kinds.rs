//! What upstream's discovery names and ours does not: `resources.tsv` says of each resource and subresource why it is not
//! served, or nothing.

use std::collections::BTreeSet;

use http::Request;
use http::header::ACCEPT;
use serde_json::Value;

use crate::session::Session;

const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

/// A group of our own, which upstream has not.
const OWN: &str = "run.minke.dev";

/// Group, version and resource (with its subresource) of all that is served.
async fn served() -> BTreeSet<[String; 3]> {
    let session = Session::start().await;
    let mut served = BTreeSet::new();
    for path in ["/api", "/apis"] {
        let request = Request::get(path).header(ACCEPT, AGGREGATED).body(String::new()).unwrap();
        let document: Value = serde_json::from_slice(session.send(request).await.body()).unwrap();
        for group in document["items"].as_array().unwrap().iter().filter(|group| group["metadata"]["name"] != OWN) {
            let name = group["metadata"]["name"].as_str().unwrap_or_default();
            for version in group["versions"].as_array().unwrap() {
                let text = |value: &Value| value.as_str().unwrap().to_owned();
                for resource in version["resources"].as_array().unwrap() {
                    let plural = text(&resource["resource"]);
                    let parts = resource["subresources"].as_array().into_iter().flatten();
                    let parts = parts.map(|part| format!("{plural}/{}", text(&part["subresource"])));
                    let all = parts.chain([plural.clone()]);
                    served.extend(all.map(|resource| [name.to_owned(), text(&version["version"]), resource]));
                }
            }
        }
    }
    served
}

#[tokio::test]
async fn what_upstream_serves_is_served_or_has_a_reason() {
    let mut served = served().await;
    let mut wrong = Vec::new();
    for row in include_str!("resources.tsv").lines().filter(|row| !row.starts_with('#')) {
        let columns: Vec<&str> = row.split('\t').collect();
        let has_reason = columns.get(4).is_some();
        let is_served = served.remove(&[columns[0], columns[1], columns[2]].map(str::to_owned));
        if is_served == has_reason {
            wrong.push(format!("{row}: {}", if is_served { "is served by now" } else { "is not served" }));
        }
    }
    wrong.extend(
        served.iter().map(|[group, version, resource]| format!("{group} {version} {resource}: not upstream's")),
    );
    assert_eq!(wrong, Vec::<String>::new());
}
