//! The options that requests carry in their query (and deletions in their body), read and checked as upstream does.
//!
//! A value that upstream cannot parse is 400, one that it parses and does not allow is 422 naming the options' kind
//! (`ListOptions.meta.k8s.io "" is invalid: …`).

use api::selectors::{FieldSelector, LabelSelector};
use api::status::Status;
use api::validation::field;
use serde_json::Value;
use store::Revision;

use crate::negotiate::PatchKind;

/// The group that options belong to in error messages.
const META_GROUP: &str = "meta.k8s.io";

/// A query's parameters, decoded, in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Query(Vec<(String, String)>);

/// Which revision a list may show, or a watch begins after.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum At {
    /// The newest: nothing was asked for.
    Newest,
    /// Whatever the cache has: `resourceVersion=0`.
    Any,
    /// This one or later.
    NotOlderThan(Revision),
    /// Exactly this one.
    Exact(Revision),
}

/// Options of list and watch.
#[derive(Clone, Debug)]
pub(crate) struct ListOptions {
    pub labels: LabelSelector,
    pub fields: FieldSelector,
    /// Objects in a page; `None` for all.
    pub limit: Option<usize>,
    /// The token of the next page.
    pub continue_token: Option<String>,
    pub at: At,
    pub allows_bookmarks: bool,
    /// Whether a watch begins with everything there is, closed by a bookmark, or with nothing, if that is said.
    pub sends_initial_events: Option<bool>,
    /// How long a watch may last, or a list may wait, in seconds.
    pub timeout_seconds: Option<u64>,
}

/// What is to happen with fields that the schema does not know, or that stand twice.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum FieldValidation {
    Ignore,
    Warn,
    Strict,
}

/// Whether a write is kept.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Keep {
    Stored,
    /// `dryRun=All`: everything happens but the commit.
    DryRun,
}

/// Options of create, update and patch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WriteOptions {
    pub keep: Keep,
    pub field_validation: FieldValidation,
    /// Whether an application takes fields that others own.
    pub force: bool,
}

/// What happens with an object's dependents.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Propagation {
    Foreground,
    Background,
    Orphan,
}

/// Options of delete and deletecollection.
#[derive(Clone, Debug)]
pub(crate) struct DeleteOptions {
    pub keep: Keep,
    pub grace_seconds: Option<i64>,
    pub propagation: Option<Propagation>,
    /// Whether `orphanDependents: false` says what becomes of dependents.
    pub cascades_expressly: bool,
    pub uid: Option<String>,
    pub resource_version: Option<String>,
}

impl Query {
    /// Reads a query string.
    pub(crate) fn parse(text: &str) -> Self {
        Self(form_urlencoded::parse(text.as_bytes()).into_owned().collect())
    }

    /// A query that narrows a collection by this field selector.
    pub(crate) fn of_field_selector(selector: &str) -> Self {
        Self(vec![("fieldSelector".to_owned(), selector.to_owned())])
    }

    /// The first value of a parameter; an empty one counts as absent, as in upstream's conversion.
    pub(crate) fn find(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, value)| key == name && !value.is_empty()).map(|(_, value)| value.as_str())
    }

    /// All values of a parameter.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        self.0.iter().filter(|(key, value)| key == name && !value.is_empty()).map(|(_, value)| value.as_str()).collect()
    }

    /// All values of a parameter, empty ones, too.
    pub(crate) fn listed(&self, name: &str) -> Vec<&str> {
        self.0.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str()).collect()
    }

    /// A flag, which may stand bare; `None` when it is absent. What `strconv.ParseBool` does not take counts as true,
    /// as in upstream's conversion of query parameters.
    pub(crate) fn flag(&self, name: &str) -> Option<bool> {
        let (_, value) = self.0.iter().find(|(key, _)| key == name)?;
        Some(!["0", "f", "F", "false", "False", "FALSE"].contains(&value.as_str()))
    }

    /// A whole number.
    pub(crate) fn integer(&self, name: &str) -> Result<Option<i64>, Status> {
        let Some(text) = self.find(name) else { return Ok(None) };
        let parsed = text.parse().map_err(|_| {
            Status::bad_request(format!("strconv.ParseInt: parsing {}: invalid syntax", Value::from(text)))
        })?;
        Ok(Some(parsed))
    }
}

