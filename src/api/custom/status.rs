//! What a definition's status says: whether its names are free, and whether it is served (upstream's naming and
//! establishing controllers, as one function).

use std::cmp::Ordering;

use serde_json::{Map, Value, json};

use crate::meta;
use crate::value::{list, part, text};

/// Holds a definition until all its objects are gone.
pub const FINALIZER: &str = "customresourcecleanup.apiextensions.k8s.io";

/// Where upstream's own groups say who approved them.
const APPROVAL: &str = "api-approved.kubernetes.io";

/// Groups whose names are upstream's to give.
const PROTECTED: [&str; 2] = ["k8s.io", "kubernetes.io"];

/// Whether a condition of this type is true.
#[must_use]
pub fn is_true(definition: &Value, kind: &str) -> bool {
    condition(definition, kind).is_some_and(|condition| text(condition, "status") == "True")
}

/// The condition of this type.
#[must_use]
pub fn condition<'v>(definition: &'v Value, kind: &str) -> Option<&'v Value> {
    list(part(definition, "status"), "conditions").iter().find(|condition| text(condition, "type") == kind)
}

/// Whether a definition is served under all the names that it asks for, so that [`settled`] would change nothing.
#[must_use]
pub fn is_settled(definition: &Value) -> bool {
    let (wanted, accepted) =
        (part(part(definition, "spec"), "names"), part(part(definition, "status"), "acceptedNames"));
    let is_served = is_true(definition, "NamesAccepted") && is_true(definition, "Established");
    is_served && wanted == accepted && approval(definition).is_none()
}

/// `definition` with the status that it should have among `others` (all definitions, it may be among them), at `now`
/// (RFC 3339). The same where nothing is to be changed.
#[must_use]
pub fn settled(definition: &Value, others: &[&Value], now: &str) -> Value {
    let mut settled = definition.clone();
    let (accepted, verdict) = names(definition, others);
    meta::set_at(&mut settled, "/status/acceptedNames", accepted);
    let are_accepted = text(&verdict, "status") == "True";
    put(&mut settled, &verdict, now);
    // Once served, always served: what is stored must stay reachable.
    if !is_true(definition, "Established") {
        let established = if are_accepted {
            said("Established", true, "InitialNamesAccepted", "the initial names have been accepted")
        } else {
            said("Established", false, "NotAccepted", "not all names are accepted")
        };
        put(&mut settled, &established, now);
    }
    if let Some(approval) = approval(definition) {
        put(&mut settled, &approval, now);
    }
    settled
}

/// Says of a definition that it ends from `now` on (RFC 3339), as the answer to its deletion does.
pub fn begin_end(definition: &mut Value, now: &str) {
    let message = "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon";
    put(definition, &said("Terminating", true, "InstanceDeletionPending", message), now);
}

/// A condition without its time.
fn said(kind: &str, is_true: bool, reason: &str, message: &str) -> Value {
    json!({"type": kind, "status": if is_true { "True" } else { "False" }, "reason": reason, "message": message})
}

/// Sets a condition; its time is that of its last change of status.
pub fn put(definition: &mut Value, wanted: &Value, now: &str) {
    let old = condition(definition, text(wanted, "type"));
    let is_same =
        old.is_some_and(|old| ["status", "reason", "message"].iter().all(|field| old.get(field) == wanted.get(field)));
    if is_same {
        return;
    }
    let time =
        old.filter(|old| old.get("status") == wanted.get("status")).and_then(|old| old.get("lastTransitionTime"));
    let time = time.cloned().unwrap_or_else(|| now.into());
    let mut wanted = wanted.clone();
    meta::set_at(&mut wanted, "/lastTransitionTime", time);
    let mut conditions = list(part(definition, "status"), "conditions").to_vec();
    let kind = text(&wanted, "type").to_owned();
    match conditions.iter_mut().find(|condition| text(condition, "type") == kind) {
        Some(old) => *old = wanted,
        None => conditions.push(wanted),
    }
    meta::set_at(definition, "/status/conditions", conditions.into());
}

