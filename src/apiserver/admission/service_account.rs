//! `ServiceAccount`: a pod has an account, and its containers the account's token.
//!
//! The token, the cluster's authority and the namespace are files in a volume that nodes keep fresh
//! (`plugin/pkg/admission/serviceaccount`).

use api::scheme::Scheme;
use api::status::Status;
use api::{meta, names};
use serde_json::{Value, json};

use crate::objects::unreadable;
use crate::verbs::Call;

/// How the volume's name begins, and where it is mounted.
const VOLUME: &str = "kube-api-access-";
const PLACE: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// How long the token is good for, in seconds; nodes renew it before. An hour, and upstream's seven seconds by which such
/// tokens are told from those that people ask for.
const TOKEN_SECONDS: i64 = 3607;

/// A pod without an account gets its namespace's `default`; an account that is not there is refused.
pub(super) fn admit_create(call: &Call, pod: &mut Value) -> Result<(), Status> {
    let said = pod.pointer("/spec/serviceAccountName").and_then(Value::as_str).unwrap_or_default();
    let name = if said.is_empty() { "default" } else { said }.to_owned();
    let Some(accounts) = Scheme::builtin().resource("", "v1", "serviceaccounts") else { return Ok(()) };
    let namespace = call.namespace().unwrap_or_default();
    let account = call.objects().find(accounts, Some(namespace), &name).map_err(|_| {
        let why = format!("error looking up service account {namespace}/{name}: serviceaccount \"{name}\" not found");
        Status::forbidden("", "pods", meta::name(pod), &why)
    })?;
    let account = account.to_value().map_err(unreadable)?;
    meta::set_at(pod, "/spec/serviceAccountName", name.clone().into());
    meta::set_at(pod, "/spec/serviceAccount", name.into());
    mount(pod, &account, &names::generated_suffix(call.server.random_bytes()));
    Ok(())
}

/// Gives the pod what its account has for it: the secrets to pull images with, and the token.
fn mount(pod: &mut Value, account: &Value, suffix: &str) {
    let is_empty = |value: Option<&Value>| value.and_then(Value::as_array).is_none_or(Vec::is_empty);
    if is_empty(pod.pointer("/spec/imagePullSecrets"))
        && let Some(secrets) = account.get("imagePullSecrets").filter(|secrets| !is_empty(Some(secrets)))
    {
        meta::set_at(pod, "/spec/imagePullSecrets", secrets.clone());
    }
    let wants = |value: Option<&Value>| value.and_then(Value::as_bool);
    let is_wanted = wants(pod.pointer("/spec/automountServiceAccountToken"))
        .or_else(|| wants(account.get("automountServiceAccountToken")))
        .unwrap_or(true);
    if !is_wanted {
        return;
    }
    let volumes = pod.pointer("/spec/volumes").and_then(Value::as_array).into_iter().flatten();
    let known = volumes.filter_map(|volume| volume.get("name")?.as_str()).find(|name| name.starts_with(VOLUME));
    let known = known.map(str::to_owned);
    let name = known.clone().unwrap_or_else(|| format!("{VOLUME}{suffix}"));
    let mut is_mounted = false;
    for list in ["/spec/initContainers", "/spec/containers"] {
        for container in pod.pointer_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
            let mounts = container.get("volumeMounts").and_then(Value::as_array).into_iter().flatten();
            // Whoever mounts something of their own there means it.
            if mounts.filter_map(|mount| mount.get("mountPath")?.as_str()).any(|path| path == PLACE) {
                continue;
            }
            let mount = json!({"name": name, "readOnly": true, "mountPath": PLACE});
            meta::push_at(container, "/volumeMounts", mount);
            is_mounted = true;
        }
    }
    if is_mounted && known.is_none() {
        meta::push_at(pod, "/spec/volumes", volume(&name));
    }
}

fn volume(name: &str) -> Value {
    json!({"name": name, "projected": {"defaultMode": 0o644, "sources": [
        {"serviceAccountToken": {"expirationSeconds": TOKEN_SECONDS, "path": "token"}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {"downwardAPI": {"items": [
            {"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}},
        ]}},
    ]}})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mounted(pod: Value, account: Value) -> Value {
        let mut pod = json!({"spec": pod});
        mount(&mut pod, &account, "abcde");
        pod["spec"].take()
    }

    #[test]
    fn each_container_has_the_token_unless_it_or_its_account_says_no() {
        let pod = || json!({"containers": [{"name": "c"}]});
        let with = mounted(pod(), json!({}));
        assert_eq!(with["volumes"], json!([volume("kube-api-access-abcde")]));
        assert_eq!(with["containers"][0]["volumeMounts"][0]["mountPath"], PLACE);
        assert_eq!(mounted(pod(), json!({"automountServiceAccountToken": false})), pod());
        let mut wants = pod();
        wants["automountServiceAccountToken"] = true.into();
        assert!(mounted(wants, json!({"automountServiceAccountToken": false}))["volumes"].is_array());
    }

    #[test]
    fn what_a_container_mounts_there_itself_is_left_alone() {
        let own = json!({"containers": [{"name": "c", "volumeMounts": [{"name": "v", "mountPath": PLACE}]}]});
        assert_eq!(mounted(own.clone(), json!({})), own);
    }

    #[test]
    fn a_pod_pulls_with_its_accounts_secrets_unless_it_names_some() {
        let account = json!({"automountServiceAccountToken": false, "imagePullSecrets": [{"name": "s"}]});
        assert_eq!(mounted(json!({}), account.clone())["imagePullSecrets"], json!([{"name": "s"}]));
        let own = json!({"imagePullSecrets": [{"name": "own"}]});
        assert_eq!(mounted(own.clone(), account), own);
    }
}
