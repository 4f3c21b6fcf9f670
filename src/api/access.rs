//! Rights: what a rule of a role allows, and whether one set of rules holds all of another.
//!
//! As upstream's `pkg/apis/rbac/v1` (`VerbMatches` and its kin) and `component-helpers/auth/rbac/validation`.

mod cover;

use serde::{Deserialize, Serialize};

pub use cover::{Missing, missing};

/// Anything, in a rule.
const ALL: &str = "*";

/// A rule of a role: verbs on resources, or on paths that name no object.
#[derive(Clone, Debug, Default, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Rule {
    /// What may be done.
    pub verbs: Vec<String>,
    /// To resources of these groups.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub api_groups: Vec<String>,
    /// To these resources; `pods/log` is a subresource, `*/scale` one of any resource.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<String>,
    /// To objects of these names; none means any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub resource_names: Vec<String>,
    /// To these paths; a `*` at the end stands for anything.
    #[serde(rename = "nonResourceURLs", skip_serializing_if = "Vec::is_empty")]
    pub non_resource_urls: Vec<String>,
}

/// What somebody wants to do to a resource.
#[derive(Clone, Copy, Debug)]
pub struct Wish<'a> {
    /// `get`, `escalate`, …
    pub verb: &'a str,
    /// The API group.
    pub group: &'a str,
    /// The plural.
    pub resource: &'a str,
    /// The subresource; empty for none.
    pub subresource: &'a str,
    /// The object's name; empty where none is named.
    pub name: &'a str,
}

impl Rule {
    /// Whether the rule allows this.
    #[must_use]
    pub fn allows(&self, wish: &Wish<'_>) -> bool {
        has(&self.verbs, wish.verb)
            && has(&self.api_groups, wish.group)
            && self.resources.iter().any(|resource| is_resource(resource, wish.resource, wish.subresource))
            && (self.resource_names.is_empty() || self.resource_names.iter().any(|name| name == wish.name))
    }

    /// Whether the rule allows `verb` on a path that names no object.
    #[must_use]
    pub fn allows_path(&self, verb: &str, path: &str) -> bool {
        has(&self.verbs, verb) && self.non_resource_urls.iter().any(|rule| is_path(rule, path))
    }
}

fn has(words: &[String], word: &str) -> bool {
    words.iter().any(|found| found == ALL || found == word)
}

fn is_resource(rule: &str, resource: &str, subresource: &str) -> bool {
    match rule.split_once('/') {
        _ if rule == ALL => true,
        Some((of, part)) => !subresource.is_empty() && part == subresource && (of == ALL || of == resource),
        None => subresource.is_empty() && rule == resource,
    }
}

fn is_path(rule: &str, path: &str) -> bool {
    rule == ALL
        || rule == path
        || rule.strip_suffix('*').is_some_and(|start| path.starts_with(start.trim_end_matches('*')))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn a_rule_allows_what_it_names() {
        let check =
            |resources: &[&str], names: &[&str], (resource, subresource, name): (&str, &str, &str), expected: bool| {
                let rule = Rule {
                    verbs: words(&["get"]),
                    api_groups: words(&["apps"]),
                    resources: words(resources),
                    resource_names: words(names),
                    ..Rule::default()
                };
                let wish = Wish { verb: "get", group: "apps", resource, subresource, name };
                assert_eq!(rule.allows(&wish), expected, "{rule:?} {wish:?}");
                assert!(!rule.allows(&Wish { verb: "list", ..wish }));
                assert!(!rule.allows(&Wish { group: "", ..wish }));
            };
        check(&["deployments"], &[], ("deployments", "", "d"), true);
        check(&["deployments"], &[], ("deployments", "scale", "d"), false);
        check(&["deployments/scale"], &[], ("deployments", "scale", "d"), true);
        check(&["*/scale"], &[], ("deployments", "scale", "d"), true);
        check(&["*/scale"], &[], ("deployments", "", "d"), false);
        check(&["*"], &[], ("deployments", "scale", "d"), true);
        check(&["deployments"], &["d"], ("deployments", "", "d"), true);
        check(&["deployments"], &["d"], ("deployments", "", ""), false);
    }

    #[test]
    fn a_rule_of_paths_ends_in_a_star_or_is_exact() {
        let rule =
            Rule { verbs: words(&["get"]), non_resource_urls: words(&["/api/*", "/version"]), ..Rule::default() };
        for (path, expected) in [("/api/v1", true), ("/api", false), ("/version", true), ("/version/", false)] {
            assert_eq!(rule.allows_path("get", path), expected, "{path}");
        }
        assert!(!rule.allows_path("post", "/version"));
    }
}
