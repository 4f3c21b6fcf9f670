//! `GET /containerLogs/NAMESPACE/POD/CONTAINER`: what `kubectl logs` shows.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use jiff::Timestamp;
use serde::Deserialize;

use super::{Api, Error};
use crate::logs::line::Stream;
use crate::logs::{Run, reader};
use crate::pods::view::Container;

/// The parameters of a request, as `PodLogOptions` are sent.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Parameters {
    follow: Option<String>,
    previous: Option<String>,
    since_seconds: Option<u64>,
    since_time: Option<Timestamp>,
    timestamps: Option<String>,
    tail_lines: Option<u64>,
    limit_bytes: Option<u64>,
    stream: Option<String>,
}

/// See the module.
pub(super) async fn container_logs(
    State(api): State<Api>,
    Path((namespace, pod, container)): Path<(String, String, String)>,
    Query(parameters): Query<Parameters>,
) -> Result<Response, Error> {
    let (view, found) = api.find(&namespace, &pod, &container).await?;
    let number = run_of(&found, &pod, is_set(parameters.previous.as_deref()))?;
    let uid = view.pod.metadata.uid.clone().unwrap_or_default();
    let run = Run { uid, container, run: number };
    let options = parameters.options(base::clock::now())?;
    let live = api.logs.find(&run);
    let pieces = match reader::read(Arc::clone(api.logs.pods()), run, live, options).await {
        Ok(pieces) => pieces,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(Error::BadRequest(format!("the log of this run of pod \"{pod}\" is no longer kept")));
        }
        Err(error) => return Err(Error::Internal(error.to_string())),
    };
    Ok(([(header::CONTENT_TYPE, "text/plain")], Body::from_stream(pieces)).into_response())
}

/// Which run is meant; in upstream's words where there is none.
fn run_of(container: &Container, pod: &str, is_previous: bool) -> Result<u32, Error> {
    let name = &container.name;
    let missing = || Error::BadRequest(format!("previous terminated container \"{name}\" in pod \"{pod}\" not found"));
    match (is_previous, container.run, &container.waits) {
        // A container that waits to be started again shows its last run, and that is its previous one too.
        (true, Some(run), Some(_)) => Ok(run),
        (true, Some(run), None) => run.checked_sub(1).ok_or_else(missing),
        (true, None, _) => Err(missing()),
        (false, Some(run), _) => Ok(run),
        (false, None, waits) => {
            let reason = waits.as_deref().unwrap_or_default();
            Err(Error::BadRequest(format!("container \"{name}\" in pod \"{pod}\" is waiting to start: {reason}")))
        }
    }
}

impl Parameters {
    fn options(&self, now: Timestamp) -> Result<reader::Options, Error> {
        let since = match (self.since_seconds, self.since_time) {
            (Some(seconds), _) => now.checked_sub(Duration::from_secs(seconds)).ok(),
            (None, time) => time,
        };
        let stream = match self.stream.as_deref() {
            None | Some("" | "All") => None,
            Some("Stdout") => Some(Stream::Stdout),
            Some("Stderr") => Some(Stream::Stderr),
            Some(other) => return Err(Error::BadRequest(format!("invalid stream {other:?}"))),
        };
        Ok(reader::Options {
            follow: is_set(self.follow.as_deref()),
            tail_lines: self.tail_lines,
            since,
            timestamps: is_set(self.timestamps.as_deref()),
            limit_bytes: self.limit_bytes,
            stream,
        })
    }
}

/// A flag of a query, as upstream's conversion reads it: there and not a word for no.
pub(super) fn is_set(value: Option<&str>) -> bool {
    value.is_some_and(|value| !matches!(value, "false" | "0" | "FALSE" | "False"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(run: Option<u32>, waits: Option<&str>, is_previous: bool) -> Result<u32, String> {
        let container = Container { name: Arc::from("c"), run, waits: waits.map(str::to_owned), running: None };
        run_of(&container, "web", is_previous).map_err(|error| error.to_string())
    }

    #[test]
    fn the_run_that_is_meant_is_found() {
        let waiting = Err(r#"container "c" in pod "web" is waiting to start: ContainerCreating"#.to_owned());
        let missing = Err(r#"previous terminated container "c" in pod "web" not found"#.to_owned());
        for (run, waits, is_previous, expected) in [
            (Some(0), None, false, Ok(0)),
            (Some(2), None, true, Ok(1)),
            (Some(2), Some("CrashLoopBackOff"), true, Ok(2)),
            (Some(2), Some("CrashLoopBackOff"), false, Ok(2)),
            (Some(0), None, true, missing.clone()),
            (None, Some("ContainerCreating"), true, missing),
            (None, Some("ContainerCreating"), false, waiting),
        ] {
            assert_eq!(check(run, waits, is_previous), expected);
        }
    }

    #[test]
    fn parameters_are_read_as_they_are_sent() {
        let now = "2026-01-02T03:04:05Z".parse().unwrap();
        let parameters = Parameters {
            follow: Some("true".to_owned()),
            timestamps: Some("false".to_owned()),
            since_seconds: Some(5),
            tail_lines: Some(3),
            ..Parameters::default()
        };
        let options = parameters.options(now).unwrap();
        assert_eq!(options.since, Some("2026-01-02T03:04:00Z".parse().unwrap()));
        assert_eq!((options.follow, options.timestamps, options.tail_lines), (true, false, Some(3)));
    }
}
