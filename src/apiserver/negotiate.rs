//! In what form a client wants the answer, and in what form it sent the body.
//!
//! `Accept` is tried in the order of its quality and then of its text, as upstream does: kubectl lists Table in two
//! versions and plain JSON last, typed clients list protobuf first and JSON second.

use api::scheme::Resource;
use api::status::Status;
use api::{patch, protobuf};
use http::HeaderMap;
use http::header::{ACCEPT, CONTENT_TYPE};

/// The media types that objects are read and written in, as a 406 and a 415 list them.
pub(crate) const MEDIA_TYPES: &str = "application/json, application/yaml, application/vnd.kubernetes.protobuf";

/// Those of a watch.
pub(crate) const STREAM_MEDIA_TYPES: &str =
    "application/json;stream=watch, application/vnd.kubernetes.protobuf;stream=watch";

/// The same for custom kinds, which have no protobuf.
pub(crate) const READABLE_CUSTOM: &str = "application/json, application/yaml";

/// How the bytes are written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Format {
    Json,
    Yaml,
    /// Kubernetes' protobuf, which typed clients of upstream ask for.
    Protobuf,
}

/// What is asked for, which says in what forms it can be had.
#[derive(Clone, Copy)]
pub(crate) enum Subject<'a> {
    /// Objects of this resource.
    Objects(&'a Resource),
    /// What is answered as this resource and not kept: it has no columns.
    Answers(&'a Resource),
    /// A `Status`, or a document of discovery: shown as it is, in any format.
    Message,
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
    /// Whether the metadata of a list is asked for, or that of one object; `None` where something else is.
    pub of_list: Option<bool>,
}

/// Nothing that the client accepts can be written.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum NotAcceptable {
    /// It names no media type that we write.
    MediaType,
    /// It names one, in a form that we do not have.
    Form,
}

/// How a body is read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum BodyFormat {
    Json,
    Yaml,
    /// Kubernetes' protobuf, which typed clients of upstream send.
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
            Self::Protobuf => "application/vnd.kubernetes.protobuf",
        }
    }

    /// How a watch's frames are called; `None` where it has none.
    pub(crate) fn stream_content_type(self) -> Option<&'static str> {
        match self {
            Self::Json => Some("application/json"),
            Self::Yaml => None,
            Self::Protobuf => Some("application/vnd.kubernetes.protobuf;stream=watch"),
        }
    }
}

