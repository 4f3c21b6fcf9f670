//! Whether rules that somebody holds cover rules that they want to give.

use std::collections::BTreeMap;
use std::fmt;

use super::{ALL, Rule, is_path, is_resource};

/// A right that is wanted and not held: a rule of one verb on one resource (of one name), or on one path.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Right {
    group: String,
    resource: String,
    name: Option<String>,
    path: String,
    verb: String,
}

/// Rights that are wanted and not held, told as upstream tells them: a line for each resource, with all its verbs.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Missing(Vec<Rule>);

/// What of `wanted` none of `held` allows; `None` when that is nothing.
#[must_use]
pub fn missing(held: &[Rule], wanted: &[Rule]) -> Option<Missing> {
    let rights = wanted.iter().flat_map(rights).filter(|right| !held.iter().any(|rule| covers(rule, right)));
    // One rule a resource and name, or a path, with the verbs that are missing on it.
    let mut by_target: BTreeMap<Right, Vec<String>> = BTreeMap::new();
    for mut right in rights {
        let verb = std::mem::take(&mut right.verb);
        let verbs = by_target.entry(right).or_default();
        if !verbs.contains(&verb) {
            verbs.push(verb);
        }
    }
    let rules: Vec<Rule> = by_target.into_iter().map(|(target, verbs)| target.with(verbs)).collect();
    (!rules.is_empty()).then_some(Missing(rules))
}

fn rights(rule: &Rule) -> Vec<Right> {
    let mut rights = Vec::new();
    for verb in &rule.verbs {
        let right = |group: &str, resource: &str, name: Option<&String>, path: &str| Right {
            group: group.to_owned(),
            resource: resource.to_owned(),
            name: name.cloned(),
            path: path.to_owned(),
            verb: verb.clone(),
        };
        for path in &rule.non_resource_urls {
            rights.push(right("", "", None, path));
        }
        for group in &rule.api_groups {
            for resource in &rule.resources {
                match rule.resource_names.is_empty() {
                    true => rights.push(right(group, resource, None, "")),
                    false => {
                        rights.extend(rule.resource_names.iter().map(|name| right(group, resource, Some(name), "")));
                    }
                }
            }
        }
    }
    rights
}

/// Whether a rule holds a right. The right's own `*` is held by a `*` alone.
fn covers(rule: &Rule, right: &Right) -> bool {
    let has = |words: &[String], word: &str| words.iter().any(|found| found == ALL || found == word);
    if !has(&rule.verbs, &right.verb) {
        return false;
    }
    if !right.path.is_empty() {
        return rule.non_resource_urls.iter().any(|held| is_path(held, &right.path));
    }
    let (resource, subresource) = right.resource.split_once('/').unwrap_or((&right.resource, ""));
    let names = &rule.resource_names;
    has(&rule.api_groups, &right.group)
        && rule.resources.iter().any(|held| *held == right.resource || is_resource(held, resource, subresource))
        && (names.is_empty() || right.name.as_ref().is_some_and(|name| names.contains(name)))
}

impl Right {
    fn with(self, verbs: Vec<String>) -> Rule {
        let some = |text: String| if text.is_empty() { Vec::new() } else { vec![text] };
        let is_path = !self.path.is_empty();
        Rule {
            verbs,
            api_groups: if is_path { Vec::new() } else { vec![self.group] },
            resources: some(self.resource),
            resource_names: self.name.into_iter().collect(),
            non_resource_urls: some(self.path),
        }
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines: Vec<String> = self.0.iter().map(told).collect();
        lines.sort();
        f.write_str(&lines.join("\n"))
    }
}

/// A rule as Go prints it, without what it leaves open.
fn told(rule: &Rule) -> String {
    let parts = [
        ("APIGroups", &rule.api_groups),
        ("Resources", &rule.resources),
        ("ResourceNames", &rule.resource_names),
        ("NonResourceURLs", &rule.non_resource_urls),
        ("Verbs", &rule.verbs),
    ];
    let named = parts.into_iter().filter(|(_, words)| !words.is_empty()).map(|(name, words)| {
        let words: Vec<String> = words.iter().map(|word| format!("{word:?}")).collect();
        format!("{name}:[{}]", words.join(" "))
    });
    format!("{{{}}}", named.collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn check(held: Value, wanted: Value, expected: Option<&str>) {
        let rules = |value: Value| serde_json::from_value::<Vec<Rule>>(value).unwrap();
        let found = missing(&rules(held), &rules(wanted)).map(|missing| missing.to_string());
        assert_eq!(found.as_deref(), expected);
    }

    #[test]
    fn rules_cover_what_they_allow() {
        let pods = json!([{"verbs": ["get", "list"], "apiGroups": [""], "resources": ["pods"]}]);
        check(json!([{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}]), pods.clone(), None);
        check(
            json!([{"verbs": ["get", "list", "watch"], "apiGroups": [""], "resources": ["pods", "nodes"]}]),
            pods.clone(),
            None,
        );
        let halves = json!([{"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}, {"verbs": ["list"], "apiGroups": [""], "resources": ["pods"]}]);
        check(halves, pods.clone(), None);
        check(
            json!([{"verbs": ["get"], "apiGroups": [""], "resources": ["pods"], "resourceNames": ["a"]}]),
            pods.clone(),
            Some(r#"{APIGroups:[""], Resources:["pods"], Verbs:["get" "list"]}"#),
        );
        check(
            json!([]),
            json!([{"verbs": ["get"], "nonResourceURLs": ["/healthz"]}]),
            Some(r#"{NonResourceURLs:["/healthz"], Verbs:["get"]}"#),
        );
        check(
            json!([{"verbs": ["get"], "nonResourceURLs": ["/health*"]}]),
            json!([{"verbs": ["get"], "nonResourceURLs": ["/healthz"]}]),
            None,
        );
        check(
            pods,
            json!([{"verbs": ["get"], "apiGroups": [""], "resources": ["*"]}]),
            Some(r#"{APIGroups:[""], Resources:["*"], Verbs:["get"]}"#),
        );
    }
}
