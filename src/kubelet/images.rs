//! The image of a container: here already, or pulled by its policy.
//!
//! Reasons, messages and Events are upstream's (`pkg/kubelet/images`). What the image is and whether it holds Wasm is
//! said by the floor of that name; what a pod wants of it is decided here.

use std::collections::BTreeSet;
use std::sync::Arc;

use ::images::credentials::Keyring;
use ::images::pull::{self, Puller};
use ::images::{Artifact, Reference};
use base::clock::Instant;
use k8s_openapi::api::core::v1 as core;

use crate::daemon::Daemon;
use crate::objects::{Kind, Reference as Object};
use crate::pods::mailbox::PullFailure;
use crate::pods::state::{Present, Verdict, specs};
use crate::{reasons, text};

/// How many images a node's status lists, as upstream's `nodeStatusMaxImages`.
const LISTED_MAX: usize = 50;

/// What makes images ready.
#[derive(Debug)]
pub(crate) struct Pulls {
    puller: Puller,
}

/// What a policy says of an image.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Plan {
    /// Run what is here.
    Use,
    /// Ask the registry.
    Pull,
    /// It is not here and must not be pulled.
    Refuse,
}

impl Pulls {
    /// What pulls with `puller`, into its store.
    pub(crate) fn new(puller: Puller) -> Self {
        Self { puller }
    }

    /// The largest images that are here, as the node's status lists them.
    pub(crate) fn listed(&self) -> Vec<core::ContainerImage> {
        let mut images = self.puller.store().pulled_images();
        images.sort_by(|left, right| right.size_bytes.cmp(&left.size_bytes).then(left.reference.cmp(&right.reference)));
        images.truncate(LISTED_MAX);
        let listed = images.into_iter().map(|image| core::ContainerImage {
            names: Some(vec![image.by_digest, image.reference]),
            size_bytes: i64::try_from(image.size_bytes).ok(),
        });
        listed.collect()
    }

    /// What the store of images holds, and the bound on one part of an image, in bytes.
    pub(crate) fn metrics(&self) -> (::images::content::Metrics, u64) {
        let store = self.puller.store();
        (store.metrics(), store.artifact_bytes_max())
    }

    /// Keeps the images that these pods name, and lets all others go when space is short.
    pub(crate) fn set_in_use<'a>(&self, pods: impl Iterator<Item = &'a core::Pod>) {
        let names = pods.flat_map(|pod| specs(pod).filter_map(|(_, spec)| spec.image.as_deref()));
        let names: BTreeSet<&str> = names.collect();
        self.puller.store().set_in_use(names.into_iter().filter_map(|name| Reference::parse(name).ok()));
    }

    /// Makes the image of a container ready, and tells of it. `is_first` says that the container never ran: one that
    /// did goes on with the image that is here when its registry cannot be reached.
    ///
    /// # Errors
    /// What the container's wait is to show.
    pub(crate) async fn ensure(
        &self,
        daemon: &Arc<Daemon>,
        pod: &core::Pod,
        spec: &core::Container,
        is_first: bool,
    ) -> Result<Arc<Present>, PullFailure> {
        let image = spec.image.as_deref().unwrap_or_default();
        let tell = |reason, message: String| daemon.events.normal(pod, Some(&spec.name), reason, message);
        let warn = |reason, message: &str| daemon.events.warning(pod, Some(&spec.name), reason, message.to_owned());
        let reference = Reference::parse(image).map_err(|error| {
            let message = format!("Failed to apply default image tag \"{image}\": {error}");
            warn(reasons::event::INSPECT_FAILED, &message);
            failure(reasons::INVALID_IMAGE_NAME, message)
        })?;
        let here = self.puller.store().pulled(&reference);
        match plan(spec.image_pull_policy.as_deref(), reference.is_latest(), here.is_some()) {
            Plan::Refuse => {
                let message = format!("Container image \"{image}\" is not present with pull policy of Never");
                warn(reasons::ERR_IMAGE_NEVER_PULL, &message);
                Err(failure(reasons::ERR_IMAGE_NEVER_PULL, message))
            }
            Plan::Use => {
                tell(reasons::event::PULLED, format!("Container image \"{image}\" already present on machine"));
                here.map(present).ok_or_else(|| failure(reasons::ERR_IMAGE_NEVER_PULL, "no image".to_owned()))
            }
            Plan::Pull => {
                tell(reasons::event::PULLING, format!("Pulling image \"{image}\""));
                let begun = Instant::now();
                let result = self.pull(daemon, pod, &reference).await;
                match (result, here.filter(|_| !is_first)) {
                    (Ok(artifact), _) => {
                        let (took, size) = (text::duration(begun.elapsed()), artifact.size_bytes);
                        let took = format!("in {took} ({took} including waiting). Image size: {size} bytes.");
                        tell(reasons::event::PULLED, format!("Successfully pulled image \"{image}\" {took}"));
                        Ok(present(artifact))
                    }
                    (Err(error), Some(artifact)) if error.is_unavailable() => {
                        let message =
                            format!("Failed to pull image \"{image}\", going on with the one that is here: {error}");
                        warn(reasons::event::FAILED, &message);
                        Ok(present(artifact))
                    }
                    (Err(error), _) => {
                        let message = error.to_string();
                        warn(reasons::event::FAILED, &format!("Failed to pull image \"{image}\": {message}"));
                        warn(reasons::event::FAILED, &format!("Error: {}", reasons::ERR_IMAGE_PULL));
                        let verdict = Verdict { reason: reasons::ERR_IMAGE_PULL.to_owned(), message };
                        Err(PullFailure { verdict, backs_off: true })
                    }
                }
            }
        }
    }

    async fn pull(&self, daemon: &Daemon, pod: &core::Pod, reference: &Reference) -> Result<Artifact, pull::Error> {
        let keyring = keyring(daemon, pod).await;
        self.puller.pull(reference, &keyring, &|_| {}).await
    }
}

