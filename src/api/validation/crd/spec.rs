//! What a definition says of its kind.
//!
//! Upstream checks a form of its own, in which what all versions say alike stands beside them: an error in the schema of
//! the only version is at `spec.validation`. [`Spec`] shows a definition so.

use std::collections::HashSet;

use serde_json::Value;

use super::super::field::{Error, ErrorList, Path};
use super::{columns, conversion, defaults, is_established, lists, names, schema, structural, subresources};
use super::{walk, walk::is_typed};
use crate::cel::{
    self,
    rules::{CostLimit, field_path},
};
use crate::names as names_rules;
use crate::value::{flag, has, list, part, text, texts};

/// Fields of a version that stand beside the versions when all say the same.
const SHARED: [&str; 4] = ["subresources", "schema", "additionalPrinterColumns", "selectableFields"];
/// Fields by which objects of a kind can be selected at most, as upstream.
const SELECTABLE_FIELDS_MAX: usize = 8;
/// Bytes in the warning of a deprecated version, as upstream.
const WARNING_BYTES_MAX: usize = 256;

/// A definition's spec in upstream's form.
pub(super) struct Spec<'s> {
    pub(super) spec: &'s Value,
    pub(super) versions: &'s [Value],
    /// Which of [`SHARED`] stand beside the versions.
    shared: Vec<&'static str>,
}

static NOTHING: Value = Value::Null;

impl<'s> Spec<'s> {
    pub(super) fn new(spec: &'s Value) -> Self {
        let versions = list(spec, "versions");
        let is_shared = |field: &&str| {
            let first = versions.first().map(|version| part(version, field));
            versions.iter().all(|version| Some(part(version, field)) == first)
        };
        let shared = if versions.is_empty() { vec![] } else { SHARED.into_iter().filter(is_shared).collect() };
        Self { spec, versions, shared }
    }

    /// A field that stands beside the versions; null where they differ in it.
    pub(super) fn beside(&self, field: &str) -> &'s Value {
        let first = self.versions.first().filter(|_| self.shared.contains(&field));
        first.map_or(&NOTHING, |version| part(version, field))
    }

    /// A version's own field; null where all say the same.
    pub(super) fn own(&self, version: &'s Value, field: &str) -> &'s Value {
        if self.shared.contains(&field) { &NOTHING } else { part(version, field) }
    }

    /// Every schema: what is checked once is here once.
    pub(super) fn schemas(&self) -> impl Iterator<Item = &'s Value> {
        let beside = std::iter::once(self.beside("schema"));
        let all = beside.chain(self.versions.iter().map(|version| self.own(version, "schema")));
        all.map(|schema| part(schema, "openAPIV3Schema")).filter(|schema| !schema.is_null())
    }

    /// Whether there is a schema in which some schema is so.
    pub(super) fn has_schema(&self, is_so: fn(&Value) -> bool) -> bool {
        self.schemas().any(|schema| walk::any(schema, is_so))
    }
}

/// What is asked of a definition. What its predecessor did not satisfy either is not asked of an update.
pub(super) struct Asked {
    pub(super) known_review_version: bool,
    pub(super) schemas: bool,
    pub(super) valid_types: bool,
    pub(super) structural: bool,
    pub(super) pruned_defaults: bool,
    pub(super) atomic_sets: bool,
    pub(super) keyed_lists: bool,
    pub(super) valid_ca: bool,
    pub(super) rule_costs: CostLimit,
    /// Versions that may have too many selectable fields; empty for what stands beside them.
    many_fields: HashSet<String>,
}

/// Whether each rule of a schema is within its limit.
fn has_cheap_rules(schema: &Value) -> bool {
    let path = Path::default();
    let wrong = |limit| cel::rules::check(schema, &path, limit).len();
    wrong(CostLimit::Each) == wrong(CostLimit::All)
}

impl Asked {
    /// Everything, but for authorities: whether those are valid is asked once the kind is served.
    pub(super) fn of_new() -> Self {
        Self {
            known_review_version: true,
            schemas: true,
            valid_types: true,
            structural: true,
            pruned_defaults: true,
            atomic_sets: true,
            keyed_lists: true,
            valid_ca: false,
            rule_costs: CostLimit::Each,
            many_fields: HashSet::new(),
        }
    }

