//! Lists: repositories, tags, and what refers to a manifest.

use axum::body::Body;
use http::Response;
use http::header::{CONTENT_TYPE, LINK};
use images::digest::Digest;
use images::manifest::media;
use images::reference::RepositoryName;
use serde_json::{Value, json};

use super::{Call, Error, set};
use crate::request_info::Verb;

/// `_catalog`: the repositories of the namespaces whose artifacts the caller may list.
pub(super) fn catalog(call: &Call<'_>) -> Result<Response<Body>, Error> {
    let may_list_all = call.authorize_in(Verb::List, None, None).is_ok();
    let may_list =
        |name: &RepositoryName| may_list_all || call.authorize_in(Verb::List, name.namespace(), None).is_ok();
    let names = call.content().repositories();
    let names = names.into_iter().filter(may_list).map(|name| name.to_string()).collect();
    let page = Page::read(call)?.cut(names);
    let mut response = json_response(&json!({"repositories": page.shown}));
    page.link(&mut response, "/v2/_catalog");
    Ok(response)
}

/// `tags/list`.
pub(super) fn tags(call: &Call<'_>, repository: &RepositoryName) -> Result<Response<Body>, Error> {
    call.authorize_in(Verb::List, repository.namespace(), None)?;
    let tags = call.content().tags(repository).ok_or_else(|| Error::unknown_name(repository.as_str()))?;
    let page = Page::read(call)?.cut(tags);
    let mut response = json_response(&json!({"name": repository.as_str(), "tags": page.shown}));
    page.link(&mut response, &format!("/v2/{repository}/tags/list"));
    Ok(response)
}

/// `referrers`: an index of the manifests that are about one, maybe of one artifact type only.
pub(super) async fn referrers(
    call: &Call<'_>,
    repository: &RepositoryName,
    subject: &Digest,
) -> Result<Response<Body>, Error> {
    call.authorize(Verb::Get, repository)?;
    let mut found = call.content().referrers(repository, subject).await?;
    let wanted = call.query.find("artifactType");
    found.retain(|it| wanted.is_none_or(|wanted| it.artifact_type.as_deref() == Some(wanted)));
    let index = json!({"schemaVersion": 2, "mediaType": media::INDEX, "manifests": found});
    let mut response = json_response(&index);
    set(&mut response, CONTENT_TYPE, media::INDEX);
    if wanted.is_some() {
        set(&mut response, "oci-filters-applied", "artifactType");
    }
    Ok(response)
}

fn json_response(value: &Value) -> Response<Body> {
    let mut response = Response::new(Body::from(value.to_string()));
    set(&mut response, CONTENT_TYPE, "application/json");
    response
}

/// What one page shows at most; clients go on by its `Link`.
const PAGE_MAX: usize = 10_000;

/// Which part of a list is asked for: at most `n`, after `last`.
#[derive(Debug, Default)]
struct Page {
    count: Option<usize>,
    after: Option<String>,
}

/// What is shown of a list.
#[derive(Debug, Eq, PartialEq)]
struct Shown {
    shown: Vec<String>,
    count: usize,
    is_cut: bool,
}

impl Page {
    fn read(call: &Call<'_>) -> Result<Self, Error> {
        let count = call.query.find("n").map(|text| text.parse().map_err(|_| Error::invalid_number("n")));
        Ok(Self { count: count.transpose()?, after: call.query.find("last").map(str::to_owned) })
    }

    /// Cuts the page out of a sorted list.
    fn cut(&self, mut sorted: Vec<String>) -> Shown {
        if let Some(after) = &self.after {
            sorted.retain(|text| text > after);
        }
        let count = self.count.unwrap_or(PAGE_MAX).min(PAGE_MAX);
        let is_cut = sorted.len() > count;
        sorted.truncate(count);
        Shown { shown: sorted, count, is_cut }
    }
}

impl Shown {
    /// Says where the next page is, if there is one.
    fn link(&self, response: &mut Response<Body>, path: &str) {
        if let (true, Some(last)) = (self.is_cut, self.shown.last()) {
            let query = form_urlencoded::Serializer::new(String::new())
                .append_pair("n", &self.count.to_string())
                .append_pair("last", last)
                .finish();
            set(response, LINK, &format!("<{path}?{query}>; rel=\"next\""));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_go_on_after_the_last_one_shown() {
        let check = |count: Option<usize>, after: Option<&str>, expected: &[&str], is_cut: bool| {
            let list = ["a", "b", "c"].map(str::to_owned).to_vec();
            let page = Page { count, after: after.map(str::to_owned) }.cut(list);
            assert_eq!((page.shown, page.is_cut), (expected.iter().map(ToString::to_string).collect(), is_cut));
        };
        check(None, None, &["a", "b", "c"], false);
        check(Some(2), None, &["a", "b"], true);
        check(Some(2), Some("b"), &["c"], false);
        check(Some(0), None, &[], true);
        check(None, Some("aa"), &["b", "c"], false);
    }
}
