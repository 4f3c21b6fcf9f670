//! The paths of a document: each resource and subresource with its operations and their parameters.

use serde_json::{Map, Value, json};

use crate::scheme::{GroupVersionKind, Resource, Scheme, Scope, Subresource, Verb};
use crate::schema::generate::REFERENCE;

/// The version of OpenAPI that operations are written for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Form {
    V2,
    V3,
}

/// What patches may be sent as.
const PATCH_TYPES: [&str; 3] =
    ["application/apply-patch+yaml", "application/json-patch+json", "application/merge-patch+json", "application/strategic-merge-patch+json"];

/// The paths of the rows that `is_wanted`.
pub(super) fn paths(scheme: &Scheme, is_wanted: impl Fn(&Resource) -> bool, form: Form) -> Value {
    let mut paths = Map::new();
    for row in scheme.resources().filter(|row| is_wanted(row)) {
        let root = if row.group.is_empty() { "/api/v1".to_owned() } else { format!("/apis/{}/{}", row.group, row.version) };
        let is_namespaced = row.scope == Scope::Namespaced;
        let within = if is_namespaced { format!("{root}/namespaces/{{namespace}}") } else { root.clone() };
        let place = Place { row, form, is_namespaced };
        if is_namespaced && row.verbs.contains(&Verb::List) {
            let everywhere = Place { is_namespaced: false, ..place };
            paths.insert(format!("{root}/{}", row.plural), everywhere.item(&[("get", Verb::List)], None));
        }
        let collection = [("get", Verb::List), ("post", Verb::Create), ("delete", Verb::DeleteCollection)];
        paths.insert(format!("{within}/{}", row.plural), place.item(&collection, None));
        let object = [("get", Verb::Get), ("put", Verb::Update), ("patch", Verb::Patch), ("delete", Verb::Delete)];
        paths.insert(format!("{within}/{}/{{name}}", row.plural), place.item(&object, None));
        for subresource in &row.subresources {
            let path = format!("{within}/{}/{{name}}/{}", row.plural, subresource.name);
            let verbs = [("get", Verb::Get), ("post", Verb::Create), ("put", Verb::Update), ("patch", Verb::Patch)];
            paths.insert(path, place.item(&verbs, Some(subresource)));
        }
    }
    Value::Object(paths)
}

/// A resource in a path.
#[derive(Clone, Copy)]
struct Place<'r> {
    row: &'r Resource,
    form: Form,
    is_namespaced: bool,
}

