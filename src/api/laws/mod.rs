//! What always holds, as functions of bytes: each makes something of its bytes and panics when a law is broken.
//!
//! The fuzzers of `fuzz/` look for bytes that break a law; the tests here try each law on the seeds of `fuzz/seeds`, on
//! what becomes of them with a few random changes, and on random bytes. What a fuzzer finds becomes a seed.
//!
//! A law about text reads it from its bytes as it stands. A law about objects lets its bytes choose, step by step, what
//! the objects are (`made`).

#![allow(clippy::expect_used, clippy::indexing_slicing, reason = "a law that is broken panics")]

mod cel;
#[cfg(test)]
pub(crate) mod dice;
pub(crate) mod made;
mod patches;
mod protobuf;
mod text;

pub use cel::cel;
pub use patches::patches;
pub use protobuf::protobuf;
pub use text::{quantities, selectors, tokens};

pub use crate::managed::history::apply;

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::dice::Dice;

    /// How many inputs each law is tried on, beside the seeds.
    const ROUNDS: u64 = 2_000;

    /// How long random bytes are.
    const BYTES_MAX: usize = 300;

    /// What a law was tried on, told when it panics.
    struct Tried<'a> {
        what: String,
        bytes: &'a [u8],
    }

    impl Drop for Tried<'_> {
        fn drop(&mut self) {
            if std::thread::panicking() {
                eprintln!("broken by {}: b\"{}\"", self.what, self.bytes.escape_ascii());
            }
        }
    }

    /// Tries a law; its seeds and words are those of the fuzzer of the same name.
    fn holds(name: &str, law: fn(&[u8]), seed: u64) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz");
        let mut files: Vec<_> =
            std::fs::read_dir(folder.join("seeds").join(name)).unwrap().map(|file| file.unwrap().path()).collect();
        files.sort();
        let seeds: Vec<Vec<u8>> = files.iter().map(|file| std::fs::read(file).unwrap()).collect();
        let words = std::fs::read_to_string(folder.join("words").join(format!("{name}.dict"))).unwrap_or_default();
        // A line of a dictionary is `"word"`; escapes are for fuzzers alone.
        let words: Vec<&str> = words.lines().filter_map(|line| line.strip_prefix('"')?.strip_suffix('"')).collect();
        for (file, bytes) in files.iter().zip(&seeds) {
            try_one(law, format!("the seed {}", file.display()), bytes);
        }
        for round in 0..ROUNDS {
            let mut dice = Dice(seed.wrapping_mul(ROUNDS).wrapping_add(round));
            let bytes = if seeds.is_empty() || dice.roll(4) == 0 {
                random(&mut dice, &words)
            } else {
                mutant(&mut dice, &seeds, &words)
            };
            try_one(law, format!("round {round} of seed {seed}"), &bytes);
        }
    }

    fn try_one(law: fn(&[u8]), what: String, bytes: &[u8]) {
        let _tried = Tried { what, bytes };
        law(bytes);
    }

    fn random(dice: &mut Dice, words: &[&str]) -> Vec<u8> {
        if words.is_empty() {
            let length = dice.below(BYTES_MAX);
            return dice.bytes(length);
        }
        let space = dice.pick(&["", " "]);
        (0..=dice.below(12)).map(|_| dice.pick(words)).collect::<Vec<_>>().join(space).into_bytes()
    }

    /// A seed with a few changes.
    fn mutant(dice: &mut Dice, seeds: &[Vec<u8>], words: &[&str]) -> Vec<u8> {
        let mut bytes = seeds[dice.below(seeds.len())].clone();
        for _ in 0..=dice.below(4) {
            let start = dice.below(bytes.len() + 1);
            let end = start + dice.below((bytes.len() - start).min(12) + 1);
            let put = match dice.roll(5) {
                0 => dice.bytes(1),
                1 => bytes[start..end].repeat(2),
                2 if !words.is_empty() => dice.pick(words).as_bytes().to_vec(),
                3 => {
                    let other = &seeds[dice.below(seeds.len())];
                    let from = dice.below(other.len() + 1);
                    other[from..from + dice.below((other.len() - from).min(40) + 1)].to_vec()
                }
                _ => Vec::new(),
            };
            bytes.splice(start..end, put);
        }
        bytes
    }

    #[test]
    fn patched_objects_are_json_and_patches_do_not_depend_on_what_they_meet() {
        holds("patches", super::patches, 1);
    }

    #[test]
    fn who_applies_gets_what_they_say_and_owns_it() {
        holds("apply", super::apply, 2);
    }

    #[test]
    fn selectors_print_as_what_selects_the_same() {
        holds("selectors", super::selectors, 3);
    }

    #[test]
    fn quantities_print_as_what_they_are() {
        holds("quantities", super::quantities, 4);
    }

    #[test]
    fn tokens_lead_nowhere_out_of_their_list() {
        holds("tokens", super::tokens, 5);
    }

    #[test]
    fn expressions_are_refused_or_run_within_their_budget() {
        holds("cel", super::cel, 6);
    }

    #[test]
    fn what_protobuf_reads_is_written_and_comes_back() {
        holds("protobuf", super::protobuf, 7);
    }
}