/// The names that are accepted, and the condition that says so. A name that another definition of the group has keeps
/// what it was before.
fn names(definition: &Value, others: &[&Value]) -> (Value, Value) {
    let spec = part(definition, "spec");
    let wanted = part(spec, "names");
    let before = part(part(definition, "status"), "acceptedNames");
    let mut taken = Taken::default();
    for other in others {
        let is_other = meta::name(other) != meta::name(definition);
        if is_other && text(part(other, "spec"), "group") == text(spec, "group") {
            taken.add(part(part(other, "status"), "acceptedNames"));
        }
    }
    let mut accepted = before.as_object().cloned().unwrap_or_default();
    let mut verdict = said("NamesAccepted", true, "NoConflicts", "no conflicts found");
    let mut refuse = |reason: &str, name: &str| {
        verdict = said("NamesAccepted", false, reason, &format!("{name:?} is already in use"));
    };
    for (field, reason) in [("plural", "PluralConflict"), ("singular", "SingularConflict")] {
        accept(&mut accepted, field, text(wanted, field), &taken.words, |name| refuse(reason, name));
    }
    short_names(&mut accepted, wanted, &taken, |name| refuse("ShortNamesConflict", name));
    for (field, reason) in [("kind", "KindConflict"), ("listKind", "ListKindConflict")] {
        accept(&mut accepted, field, text(wanted, field), &taken.kinds, |name| refuse(reason, name));
    }
    match wanted.get("categories") {
        Some(categories) => accepted.insert("categories".to_owned(), categories.clone()),
        None => accepted.remove("categories"),
    };
    (Value::Object(accepted), verdict)
}

/// What other definitions of a group are called.
#[derive(Default)]
struct Taken<'v> {
    words: Vec<&'v str>,
    kinds: Vec<&'v str>,
}

impl<'v> Taken<'v> {
    fn add(&mut self, names: &'v Value) {
        self.words.extend([text(names, "plural"), text(names, "singular")]);
        self.words.extend(list(names, "shortNames").iter().filter_map(Value::as_str));
        self.kinds.extend([text(names, "kind"), text(names, "listKind")]);
    }
}

fn accept(accepted: &mut Map<String, Value>, field: &str, name: &str, taken: &[&str], refuse: impl FnOnce(&str)) {
    if !name.is_empty() && taken.contains(&name) {
        refuse(name);
    } else {
        accepted.insert(field.to_owned(), name.into());
    }
}

fn short_names(accepted: &mut Map<String, Value>, wanted: &Value, taken: &Taken<'_>, mut refuse: impl FnMut(&str)) {
    let names = list(wanted, "shortNames");
    let conflicts: Vec<&str> =
        names.iter().filter_map(Value::as_str).filter(|name| taken.words.contains(name)).collect();
    if let Some(first) = conflicts.first() {
        refuse(first);
    } else if names.is_empty() {
        accepted.remove("shortNames");
    } else {
        accepted.insert("shortNames".to_owned(), names.to_vec().into());
    }
}

/// Whether a group of upstream's was approved; `None` for all others.
fn approval(definition: &Value) -> Option<Value> {
    let group = text(part(definition, "spec"), "group");
    let is_protected = PROTECTED.iter().any(|domain| group == *domain || group.ends_with(&format!(".{domain}")));
    let kind = "KubernetesAPIApprovalPolicyConformant";
    let approved = is_protected.then(|| meta::annotation(definition, APPROVAL).unwrap_or_default())?;
    Some(match approved {
        "" => said(
            kind,
            false,
            "MissingAnnotation",
            "protected groups must have approval annotation \"api-approved.kubernetes.io\", see https://github.com/kubernetes/enhancements/pull/1111",
        ),
        approved if approved.starts_with("unapproved") => {
            said(kind, false, "UnapprovedAnnotation", &format!("not approved: {approved:?}"))
        }
        approved => said(kind, true, "ApprovedAnnotation", &format!("approved in {approved}")),
    })
}

/// The order of versions: `v2` after `v1`, both after `v1beta2`, that after `v1alpha1`, and all after what is no such
/// version (upstream's `CompareKubeAwareVersionStrings`).
#[must_use]
pub fn compare_versions(one: &str, other: &str) -> Ordering {
    match (Version::parse(one), Version::parse(other)) {
        (Some(one), Some(other)) => one.cmp(&other),
        (Some(_), None) => Ordering::Greater,
        (None, Some(_)) => Ordering::Less,
        // Upstream shows the others in the order of the alphabet.
        (None, None) => other.cmp(one),
    }
}

