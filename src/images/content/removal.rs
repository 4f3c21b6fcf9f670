//! What goes when space is short: a pure function of the index.
//!
//! Content that nothing names goes first, then whole images, those that can be pulled again before those that were
//! pushed here, each time the least recently used first. An image goes as a whole, never one of its blobs alone. What
//! live pods name, what is pinned, and what is too young to have been named yet stays.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::{Duration, SystemTime};

use super::Target;
use super::state::{State, charge};
use crate::digest::Digest;
use crate::reference::{Reference, RepositoryName};

/// Content that nothing names yet stays this long: between a layer's upload and its manifest's lie seconds, on slow
/// links minutes.
pub(super) const UNNAMED_LIFE: Duration = Duration::from_hours(1);

/// What is to be removed.
#[derive(Debug, Default, Eq, PartialEq)]
pub(super) struct Removal {
    pub(super) roots: Vec<RootId>,
    pub(super) blobs: Vec<Digest>,
}

/// Something that names content.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(super) enum RootId {
    /// A pulled image, by its reference.
    Pulled(String),
    /// A manifest of a repository.
    Manifest(RepositoryName, Digest),
}

struct Root {
    id: RootId,
    used: SystemTime,
    blobs: Vec<Digest>,
    /// Other roots that are broken without this one: the indexes that list a manifest.
    dependents: Vec<RootId>,
}

/// Chooses what to remove so that `excess` bytes become free; `None` when that much cannot be had. `asked` is in use
/// beside what the index knows to be.
pub(super) fn plan(state: &State, asked: &BTreeSet<Reference>, excess: u64, now: SystemTime) -> Option<Removal> {
    let mut removal = Removal::default();
    let mut freed = 0;
    let roots = roots(state);
    let mut names: HashMap<&Digest, u32> = HashMap::new();
    for digest in roots.iter().flat_map(|root| &root.blobs) {
        *names.entry(digest).or_default() += 1;
    }

    let mut unnamed: Vec<_> = state
        .blobs
        .iter()
        .filter(|(digest, blob)| blob.pins == 0 && !names.contains_key(digest) && blob.used + UNNAMED_LIFE <= now)
        .collect();
    unnamed.sort_unstable_by(|(a, one), (b, other)| (one.used, a).cmp(&(other.used, b)));
    for (digest, blob) in unnamed {
        if freed >= excess {
            break;
        }
        freed += charge(blob.size_bytes);
        removal.blobs.push(digest.clone());
    }

    let kept = kept(state, asked, &roots);
    let mut removable: Vec<&Root> = roots.iter().filter(|root| !kept.contains(&root.id)).collect();
    removable.sort_unstable_by_key(|root| (matches!(root.id, RootId::Manifest(..)), root.used, root.id.clone()));
    let by_id: HashMap<&RootId, &Root> = removable.iter().map(|root| (&root.id, *root)).collect();
    let mut gone: HashSet<&RootId> = HashSet::new();
    for root in &removable {
        if freed >= excess {
            break;
        }
        let dependents = root.dependents.iter().filter_map(|id| by_id.get(id).copied());
        for root in std::iter::once(*root).chain(dependents) {
            if !gone.insert(&root.id) {
                continue;
            }
            removal.roots.push(root.id.clone());
            for digest in &root.blobs {
                let Some(count) = names.get_mut(digest) else { continue };
                *count -= 1;
                if let (0, Some(blob)) = (*count, state.blobs.get(digest)) {
                    freed += charge(blob.size_bytes);
                    removal.blobs.push(digest.clone());
                }
            }
        }
    }
    (freed >= excess).then_some(removal)
}

fn roots(state: &State) -> Vec<Root> {
    let pulled = state.pulled.iter().map(|(reference, pulled)| Root {
        id: RootId::Pulled(reference.clone()),
        used: pulled.used,
        blobs: pulled.blobs(),
        dependents: Vec::new(),
    });
    let pushed = state.repositories.iter().flat_map(|(name, repository)| {
        repository.manifests.iter().map(|(digest, manifest)| {
            // A set, since an image may list one layer twice and is still one root.
            let blobs: BTreeSet<_> = manifest.blobs.iter().chain([digest]).cloned().collect();
            let lists_it = repository.manifests.iter().filter(|(_, other)| other.manifests.contains(digest));
            Root {
                id: RootId::Manifest(name.clone(), digest.clone()),
                used: manifest.used,
                blobs: blobs.into_iter().collect(),
                dependents: lists_it.map(|(index, _)| RootId::Manifest(name.clone(), index.clone())).collect(),
            }
        })
    });
    pulled.chain(pushed).collect()
}

/// The roots that must stay: those that live pods name, those with pinned content, and what an index among them lists.
fn kept(state: &State, asked: &BTreeSet<Reference>, roots: &[Root]) -> HashSet<RootId> {
    let mut kept = HashSet::new();
    let is_pinned =
        |root: &&Root| root.blobs.iter().any(|digest| state.blobs.get(digest).is_some_and(|blob| blob.pins > 0));
    kept.extend(roots.iter().filter(is_pinned).map(|root| root.id.clone()));
    for reference in state.in_use.iter().chain(asked) {
        kept.insert(RootId::Pulled(reference.to_string()));
        if reference.is_built_in()
            && let Some(repository) = state.repositories.get(reference.repository())
            && let Some(target) = Target::parse(&reference.target())
            && let Some(digest) = repository.resolve(&target)
        {
            kept.insert(RootId::Manifest(reference.repository().clone(), digest.clone()));
        }
    }
    // An index keeps its manifests. Registries do not nest indexes, so one step is enough.
    let listed: Vec<RootId> = kept
        .iter()
        .filter_map(|id| match id {
            RootId::Manifest(name, digest) => Some((name, state.repositories.get(name)?.manifests.get(digest)?)),
            RootId::Pulled(_) => None,
        })
        .flat_map(|(name, manifest)| manifest.manifests.iter().map(|it| RootId::Manifest(name.clone(), it.clone())))
        .collect();
    kept.extend(listed);
    kept
}