impl Place<'_> {
    /// A path's operations: those of `verbs` that the row, or its subresource, offers.
    fn item(self, verbs: &[(&str, Verb)], subresource: Option<&Subresource>) -> Value {
        let offered = subresource.map_or(self.row.verbs, |subresource| subresource.verbs);
        let mut item = Map::new();
        for (method, verb) in verbs.iter().filter(|(_, verb)| offered.contains(verb)) {
            item.insert((*method).to_owned(), self.operation(*verb, subresource));
        }
        let mut parameters = Vec::new();
        let is_named = subresource.is_some() || verbs.iter().any(|(_, verb)| *verb == Verb::Get);
        if is_named {
            parameters.push(self.parameter("name", "path", "string", &format!("name of the {}", self.row.kind)));
        }
        if self.is_namespaced {
            let text = "object name and auth scope, such as for teams and projects";
            parameters.push(self.parameter("namespace", "path", "string", text));
        }
        parameters.push(self.parameter("pretty", "query", "string", "If 'true', then the output is pretty printed."));
        item.insert("parameters".into(), parameters.into());
        Value::Object(item)
    }

    fn operation(self, verb: Verb, subresource: Option<&Subresource>) -> Value {
        let own = self.row.group_version_kind();
        let kind = subresource.map_or(&own, |subresource| &subresource.kind);
        let action = match verb {
            Verb::Create => "post",
            Verb::Update => "put",
            other => other.as_str(),
        };
        let definition = self.definition(kind, verb);
        let mut operation = json!({
            "description": format!("{} {}", description(verb), self.row.kind),
            "operationId": self.operation_id(verb, subresource),
            "tags": [tag(&self.row.group, &self.row.version)],
            "x-kubernetes-action": action,
            "x-kubernetes-group-version-kind": {"group": kind.group, "version": kind.version, "kind": kind.kind},
            "parameters": self.parameters(verb),
            "responses": self.responses(&definition),
        });
        if let Some(fields) = operation.as_object_mut() {
            self.add_body(fields, verb, &definition);
        }
        operation
    }

    /// The query parameters of an operation.
    fn parameters(self, verb: Verb) -> Vec<Value> {
        let query = |name: &str, kind: &str, text: &str| self.parameter(name, "query", kind, text);
        let dry_run = query("dryRun", "string", "When present, indicates that modifications should not be persisted: 'All' processes all stages but the last.");
        let validation = query("fieldValidation", "string", "How unknown and duplicate fields are treated: 'Ignore', 'Warn' or 'Strict'.");
        let manager = query("fieldManager", "string", "The name of the actor that makes these changes.");
        let selectors = [
            query("labelSelector", "string", "Restricts the objects by their labels."),
            query("fieldSelector", "string", "Restricts the objects by their fields."),
            query("limit", "integer", "The most objects in one answer."),
            query("continue", "string", "The token of the next page."),
            query("resourceVersion", "string", "The version from which an answer may come."),
            query("resourceVersionMatch", "string", "How resourceVersion is applied."),
            query("timeoutSeconds", "integer", "How long the call may take."),
        ];
        let deletion = [
            query("gracePeriodSeconds", "integer", "How long the object's end may take."),
            query("propagationPolicy", "string", "What happens with dependents: 'Orphan', 'Background' or 'Foreground'."),
        ];
        match verb {
            Verb::Get => Vec::new(),
            Verb::List | Verb::Watch => {
                let watch = query("watch", "boolean", "Whether to follow changes instead of listing.");
                let bookmarks = query("allowWatchBookmarks", "boolean", "Whether the watch may send bookmarks.");
                let initial = query("sendInitialEvents", "boolean", "Whether a watch begins with what there is.");
                selectors.into_iter().chain([watch, bookmarks, initial]).collect()
            }
            Verb::Create | Verb::Update => vec![dry_run, manager, validation],
            Verb::Patch => {
                let force = query("force", "boolean", "Whether an apply takes fields from other managers.");
                vec![dry_run, manager, validation, force]
            }
            Verb::Delete => deletion.into_iter().chain([dry_run]).collect(),
            Verb::DeleteCollection => selectors.into_iter().chain(deletion).chain([dry_run]).collect(),
        }
    }

    fn parameter(self, name: &str, place: &str, kind: &str, description: &str) -> Value {
        let mut parameter = match self.form {
            Form::V3 => json!({"schema": {"type": kind, "uniqueItems": true}}),
            Form::V2 => json!({"type": kind, "uniqueItems": true}),
        };
        if let Some(fields) = parameter.as_object_mut() {
            fields.insert("name".into(), name.into());
            fields.insert("in".into(), place.into());
            fields.insert("description".into(), description.into());
            if place == "path" {
                fields.insert("required".into(), true.into());
            }
        }
        parameter
    }

    fn responses(self, definition: &str) -> Value {
        let schema = json!({"$ref": format!("{REFERENCE}{definition}")});
        let ok = match self.form {
            Form::V2 => json!({"description": "OK", "schema": schema}),
            Form::V3 => json!({"description": "OK", "content": {
                "application/json": {"schema": schema}, "application/yaml": {"schema": schema}}}),
        };
        json!({"200": ok, "401": {"description": "Unauthorized"}})
    }

    /// The body that an operation takes.
    fn add_body(self, operation: &mut Map<String, Value>, verb: Verb, definition: &str) {
        let (types, schema): (&[&str], Value) = match verb {
            Verb::Create | Verb::Update => {
                (&["application/json", "application/yaml"], json!({"$ref": format!("{REFERENCE}{definition}")}))
            }
            Verb::Patch => (&PATCH_TYPES, json!({"type": "object"})),
            Verb::Delete | Verb::DeleteCollection => {
                let options = "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions";
                (&["application/json", "application/yaml"], json!({"$ref": format!("{REFERENCE}{options}")}))
            }
            Verb::Get | Verb::List | Verb::Watch => return,
        };
        match self.form {
            Form::V3 => {
                let content: Map<String, Value> =
                    types.iter().map(|media| ((*media).to_owned(), json!({"schema": schema}))).collect();
                operation.insert("requestBody".into(), json!({"content": content}));
            }
            Form::V2 => {
                operation.insert("consumes".into(), types.to_vec().into());
                let body = json!({"name": "body", "in": "body", "schema": schema});
                if let Some(parameters) = operation.get_mut("parameters").and_then(Value::as_array_mut) {
                    parameters.push(body);
                }
            }
        }
    }

    /// The definition that an operation answers with.
    fn definition(self, kind: &GroupVersionKind, verb: Verb) -> String {
        let own = self.row.definition();
        match verb {
            Verb::List | Verb::Watch => format!("{own}List"),
            Verb::Delete | Verb::DeleteCollection => "io.k8s.apimachinery.pkg.apis.meta.v1.Status".to_owned(),
            _ if kind.kind == self.row.kind => own.to_owned(),
            _ => match (&*kind.group, &*kind.kind) {
                ("", "Binding") => "io.k8s.api.core.v1.Binding".to_owned(),
                ("policy", "Eviction") => "io.k8s.api.policy.v1.Eviction".to_owned(),
                _ => "io.k8s.apimachinery.pkg.apis.meta.v1.Status".to_owned(),
            },
        }
    }

    /// A name for the operation that no other has, in upstream's form.
    fn operation_id(self, verb: Verb, subresource: Option<&Subresource>) -> String {
        let word = match verb {
            Verb::Get => "read",
            Verb::Update => "replace",
            Verb::DeleteCollection => "deleteCollection",
            other => other.as_str(),
        };
        let scope = if self.is_namespaced { "Namespaced" } else { "" };
        let part = subresource.map_or("", |subresource| &subresource.name);
        let everywhere = if self.row.scope == Scope::Namespaced && !self.is_namespaced { "ForAllNamespaces" } else { "" };
        let group = camel(&tag(&self.row.group, &self.row.version));
        format!("{word}{group}{scope}{}{}{everywhere}", self.row.kind, camel(part))
    }
}

/// `core_v1`, `coordination_v1`: how upstream tags a group version.
fn tag(group: &str, version: &str) -> String {
    let group = if group.is_empty() { "core" } else { group.split('.').next().unwrap_or(group) };
    format!("{group}_{version}")
}

fn camel(text: &str) -> String {
    text.split('_').map(|word| word.chars().take(1).flat_map(char::to_uppercase).chain(word.chars().skip(1)).collect::<String>()).collect()
}

fn description(verb: Verb) -> &'static str {
    match verb {
        Verb::Get => "read the specified",
        Verb::List => "list or watch objects of kind",
        Verb::Watch => "watch changes to an object of kind",
        Verb::Create => "create a",
        Verb::Update => "replace the specified",
        Verb::Patch => "partially update the specified",
        Verb::Delete => "delete a",
        Verb::DeleteCollection => "delete collection of",
    }
}