/// The parts of a version, the weightiest first.
#[derive(Eq, Ord, PartialEq, PartialOrd)]
struct Version {
    maturity: u8,
    major: u64,
    minor: u64,
}

impl Version {
    fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix('v')?;
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let major = number(rest.get(..end)?)?;
        let rest = rest.get(end..)?;
        let staged = |word: &str, maturity: u8| {
            let minor = rest.strip_prefix(word)?;
            Some(Self { maturity, major, minor: number(minor)? })
        };
        match rest {
            "" => Some(Self { maturity: 2, major, minor: 0 }),
            _ => staged("beta", 1).or_else(|| staged("alpha", 0)),
        }
    }
}

fn number(digits: &str) -> Option<u64> {
    if digits.starts_with('0') { None } else { digits.parse().ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn definition(plural: &str, kind: &str, short: &[&str]) -> Value {
        json!({"metadata": {"name": format!("{plural}.example.com")}, "spec": {"group": "example.com",
            "names": {"plural": plural, "singular": kind.to_lowercase(), "kind": kind, "listKind": format!("{kind}List"), "shortNames": short}}})
    }

    #[test]
    fn a_definition_whose_names_are_free_is_established() {
        let settled = settled(&definition("crontabs", "CronTab", &["ct"]), &[], "t1");
        assert_eq!(settled["status"]["acceptedNames"]["shortNames"], json!(["ct"]));
        assert_eq!(
            settled["status"]["conditions"],
            json!([
                {"type": "NamesAccepted", "status": "True", "reason": "NoConflicts", "message": "no conflicts found", "lastTransitionTime": "t1"},
                {"type": "Established", "status": "True", "reason": "InitialNamesAccepted",
                    "message": "the initial names have been accepted", "lastTransitionTime": "t1"},
            ])
        );
        assert_eq!(super::settled(&settled, &[&settled], "t2"), settled, "it is settled");
    }

    #[test]
    fn a_name_that_another_has_is_not_accepted() {
        let first = settled(&definition("crontabs", "CronTab", &["ct"]), &[], "t1");
        let second = settled(&definition("cats", "Cat", &["ct"]), &[&first], "t2");
        assert_eq!(text(condition(&second, "NamesAccepted").unwrap(), "reason"), "ShortNamesConflict");
        assert_eq!(text(condition(&second, "NamesAccepted").unwrap(), "message"), "\"ct\" is already in use");
        assert_eq!(text(condition(&second, "Established").unwrap(), "reason"), "NotAccepted");
        let kind = settled(&definition("others", "CronTab", &[]), &[&first], "t2");
        assert_eq!(text(condition(&kind, "NamesAccepted").unwrap(), "reason"), "ListKindConflict");
    }

    #[test]
    fn groups_of_upstream_need_an_approval() {
        let mut definition = definition("crontabs", "CronTab", &[]);
        definition["spec"]["group"] = "x.k8s.io".into();
        let reason = |definition: &Value| {
            let settled = settled(definition, &[], "t");
            text(condition(&settled, "KubernetesAPIApprovalPolicyConformant").unwrap(), "reason").to_owned()
        };
        assert_eq!(reason(&definition), "MissingAnnotation");
        definition["metadata"]["annotations"] = json!({"api-approved.kubernetes.io": "https://example.com/1"});
        assert_eq!(reason(&definition), "ApprovedAnnotation");
        definition["metadata"]["annotations"] = json!({"api-approved.kubernetes.io": "unapproved, mine"});
        assert_eq!(reason(&definition), "UnapprovedAnnotation");
    }

    #[test]
    fn versions_are_ordered_by_maturity_and_age() {
        let mut versions =
            ["v1", "v11alpha2", "foo1", "v10", "v3beta1", "v12alpha1", "v2", "foo10", "v11beta2", "v10beta3"];
        versions.sort_by(|one, other| compare_versions(other, one));
        assert_eq!(
            versions,
            ["v10", "v2", "v1", "v11beta2", "v10beta3", "v3beta1", "v12alpha1", "v11alpha2", "foo1", "foo10"]
        );
    }
}
