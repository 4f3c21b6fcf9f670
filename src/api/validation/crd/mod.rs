//! Definitions of kinds, as `k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation`.
//!
//! Reading order: `spec` and its parts (`names`, `columns`, `subresources`, `conversion`, `approval`), then what a kind's
//! schema must be: `schema` (the whole, level by level), `lists` (one of its parts), `structural` with
//! `junctors` (that every value has one type), `defaults`, `formats`, and `walk` (every schema inside a
//! schema).

mod approval;
mod columns;
mod conversion;
mod defaults;
mod formats;
mod junctors;
mod lists;
mod names;
mod schema;
mod spec;
mod structural;
mod subresources;
mod walk;

use serde_json::Value;

use super::checks::immutable;
use super::field::{Error, ErrorList, Path};
use crate::meta;
use crate::value::{flag, list, part, text, texts};
use spec::{Asked, Spec};

/// What is wrong with a `CustomResourceDefinition`.
pub fn definition(object: &Value) -> ErrorList {
    let (mut errors, spec) = (ErrorList::new(), part(object, "spec"));
    let name = meta::name(object);
    if name != format!("{}.{}", text(part(spec, "names"), "plural"), text(spec, "group")) {
        errors.push(Error::invalid("metadata.name", name, "must be spec.names.plural+\".\"+spec.group"));
    }
    spec::check(&mut errors, &Spec::new(spec), &Asked::of_new());
    status(&mut errors, object);
    approval::check(&mut errors, object, None);
    preserved_fields(&mut errors, object);
    errors
}

/// What is wrong with a changed `CustomResourceDefinition`.
pub fn definition_update(new: &Value, old: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let (spec, old_spec) = (part(new, "spec"), part(old, "spec"));
    spec::check(&mut errors, &Spec::new(spec), &Asked::of_changed(spec, old));
    let path = Path::new("spec");
    let names = path.child("names");
    let name_of = |spec, field| part(part(spec, "names"), field);
    if is_established(old) {
        // Where objects are stored, and as what, depends on these.
        immutable(&mut errors, &path.child("scope"), part(spec, "scope"), part(old_spec, "scope"));
        immutable(&mut errors, &names.child("kind"), name_of(spec, "kind"), name_of(old_spec, "kind"));
    }
    immutable(&mut errors, &path.child("group"), part(spec, "group"), part(old_spec, "group"));
    immutable(&mut errors, &names.child("plural"), name_of(spec, "plural"), name_of(old_spec, "plural"));
    status(&mut errors, new);
    approval::check(&mut errors, new, Some(old));
    if !flag(old_spec, "preserveUnknownFields") {
        preserved_fields(&mut errors, new);
    }
    errors
}

/// What is wrong with a `CustomResourceDefinition`'s changed status.
pub fn definition_status(new: &Value, _old: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    names::check(&mut errors, &Path::new("status").child("acceptedNames"), part(part(new, "status"), "acceptedNames"));
    errors
}

/// What the writer of a definition should know although it is allowed.
pub fn warnings(object: &Value) -> Vec<String> {
    formats::warnings(&Spec::new(part(object, "spec")))
}

/// Whether the kind is served.
fn is_established(definition: &Value) -> bool {
    let conditions = list(part(definition, "status"), "conditions");
    conditions.iter().any(|found| text(found, "type") == "Established" && text(found, "status") == "True")
}

/// The names that were accepted, and the versions in which objects are stored.
fn status(errors: &mut ErrorList, object: &Value) {
    let (path, status) = (Path::new("status"), part(object, "status"));
    names::check(errors, &path.child("acceptedNames"), part(status, "acceptedNames"));
    let (path, versions) = (path.child("storedVersions"), list(part(object, "spec"), "versions"));
    let stored = part(status, "storedVersions");
    if list(status, "storedVersions").is_empty() {
        return errors.push(Error::invalid(path, stored.clone(), "must have at least one stored version"));
    }
    let is_stored = |name: &str| texts(status, "storedVersions").any(|stored| stored == name);
    for version in versions.iter().filter(|version| flag(version, "storage")) {
        let name = text(version, "name");
        if !is_stored(name) {
            errors.push(Error::invalid(&path, stored.clone(), format!("must have the storage version {name}")));
        }
    }
    for (index, name) in texts(status, "storedVersions").enumerate() {
        if versions.iter().all(|version| text(version, "name") != name) {
            let detail = format!(
                "missing from spec.versions; {name} was previously a storage version, and must remain in spec.versions until a storage migration ensures no data remains persisted in {name} and removes {name} from status.storedVersions"
            );
            errors.push(Error::invalid(path.index(index), name, detail));
        }
    }
}

fn preserved_fields(errors: &mut ErrorList, object: &Value) {
    if flag(part(object, "spec"), "preserveUnknownFields") {
        let detail =
            "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead";
        errors.push(Error::invalid("spec.preserveUnknownFields", true, detail));
    }
}

#[cfg(test)]
mod tests;
