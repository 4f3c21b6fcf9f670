//! The style guide as a test: a rule that is not run is a wish.
//!
//! Each rule is a function from the tree to a list of complaints, and each complaint names the place and what to do.
//! The house's floors and edges stand here a second time (the first is design's, told in `src/lib.rs`), so that a new
//! edge in a manifest is a decision and not a line.

#![expect(clippy::unwrap_used, reason = "a tree that cannot be read fails the test")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// No file of code is longer; from 400 lines on it should have a reason.
const FILE_LINES_MAX: usize = 800;

/// No function is longer.
const FUNCTION_LINES_MAX: usize = 70;

/// Files that may name `unsafe`: the loading of compiled code, which has its argument beside it.
const UNSAFE_FILES: [&str; 1] = ["src/runtime/code/cache.rs"];

/// What each floor may see. `minke`, the roof, sees all.
const EDGES: [(&str, &[&str]); 13] = [
    ("base", &[]),
    ("api", &["base"]),
    ("network", &["base"]),
    ("tunnel", &["base"]),
    ("store", &["base"]),
    ("images", &["base"]),
    ("client", &["api", "base"]),
    ("runtime", &["base", "network"]),
    ("apiserver", &["api", "base", "images", "store", "tunnel"]),
    ("controllers", &["api", "base", "client"]),
    ("scheduler", &["api", "base", "client"]),
    ("kubelet", &["api", "base", "client", "images", "network", "runtime", "tunnel"]),
    ("cli", &["api", "base", "client", "images"]),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The floors that are built, with what they may see.
fn floors() -> impl Iterator<Item = (&'static str, &'static [&'static str])> {
    EDGES.into_iter().filter(|(floor, _)| manifest_path(floor).exists())
}

fn manifest_path(floor: &str) -> PathBuf {
    root().join("src").join(floor).join("Cargo.toml")
}

fn manifest(floor: &str) -> String {
    fs::read_to_string(manifest_path(floor)).unwrap()
}

/// Every `.rs` file of the project with its text, by its path from the root.
fn sources() -> Vec<(String, String)> {
    let mut found = Vec::new();
    for folder in ["src", "tests", "workloads"] {
        collect(&root().join(folder), &mut found);
    }
    found.sort();
    assert!(found.len() > 50, "only {} source files found: is the walk broken?", found.len());
    found
}

fn collect(folder: &Path, found: &mut Vec<(String, String)>) {
    let Ok(listing) = fs::read_dir(folder) else { return };
    for path in listing.map(|file| file.unwrap().path()) {
        if path.is_dir() && !path.ends_with("target") {
            collect(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
            found.push((name, fs::read_to_string(&path).unwrap()));
        }
    }
}

fn none(complaints: &[String]) {
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

#[test]
fn every_file_begins_by_saying_what_it_is_for() {
    let silent = sources().into_iter().filter(|(_, text)| !text.starts_with("//!") && !text.starts_with("#!["));
    none(&silent.map(|(name, _)| format!("{name}: begin with a `//!` that says its purpose")).collect::<Vec<_>>());
}

#[test]
fn every_file_is_in_a_module() {
    let texts: BTreeMap<String, String> = sources().into_iter().collect();
    let is_root = |name: &str| ["lib.rs", "main.rs", "mod.rs"].iter().any(|root| name.ends_with(root));
    let modules =
        texts.keys().filter(|name| name.starts_with("src/") && !is_root(name) && !name.contains("/examples/"));
    let is_named = |name: &str| {
        let (folder, module) = name.trim_end_matches(".rs").rsplit_once('/').unwrap();
        let line = format!("mod {module};");
        let above = ["/mod.rs", "/lib.rs", "/main.rs", ".rs"].map(|root| format!("{folder}{root}"));
        above
            .iter()
            .filter_map(|name| texts.get(name))
            .flat_map(|text| text.lines())
            .any(|it| it.trim().ends_with(&line))
    };
    let lost = modules.filter(|name| !is_named(name));
    none(&lost.map(|name| format!("{name}: no `mod` names it, so nothing compiles it")).collect::<Vec<_>>());
}

#[test]
fn no_file_is_too_long_to_read() {
    let long = sources().into_iter().map(|(name, text)| (name, text.lines().count()));
    let long = long.filter(|(_, lines)| *lines > FILE_LINES_MAX);
    none(&long.map(|(name, lines)| format!("{name}: {lines} lines, split it by concept")).collect::<Vec<_>>());
}

#[test]
fn no_function_is_too_long_to_see() {
    let complaints: Vec<String> = sources().iter().flat_map(|(name, text)| long_functions(name, text)).collect();
    none(&complaints);
}

/// Functions by rustfmt's layout: from the line of `fn` to the brace that closes at its own indentation.
fn long_functions(name: &str, text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.lines().collect();
    let mut complaints = Vec::new();
    for (start, line) in lines.iter().enumerate() {
        let code = line.trim_start();
        let words: Vec<&str> = code.split(' ').collect();
        let is_function = words.iter().take(5).any(|word| *word == "fn") && !code.starts_with("//");
        if !is_function {
            continue;
        }
        let indent = " ".repeat(line.len() - code.len());
        let close = format!("{indent}}}");
        let length = lines.iter().skip(start).position(|line| *line == close).map_or(0, |length| length + 1);
        if length > FUNCTION_LINES_MAX && !line.ends_with(';') {
            complaints.push(format!("{name}:{}: a function of {length} lines, pull a step out of it", start + 1));
        }
    }
    complaints
}

#[test]
fn floors_see_only_what_the_house_allows() {
    let mut complaints = Vec::new();
    let known: BTreeSet<&str> = EDGES.iter().map(|(floor, _)| *floor).collect();
    for (floor, allowed) in floors() {
        for line in manifest(floor).lines() {
            let dependency = line.split(['.', ' ', '=']).next().unwrap_or_default();
            if known.contains(dependency) && !allowed.contains(&dependency) {
                complaints.push(format!("src/{floor}/Cargo.toml: `{floor} → {dependency}` is no edge of the house"));
            }
        }
    }
    let built: BTreeSet<String> = fs::read_dir(root().join("src"))
        .unwrap()
        .map(|file| file.unwrap().path())
        .filter(|path: &PathBuf| path.is_dir() && path.join("Cargo.toml").exists())
        .map(|path| path.file_name().unwrap().to_string_lossy().into_owned())
        .collect();
    for floor in built.iter().filter(|floor| !known.contains(floor.as_str())) {
        complaints.push(format!("src/{floor}: a floor that the house does not know"));
    }
    none(&complaints);
}

#[test]
fn versions_and_lints_stand_in_one_place() {
    let mut complaints = Vec::new();
    for (floor, _) in floors() {
        let path = format!("src/{floor}/Cargo.toml");
        let manifest = manifest(floor);
        let dependencies = manifest.split_once("[dependencies]").map_or("", |(_, rest)| rest);
        let owned = dependencies.lines().filter(|line| line.contains('=') && !line.contains("workspace = true"));
        let owned = owned.filter(|line| !line.trim_start().starts_with('#'));
        complaints.extend(owned.map(|line| format!("{path}: `{line}` belongs into [workspace.dependencies]")));
        if !manifest.contains("[lints]\nworkspace = true") {
            complaints.push(format!("{path}: add `[lints] workspace = true`"));
        }
    }
    none(&complaints);
}

#[test]
fn nothing_unfinished_is_left_behind() {
    // Put together here, so that this file does not complain about itself.
    let marks = [["TO", "DO"].concat(), ["FIX", "ME"].concat(), ["XX", "X:"].concat(), ["dbg", "!("].concat()];
    let mut complaints = Vec::new();
    for (name, text) in sources() {
        for (number, line) in text.lines().enumerate() {
            if marks.iter().any(|mark| line.contains(mark.as_str())) {
                complaints.push(format!("{name}:{}: finish it or write an issue: {}", number + 1, line.trim()));
            }
        }
    }
    none(&complaints);
}

#[test]
fn tests_neither_hide_nor_sleep() {
    let ignored = ["#[", "ignore"].concat();
    let mut complaints = Vec::new();
    for (name, text) in sources() {
        for (number, line) in text.lines().enumerate() {
            if line.trim_start().starts_with(&ignored) {
                complaints.push(format!("{name}:{}: a test that nobody runs", number + 1));
            }
            if line.contains("thread::sleep") && name.starts_with("tests/cluster") {
                complaints.push(format!("{name}:{}: wait for the fact, not for time", number + 1));
            }
        }
    }
    none(&complaints);
}

#[test]
fn unsafe_code_is_where_it_has_its_argument() {
    let mut complaints = Vec::new();
    for (name, text) in sources() {
        let expects = text.lines().filter(|line| line.contains("unsafe_code")).count();
        if expects > 0 && !UNSAFE_FILES.contains(&name.as_str()) && name != "tests/tidy.rs" {
            complaints.push(format!("{name}: `unsafe` stands only in {UNSAFE_FILES:?}"));
        }
    }
    none(&complaints);
}

#[test]
fn pure_floors_do_no_io_and_read_no_clock() {
    let banned = ["std::fs", "std::net::Tcp", "std::env", "tokio::", "clock::now", "SystemTime"];
    let mut complaints = Vec::new();
    for (name, text) in sources() {
        if !(name.starts_with("src/api/") || name.starts_with("src/network/")) {
            continue;
        }
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        for (number, line) in code.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//")) {
            complaints.extend(banned.iter().filter(|word| line.contains(*word)).map(|word| {
                format!("{name}:{}: `{word}`: this floor is pure, take the value as an argument", number + 1)
            }));
        }
    }
    none(&complaints);
}

#[test]
fn only_runtime_names_wasmtime_and_only_apiserver_opens_the_store() {
    let mut complaints = Vec::new();
    for (floor, _) in floors() {
        let manifest = manifest(floor);
        if floor != "runtime" && manifest.lines().any(|line| line.starts_with("wasmtime")) {
            complaints.push(format!("src/{floor}/Cargo.toml: only `runtime` may know wasmtime"));
        }
        if floor != "store" && manifest.lines().any(|line| line.starts_with("redb")) {
            complaints.push(format!("src/{floor}/Cargo.toml: only `store` may know redb"));
        }
    }
    none(&complaints);
}

#[test]
fn the_version_of_wasmtime_that_nodes_tell_is_the_one_that_they_run() {
    let lock = fs::read_to_string(root().join("Cargo.lock")).unwrap();
    let locked = lock.split_once("name = \"wasmtime\"\nversion = \"").unwrap().1.split('"').next().unwrap();
    let runtime = fs::read_to_string(root().join("src/runtime/lib.rs")).unwrap();
    let told = runtime.split_once("WASMTIME_VERSION: &str = \"").unwrap().1.split('"').next().unwrap();
    assert_eq!(told, locked, "src/runtime/lib.rs: WASMTIME_VERSION");
}
