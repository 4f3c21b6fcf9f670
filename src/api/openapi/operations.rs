//! What can be done to a resource over HTTP, in no document's form.

use super::custom::definition_name;
use crate::scheme::{GroupVersionKind, Resource, Scope, Subresource, Verb};

/// A path and what can be done there.
#[derive(Debug)]
pub(super) struct Path {
    pub path: String,
    /// Parameters in the path: `namespace`, `name`.
    pub parameters: Vec<Parameter>,
    pub operations: Vec<Operation>,
}

/// One method of a path.
#[derive(Debug)]
pub(super) struct Operation {
    /// Lower case.
    pub method: &'static str,
    /// `x-kubernetes-action`
    pub action: &'static str,
    /// Unique in all documents.
    pub id: String,
    pub description: String,
    pub parameters: Vec<Parameter>,
    /// What the body holds; `None` where there is none.
    pub body: Option<Body>,
    /// What a successful answer holds.
    pub answer: Holds,
    /// `x-kubernetes-group-version-kind`
    pub kind: GroupVersionKind,
}

/// A request's body.
#[derive(Debug)]
pub(super) struct Body {
    pub holds: Holds,
    pub media_types: &'static [&'static str],
    pub is_required: bool,
}

/// What a body or an answer holds.
#[derive(Clone, Debug)]
pub(super) enum Holds {
    /// An object of this definition.
    Definition(String),
    /// A list of objects of this definition.
    ListOf(GroupVersionKind),
    /// A patch.
    Patch,
    /// Text that is no object.
    Text,
}

/// A parameter of the path or the query.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parameter {
    pub name: &'static str,
    pub place: Place,
    /// The JSON type.
    pub kind: &'static str,
    pub description: &'static str,
}

/// Where a parameter stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Place {
    Path,
    Query,
}

const OBJECT_TYPES: &[&str] = &["application/json", "application/yaml"];
const CUSTOM_PATCH_TYPES: &[&str] =
    &["application/apply-patch+yaml", "application/json-patch+json", "application/merge-patch+json"];
const PATCH_TYPES: &[&str] = &[
    "application/apply-patch+yaml",
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
];

const STATUS: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.Status";
const DELETE_OPTIONS: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions";

const fn query(name: &'static str, kind: &'static str, description: &'static str) -> Parameter {
    Parameter { name, place: Place::Query, kind, description }
}

const fn in_path(name: &'static str, description: &'static str) -> Parameter {
    Parameter { name, place: Place::Path, kind: "string", description }
}

const NAME: Parameter = in_path("name", "The object's name.");
const NAMESPACE: Parameter = in_path("namespace", "The namespace of the objects.");
const PRETTY: Parameter = query("pretty", "string", "Indent the answer's JSON.");

const LIST: &[Parameter] = &[
    query("allowWatchBookmarks", "boolean", "Let a watch send BOOKMARK events, which tell how far it has come."),
    query("continue", "string", "The token of the page before, to go on with a list."),
    query("fieldSelector", "string", "Show only objects whose fields are so."),
    query("labelSelector", "string", "Show only objects whose labels are so."),
    query("limit", "integer", "How many objects a page has at most."),
    query("resourceVersion", "string", "Which version a list shows, or a watch begins after."),
    query("resourceVersionMatch", "string", "How resourceVersion is meant: Exact or NotOlderThan."),
    query("sendInitialEvents", "boolean", "Let a watch begin with all objects that there are."),
    query("timeoutSeconds", "integer", "How long a watch lasts, or a list may wait."),
    query("watch", "boolean", "Follow the changes instead of listing."),
];

const WRITE: &[Parameter] = &[
    query("dryRun", "string", "With All, everything happens but the storing."),
    query("fieldManager", "string", "Who writes."),
    query("fieldValidation", "string", "What happens with unknown and duplicate fields: Ignore, Warn or Strict."),
];

const DELETE: &[Parameter] = &[
    query("dryRun", "string", "With All, everything happens but the storing."),
    query("gracePeriodSeconds", "integer", "How long the object's end may take."),
    query("orphanDependents", "boolean", "Deprecated: see propagationPolicy."),
    query("propagationPolicy", "string", "What happens with dependents: Orphan, Background or Foreground."),
];

const LOG: &[Parameter] = &[
    query("container", "string", "Whose log; may be left out where the pod has only one container."),
    query("follow", "boolean", "Go on with what is logged later."),
    query("limitBytes", "integer", "How many bytes are shown at most."),
    query("previous", "boolean", "The log of the run before."),
    query("sinceSeconds", "integer", "Show only what is not older."),
    query("sinceTime", "string", "Show only what is not older."),
    query("tailLines", "integer", "How many of the last lines are shown."),
    query("timestamps", "boolean", "Begin each line with its time."),
];

const ATTACH: &[Parameter] = &[
    query("container", "string", "To which container; may be left out where the pod has only one."),
    query("stderr", "boolean", "Send what it writes to its standard error."),
    query("stdin", "boolean", "Give it a standard input."),
    query("stdout", "boolean", "Send what it writes to its standard output."),
    query("tty", "boolean", "Treat both sides as a terminal."),
];

