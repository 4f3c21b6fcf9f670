//! The conditions of a namespace that is being emptied: a pure function of what was found.
//!
//! Types, reasons and messages are upstream's (`pkg/controller/namespace/deletion/status_condition_utils.go`), since
//! people search for them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::NamespaceCondition;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// What one look at a namespace has found.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Findings {
    /// Why the server does not tell what kinds there are.
    pub(super) discovery_failed: Option<String>,
    /// Why contents could not be deleted.
    pub(super) failures: Vec<String>,
    /// How many objects are left, by resource.
    remaining: BTreeMap<String, usize>,
    /// How many objects wait, by finalizer.
    finalizers: BTreeMap<String, usize>,
}

impl Findings {
    /// Whether nothing is left, for sure.
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    pub(super) fn remain(&mut self, resource: &str, count: usize) {
        if count > 0 {
            *self.remaining.entry(resource.to_owned()).or_default() += count;
        }
    }

    pub(super) fn wait_for(&mut self, finalizer: &str) {
        *self.finalizers.entry(finalizer.to_owned()).or_default() += 1;
    }
}

/// The conditions that a namespace shall have; `None` where it has them, or never had any and needs none.
pub(super) fn plan(
    known: &[NamespaceCondition],
    findings: &Findings,
    now: Timestamp,
) -> Option<Vec<NamespaceCondition>> {
    if known.is_empty() && findings.is_empty() {
        return None;
    }
    let wanted = wanted(findings);
    let same = |wanted: &NamespaceCondition| {
        known.iter().find(|known| known.type_ == wanted.type_).filter(|known| known.status == wanted.status)
    };
    let is_known = |wanted: &NamespaceCondition| {
        same(wanted).is_some_and(|known| known.reason == wanted.reason && known.message == wanted.message)
    };
    if wanted.iter().all(is_known) {
        return None;
    }
    let dated = wanted.into_iter().map(|wanted| {
        let since = same(&wanted).and_then(|known| known.last_transition_time.clone());
        NamespaceCondition { last_transition_time: Some(since.unwrap_or(Time(now))), ..wanted }
    });
    Some(dated.collect())
}

fn wanted(findings: &Findings) -> Vec<NamespaceCondition> {
    let mut failures = findings.failures.clone();
    failures.sort();
    let failed = (!failures.is_empty())
        .then(|| format!("Failed to delete all resource types, {} remaining: {}", failures.len(), failures.join(", ")));
    let remaining: Vec<String> = findings
        .remaining
        .iter()
        .map(|(resource, count)| format!("{resource} has {count} resource instances"))
        .collect();
    let finalizers: Vec<String> =
        findings.finalizers.iter().map(|(name, count)| format!("{name} in {count} resource instances")).collect();
    let some = |what: &str, list: &[String]| {
        (!list.is_empty()).then(|| format!("Some {what} are remaining: {}", list.join(", ")))
    };
    vec![
        condition(
            "NamespaceDeletionDiscoveryFailure",
            findings.discovery_failed.clone().map(|message| ("DiscoveryFailed", message)),
            ("ResourcesDiscovered", "All resources successfully discovered"),
        ),
        // Ours are never in a form that could not be parsed.
        condition(
            "NamespaceDeletionGroupVersionParsingFailure",
            None,
            ("ParsedGroupVersions", "All legacy kube types successfully parsed"),
        ),
        condition(
            "NamespaceDeletionContentFailure",
            failed.map(|message| ("ContentDeletionFailed", message)),
            ("ContentDeleted", "All content successfully deleted, may be waiting on finalization"),
        ),
        condition(
            "NamespaceContentRemaining",
            some("resources", &remaining).map(|message| ("SomeResourcesRemain", message)),
            ("ContentRemoved", "All content successfully removed"),
        ),
        condition(
            "NamespaceFinalizersRemaining",
            some("finalizers", &finalizers).map(|message| ("SomeFinalizersRemain", message)),
            ("ContentRemoved", "All content successfully removed"),
        ),
    ]
}

/// A condition that is true where there is a problem.
fn condition(kind: &str, problem: Option<(&str, String)>, fine: (&str, &str)) -> NamespaceCondition {
    let status = if problem.is_some() { "True" } else { "False" };
    let (reason, message) = problem.unwrap_or_else(|| (fine.0, fine.1.to_owned()));
    NamespaceCondition {
        type_: kind.to_owned(),
        status: status.to_owned(),
        reason: Some(reason.to_owned()),
        message: Some(message),
        last_transition_time: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    /// `reason message` of each condition that is true.
    fn problems(conditions: &[NamespaceCondition]) -> Vec<String> {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let problems = conditions.iter().filter(|condition| condition.status == "True");
        problems.map(|condition| format!("{} {}", text(&condition.reason), text(&condition.message))).collect()
    }

    #[test]
    fn what_is_left_is_told_in_the_words_of_upstream() {
        let mut findings = Findings { failures: vec!["b".into(), "a".into()], ..Findings::default() };
        findings.remain("pods.", 2);
        findings.remain("leases.coordination.k8s.io", 1);
        findings.remain("secrets.", 0);
        findings.wait_for("example.com/hold");
        let conditions = plan(&[], &findings, at(1)).unwrap();
        assert_eq!(conditions.len(), 5);
        assert_eq!(
            problems(&conditions),
            [
                "ContentDeletionFailed Failed to delete all resource types, 2 remaining: a, b",
                "SomeResourcesRemain Some resources are remaining: leases.coordination.k8s.io has 1 resource \
                 instances, pods. has 2 resource instances",
                "SomeFinalizersRemain Some finalizers are remaining: example.com/hold in 1 resource instances",
            ]
        );
    }

    #[test]
    fn conditions_are_written_when_they_change_and_keep_their_time_otherwise() {
        let mut findings = Findings::default();
        assert_eq!(plan(&[], &findings, at(1)), None);
        findings.remain("pods.", 2);
        let first = plan(&[], &findings, at(1)).unwrap();
        assert_eq!(plan(&first, &findings, at(2)), None);

        findings.remain("pods.", 1);
        let second = plan(&first, &findings, at(2)).unwrap();
        assert_eq!(second[3].last_transition_time, Some(Time(at(1))));
        let third = plan(&second, &Findings::default(), at(3)).unwrap();
        assert_eq!(third[3].last_transition_time, Some(Time(at(3))));
        assert!(problems(&third).is_empty());
    }
}