impl ListOptions {
    /// Reads the options of a list, or of a watch.
    pub(crate) fn read(query: &Query, is_watch: bool) -> Result<Self, Status> {
        let labels = LabelSelector::parse(query.find("labelSelector").unwrap_or_default())
            .map_err(|error| Status::bad_request(error.to_string()))?;
        let fields = FieldSelector::parse(query.find("fieldSelector").unwrap_or_default())
            .map_err(|error| Status::bad_request(error.to_string()))?;
        let limit = query.integer("limit")?.and_then(|limit| usize::try_from(limit).ok()).filter(|limit| *limit > 0);
        let sends_initial_events = query.flag("sendInitialEvents");
        let errors =
            if is_watch { check_watch(query, sends_initial_events) } else { check_list(query, sends_initial_events) };
        refuse("ListOptions", errors)?;
        if query.find("continue").is_some() && query.find("resourceVersion").is_some_and(|version| version != "0") {
            return Err(Status::bad_request("specifying resource version is not allowed when using continue"));
        }
        Ok(Self {
            labels,
            fields,
            limit,
            continue_token: query.find("continue").map(str::to_owned),
            at: At::read(query, is_watch)?,
            allows_bookmarks: query.flag("allowWatchBookmarks").unwrap_or(false),
            sends_initial_events,
            timeout_seconds: query.integer("timeoutSeconds")?.and_then(|seconds| u64::try_from(seconds).ok()),
        })
    }
}

impl At {
    pub(crate) fn read(query: &Query, is_watch: bool) -> Result<Self, Status> {
        let Some(text) = query.find("resourceVersion") else { return Ok(Self::Newest) };
        let revision = parse_revision(text).map_err(|message| {
            // Upstream's watch path reports its parse error without a reason.
            if is_watch {
                Status::internal_plain(message)
            } else {
                Status::bad_request(format!("invalid resource version: {message}"))
            }
        })?;
        Ok(match (query.find("resourceVersionMatch"), revision) {
            (_, Revision(0)) => Self::Any,
            (Some("Exact"), revision) => Self::Exact(revision),
            // A list in pages with a version and no match is exact, as upstream's legacy rule has it.
            (None, revision) if !is_watch && query.find("limit").is_some() && query.find("continue").is_none() => {
                Self::NotOlderThan(revision)
            }
            (_, revision) => Self::NotOlderThan(revision),
        })
    }
}

/// A `resourceVersion` as a number, or upstream's message.
pub(crate) fn parse_revision(text: &str) -> Result<Revision, String> {
    text.parse().map(Revision).map_err(|_| {
        let quoted = Value::from(text);
        format!("resourceVersion: Invalid value: {quoted}: strconv.ParseUint: parsing {quoted}: invalid syntax")
    })
}

