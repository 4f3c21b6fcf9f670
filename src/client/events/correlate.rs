//! What becomes of a notice: a new Event, one more of a known one, or nothing. Pure but for what it remembers.
//!
//! The rules and numbers are those of client-go's `tools/record` (`events_cache.go`): ten different messages of one
//! kind within ten minutes are combined, the same message is counted up, and 25 Events about one object are the most
//! at once, after which one comes every five minutes.

use std::collections::BTreeSet;
use std::time::Duration;

use base::bucket::Bucket;
use base::clock::Instant;
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};

use super::recent::Recent;
use super::{Kind, Notice, Source};

/// So many different messages of one kind are told apart; the next ones are combined.
const SIMILAR_MAX: usize = 10;

/// Messages further apart than this are not similar.
const SIMILAR_WITHIN: Duration = Duration::from_secs(600);

/// So many Events about one object may come at once.
const BURST: f64 = 25.0;

/// So many Events about one object may come in a second after that: one in five minutes.
const RATE: f64 = 1.0 / 300.0;

/// The longest name of an object.
const NAME_BYTES_MAX: usize = 253;

/// What shall be written.
#[derive(Debug, PartialEq)]
pub(super) enum Verdict {
    /// A new Event.
    Create(core::Event),
    /// A known Event happened again: its count, its last time and its message changed.
    CountUp(core::Event),
    /// Nothing: there were too many.
    Drop,
}

/// What was told lately.
#[derive(Debug, Default)]
pub(super) struct Correlator {
    /// Messages by what they have in common.
    similar: Recent<Subject, Similar>,
    /// Events as last written.
    written: Recent<(Subject, Option<String>), Option<core::Event>>,
    /// What each object may still have told about it.
    room: Recent<(String, String, String), Option<Bucket>>,
}

/// What similar notices have in common.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
struct Subject {
    about: About,
    kind: Kind,
    reason: String,
}

/// The object, and the part of it, that a notice is about.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
struct About {
    kind: String,
    namespace: String,
    name: String,
    uid: String,
    part: String,
}

#[derive(Debug)]
struct Similar {
    messages: BTreeSet<String>,
    last: Instant,
}

impl Correlator {
    /// What becomes of `notice`, which came at `now`.
    pub(super) fn observe(&mut self, source: &Source, notice: &Notice, now: Instant) -> Verdict {
        let subject = Subject::of(notice);
        let object = (subject.about.kind.clone(), subject.about.namespace.clone(), subject.about.name.clone());
        let is_combined = self.is_one_of_many(&subject, notice, now);
        let key = (subject, (!is_combined).then(|| notice.message.clone()));

        let written = self.written.get_or_insert(&key, || None);
        let event = match written.as_ref() {
            Some(before) => again(before, notice, is_combined),
            None => new_event(source, notice, is_combined),
        };
        let is_known = written.replace(event.clone()).is_some();

        let bucket = self.room.get_or_insert(&object, || None).get_or_insert_with(|| Bucket::new(RATE, BURST, now));
        match (bucket.try_take(1.0, now), is_known) {
            (false, _) => Verdict::Drop,
            (true, true) => Verdict::CountUp(event),
            (true, false) => Verdict::Create(event),
        }
    }

    /// Whether there were so many different messages of this kind lately that they are combined now.
    fn is_one_of_many(&mut self, subject: &Subject, notice: &Notice, now: Instant) -> bool {
        let similar = self.similar.get_or_insert(subject, || Similar { messages: BTreeSet::new(), last: now });
        if now.saturating_duration_since(similar.last) > SIMILAR_WITHIN {
            similar.messages.clear();
        }
        similar.last = now;
        similar.messages.insert(notice.message.clone());
        let is_many = similar.messages.len() >= SIMILAR_MAX;
        if is_many {
            similar.messages.pop_first();
        }
        is_many
    }
}

impl Subject {
    fn of(notice: &Notice) -> Self {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let about = About {
            kind: text(&notice.about.kind),
            namespace: text(&notice.about.namespace),
            name: text(&notice.about.name),
            uid: text(&notice.about.uid),
            part: text(&notice.about.field_path),
        };
        Self { about, kind: notice.kind, reason: notice.reason.clone() }
    }
}

/// The Event `before`, happening once more.
fn again(before: &core::Event, notice: &Notice, is_combined: bool) -> core::Event {
    core::Event {
        count: before.count.map(|count| count.saturating_add(1)),
        last_timestamp: Some(seconds(notice)),
        message: Some(message(notice, is_combined)),
        ..before.clone()
    }
}