    pub(super) fn of_changed(new: &Value, old: &Value) -> Self {
        let old_spec = Spec::new(part(old, "spec"));
        let webhook = part(part(old_spec.spec, "conversion"), "webhook");
        let bundle = text(part(webhook, "clientConfig"), "caBundle");
        Self {
            known_review_version: list(webhook, "conversionReviewVersions").is_empty()
                || texts(webhook, "conversionReviewVersions").any(conversion::is_known),
            schemas: old_spec.versions.iter().all(|version| has(part(version, "schema"), "openAPIV3Schema")),
            valid_types: !old_spec.has_schema(|schema| !is_typed(schema)),
            structural: old_spec.schemas().all(structural::is_structural),
            pruned_defaults: old_spec.schemas().all(defaults::are_pruned),
            rule_costs: if old_spec.schemas().all(has_cheap_rules) { CostLimit::Each } else { CostLimit::All },
            atomic_sets: !old_spec.has_schema(lists::is_set_of_parts),
            keyed_lists: !old_spec.has_schema(|schema| !lists::has_keys(schema)),
            valid_ca: is_established(old) && (bundle.is_empty() || conversion::is_bundle(bundle)),
            many_fields: many_fields(&Spec::new(new), &old_spec),
        }
    }
}

/// Versions that had too many selectable fields before, and have the same now.
fn many_fields(new: &Spec<'_>, old: &Spec<'_>) -> HashSet<String> {
    const FIELDS: &str = "selectableFields";
    let is_same = |new: &Value, old: &Value| {
        new == old && old.as_array().is_some_and(|fields| fields.len() > SELECTABLE_FIELDS_MAX)
    };
    let mut found = HashSet::new();
    if is_same(new.beside(FIELDS), old.beside(FIELDS)) {
        found.insert(String::new());
    }
    for version in new.versions {
        let name = text(version, "name");
        let before = old.versions.iter().find(|old| text(old, "name") == name);
        if before.is_some_and(|before| is_same(new.own(version, FIELDS), old.own(before, FIELDS))) {
            found.insert(name.to_owned());
        }
    }
    found
}

/// All that is wrong with a spec.
pub(super) fn check(errors: &mut ErrorList, spec: &Spec<'_>, asked: &Asked) {
    let path = Path::new("spec");
    group(errors, &path.child("group"), text(spec.spec, "group"));
    enumerated(errors, &path.child("scope"), text(spec.spec, "scope"), &["Cluster", "Namespaced"]);
    let preserves = flag(spec.spec, "preserveUnknownFields");
    for (index, version) in spec.versions.iter().enumerate() {
        let at = path.child("versions").index(index).child("schema").child("openAPIV3Schema");
        if !has(part(version, "schema"), "openAPIV3Schema") {
            match (asked.schemas, preserves, flag(version, "served")) {
                (true, _, _) => errors.push(Error::required(at, "")),
                (false, false, true) => errors.push(Error::required(at, "because otherwise all fields are pruned")),
                (false, _, _) => {}
            }
        }
    }
    let has_defaults = spec.has_schema(|schema| has(schema, "default"));
    if has_defaults && preserves {
        let detail = "must be false in order to use defaults in the schema";
        errors.push(Error::invalid(path.child("preserveUnknownFields"), true, detail));
    }
    let is_structural = !preserves || asked.structural || has_defaults || spec.has_schema(walk::has_extensions);
    let checked = schema::Checked { asked, is_structural };
    versions(errors, &path.child("versions"), spec, &checked);
    let names = path.child("names");
    for field in ["plural", "singular", "kind", "listKind"] {
        if text(part(spec.spec, "names"), field).is_empty() {
            errors.push(Error::required(names.child(field), ""));
        }
    }
    names::check(errors, &names, part(spec.spec, "names"));
    shared(errors, &path, spec, &checked);
    conversion::check(errors, &path.child("conversion"), spec.spec, asked);
}

fn group(errors: &mut ErrorList, path: &Path, group: &str) {
    let wrong = names_rules::subdomain(group);
    if group.is_empty() {
        errors.push(Error::required(path, ""));
    } else if !wrong.is_empty() {
        errors.push(Error::invalid(path, group, wrong.join(",")));
    } else if !group.contains('.') {
        errors.push(Error::invalid(path, group, "should be a domain with at least one dot"));
    }
}

/// A value that is set, to one of these.
pub(super) fn enumerated(errors: &mut ErrorList, path: &Path, value: &str, supported: &[&str]) {
    super::super::checks::one_of(errors, path, value, supported);
}