/// The rules that tie `resourceVersionMatch` to other options of a list.
fn check_list(query: &Query, sends_initial_events: Option<bool>) -> field::ErrorList {
    let mut errors = field::ErrorList::new();
    if sends_initial_events.is_some() {
        errors.push(field::Error::forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list"));
    }
    if let Some(wanted) = query.find("resourceVersionMatch") {
        let version = query.find("resourceVersion");
        if query.find("continue").is_some() {
            errors.push(field::Error::forbidden(
                "resourceVersionMatch",
                "resourceVersionMatch is forbidden when continue is provided",
            ));
        }
        if version.is_none() {
            errors.push(field::Error::forbidden(
                "resourceVersionMatch",
                "resourceVersionMatch is forbidden unless resourceVersion is provided",
            ));
        }
        if wanted != "Exact" && wanted != "NotOlderThan" {
            errors.push(field::Error::not_supported("resourceVersionMatch", wanted, &["Exact", "NotOlderThan", ""]));
        }
        if wanted == "Exact" && version == Some("0") {
            errors.push(field::Error::forbidden(
                "resourceVersionMatch",
                "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"",
            ));
        }
    }
    errors
}

/// The same for a watch.
fn check_watch(query: &Query, sends_initial_events: Option<bool>) -> field::ErrorList {
    let mut errors = field::ErrorList::new();
    let wanted = query.find("resourceVersionMatch");
    if sends_initial_events.is_some() && wanted.is_none() {
        errors.push(field::Error::forbidden(
            "resourceVersionMatch",
            "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
        ));
    }
    if let Some(wanted) = wanted {
        if sends_initial_events.is_none() {
            errors.push(field::Error::forbidden(
                "resourceVersionMatch",
                "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
            ));
        }
        if wanted != "NotOlderThan" {
            errors.push(field::Error::not_supported("resourceVersionMatch", wanted, &["NotOlderThan"]));
        }
        if query.find("continue").is_some() {
            errors.push(field::Error::forbidden(
                "resourceVersionMatch",
                "resourceVersionMatch is forbidden when continue is provided",
            ));
        }
    }
    errors
}

impl WriteOptions {
    /// Reads the options of `kind` (`CreateOptions`, `UpdateOptions`, `PatchOptions`).
    pub(crate) fn read(query: &Query, kind: &str) -> Result<Self, Status> {
        let mut errors = field::ErrorList::new();
        let options = Self::collect(query, &mut errors);
        refuse(kind, errors)?;
        Ok(options)
    }

    /// Reads the options of a patch.
    pub(crate) fn read_patch(query: &Query, kind: PatchKind) -> Result<Self, Status> {
        let mut errors = field::ErrorList::new();
        match kind {
            PatchKind::Apply if query.find("fieldManager").is_none() => {
                errors.push(field::Error::required("fieldManager", "is required for apply patch"));
            }
            PatchKind::Of(_) if query.find("force").is_some() => {
                errors.push(field::Error::forbidden("force", "may not be specified for non-apply patch"));
            }
            _ => {}
        }
        let options = Self::collect(query, &mut errors);
        refuse("PatchOptions", errors)?;
        Ok(options)
    }

    fn collect(query: &Query, errors: &mut field::ErrorList) -> Self {
        let keep = read_dry_run(&query.listed("dryRun"), errors);
        let field_validation = match query.find("fieldValidation") {
            None | Some("Warn") => FieldValidation::Warn,
            Some("Ignore") => FieldValidation::Ignore,
            Some("Strict") => FieldValidation::Strict,
            Some(other) => {
                errors.push(field::Error::not_supported("fieldValidation", other, &["", "Ignore", "Strict", "Warn"]));
                FieldValidation::Warn
            }
        };
        if let Some(manager) = query.find("fieldManager") {
            check_manager(manager, errors);
        }
        Self { keep, field_validation, force: query.flag("force").unwrap_or(false) }
    }
}

/// The longest name of a field manager, as upstream's.
const FIELD_MANAGER_BYTES_MAX: usize = 128;

fn check_manager(manager: &str, errors: &mut field::ErrorList) {
    if manager.len() > FIELD_MANAGER_BYTES_MAX {
        errors.push(field::Error::too_long("fieldManager", manager, FIELD_MANAGER_BYTES_MAX));
    }
    if manager.chars().any(char::is_control) {
        errors.push(field::Error::invalid("fieldManager", manager, "should only contain printable characters"));
    }
}

impl DeleteOptions {
    /// Reads the options from the query and from the body, which wins.
    pub(crate) fn read(query: &Query, body: Option<&Value>) -> Result<Self, Status> {
        let mut errors = field::ErrorList::new();
        let in_body = |name: &str| body.and_then(|body| body.get(name)).filter(|value| !value.is_null());
        let text = |name: &str| in_body(name).and_then(Value::as_str).or_else(|| query.find(name));

        let dry_run = match in_body("dryRun").and_then(Value::as_array) {
            Some(list) => list.iter().filter_map(Value::as_str).collect(),
            None => query.listed("dryRun"),
        };
        let keep = read_dry_run(&dry_run, &mut errors);
        let grace_seconds = match in_body("gracePeriodSeconds").and_then(Value::as_i64) {
            Some(seconds) => Some(seconds),
            None => query.integer("gracePeriodSeconds")?,
        };
        let mut propagation = match text("propagationPolicy") {
            None => None,
            Some("Foreground") => Some(Propagation::Foreground),
            Some("Background") => Some(Propagation::Background),
            Some("Orphan") => Some(Propagation::Orphan),
            Some(other) => {
                let known = ["Foreground", "Background", "Orphan", "nil"];
                errors.push(field::Error::not_supported("propagationPolicy", other, &known));
                None
            }
        };
        let orphan = in_body("orphanDependents").and_then(Value::as_bool).or_else(|| query.flag("orphanDependents"));
        if let Some(orphan) = orphan {
            if propagation.is_some() {
                let both = "orphanDependents and deletionPropagation cannot be both set";
                errors.push(field::Error::invalid(
                    "propagationPolicy",
                    text("propagationPolicy").unwrap_or_default(),
                    both,
                ));
            }
            propagation = Some(if orphan { Propagation::Orphan } else { Propagation::Background });
        }
        refuse("DeleteOptions", errors)?;
        let precondition = |name: &str| {
            in_body("preconditions")
                .and_then(|conditions| conditions.get(name))
                .and_then(Value::as_str)
                .map(str::to_owned)
        };
        Ok(Self {
            keep,
            grace_seconds,
            propagation,
            cascades_expressly: orphan == Some(false),
            uid: precondition("uid"),
            resource_version: precondition("resourceVersion"),
        })
    }
}

fn read_dry_run(values: &[&str], errors: &mut field::ErrorList) -> Keep {
    match values {
        [] => Keep::Stored,
        all if all.iter().all(|value| *value == "All") => Keep::DryRun,
        _ => {
            errors.push(field::Error::not_supported("dryRun", values, &["All"]));
            Keep::DryRun
        }
    }
}

fn refuse(kind: &str, errors: field::ErrorList) -> Result<(), Status> {
    if errors.is_empty() { Ok(()) } else { Err(Status::invalid(META_GROUP, kind, "", errors)) }
}
