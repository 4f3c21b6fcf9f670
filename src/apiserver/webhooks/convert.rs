//! Webhooks that convert custom objects between the versions of their kind (`ConversionReview`).

use std::time::Duration;

use api::custom::Kind;
use api::meta;
use api::scheme::Resource;
use api::status::Status;
use serde_json::{Value, json};

use crate::server::ApiServer;

/// How long a conversion may take, as upstream.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Metadata that a conversion may change; all else stays as it was.
const CONVERTIBLE: [&str; 2] = ["labels", "annotations"];

/// The objects in the version `wanted`, in their order. Those that are in it already are not sent.
pub(crate) async fn convert(
    server: &ApiServer,
    resource: &Resource,
    kind: &Kind,
    mut objects: Vec<Value>,
    wanted: &str,
) -> Result<Vec<Value>, Status> {
    let places: Vec<usize> = (0..objects.len())
        .filter(|at| objects.get(*at).is_some_and(|object| meta::api_version(object) != wanted))
        .collect();
    let Some(config) = kind.conversion() else { return Ok(objects) };
    let sent: Vec<Value> = places.iter().filter_map(|at| objects.get(*at)).cloned().collect();
    let Some(first) = sent.first() else { return Ok(objects) };
    let failed = |why: &str| {
        let from = meta::api_version(first);
        Status::internal_plain(format!("conversion webhook for {from}, Kind={} failed: {why}", resource.kind))
    };
    let uid = uuid::Uuid::new_v4().to_string();
    let versions = config.get("conversionReviewVersions").and_then(Value::as_array).into_iter().flatten();
    let version =
        versions.filter_map(Value::as_str).find(|version| ["v1", "v1beta1"].contains(version)).unwrap_or("v1");
    let question = json!({"kind": "ConversionReview", "apiVersion": format!("apiextensions.k8s.io/{version}"),
        "request": {"uid": uid, "desiredAPIVersion": wanted, "objects": sent}});
    let client = config.get("clientConfig").unwrap_or(&Value::Null);
    let answer =
        server.webhooks().post(client, TIMEOUT, &question).await.map_err(|error| failed(&error.to_string()))?;
    let converted = read(&answer, &uid, sent.len()).map_err(|why| failed(&why))?;
    for ((at, before), after) in places.into_iter().zip(&sent).zip(converted) {
        let after = checked(before, after, wanted).map_err(|why| failed(&why))?;
        if let Some(place) = objects.get_mut(at) {
            *place = after;
        }
    }
    Ok(objects)
}

/// The objects in an answer.
fn read(answer: &Value, uid: &str, count: usize) -> Result<Vec<Value>, String> {
    let response = answer.get("response").ok_or("the response is absent")?;
    let text = |pointer: &str| response.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    if text("/uid") != uid {
        return Err(format!("expected response.uid={uid:?}, got {:?}", text("/uid")));
    }
    if text("/result/status") != "Success" {
        return Err(match text("/result/message") {
            "" => "response.result.status was not Success".to_owned(),
            message => message.to_owned(),
        });
    }
    let objects = response.get("convertedObjects").and_then(Value::as_array).cloned().unwrap_or_default();
    if objects.len() != count {
        return Err(format!("webhook returned {} objects, expected {count}", objects.len()));
    }
    Ok(objects)
}

/// A converted object, which is still the same one.
fn checked(before: &Value, mut after: Value, wanted: &str) -> Result<Value, String> {
    if meta::api_version(&after) != wanted {
        let found = meta::api_version(&after);
        return Err(format!("webhook returned invalid converted object: apiVersion is {found:?}, expected {wanted:?}"));
    }
    if meta::kind(&after) != meta::kind(before) {
        return Err(format!("webhook returned invalid converted object: kind is {:?}", meta::kind(&after)));
    }
    for name in ["name", "namespace", "uid"] {
        if meta::field(&after, name) != meta::field(before, name) {
            return Err(format!("webhook returned invalid converted object: metadata.{name} must not change"));
        }
    }
    let mut metadata = before.get("metadata").cloned().unwrap_or_default();
    if let Some(fields) = metadata.as_object_mut() {
        for name in CONVERTIBLE {
            match meta::field(&after, name) {
                Some(value) => fields.insert(name.to_owned(), value.clone()),
                None => fields.remove(name),
            };
        }
    }
    meta::set_at(&mut after, "/metadata", metadata);
    Ok(after)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_converted_object_is_still_the_same_one() {
        let before =
            json!({"apiVersion": "e.com/v1", "kind": "A", "metadata": {"name": "a", "uid": "u", "generation": 3}});
        let after = |name: &str| json!({"apiVersion": "e.com/v2", "kind": "A", "metadata": {"name": name, "uid": "u", "labels": {"l": "1"}, "generation": 9}});
        let kept = checked(&before, after("a"), "e.com/v2").unwrap();
        assert_eq!(kept["metadata"], json!({"name": "a", "uid": "u", "generation": 3, "labels": {"l": "1"}}));
        let refused = checked(&before, after("b"), "e.com/v2").unwrap_err();
        assert_eq!(refused, "webhook returned invalid converted object: metadata.name must not change");
        assert!(checked(&before, after("a"), "e.com/v3").is_err());
    }

    #[test]
    fn a_failure_is_told_in_the_webhooks_words() {
        let answer = |result: Value| json!({"response": {"uid": "u", "result": result, "convertedObjects": [{}]}});
        assert_eq!(read(&answer(json!({"status": "Failure", "message": "no"})), "u", 1), Err("no".to_owned()));
        assert!(read(&answer(json!({"status": "Success"})), "u", 2).is_err());
        assert_eq!(read(&answer(json!({"status": "Success"})), "u", 1), Ok(vec![json!({})]));
    }
}