/// All paths of a resource.
pub(super) fn paths(row: &Resource) -> Vec<Path> {
    let base = if row.group.is_empty() {
        format!("/api/{}", row.version)
    } else {
        format!("/apis/{}/{}", row.group, row.version)
    };
    let is_namespaced = row.scope == Scope::Namespaced;
    let (collection, above) = if is_namespaced {
        (format!("{base}/namespaces/{{namespace}}/{}", row.plural), vec![NAMESPACE, PRETTY])
    } else {
        (format!("{base}/{}", row.plural), vec![PRETTY])
    };
    let with_name: Vec<Parameter> = std::iter::once(NAME).chain(above.iter().copied()).collect();
    let object = format!("{collection}/{{name}}");
    let in_collection = |verb: &Verb| matches!(verb, Verb::List | Verb::Create | Verb::DeleteCollection);
    let on_object = |verb: &Verb| matches!(verb, Verb::Get | Verb::Update | Verb::Patch | Verb::Delete);
    let main = |filter: &dyn Fn(&Verb) -> bool| {
        row.verbs.iter().filter(|verb| filter(verb)).map(|verb| operation(row, *verb)).collect::<Vec<_>>()
    };

    let mut paths = vec![
        Path { path: collection, parameters: above, operations: main(&in_collection) },
        Path { path: object.clone(), parameters: with_name.clone(), operations: main(&on_object) },
    ];
    if is_namespaced && row.verbs.contains(&Verb::List) {
        let mut list = operation(row, Verb::List);
        list.id = format!("list{}{}ForAllNamespaces", prefix(row), row.kind);
        paths.push(Path { path: format!("{base}/{}", row.plural), parameters: vec![PRETTY], operations: vec![list] });
    }
    paths.extend(row.subresources.iter().map(|subresource| Path {
        path: format!("{object}/{}", subresource.name),
        parameters: with_name.clone(),
        operations: subresource.verbs.iter().map(|verb| part(row, subresource, *verb)).collect(),
    }));
    paths
}

/// What a verb does to the resource itself.
fn operation(row: &Resource, verb: Verb) -> Operation {
    let kind = row.group_version_kind();
    let object = Holds::Definition(definition_name(&kind));
    let write = |media_types, holds| Some(Body { holds, media_types, is_required: true });
    let patches = if row.takes_strategic_patches() { PATCH_TYPES } else { CUSTOM_PATCH_TYPES };
    let (method, action, word, parameters, body, answer) = match verb {
        Verb::List | Verb::Watch => ("get", "list", "list", LIST.to_vec(), None, Holds::ListOf(kind.clone())),
        Verb::Get => ("get", "get", "read", Vec::new(), None, object),
        Verb::Create => ("post", "post", "create", WRITE.to_vec(), write(OBJECT_TYPES, object.clone()), object),
        Verb::Update => ("put", "put", "replace", WRITE.to_vec(), write(OBJECT_TYPES, object.clone()), object),
        Verb::Patch => ("patch", "patch", "patch", WRITE.to_vec(), write(patches, Holds::Patch), object),
        Verb::Delete => ("delete", "delete", "delete", DELETE.to_vec(), delete_options(), status()),
        Verb::DeleteCollection => {
            let parameters = DELETE.iter().chain(LIST).copied().filter(|parameter| parameter.name != "watch").collect();
            ("delete", "deletecollection", "delete", parameters, delete_options(), status())
        }
    };
    let collection = if verb == Verb::DeleteCollection { "Collection" } else { "" };
    let id = format!("{word}{}{collection}{}", prefix(row), scoped(row));
    let description = match verb {
        Verb::List | Verb::Watch => format!("list or watch objects of kind {}", row.kind),
        Verb::DeleteCollection => format!("delete a collection of {}", row.kind),
        _ => format!("{word} the {}", row.kind),
    };
    Operation { method, action, id, description, parameters, body, answer, kind }
}

/// What a verb does to a part of an object, or through it.
fn part(row: &Resource, subresource: &Subresource, verb: Verb) -> Operation {
    let own = operation(row, verb);
    let name = &subresource.name;
    let description = format!("{verb} {name} of the {}", row.kind, verb = verb.as_str());
    let suffix = capitalised(name);
    let is_own = subresource.kind == row.group_version_kind();
    if name == "attach" {
        let id = format!("connect{}{}{}{suffix}", prefix(row), capitalised(own.method), scoped(row));
        let kind = subresource.kind.clone();
        return Operation {
            action: "connect",
            id,
            description,
            parameters: ATTACH.to_vec(),
            body: None,
            answer: Holds::Text,
            kind,
            ..own
        };
    }
    let id = format!("{}{suffix}", own.id);
    if name == "log" {
        return Operation { id, description, parameters: LOG.to_vec(), answer: Holds::Text, ..own };
    }
    if is_own {
        return Operation { id, description, ..own };
    }
    let holds = Holds::Definition(definition_name(&subresource.kind));
    let body = Some(Body { holds: holds.clone(), media_types: OBJECT_TYPES, is_required: true });
    Operation { id, description, body, answer: holds, kind: subresource.kind.clone(), ..own }
}

fn status() -> Holds {
    Holds::Definition(STATUS.to_owned())
}

fn delete_options() -> Option<Body> {
    Some(Body { holds: Holds::Definition(DELETE_OPTIONS.to_owned()), media_types: OBJECT_TYPES, is_required: false })
}

/// `CoreV1`, `CoordinationV1`
fn prefix(row: &Resource) -> String {
    let group = row.group.strip_suffix(".k8s.io").unwrap_or(&row.group);
    let group: String = if group.is_empty() { "Core".to_owned() } else { group.split('.').map(capitalised).collect() };
    format!("{group}{}", capitalised(&row.version))
}

/// `NamespacedPod`, `Node`
fn scoped(row: &Resource) -> String {
    match row.scope {
        Scope::Namespaced => format!("Namespaced{}", row.kind),
        Scope::Cluster => row.kind.to_string(),
    }
}

fn capitalised(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map_or_else(String::new, |first| first.to_ascii_uppercase().to_string() + chars.as_str())
}
