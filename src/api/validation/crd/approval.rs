//! Kubernetes' own groups are Kubernetes' own: a kind in one says where it was approved.

use serde_json::Value;

use super::super::field::{Error, ErrorList, Path, quote};
use crate::meta;
use crate::value::{part, text};

const ANNOTATION: &str = "api-approved.kubernetes.io";

#[derive(Clone, Copy, Eq, PartialEq)]
enum Approval {
    Missing,
    Bypassed,
    Given,
    Invalid,
}

/// A definition in a protected group is approved, or was not before either.
pub(super) fn check(errors: &mut ErrorList, new: &Value, old: Option<&Value>) {
    let group = text(part(new, "spec"), "group");
    let is_in = |domain: &str| group == domain || group.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'));
    if !(is_in("k8s.io") || is_in("kubernetes.io")) {
        return;
    }
    let approval = approval(new);
    if old.is_some_and(|old| self::approval(old) == approval) {
        return;
    }
    let path = Path::new("metadata").child("annotations").key(ANNOTATION);
    let see = "see https://github.com/kubernetes/enhancements/pull/1111";
    let must = format!("protected groups must have approval annotation {}", quote(ANNOTATION));
    match approval {
        Approval::Missing => errors.push(Error::required(path, format!("{must}, {see}"))),
        Approval::Invalid => {
            let detail = format!("{must} with either a URL or a reason starting with \"unapproved\", {see}");
            errors.push(Error::invalid(path, meta::annotation(new, ANNOTATION).unwrap_or_default(), detail));
        }
        Approval::Bypassed | Approval::Given => {}
    }
}

fn approval(definition: &Value) -> Approval {
    match meta::annotation(definition, ANNOTATION).unwrap_or_default() {
        "" => Approval::Missing,
        text if text.starts_with("unapproved") => Approval::Bypassed,
        text if has_host(text) => Approval::Given,
        _ => Approval::Invalid,
    }
}

/// Whether it is a URL with a scheme and a host.
fn has_host(url: &str) -> bool {
    let is_scheme = |scheme: &str| {
        scheme.starts_with(|first: char| first.is_ascii_alphabetic())
            && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
    };
    url.split_once("://").is_some_and(|(scheme, rest)| {
        let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
        is_scheme(scheme) && !host.is_empty() && !host.contains(' ')
    })
}