impl Subject<'_> {
    /// Whether it can be had so. Custom resources have no messages; the metadata of all kinds has one, tables have none.
    fn has(self, format: Format, shape: Shape) -> bool {
        match (self, shape) {
            (Self::Message, shape) => shape == Shape::Whole,
            (Self::Objects(_), Shape::Table(_)) => format != Format::Protobuf,
            (Self::Answers(_), Shape::Table(_)) => false,
            (Self::Objects(_) | Self::Answers(_), Shape::Metadata(_)) => true,
            (Self::Objects(resource) | Self::Answers(resource), Shape::Whole) => {
                format != Format::Protobuf || protobuf::is_known(&resource.api_version(), &resource.kind)
            }
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

    /// The format of its media type. Who takes anything gets JSON.
    fn format(&self) -> Option<Format> {
        match self.media_type {
            "application/json" | "application/*" | "*/*" => Some(Format::Json),
            "application/yaml" => Some(Format::Yaml),
            "application/vnd.kubernetes.protobuf" => Some(Format::Protobuf),
            _ => None,
        }
    }

    /// What of an object it asks for; `None` for what nobody shows.
    fn shape(&self) -> Option<Shape> {
        let version = match (self.param("as"), self.param("g"), self.param("v")) {
            (None, None, None) => return Some(Shape::Whole),
            (_, Some("meta.k8s.io"), Some("v1")) => MetaVersion::V1,
            (_, Some("meta.k8s.io"), Some("v1beta1")) => MetaVersion::V1Beta1,
            _ => return None,
        };
        match self.param("as")? {
            "Table" => Some(Shape::Table(version)),
            "PartialObjectMetadata" | "PartialObjectMetadataList" => Some(Shape::Metadata(version)),
            _ => None,
        }
    }

    fn accepted(&self, subject: Subject<'_>) -> Option<Accepted> {
        let (format, shape) = (self.format()?, self.shape()?);
        let stream = self.param("stream").unwrap_or_default();
        let is_streamable = stream.is_empty() || (stream == "watch" && format.stream_content_type().is_some());
        let is_had = is_streamable && subject.has(format, shape);
        let of_list =
            matches!(shape, Shape::Metadata(_)).then(|| self.param("as") == Some("PartialObjectMetadataList"));
        is_had.then(|| Accepted { format, shape, is_pretty: self.param("pretty") == Some("1"), of_list })
    }
}

impl NotAcceptable {
    /// The refusal; `available` are the media types of what was asked for.
    pub(crate) fn to_status(&self, available: &str) -> Status {
        match self {
            Self::MediaType => Status::not_acceptable(available),
            Self::Form => Status::not_acceptable_form(MEDIA_TYPES),
        }
    }
}

/// What the client of a request accepts best.
pub(crate) fn accepted(
    headers: &HeaderMap,
    query_pretty: Option<bool>,
    subject: Subject<'_>,
) -> Result<Accepted, NotAcceptable> {
    let header = headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or("*/*");
    let mut ranges: Vec<Range<'_>> =
        header.split(',').map(str::trim).filter(|r| !r.is_empty()).map(Range::parse).collect();
    if ranges.is_empty() {
        ranges.push(Range::parse("*/*"));
    }
    ranges.sort_by_key(|range| std::cmp::Reverse(range.quality));
    let Some(mut best) = ranges.iter().find_map(|range| range.accepted(subject)) else {
        let is_known = ranges.iter().any(|range| range.format().is_some());
        return Err(if is_known { NotAcceptable::Form } else { NotAcceptable::MediaType });
    };
    best.is_pretty = query_pretty.unwrap_or_else(|| best.is_pretty || is_for_eyes(headers));
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
    use api::scheme::Scheme;

    use super::*;

    fn accept(accept: &str, subject: Subject<'_>) -> Result<(Format, Shape), NotAcceptable> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, accept.parse().unwrap());
        accepted(&headers, None, subject).map(|a| (a.format, a.shape))
    }

    const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io";
    const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";

    #[test]
    fn the_first_form_that_we_can_write_is_chosen() {
        let pods = Scheme::builtin().resource("", "v1", "pods").unwrap();
        let check = |text: &str, expected| assert_eq!(accept(text, Subject::Objects(pods)), expected, "{text}");
        let metadata = "as=PartialObjectMetadataList;v=v1;g=meta.k8s.io";
        check("*/*", Ok((Format::Json, Shape::Whole)));
        check("", Ok((Format::Json, Shape::Whole)));
        check(&format!("{TABLE},application/json"), Ok((Format::Json, Shape::Table(MetaVersion::V1))));
        check(
            "application/json;as=Table;v=v1beta1;g=meta.k8s.io",
            Ok((Format::Json, Shape::Table(MetaVersion::V1Beta1))),
        );
        check("application/yaml;q=0.2,application/json;q=0.1", Ok((Format::Yaml, Shape::Whole)));
        check(&format!("application/json;{metadata}"), Ok((Format::Json, Shape::Metadata(MetaVersion::V1))));
        check("application/xml", Err(NotAcceptable::MediaType));
        check("application/json;as=Table;v=v9;g=meta.k8s.io", Err(NotAcceptable::Form));
        check("application/json;v=v1", Err(NotAcceptable::Form));

        check(PROTOBUF, Ok((Format::Protobuf, Shape::Whole)));
        check(&format!("{PROTOBUF},application/json"), Ok((Format::Protobuf, Shape::Whole)));
        check(&format!("{PROTOBUF};q=0.5,application/json"), Ok((Format::Json, Shape::Whole)));
        check(&format!("{PROTOBUF};stream=watch"), Ok((Format::Protobuf, Shape::Whole)));
        check(&format!("{PROTOBUF};stream=other"), Err(NotAcceptable::Form));
        check("application/yaml;stream=watch", Err(NotAcceptable::Form));
        check(
            &format!("{PROTOBUF};{metadata},application/json"),
            Ok((Format::Protobuf, Shape::Metadata(MetaVersion::V1))),
        );
        // Tables have no message.
        check(&format!("{PROTOBUF};as=Table;v=v1;g=meta.k8s.io"), Err(NotAcceptable::Form));
        check(
            &format!("{PROTOBUF};as=Table;v=v1;g=meta.k8s.io,{TABLE}"),
            Ok((Format::Json, Shape::Table(MetaVersion::V1))),
        );
    }

    #[test]
    fn a_custom_resource_has_only_its_metadata_in_protobuf() {
        let mut row = Scheme::builtin().resource("", "v1", "pods").unwrap().as_ref().clone();
        (row.group, row.kind) = ("example.com".into(), "Crontab".into());
        let check = |text: &str, expected| assert_eq!(accept(text, Subject::Objects(&row)), expected, "{text}");
        check(&format!("{PROTOBUF},application/json"), Ok((Format::Json, Shape::Whole)));
        check(PROTOBUF, Err(NotAcceptable::Form));
        let metadata = "as=PartialObjectMetadata;v=v1;g=meta.k8s.io";
        check(&format!("{PROTOBUF};{metadata}"), Ok((Format::Protobuf, Shape::Metadata(MetaVersion::V1))));
    }

    #[test]
    fn a_status_is_shown_as_it_is() {
        let check = |text: &str, expected| assert_eq!(accept(text, Subject::Message), expected, "{text}");
        check(&format!("{TABLE},application/json"), Ok((Format::Json, Shape::Whole)));
        check(&format!("{TABLE},{PROTOBUF}"), Ok((Format::Protobuf, Shape::Whole)));
        check(TABLE, Err(NotAcceptable::Form));
    }
}