/// The versions, each with what is its own.
fn versions(errors: &mut ErrorList, path: &Path, spec: &Spec<'_>, checked: &schema::Checked<'_>) {
    let mut seen = HashSet::new();
    for (index, version) in spec.versions.iter().enumerate() {
        let (path, name) = (path.index(index), text(version, "name"));
        seen.insert(name);
        let wrong = names_rules::label_1035(name);
        if !wrong.is_empty() {
            errors.push(Error::invalid(path.child("name"), name, wrong.join(",")));
        }
        deprecation(errors, &path.child("deprecationWarning"), version);
        let has_status = has(part(version, "subresources"), "status");
        schema::check(errors, &path.child("schema"), spec.own(version, "schema"), has_status, checked);
        subresources::check(errors, &path.child("subresources"), spec.own(version, "subresources"));
        let own = |field: &str| spec.own(version, field);
        columns::check(errors, &path.child("additionalPrinterColumns"), own("additionalPrinterColumns"));
        let fields = SelectableFields {
            fields: own("selectableFields"),
            schema: own("schema"),
            missing: "may only be set when `version.schema.openAPIV3Schema` is not included",
            allows_many: checked.asked.many_fields.contains(name),
        };
        fields.check(errors, &path);
    }
    if seen.len() != spec.versions.len() {
        errors.push(Error::invalid(path, spec.versions.to_vec(), "must contain unique version names"));
    }
    if spec.versions.iter().filter(|version| flag(version, "storage")).count() != 1 {
        let detail = "must have exactly one version marked as storage version";
        let versions = if spec.versions.is_empty() { Value::Null } else { spec.versions.to_vec().into() };
        errors.push(Error::invalid(path, versions, detail));
    }
    // The first version has a place of its own in upstream's form.
    let first = spec.versions.first().map_or("", |version| text(version, "name"));
    let wrong = names_rules::label_1035(first);
    if !first.is_empty() && !wrong.is_empty() {
        errors.push(Error::invalid("spec.version", first, wrong.join(",")));
    }
}

/// What all versions say alike.
fn shared(errors: &mut ErrorList, path: &Path, spec: &Spec<'_>, checked: &schema::Checked<'_>) {
    let has_status = spec.versions.iter().any(|version| has(part(version, "subresources"), "status"));
    schema::check(errors, &path.child("validation"), spec.beside("schema"), has_status, checked);
    subresources::check(errors, &path.child("subresources"), spec.beside("subresources"));
    let columns = "additionalPrinterColumns";
    columns::check(errors, &path.child(columns), spec.beside(columns));
    let fields = SelectableFields {
        fields: spec.beside("selectableFields"),
        schema: spec.beside("schema"),
        missing: "may only be set when validations.schema is included",
        allows_many: checked.asked.many_fields.contains(""),
    };
    fields.check(errors, path);
}

fn deprecation(errors: &mut ErrorList, path: &Path, version: &Value) {
    let mut invalid = |detail: &str| errors.push(Error::invalid(path, text(version, "deprecationWarning"), detail));
    let warning = text(version, "deprecationWarning");
    match (has(version, "deprecationWarning"), flag(version, "deprecated")) {
        (false, _) => return,
        (true, false) => return invalid("can only be set for deprecated versions"),
        (true, true) => {}
    }
    if warning.len() > WARNING_BYTES_MAX {
        invalid("must be <= 256 characters long");
    }
    if warning.is_empty() {
        invalid("must not be an empty string");
    }
    if let Some((index, _)) = warning.char_indices().find(|(_, c)| c.is_control() || (c.is_whitespace() && *c != ' ')) {
        let detail = "must only contain printable UTF-8 characters; non-printable character found at index";
        invalid(&format!("{detail} {index}"));
    }
}

/// The fields by which objects can be selected.
struct SelectableFields<'s> {
    fields: &'s Value,
    /// The schema that has them.
    schema: &'s Value,
    /// What to say when there is no schema.
    missing: &'static str,
    allows_many: bool,
}

impl SelectableFields<'_> {
    fn check(&self, errors: &mut ErrorList, path: &Path) {
        let fields = self.fields.as_array().map_or(&[][..], Vec::as_slice);
        if fields.is_empty() {
            return;
        }
        let schema = part(self.schema, "openAPIV3Schema");
        if schema.is_null() {
            return errors.push(Error::invalid(path.child("selectableFields"), "", self.missing));
        }
        if let Err(why) = structural::supported(schema) {
            return errors.push(Error::invalid(path.child("schema").child("openAPIV3Schema"), "", why));
        }
        let path = path.child("selectableFields");
        let mut unique = HashSet::new();
        for (index, field) in fields.iter().enumerate() {
            let (at, said) = (path.index(index).child("jsonPath"), text(field, "jsonPath"));
            if said.is_empty() {
                errors.push(Error::required(at, ""));
                continue;
            }
            let found = match field_path::find(said, schema, false) {
                Ok(found) => found,
                Err(why) => {
                    errors.push(Error::invalid(at, said, format!("is an invalid path: {why}")));
                    continue;
                }
            };
            if found.path.as_str().split(['.', '[']).next() == Some("metadata") {
                errors.push(Error::invalid(&at, said, "must not point to fields in metadata"));
            }
            if !["string", "boolean", "integer"].contains(&text(found.schema, "type")) {
                let detail = "must point to a field of type string, boolean or integer. Enum string fields and strings with formats are allowed.";
                errors.push(Error::invalid(&at, said, detail));
            }
            if !unique.insert(String::from(found.path)) {
                errors.push(Error::duplicate(at, said));
            }
        }
        if unique.len() > SELECTABLE_FIELDS_MAX && !self.allows_many {
            errors.push(Error::too_many(path, unique.len(), SELECTABLE_FIELDS_MAX));
        }
    }
}
