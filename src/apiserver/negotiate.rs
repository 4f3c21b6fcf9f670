//! In what form a client wants the answer, and in what form it sent the body.
//!
//! `Accept` is tried in the order of its quality and then of its text, as upstream does: kubectl lists Table in two
//! versions and plain JSON last, typed clients list protobuf first and JSON second.

use api::patch;
use http::HeaderMap;
use http::header::{ACCEPT, CONTENT_TYPE};

/// The media types that objects are written in, as a 406 lists them.
pub(crate) const AVAILABLE: &str = "application/json, application/yaml";

/// The media types that bodies are read in, as a 415 lists them.
pub(crate) const READABLE: &str = "application/json, application/yaml, application/vnd.kubernetes.protobuf";

/// The same for custom kinds, which have no protobuf.
pub(crate) const READABLE_CUSTOM: &str = "application/json, application/yaml";

/// How the bytes are written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Format {
    Json,
    Yaml,
}

/// What of an object is shown.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Shape {
    /// All of it.
    Whole,
    /// Columns, as kubectl prints them.
    Table(MetaVersion),
    /// Its metadata alone.
    Metadata(MetaVersion),
}

/// The version of `meta.k8s.io` in which Table and `PartialObjectMetadata` are written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum MetaVersion {
    V1,
    V1Beta1,
}

/// What the client accepts best.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Accepted {
    pub format: Format,
    pub shape: Shape,
    pub is_pretty: bool,
}

/// Nothing that the client accepts can be written.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct NotAcceptable;

/// How a body is read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum BodyFormat {
    Json,
    Yaml,
    /// Kubernetes' protobuf, which typed clients send; it is read and not written yet.
    Protobuf,
}

/// How a PATCH is meant.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum PatchKind {
    /// A configuration that its manager applies.
    Apply,
    /// A change of what is there.
    Of(patch::Form),
}

impl MetaVersion {
    pub(crate) fn api_version(self) -> &'static str {
        match self {
            Self::V1 => "meta.k8s.io/v1",
            Self::V1Beta1 => "meta.k8s.io/v1beta1",
        }
    }
}

impl Format {
    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Yaml => "application/yaml",
        }
    }
}

/// A media range of an `Accept` header.
struct Range<'a> {
    media_type: &'a str,
    params: Vec<(&'a str, &'a str)>,
    /// Thousandths; ranges that differ in less are equal.
    quality: u16,
}

impl<'a> Range<'a> {
    fn parse(text: &'a str) -> Self {
        let mut parts = text.split(';').map(str::trim);
        let media_type = parts.next().unwrap_or_default();
        let params: Vec<_> = parts.filter_map(|param| param.split_once('=')).collect();
        let quality = params.iter().find(|(key, _)| *key == "q").and_then(|(_, value)| value.parse::<f32>().ok());
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 0..=1000 first")]
        let quality = (quality.unwrap_or(1.0).clamp(0.0, 1.0) * 1000.0) as u16;
        Self { media_type, params, quality }
    }

    fn param(&self, name: &str) -> Option<&'a str> {
        self.params.iter().find(|(key, _)| *key == name).map(|(_, value)| *value)
    }

    fn accepted(&self) -> Option<Accepted> {
        let format = match self.media_type {
            "application/json" | "application/*" | "*/*" => Format::Json,
            "application/yaml" => Format::Yaml,
            _ => return None,
        };
        let shape = match self.param("as") {
            None => Shape::Whole,
            Some(kind) => {
                let version = match (self.param("g"), self.param("v")) {
                    (Some("meta.k8s.io"), Some("v1")) => MetaVersion::V1,
                    (Some("meta.k8s.io"), Some("v1beta1")) => MetaVersion::V1Beta1,
                    _ => return None,
                };
                match kind {
                    "Table" => Shape::Table(version),
                    "PartialObjectMetadata" | "PartialObjectMetadataList" => Shape::Metadata(version),
                    _ => return None,
                }
            }
        };
        Some(Accepted { format, shape, is_pretty: self.param("pretty") == Some("1") })
    }
}