fn new_event(source: &Source, notice: &Notice, is_combined: bool) -> core::Event {
    let about = notice.about.clone();
    // Events about objects of the cluster lie where upstream's do.
    let namespace = about.namespace.clone().unwrap_or_else(|| "default".to_owned());
    let metadata = ObjectMeta {
        name: Some(name(about.name.as_deref().unwrap_or_default(), notice.at.as_nanosecond())),
        namespace: Some(namespace),
        ..ObjectMeta::default()
    };
    core::Event {
        metadata,
        involved_object: about,
        type_: Some(notice.kind.as_str().to_owned()),
        reason: Some(notice.reason.clone()),
        message: Some(message(notice, is_combined)),
        count: Some(1),
        first_timestamp: Some(seconds(notice)),
        last_timestamp: Some(seconds(notice)),
        source: Some(core::EventSource {
            component: Some(source.component.clone()),
            host: Some(source.host.clone()).filter(|host| !host.is_empty()),
        }),
        reporting_component: Some(source.component.clone()),
        reporting_instance: Some(source.host.clone()),
        ..core::Event::default()
    }
}

/// The object's name and a time, as upstream's; cut where it would be no name any more.
fn name(object: &str, nanoseconds: i128) -> String {
    let suffix = format!(".{nanoseconds:x}");
    let mut object = object.to_owned();
    while object.len() + suffix.len() > NAME_BYTES_MAX {
        object.pop();
    }
    format!("{}{suffix}", object.trim_end_matches(['.', '-']))
}

fn message(notice: &Notice, is_combined: bool) -> String {
    if is_combined { format!("(combined from similar events): {}", notice.message) } else { notice.message.clone() }
}

fn seconds(notice: &Notice) -> Time {
    Time(jiff::Timestamp::from_second(notice.at.as_second()).unwrap_or(notice.at))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notice(object: &str, message: &str) -> Notice {
        let about = core::ObjectReference {
            kind: Some("Pod".into()),
            namespace: Some("default".into()),
            name: Some(object.into()),
            ..core::ObjectReference::default()
        };
        let at = jiff::Timestamp::from_second(1_700_000_000).unwrap();
        Notice { about, kind: Kind::Normal, reason: "Pulled".into(), message: message.into(), at }
    }

    fn source() -> Source {
        Source { component: "kubelet".into(), host: "node-1".into() }
    }

    /// `new MESSAGE`, `COUNT MESSAGE` or `dropped`.
    fn shown(verdict: &Verdict) -> String {
        match verdict {
            Verdict::Create(event) => format!("new {}", event.message.as_deref().unwrap()),
            Verdict::CountUp(event) => format!("{} {}", event.count.unwrap(), event.message.as_deref().unwrap()),
            Verdict::Drop => "dropped".into(),
        }
    }

    #[test]
    fn the_same_event_counts_up_under_its_first_name() {
        let (mut correlator, now) = (Correlator::default(), Instant::now());
        let Verdict::Create(first) = correlator.observe(&source(), &notice("web", "pulled"), now) else {
            panic!("the first one is new");
        };
        assert_eq!(first.metadata.name.as_deref(), Some("web.17979cfe362a0000"));
        let Verdict::CountUp(second) = correlator.observe(&source(), &notice("web", "pulled"), now) else {
            panic!("the second one counts up");
        };
        assert_eq!((second.count, second.metadata.name), (Some(2), first.metadata.name));
        assert_eq!(shown(&correlator.observe(&source(), &notice("other", "pulled"), now)), "new pulled");
    }

    #[test]
    fn many_similar_events_are_combined_until_they_were_quiet() {
        let (mut correlator, now) = (Correlator::default(), Instant::now());
        let mut tell = |n: usize, at| shown(&correlator.observe(&source(), &notice("web", &format!("try {n}")), at));
        for n in 1..10 {
            assert_eq!(tell(n, now), format!("new try {n}"));
        }
        assert_eq!(tell(10, now), "new (combined from similar events): try 10");
        assert_eq!(tell(11, now), "2 (combined from similar events): try 11");
        assert_eq!(tell(12, now + SIMILAR_WITHIN * 2), "new try 12");
    }

    #[test]
    fn who_speaks_too_much_about_one_object_is_cut_short() {
        let (mut correlator, now) = (Correlator::default(), Instant::now());
        for _ in 0..25 {
            assert_ne!(correlator.observe(&source(), &notice("web", "pulled"), now), Verdict::Drop);
        }
        assert_eq!(shown(&correlator.observe(&source(), &notice("web", "pulled"), now)), "dropped");
        assert_eq!(shown(&correlator.observe(&source(), &notice("other", "pulled"), now)), "new pulled");
        let later = now + Duration::from_secs(301);
        assert_eq!(shown(&correlator.observe(&source(), &notice("web", "pulled"), later)), "27 pulled");
    }

    #[test]
    fn a_long_name_is_cut() {
        assert_eq!(name(&"a".repeat(253), 255).len(), NAME_BYTES_MAX);
        assert_eq!(name("web", 255), "web.ff");
    }
}
