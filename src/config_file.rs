//! Flags from a file: `--config FILE`.
//!
//! The file is a YAML mapping from a flag's long name to its value. Its entries become arguments, unless the command line
//! or the environment has the flag already; so a value in the file is read, checked and complained of as any other.

use std::ffi::OsString;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};
use serde_json::Value;

/// The largest file, in bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// The arguments, with those of the file that they name.
///
/// # Errors
/// When the file cannot be read, or has a key that is no flag of the command.
pub fn extend(command: &Command, arguments: Vec<OsString>) -> Result<Vec<OsString>> {
    let mut command = command.clone();
    command.build();
    // Errors are left to the reading that follows, which knows the whole line.
    let Ok(matches) = command.clone().ignore_errors(true).try_get_matches_from(&arguments) else {
        return Ok(arguments);
    };
    let Some((name, matches)) = matches.subcommand() else { return Ok(arguments) };
    let Ok(Some(path)) = matches.try_get_one::<std::path::PathBuf>("config") else { return Ok(arguments) };
    let Some(command) = command.find_subcommand(name) else { return Ok(arguments) };
    let further = read(path)
        .and_then(|entries| flags(command, matches, &entries))
        .with_context(|| format!("--config {}", path.display()))?;
    let end = arguments.iter().position(|argument| argument == "--").unwrap_or(arguments.len());
    let mut extended = arguments;
    extended.splice(end..end, further);
    Ok(extended)
}

fn read(path: &Path) -> Result<Vec<(String, Value)>> {
    let size = std::fs::metadata(path)?.len();
    if size > FILE_BYTES_MAX {
        bail!("it has {size} bytes, and at most {FILE_BYTES_MAX} are read");
    }
    let parsed = api::decode::parse_yaml(&std::fs::read(path)?).map_err(|error| anyhow::anyhow!("{error}"))?;
    if let Some(twice) = parsed.duplicates.first() {
        bail!("the key {twice} stands there twice");
    }
    match parsed.value {
        Value::Object(entries) => Ok(entries.into_iter().collect()),
        Value::Null => Ok(Vec::new()),
        _ => bail!("it must be a mapping from flags to values, such as `listen: 127.0.0.1:6443`"),
    }
}

/// The entries as arguments, without those that were given in a way that wins.
fn flags(command: &Command, given: &ArgMatches, entries: &[(String, Value)]) -> Result<Vec<OsString>> {
    let mut flags = Vec::new();
    for (key, value) in entries {
        let known = || command.get_arguments().filter(|flag| flag.get_long().is_some_and(|long| long != "config"));
        let Some(flag) = known().find(|flag| flag.get_long() == Some(key)) else {
            let mut names: Vec<&str> = known().filter_map(Arg::get_long).collect();
            names.sort_unstable();
            bail!("there is no flag {key:?} here; there are {}", names.join(", "));
        };
        let is_given = |source| matches!(source, ValueSource::CommandLine | ValueSource::EnvVariable);
        if !given.value_source(flag.get_id().as_str()).is_some_and(is_given) {
            flags.extend(spelled(key, flag, value)?.into_iter().map(OsString::from));
        }
    }
    Ok(flags)
}

/// One entry as arguments.
fn spelled(key: &str, flag: &Arg, value: &Value) -> Result<Vec<String>> {
    let is_switch = matches!(flag.get_action(), ArgAction::SetTrue);
    Ok(match value {
        Value::Bool(on) if is_switch => on.then(|| format!("--{key}")).into_iter().collect(),
        Value::String(text) if !is_switch => vec![format!("--{key}={text}")],
        Value::Number(number) if !is_switch => vec![format!("--{key}={number}")],
        Value::Array(values) if matches!(flag.get_action(), ArgAction::Append) => {
            let nested = values.iter().map(|value| spelled(key, flag, value)).collect::<Result<Vec<_>>>()?;
            nested.into_iter().flatten().collect()
        }
        other => bail!("the value {other} does not fit the flag {key:?}"),
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::Arguments;

    fn extended(file: &str, line: &str) -> Result<Vec<String>, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("minke.yaml");
        std::fs::write(&path, file).unwrap();
        let line = line.replace("FILE", &path.display().to_string());
        let arguments = line.split(' ').map(OsString::from).collect();
        let extended = extend(&Arguments::command(), arguments).map_err(|error| format!("{error:#}"))?;
        let extended = extended.into_iter().map(|argument| argument.into_string().unwrap());
        Ok(extended.filter(|argument| !argument.starts_with("--config")).collect())
    }

    #[test]
    fn entries_become_flags_and_the_command_line_wins() {
        let file = "listen: 127.0.0.1:7000\ntls-san: [a, b]\nmax-pods: 5\nlog-level: debug\n";
        let found = extended(file, "minke up --config=FILE --max-pods 7").unwrap();
        let expected = [
            "minke",
            "up",
            "--max-pods",
            "7",
            "--listen=127.0.0.1:7000",
            "--log-level=debug",
            "--tls-san=a",
            "--tls-san=b",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_key_that_is_no_flag_is_refused_with_those_that_are() {
        let refused = extended("listn: 127.0.0.1:7000\n", "minke up --config=FILE").unwrap_err();
        assert!(refused.contains("there is no flag \"listn\" here; there are "), "{refused}");
        assert!(refused.contains("listen"), "{refused}");
        let refused = extended("listen: {a: b}\n", "minke up --config=FILE").unwrap_err();
        assert!(refused.contains("does not fit the flag \"listen\""), "{refused}");
    }
}