/// What the client of a request accepts best.
pub(crate) fn accepted(headers: &HeaderMap, query_pretty: bool) -> Result<Accepted, NotAcceptable> {
    let header = headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or("*/*");
    let mut ranges: Vec<Range<'_>> =
        header.split(',').map(str::trim).filter(|r| !r.is_empty()).map(Range::parse).collect();
    if ranges.is_empty() {
        ranges.push(Range::parse("*/*"));
    }
    ranges.sort_by_key(|range| std::cmp::Reverse(range.quality));
    let mut best = ranges.iter().find_map(Range::accepted).ok_or(NotAcceptable)?;
    best.is_pretty |= query_pretty || is_for_eyes(headers);
    Ok(best)
}

/// Browsers, curl and wget get indented JSON, as upstream gives them.
fn is_for_eyes(headers: &HeaderMap) -> bool {
    let agent = headers.get(http::header::USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    ["curl", "Wget", "Mozilla/5.0"].iter().any(|prefix| agent.starts_with(prefix))
}

/// How the body of a create or update is read; `None` for a media type that we do not read.
pub(crate) fn body_format(headers: &HeaderMap) -> Option<BodyFormat> {
    match media_type(headers) {
        "" | "application/json" => Some(BodyFormat::Json),
        "application/yaml" => Some(BodyFormat::Yaml),
        "application/vnd.kubernetes.protobuf" => Some(BodyFormat::Protobuf),
        _ => None,
    }
}

/// How the body of a PATCH is meant; `None` for a media type that is no patch we know.
pub(crate) fn patch_kind(headers: &HeaderMap) -> Option<PatchKind> {
    match media_type(headers) {
        "application/apply-patch+yaml" => Some(PatchKind::Apply),
        "application/json-patch+json" => Some(PatchKind::Of(patch::Form::Json)),
        "application/merge-patch+json" => Some(PatchKind::Of(patch::Form::Merge)),
        "application/strategic-merge-patch+json" => Some(PatchKind::Of(patch::Form::Strategic)),
        _ => None,
    }
}

/// Whether the client takes gzip.
pub(crate) fn takes_gzip(headers: &HeaderMap) -> bool {
    let header = headers.get(http::header::ACCEPT_ENCODING).and_then(|value| value.to_str().ok()).unwrap_or_default();
    header.split(',').any(|coding| coding.split(';').next().is_some_and(|name| name.trim() == "gzip"))
}

fn media_type(headers: &HeaderMap) -> &str {
    let header = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    header.split(';').next().unwrap_or_default().trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(accept: &str, expected: Result<(Format, Shape), NotAcceptable>) {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, accept.parse().unwrap());
        assert_eq!(accepted(&headers, false).map(|a| (a.format, a.shape)), expected, "{accept}");
    }

    #[test]
    fn the_first_form_that_we_can_write_is_chosen() {
        let table = "application/json;as=Table;v=v1;g=meta.k8s.io";
        check("*/*", Ok((Format::Json, Shape::Whole)));
        check("", Ok((Format::Json, Shape::Whole)));
        check(&format!("{table},application/json"), Ok((Format::Json, Shape::Table(MetaVersion::V1))));
        check(
            "application/json;as=Table;v=v1beta1;g=meta.k8s.io",
            Ok((Format::Json, Shape::Table(MetaVersion::V1Beta1))),
        );
        check("application/vnd.kubernetes.protobuf,application/json", Ok((Format::Json, Shape::Whole)));
        check("application/yaml;q=0.2,application/json;q=0.1", Ok((Format::Yaml, Shape::Whole)));
        check(
            "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io",
            Ok((Format::Json, Shape::Metadata(MetaVersion::V1))),
        );
        check("application/xml", Err(NotAcceptable));
        check("application/vnd.kubernetes.protobuf", Err(NotAcceptable));
    }
}
