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

/// Bytes of the objects in one question, beyond the first of them: a quarter of what an answer may have.
const QUESTION_BYTES_MAX: usize = 2 << 20;

/// Metadata that a conversion may change; all else stays as it was.
const CONVERTIBLE: [&str; 2] = ["labels", "annotations"];

/// The objects in the version `wanted`, in their order. Those that are in it already are not sent, the others in as many
/// questions as their sizes ask for, one after another.
pub(crate) async fn convert(
    server: &ApiServer,
    resource: &Resource,
    kind: &Kind,
    objects: Vec<Value>,
    wanted: &str,
) -> Result<Vec<Value>, Status> {
    let Some(config) = kind.conversion() else { return Ok(objects) };
    let mut converted = Vec::with_capacity(objects.len());
    let mut part = Part::default();
    for object in objects {
        if meta::api_version(&object) != wanted && !part.add(&object) {
            converted.extend(ask(server, resource, config, std::mem::take(&mut part), wanted).await?);
            part.add(&object);
        }
        part.objects.push(object);
    }
    converted.extend(ask(server, resource, config, part, wanted).await?);
    Ok(converted)
}

/// Objects that follow each other; of those that are to be converted one question is asked.
#[derive(Default)]
struct Part {
    objects: Vec<Value>,
    /// Bytes of those that are to be converted.
    bytes: usize,
}

impl Part {
    /// Counts an object that is to be converted; false if it is one too many.
    fn add(&mut self, object: &Value) -> bool {
        let bytes = object.to_string().len();
        let fits = self.bytes == 0 || self.bytes + bytes <= QUESTION_BYTES_MAX;
        self.bytes += if fits { bytes } else { 0 };
        fits
    }
}

/// Converts what is to be converted of a part.
async fn ask(
    server: &ApiServer,
    resource: &Resource,
    config: &Value,
    Part { mut objects, .. }: Part,
    wanted: &str,
) -> Result<Vec<Value>, Status> {
    let to_convert = |object: &&Value| meta::api_version(object) != wanted;
    let sent: Vec<Value> = objects.iter().filter(to_convert).cloned().collect();
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
    let answer = server.webhooks().post(client, TIMEOUT, question.to_string()).await;
    let answer = answer.map_err(|error| failed(&error.to_string()))?;
    let converted = read(&answer, &uid, sent.len()).map_err(|why| failed(&why))?;
    let places = objects.iter_mut().filter(|object| meta::api_version(object) != wanted);
    for ((place, before), after) in places.zip(&sent).zip(converted) {
        *place = checked(before, after, wanted).map_err(|why| failed(&why))?;
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
