//! Which code a container runs: the engine settings that its pod's RuntimeClass asks for, and why code cannot be had.

use std::path::Path;

use ::images::inspect::{self, Import, Inspection};
use k8s_openapi::api::core::v1 as core;
use runtime::{Code, CompileError, Kind, LoadError, Profile, Runtime};

use crate::sources::{self, Sources};

/// A handler that a RuntimeClass can name.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Handler {
    /// The empty one, and that of pods without a RuntimeClass: the node decides by how long containers live.
    #[default]
    Own,
    /// A profile of the runtime, by its name.
    Profile(Profile),
}

/// Why a pod has no handler, in upstream's words where it has some.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HandlerError {
    /// It cannot be known now.
    #[error(transparent)]
    Fetch(#[from] sources::Error),
    /// There is no such RuntimeClass.
    #[error("runtimeclasses.node.k8s.io {0:?} not found")]
    NoClass(String),
    /// The node has nothing of that name.
    #[error("no runtime for {0:?} is configured")]
    Unknown(String),
    /// The node could have it.
    #[error("no runtime for {0:?} is configured: this node runs without --{0}")]
    SwitchedOff(&'static str),
}

/// Why a container has no code. Each text is for the pod's author.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The runtime refuses.
    #[error(transparent)]
    Load(LoadError),
    /// It is of WASI 0.3, and the pod does not ask for that.
    #[error("{0}; its pod then asks for it by a RuntimeClass with the handler wasi-preview3")]
    Preview3(LoadError),
}

impl Handler {
    /// The handlers of a node, the empty one first.
    pub(crate) fn all(has_preview3: bool) -> impl Iterator<Item = Self> {
        let profiles = Profile::ALL.into_iter().filter(move |profile| has_preview3 || *profile != Profile::Preview3);
        std::iter::once(Self::Own).chain(profiles.map(Self::Profile))
    }

    /// The name, as a RuntimeClass has it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Own => "",
            Self::Profile(profile) => profile.name(),
        }
    }

    /// The handler of that name, on a node that has WASI 0.3 or not.
    ///
    /// # Errors
    /// When the node has no such handler.
    pub(crate) fn named(name: &str, has_preview3: bool) -> Result<Self, HandlerError> {
        match Self::all(true).find(|handler| handler.name() == name) {
            Some(Self::Profile(Profile::Preview3)) if !has_preview3 => {
                Err(HandlerError::SwitchedOff(Profile::Preview3.name()))
            }
            Some(handler) => Ok(handler),
            None => Err(HandlerError::Unknown(name.to_owned())),
        }
    }

    /// The handler that `pod` asks for. A pod that ran before keeps the one that it `had`: what a RuntimeClass names
    /// cannot be changed, and a node that is alone has nobody to ask.
    ///
    /// # Errors
    /// When there is none, or nobody can be asked.
    pub(crate) async fn of(
        pod: &core::Pod,
        had: Option<Self>,
        sources: &Sources,
        has_preview3: bool,
    ) -> Result<Self, HandlerError> {
        let class = pod.spec.as_ref().and_then(|spec| spec.runtime_class_name.as_deref()).unwrap_or_default();
        match had {
            _ if class.is_empty() => Ok(Self::Own),
            Some(had) => Self::named(had.name(), has_preview3),
            None => match sources.runtime_class(class).await? {
                Some(class) => Self::named(&class.handler, has_preview3),
                None => Err(HandlerError::NoClass(class.to_owned())),
            },
        }
    }

    /// The profile for a container of `pod`: guests that come and go share a warm pool, those that stay cost nothing
    /// while they idle.
    fn profile(self, pod: &core::Pod, kind: Option<Kind>) -> Profile {
        let policy = pod.spec.as_ref().and_then(|spec| spec.restart_policy.as_deref());
        match (self, policy, kind) {
            (Self::Profile(profile), _, _) => profile,
            // Each request is a short life of its own, however long the pod lives.
            (Self::Own, Some("Never" | "OnFailure"), _) | (Self::Own, _, Some(Kind::Http)) => Profile::Request,
            (Self::Own, _, _) => Profile::Dense,
        }
    }
}

