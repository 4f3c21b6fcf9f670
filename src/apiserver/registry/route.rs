//! The registry's paths as values. Names have slashes in them, so a path is read from its end.

use images::content::{Target, UploadId};
use images::digest::Digest;
use images::reference::RepositoryName;

use super::Error;

/// What a path names.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Route {
    Root,
    Catalog,
    Tags(RepositoryName),
    Manifest(RepositoryName, Target),
    Blob(RepositoryName, Digest),
    Uploads(RepositoryName),
    Upload(RepositoryName, UploadId),
    Referrers(RepositoryName, Digest),
}

impl Route {
    /// Reads a path that begins with `/v2`.
    pub(super) fn parse(path: &str) -> Result<Self, Error> {
        let rest = path.strip_prefix("/v2").unwrap_or(path);
        let rest = rest.strip_prefix('/').unwrap_or(rest);
        match rest {
            "" => return Ok(Self::Root),
            "_catalog" => return Ok(Self::Catalog),
            _ => {}
        }
        if let Some(name) = rest.strip_suffix("/tags/list") {
            return Ok(Self::Tags(repository(name)?));
        }
        if let Some(name) = rest.strip_suffix("/blobs/uploads").or_else(|| rest.strip_suffix("/blobs/uploads/")) {
            return Ok(Self::Uploads(repository(name)?));
        }
        let (before, last) = rest.rsplit_once('/').ok_or_else(Error::no_such_path)?;
        if let Some(name) = before.strip_suffix("/blobs/uploads") {
            let id = last.parse().map_err(|_| Error::unknown_upload())?;
            return Ok(Self::Upload(repository(name)?, id));
        }
        if let Some(name) = before.strip_suffix("/manifests") {
            let target = Target::parse(last).ok_or_else(|| Error::unknown_manifest(last))?;
            return Ok(Self::Manifest(repository(name)?, target));
        }
        let digest = || Digest::parse(last).map_err(|error| Error::invalid_digest(&error.to_string()));
        if let Some(name) = before.strip_suffix("/blobs") {
            return Ok(Self::Blob(repository(name)?, digest()?));
        }
        if let Some(name) = before.strip_suffix("/referrers") {
            return Ok(Self::Referrers(repository(name)?, digest()?));
        }
        Err(Error::no_such_path())
    }
}

/// A repository's name, which begins with its namespace.
pub(super) fn repository(name: &str) -> Result<RepositoryName, Error> {
    let name = RepositoryName::parse(name).map_err(|error| Error::invalid_name(&error.to_string()))?;
    if name.namespace().is_none() {
        return Err(Error::no_namespace());
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> RepositoryName {
        RepositoryName::parse(text).unwrap()
    }

    #[test]
    fn paths_are_read_from_their_end() {
        let digest = Digest::of(b"");
        let id = "4e5a2c1e-3bd8-4e6f-9f43-7a4c0a4a9b1d";
        for (path, expected) in [
            ("/v2", Route::Root),
            ("/v2/", Route::Root),
            ("/v2/_catalog", Route::Catalog),
            ("/v2/ns/app/tags/list", Route::Tags(name("ns/app"))),
            ("/v2/ns/tags/list/tags/list", Route::Tags(name("ns/tags/list"))),
            ("/v2/ns/app/manifests/v1", Route::Manifest(name("ns/app"), Target::Tag("v1".into()))),
            (
                &format!("/v2/ns/a/b/manifests/{digest}"),
                Route::Manifest(name("ns/a/b"), Target::Digest(digest.clone())),
            ),
            (&format!("/v2/ns/app/blobs/{digest}"), Route::Blob(name("ns/app"), digest.clone())),
            ("/v2/ns/app/blobs/uploads/", Route::Uploads(name("ns/app"))),
            (&format!("/v2/ns/app/blobs/uploads/{id}"), Route::Upload(name("ns/app"), id.parse().unwrap())),
            (&format!("/v2/ns/app/referrers/{digest}"), Route::Referrers(name("ns/app"), digest.clone())),
        ] {
            assert_eq!(Route::parse(path).unwrap(), expected, "{path}");
        }
    }

    #[test]
    fn paths_that_name_nothing_say_what_is_wrong() {
        for (path, expected) in [
            ("/v2/x", "NAME_UNKNOWN"),
            ("/v2/app/tags/list", "NAME_INVALID"),
            ("/v2/ns/../../etc/tags/list", "NAME_INVALID"),
            ("/v2/ns/App/manifests/v1", "NAME_INVALID"),
            ("/v2/ns/app/manifests/.x", "MANIFEST_UNKNOWN"),
            ("/v2/ns/app/blobs/sha256:abc", "DIGEST_INVALID"),
            ("/v2/ns/app/blobs/uploads/1", "BLOB_UPLOAD_UNKNOWN"),
        ] {
            assert_eq!(Route::parse(path).unwrap_err().code(), expected, "{path}");
        }
    }
}
