//! Projected volumes: several sources in one folder, no two of which may write the same file.

use serde_json::Value;

use super::volumes::{downward_file, key_to_path};
use crate::validation::checks::{file_mode, volume_file_path};
use crate::validation::field::{Error, ErrorList, Path};
use crate::value::{has, list, number, part, text};

/// The shortest life of a token, in seconds, as upstream.
const TOKEN_SECONDS_MIN: i64 = 600;
/// The longest life of a token, in seconds, as upstream.
const TOKEN_SECONDS_MAX: i64 = 1 << 32;

const CONFLICT: &str = "conflicting duplicate paths";

/// What can be projected.
const SOURCES: [&str; 4] = ["secret", "configMap", "downwardAPI", "serviceAccountToken"];
/// What upstream can project, too: they need kinds that are not served.
const UNSUPPORTED: [&str; 2] = ["clusterTrustBundle", "podCertificate"];

/// What is wrong with a projected volume.
pub(super) fn check(errors: &mut ErrorList, path: &Path, volume: &Value) {
    file_mode(errors, &path.child("defaultMode"), number(volume, "defaultMode"));
    let mut taken = Vec::new();
    for (index, source) in list(volume, "sources").iter().enumerate() {
        let source_path = path.child("sources").index(index);
        for kind in ["secret", "configMap"].into_iter().filter(|kind| has(source, kind)) {
            object(errors, path, &source_path.child(kind), part(source, kind), &mut taken);
        }
        for file in list(part(source, "downwardAPI"), "items") {
            downward_file(errors, &source_path.child("downwardAPI"), file);
            take(errors, path, &mut taken, text(file, "path"), text(file, "path"));
        }
        if has(source, "serviceAccountToken") {
            token(errors, path, &source_path.child("serviceAccountToken"), part(source, "serviceAccountToken"));
        }
        for kind in UNSUPPORTED.into_iter().filter(|kind| has(source, kind)) {
            errors.push(Error::forbidden(source_path.child(kind), "sources of this type are not supported"));
        }
        if SOURCES.iter().chain(&UNSUPPORTED).filter(|kind| has(source, kind)).count() > 1 {
            errors.push(Error::forbidden(source_path, "may not specify more than 1 volume type per source"));
        }
    }
}

fn object<'v>(errors: &mut ErrorList, volume: &Path, path: &Path, source: &'v Value, taken: &mut Vec<&'v str>) {
    let name = text(source, "name");
    if name.is_empty() {
        errors.push(Error::required(path.child("name"), ""));
    }
    for (index, item) in list(source, "items").iter().enumerate() {
        key_to_path(errors, &path.child("items").index(index), item);
        take(errors, volume, taken, text(item, "path"), name);
    }
}

/// Keeps a file's path, unless another source has it; `shown` stands in the error.
fn take<'v>(errors: &mut ErrorList, path: &Path, taken: &mut Vec<&'v str>, file: &'v str, shown: &str) {
    if taken.contains(&file) {
        errors.push(Error::invalid(path, shown, CONFLICT));
    } else if !file.is_empty() {
        taken.push(file);
    }
}

/// A token; as upstream, errors about its file are at the volume's path.
fn token(errors: &mut ErrorList, volume: &Path, path: &Path, token: &Value) {
    let (seconds, seconds_path) = (number(token, "expirationSeconds").unwrap_or(0), path.child("expirationSeconds"));
    if seconds < TOKEN_SECONDS_MIN {
        errors.push(Error::invalid(&seconds_path, seconds, "may not specify a duration less than 10 minutes"));
    }
    if seconds > TOKEN_SECONDS_MAX {
        errors.push(Error::invalid(&seconds_path, seconds, "may not specify a duration larger than 2^32 seconds"));
    }
    match text(token, "path") {
        "" => errors.push(Error::required(volume.child("path"), "")),
        file => volume_file_path(errors, &volume.child("path"), file),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::validation::testing;

    #[track_caller]
    fn check_sources(sources: Value, expected: &[&str]) {
        let mut errors = ErrorList::new();
        check(&mut errors, &Path::new("p"), &json!({"sources": sources}));
        testing::check(&errors, expected);
    }

    #[test]
    fn sources_share_a_folder_and_no_file() {
        let file = |path: &str| json!({"items": [{"key": "k", "path": path}], "name": "n"});
        check_sources(
            json!([{"secret": file("a")}, {"configMap": file("b")},
                {"serviceAccountToken": {"expirationSeconds": 3600, "path": "token"}}]),
            &[],
        );
        check_sources(
            json!([{"secret": file("a")}, {"configMap": file("a")}]),
            &["p: Invalid value: \"n\": conflicting duplicate paths"],
        );
        check_sources(
            json!([{"secret": {}, "configMap": file("a")}, {"serviceAccountToken": {"expirationSeconds": 5}}]),
            &[
                "p.sources[0].secret.name: Required value",
                "p.sources[0]: Forbidden: may not specify more than 1 volume type per source",
                "p.sources[1].serviceAccountToken.expirationSeconds: Invalid value: 5: may not specify a duration less than 10 minutes",
                "p.path: Required value",
            ],
        );
        check_sources(
            json!([{"clusterTrustBundle": {"name": "x", "path": "p"}}]),
            &["p.sources[0].clusterTrustBundle: Forbidden: sources of this type are not supported"],
        );
    }
}