/// The credentials that a pod's pull secrets hold. A secret that is missing or broken is told and left out: the image
/// may be public.
async fn keyring(daemon: &Daemon, pod: &core::Pod) -> Keyring {
    let mut keyring = Keyring::empty();
    let names = pod.spec.iter().flat_map(|spec| spec.image_pull_secrets.iter().flatten());
    let mut missing = Vec::new();
    for name in names.map(|secret| &secret.name) {
        let reference = Object { kind: Kind::Secret, name: name.clone() };
        let found = daemon.sources.fetch(pod, BTreeSet::from([reference]), BTreeSet::new()).await;
        let content = found.ok().and_then(|objects| objects.found.into_values().next().flatten());
        let added = content.is_some_and(|content| {
            let json = content.entries.get(".dockerconfigjson").map(|text| keyring.add_docker_config_json(text));
            let old = content.entries.get(".dockercfg").map(|text| keyring.add_docker_cfg(text));
            json.or(old).is_some_and(|added| added.is_ok())
        });
        if !added {
            missing.push(name.as_str());
        }
    }
    if !missing.is_empty() {
        let message = format!(
            "Unable to retrieve some image pull secrets ({}); attempting to pull the image may not succeed.",
            missing.join(", ")
        );
        daemon.events.warning(pod, None, reasons::event::FAILED_TO_RETRIEVE_IMAGE_PULL_SECRET, message);
    }
    keyring
}

/// What a policy, as the API server defaults it too, says of an image.
fn plan(policy: Option<&str>, is_latest: bool, is_here: bool) -> Plan {
    match (policy, is_here) {
        (Some("Never"), false) => Plan::Refuse,
        (Some("Never"), true) | (Some("IfNotPresent"), true) => Plan::Use,
        (Some("Always"), _) => Plan::Pull,
        (_, true) if !is_latest => Plan::Use,
        (_, _) => Plan::Pull,
    }
}

fn present(artifact: Artifact) -> Arc<Present> {
    let repository = artifact.reference.repository().as_str();
    Arc::new(Present {
        id: artifact.reference.at(&artifact.manifest_digest),
        name: repository.rsplit('/').next().unwrap_or_default().to_owned(),
        digest: artifact.wasm.to_string(),
        path: artifact.path.clone(),
        config: artifact.config.clone(),
        kept: Box::new(artifact),
    })
}

fn failure(reason: &str, message: String) -> PullFailure {
    PullFailure { verdict: Verdict { reason: reason.to_owned(), message }, backs_off: false }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_and_what_is_here_decide() {
        for (policy, is_latest, is_here, expected) in [
            (Some("Always"), false, true, Plan::Pull),
            (Some("IfNotPresent"), true, true, Plan::Use),
            (Some("IfNotPresent"), false, false, Plan::Pull),
            (Some("Never"), false, true, Plan::Use),
            (Some("Never"), false, false, Plan::Refuse),
            (None, true, true, Plan::Pull),
            (None, false, true, Plan::Use),
        ] {
            assert_eq!(plan(policy, is_latest, is_here), expected, "{policy:?} {is_latest} {is_here}");
        }
    }
}