#[cfg(test)]
mod tests {
    use super::super::pulled::Pulled;
    use super::super::state::{CHARGE_MIN, ManifestState};
    use super::*;
    use crate::config::ImageConfig;

    fn at(hours: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_hours(hours)
    }

    fn digest(name: &str) -> Digest {
        Digest::of(name.as_bytes())
    }

    /// An index in which each blob counts one unit: [`CHARGE_MIN`] bytes.
    #[derive(Default)]
    struct Model {
        state: State,
        asked: BTreeSet<Reference>,
    }

    impl Model {
        fn blob(&mut self, name: &str, hours: u64) -> Digest {
            self.state.add_blob(digest(name), 1, at(hours));
            digest(name)
        }

        fn pulled(mut self, reference: &str, wasm: &str, hours: u64) -> Self {
            let wasm = self.blob(wasm, hours);
            let reference = Reference::parse(reference).unwrap().to_string();
            let pulled = Pulled {
                reference: reference.clone(),
                manifest_digest: digest("manifest"),
                wasm,
                size_bytes: 1,
                config: ImageConfig::default(),
                used: at(hours),
            };
            self.state.pulled.insert(reference, pulled);
            self
        }

        fn pushed(mut self, name: &str, tag: &str, layers: &[&str], hours: u64) -> Self {
            let blobs = layers.iter().map(|layer| self.blob(layer, hours)).collect();
            self.manifest(name, tag, blobs, Vec::new(), hours)
        }

        fn index(self, name: &str, tag: &str, tags: &[&str], hours: u64) -> Self {
            let manifests = tags.iter().map(|tag| digest(&format!("{name}:{tag}"))).collect();
            self.manifest(name, tag, Vec::new(), manifests, hours)
        }

        fn manifest(mut self, name: &str, tag: &str, blobs: Vec<Digest>, manifests: Vec<Digest>, hours: u64) -> Self {
            let own = self.blob(&format!("{name}:{tag}"), hours);
            let repository = self.state.repositories.entry(RepositoryName::parse(name).unwrap()).or_default();
            let media_type = String::new();
            let manifest = ManifestState { media_type, blobs, manifests, subject: None, used: at(hours) };
            repository.manifests.insert(own.clone(), manifest);
            repository.tags.insert(tag.to_owned(), own);
            self
        }

        fn in_use(mut self, reference: &str) -> Self {
            self.state.in_use.insert(Reference::parse(reference).unwrap());
            self
        }

        fn asked(mut self, reference: &str) -> Self {
            self.asked.insert(Reference::parse(reference).unwrap());
            self
        }

        fn pinned(mut self, name: &str) -> Self {
            self.state.pin(&digest(name));
            self
        }

        /// The names of blobs that go, sorted, when `units` are wanted at hour 100.
        fn check(&self, units: u64, expected: Option<&[&str]>) {
            let removal = plan(&self.state, &self.asked, units * CHARGE_MIN, at(100));
            let mut found = removal.map(|removal| removal.blobs);
            let mut expected = expected.map(|names| names.iter().map(|name| digest(name)).collect::<Vec<_>>());
            for digests in [&mut found, &mut expected].into_iter().flatten() {
                digests.sort();
            }
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn the_least_recently_used_goes_first_and_no_more_than_needed() {
        let model = Model::default().pulled("a", "A", 3).pulled("b", "B", 1).pulled("c", "C", 2);
        model.check(0, Some(&[]));
        model.check(1, Some(&["B"]));
        model.check(2, Some(&["B", "C"]));
        model.check(4, None);
    }

    #[test]
    fn what_nothing_names_goes_before_images_once_it_is_old_enough() {
        let mut model = Model::default().pulled("a", "A", 1);
        model.blob("old", 50);
        model.blob("young", 100);
        model.check(1, Some(&["old"]));
        model.check(2, Some(&["old", "A"]));
        model.check(3, None);
    }

    #[test]
    fn what_can_be_pulled_again_goes_before_what_was_pushed() {
        let model = Model::default().pushed("ns/x", "1", &["X"], 1).pulled("a", "A", 9);
        model.check(1, Some(&["A"]));
        model.check(2, Some(&["A", "X", "ns/x:1"]));
    }

    #[test]
    fn what_a_live_pod_names_never_goes() {
        let model = Model::default()
            .pushed("ns/x", "1", &["X"], 1)
            .pulled("docker.io/a/b:2", "B", 1)
            .in_use("registry.minke.local/ns/x:1")
            .asked("a/b:2");
        model.check(1, None);
    }

    #[test]
    fn a_pin_keeps_the_whole_image() {
        let model = Model::default().pushed("ns/x", "1", &["X", "config"], 1).pinned("X");
        model.check(1, None);
    }

    #[test]
    fn content_of_two_images_goes_with_the_second() {
        let model = Model::default().pulled("a", "same", 1).pulled("b", "same", 2).pulled("c", "C", 3);
        model.check(1, Some(&["same"]));
        let model = model.in_use("b");
        model.check(1, Some(&["C"]));
    }

    #[test]
    fn an_index_in_use_keeps_its_manifests_and_otherwise_goes_with_one_of_them() {
        let model = Model::default().pushed("ns/x", "wasm", &["X"], 1).index("ns/x", "all", &["wasm"], 5);
        model.check(1, Some(&["X", "ns/x:wasm", "ns/x:all"]));
        model.in_use("registry.minke.local/ns/x:all").check(1, None);
    }
}
