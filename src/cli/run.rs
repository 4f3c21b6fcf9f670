//! `minke run`: a program becomes a pod.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Args;
use kube::api::DeleteParams;

use crate::attach::attach;
use crate::attend::Attended;
use crate::connect::{self, connect};
use crate::stage::{self, Stage};
use crate::terminal::Terminal;
use crate::token::letters;
use crate::upload;

/// Letters of a file's name that a pod's keeps, and random ones that follow.
const STEM_MAX: usize = 50;
const SUFFIX_LETTERS: usize = 5;

/// What a shell sees of a command that Ctrl-C ended.
const INTERRUPTED: u8 = 130;

/// Options of `minke run`.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// The program: WebAssembly in its binary or its text form.
    #[arg(value_name = "FILE.wasm|FILE.wat")]
    pub file: PathBuf,
    /// The name of the pod and of its artifact; the default is the file's with some letters more.
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// A variable of the program's environment; may be given several times.
    #[arg(long = "env", short, value_name = "NAME=VALUE")]
    pub environment: Vec<String>,
    /// Delete a pod of that name first.
    #[arg(long)]
    pub replace: bool,
    /// Delete the pod when its program is over.
    #[arg(long)]
    pub rm: bool,
    /// Pass this terminal's input on to the program.
    #[arg(long = "stdin", short = 'i')]
    pub stdin: bool,
    /// Tell the program that it has a terminal.
    #[arg(long = "tty", short = 't', requires = "stdin")]
    pub tty: bool,
    /// The server.
    #[command(flatten)]
    pub server: connect::Options,
    /// The program's arguments.
    #[arg(last = true, value_name = "ARGS")]
    pub arguments: Vec<String>,
}

/// Uploads the program, follows it and gives its exit code.
///
/// # Errors
/// When the server refuses it, or is not there.
pub async fn run(options: Options, home: Option<PathBuf>, terminal: &mut Terminal) -> Result<ExitCode> {
    let connection = connect(&options.server, home).await?;
    let name = options.name.clone().unwrap_or_else(|| name_of(&options.file, options.replace));
    let target = target(&options, &connection.namespace, &name);
    upload::upload(&connection, &options.file, &target, terminal).await?;
    let pod = Attended { connection: &connection, name: &name };
    let ended = tokio::select! {
        ended = attend(pod, &options, terminal) => Some(ended),
        interrupted = tokio::signal::ctrl_c() => interrupted.map(|()| None)?,
    };
    if options.rm {
        // Whoever interrupts again does not want to wait for a server that does not answer.
        tokio::select! {
            () = remove(pod, terminal) => {}
            _ = tokio::signal::ctrl_c() => {}
        }
    } else if ended.is_none() {
        terminal.tell(&format!("pod {name} goes on; see it with: {}", pod.kubectl("logs -f")));
    }
    ended.unwrap_or(Ok(ExitCode::from(INTERRUPTED)))
}

async fn attend(pod: Attended<'_>, options: &Options, terminal: &mut Terminal) -> Result<ExitCode> {
    let (stage, begun) = pod.begun(terminal).await?;
    if let Some(url) = stage::url(&begun) {
        if let Stage::Ended { why, .. } = stage {
            bail!("pod {} ended: {}", pod.name, why.unwrap_or_else(|| format!("see {}", pod.kubectl("logs"))));
        }
        terminal.say(&url)?;
        // With --rm the server lives as long as this command does.
        return if options.rm { pod.follow(terminal).await } else { Ok(ExitCode::SUCCESS) };
    }
    match stage {
        Stage::Runs if options.stdin => attach(pod, options.tty, terminal).await,
        _ => pod.follow(terminal).await,
    }
}

/// Deletes the pod. What the program ended with is the command's answer all the same.
async fn remove(pod: Attended<'_>, terminal: &mut Terminal) {
    match pod.pods().delete(pod.name, &DeleteParams::default()).await {
        Ok(_) => {}
        // Somebody else has deleted it.
        Err(kube::Error::Api(status)) if status.code == 404 => {}
        Err(error) => {
            let error = pod.connection.explain(error);
            terminal.tell(&format!("pod {} is still there, it could not be deleted: {error}", pod.name));
        }
    }
}

/// Where the program is sent: the path with what is asked for in its query.
fn target(options: &Options, namespace: &str, name: &str) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("fieldManager", "minke").append_pair("name", name);
    for (is_set, key) in [(options.replace, "replace"), (options.stdin, "stdin"), (options.tty, "tty")] {
        if is_set {
            query.append_pair(key, "true");
        }
    }
    for variable in &options.environment {
        query.append_pair("env", variable);
    }
    for argument in &options.arguments {
        query.append_pair("arg", argument);
    }
    format!("/apis/run.minke.dev/v1/namespaces/{namespace}/run?{}", query.finish())
}

/// A name for the pod out of the file's: the same each time where it replaces the one before, else a new one.
fn name_of(file: &Path, replace: bool) -> String {
    let stem = file.file_stem().unwrap_or_default().to_string_lossy().to_lowercase();
    let stem: String = stem.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' }).collect();
    let stem = stem.trim_matches('-');
    let stem = stem.get(..STEM_MAX).unwrap_or(stem).trim_end_matches('-');
    let stem = if stem.is_empty() { "program" } else { stem };
    if replace { stem.to_owned() } else { format!("{stem}-{}", letters::<SUFFIX_LETTERS>()) }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        options: Options,
    }

    fn check(line: &str, expected: &str) {
        let options = Line::parse_from(line.split(' ')).options;
        let target = target(&options, "shop", "web");
        let expected = format!("/apis/run.minke.dev/v1/namespaces/shop/run?fieldManager=minke&name=web{expected}");
        assert_eq!(target, expected, "{line}");
    }

    #[test]
    fn what_is_asked_for_stands_in_the_query() {
        check("run a.wasm", "");
        check("run a.wasm --env A=1 -e B=x=y", "&env=A%3D1&env=B%3Dx%3Dy");
        check("run a.wat --replace -it -- -c print(1)", "&replace=true&stdin=true&tty=true&arg=-c&arg=print%281%29");
    }

    #[test]
    fn a_pod_is_named_after_its_file() {
        assert_eq!(name_of(Path::new("x/My_App.wasm"), true), "my-app");
        assert_eq!(name_of(Path::new("…"), true), "program");
        // A name must not end with a hyphen, wherever it is cut.
        assert_eq!(name_of(Path::new(&format!("{}_b.wasm", "a".repeat(49))), true), "a".repeat(49));
        let (one, other) = (name_of(Path::new("a.wasm"), false), name_of(Path::new("a.wasm"), false));
        assert!(one.starts_with("a-") && one != other);
    }
}
