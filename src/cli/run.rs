//! `minke run`: a program becomes a pod.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::DeleteParams;

use crate::connect::{self, Connection, connect};
use crate::terminal::Terminal;
use crate::token::letters;
use crate::{attend, upload};

/// The annotation that says where an http component answers.
const URL: &str = "run.minke.dev/url";

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
    let pod = upload::upload(&connection, &options.file, &target, terminal).await?;
    let work = attend(&connection, &options, &pod, &name, terminal);
    let ended = tokio::select! {
        ended = work => ended,
        interrupted = tokio::signal::ctrl_c() => interrupted.map(|()| ExitCode::from(INTERRUPTED)).map_err(Into::into),
    };
    let is_interrupted = ended.as_ref().is_ok_and(|code| *code == ExitCode::from(INTERRUPTED));
    if options.rm {
        let pods: Api<Pod> = Api::namespaced(connection.client.clone(), &connection.namespace);
        let deleted = pods.delete(&name, &DeleteParams::default()).await;
        deleted.map_err(|error| connection.explain(error))?;
    } else if is_interrupted {
        terminal.tell(&format!("pod {name} goes on; see it with: kubectl logs -f {name}"));
    }
    ended
}

async fn attend(
    connection: &Connection,
    options: &Options,
    pod: &Pod,
    name: &str,
    terminal: &mut Terminal,
) -> Result<ExitCode> {
    let annotations = pod.metadata.annotations.as_ref();
    if let Some(url) = annotations.and_then(|annotations| annotations.get(URL)) {
        attend::until_ready(connection, name, terminal).await?;
        terminal.say(url)?;
        // With --rm the server lives as long as this command does.
        return if options.rm { attend::follow(connection, name, terminal).await } else { Ok(ExitCode::SUCCESS) };
    }
    attend::until_begun(connection, name, terminal).await?;
    if options.stdin {
        attend::attach(connection, name, options.tty, terminal).await
    } else {
        attend::follow(connection, name, terminal).await
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
    let stem = stem.trim_matches('-').get(..STEM_MAX).unwrap_or(stem.trim_matches('-'));
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
        let (one, other) = (name_of(Path::new("a.wasm"), false), name_of(Path::new("a.wasm"), false));
        assert!(one.starts_with("a-") && one != other);
    }
}