/// Loads the program at `path`, whose content has this digest, for a container of `pod`.
///
/// # Errors
/// See [`Error`].
pub(crate) async fn load(
    runtime: &Runtime,
    path: &Path,
    digest: &str,
    pod: &core::Pod,
    handler: Handler,
) -> Result<Code, Error> {
    let profile = handler.profile(pod, None);
    let code = match runtime.load(path, digest, profile).await {
        Ok(code) => code,
        Err(error) => return Err(explain(error, path, profile).await),
    };
    match handler.profile(pod, Some(code.kind())) {
        other if other == profile => Ok(code),
        // The native code is the same.
        other => runtime.load(path, digest, other).await.map_err(Error::Load),
    }
}

/// Where other profiles cannot even read a program because it is of WASI 0.3, that is what its author has to hear.
async fn explain(error: LoadError, path: &Path, profile: Profile) -> Error {
    match error {
        LoadError::Preview3(_) => Error::Preview3(error),
        LoadError::Compile(CompileError::Invalid(_)) if profile != Profile::Preview3 => {
            let name = inspect::inspect_file(path).await.ok().and_then(|inspection| preview3(&inspection));
            name.map_or(Error::Load(error), |name| Error::Preview3(LoadError::Preview3(name)))
        }
        _ => Error::Load(error),
    }
}

/// The first interface of WASI 0.3 that a program imports or exports.
fn preview3(inspection: &Inspection) -> Option<String> {
    let imports = inspection.imports.iter().map(Import::to_string);
    let mut names = imports.chain(inspection.exports.iter().cloned());
    names.find(|name| name.starts_with("wasi:") && name.contains("@0.3."))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::pods::fixture;
    use crate::testing::api::FakeApi;

    #[test]
    fn a_node_has_the_handlers_of_its_runtime() {
        for (name, has_preview3, expected) in [
            ("", false, Ok(Handler::Own)),
            ("dense", false, Ok(Handler::Profile(Profile::Dense))),
            ("guarded", true, Ok(Handler::Profile(Profile::Guarded))),
            ("wasi-preview3", true, Ok(Handler::Profile(Profile::Preview3))),
            (
                "wasi-preview3",
                false,
                Err(r#"no runtime for "wasi-preview3" is configured: this node runs without --wasi-preview3"#),
            ),
            ("runc", true, Err(r#"no runtime for "runc" is configured"#)),
        ] {
            let found = Handler::named(name, has_preview3).map_err(|error| error.to_string());
            assert_eq!(found, expected.map_err(str::to_owned), "{name:?}");
        }
        let names: Vec<_> = Handler::all(false).map(Handler::name).collect();
        assert_eq!(names, ["", "request", "dense", "guarded"]);
    }

    #[tokio::test]
    async fn a_pod_keeps_its_handler_while_nobody_can_be_asked() {
        let api = FakeApi::default();
        api.set_away(true);
        let sources = Sources::new(api.client());
        let guarded = Handler::Profile(Profile::Guarded);
        let classed = fixture::pod(json!({"runtimeClassName": "strict", "containers": []}));
        let plain = fixture::pod(json!({"containers": []}));
        for (pod, had, expected) in
            [(&classed, Some(guarded), Some(guarded)), (&classed, None, None), (&plain, None, Some(Handler::Own))]
        {
            assert_eq!(Handler::of(pod, had, &sources, false).await.ok(), expected, "{had:?}");
        }
    }

    #[test]
    fn the_profile_follows_how_long_guests_live_unless_the_handler_names_it() {
        let guarded = Handler::Profile(Profile::Guarded);
        for (handler, policy, kind, expected) in [
            (Handler::Own, "Always", None, Profile::Dense),
            (Handler::Own, "Always", Some(Kind::Module), Profile::Dense),
            (Handler::Own, "Always", Some(Kind::Http), Profile::Request),
            (Handler::Own, "Never", None, Profile::Request),
            (guarded, "Never", None, Profile::Guarded),
            (guarded, "Always", Some(Kind::Http), Profile::Guarded),
        ] {
            let pod = fixture::pod(json!({"restartPolicy": policy, "containers": []}));
            assert_eq!(handler.profile(&pod, kind), expected, "{handler:?} {policy} {kind:?}");
        }
    }
}
