//! What an upload's query asks for.

use api::names;
use api::status::Status;

use crate::options::Query;

/// Arguments and variables together; a Pod has a bound in bytes anyway, this one gives the better message.
const WORDS_MAX: usize = 1_000;

/// The options of an upload.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Asked {
    /// The Pod's and the artifact's name; without one it is generated.
    pub name: Option<String>,
    /// Whether a Pod of that name is to go first.
    pub replace: bool,
    /// Whether only a verdict is wanted.
    pub is_dry_run: bool,
    pub arguments: Vec<String>,
    pub environment: Vec<(String, String)>,
    /// Whether the program gets what an attached client sends, and whether that is a terminal.
    pub stdin: bool,
    pub tty: bool,
    pub field_manager: Option<String>,
}

impl Asked {
    /// Reads `name`, `replace`, `dryRun`, `arg` and `env` (each any number of times), `stdin`, `tty` and
    /// `fieldManager`.
    pub(super) fn parse(query: &Query) -> Result<Self, Status> {
        let name = query.find("name").map(str::to_owned);
        if let Some(name) = &name
            && let Some(why) = names::label(name).into_iter().next()
        {
            return Err(Status::bad_request(format!("name {name:?} is no name for a pod and its artifact: {why}")));
        }
        let dry_run = query.all("dryRun");
        if dry_run.iter().any(|value| *value != "All") {
            return Err(Status::bad_request(format!("dryRun: unsupported value {dry_run:?}, supported is \"All\"")));
        }
        let arguments: Vec<String> = query.all("arg").into_iter().map(str::to_owned).collect();
        let environment = query.all("env").into_iter().map(variable).collect::<Result<Vec<_>, _>>()?;
        if arguments.len() + environment.len() > WORDS_MAX {
            return Err(Status::bad_request(format!("more than {WORDS_MAX} arguments and variables")));
        }
        Ok(Self {
            name,
            replace: query.flag("replace").unwrap_or(false),
            is_dry_run: !dry_run.is_empty(),
            arguments,
            environment,
            stdin: query.flag("stdin").unwrap_or(false),
            tty: query.flag("tty").unwrap_or(false),
            field_manager: query.find("fieldManager").map(str::to_owned),
        })
    }
}

fn variable(text: &str) -> Result<(String, String), Status> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(Status::bad_request(format!("env {text:?} is not NAME=VALUE"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_query_is_read_in_order() {
        let query =
            Query::parse("name=web&replace=true&arg=-c&arg=print(6*7)&env=A=1=2&env=B=&stdin=true&fieldManager=me");
        let expected = Asked {
            name: Some("web".into()),
            replace: true,
            arguments: vec!["-c".into(), "print(6*7)".into()],
            environment: vec![("A".into(), "1=2".into()), ("B".into(), String::new())],
            stdin: true,
            field_manager: Some("me".into()),
            ..Asked::default()
        };
        assert_eq!(Asked::parse(&query).unwrap(), expected);
        assert!(Asked::parse(&Query::parse("dryRun=All")).unwrap().is_dry_run);
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for (query, expected) in [
            ("name=Web", "name \"Web\""),
            ("name=..%2F..%2Fetc", "is no name"),
            ("name=a.b", "is no name"),
            ("dryRun=Some", "dryRun"),
            ("env=A", "NAME=VALUE"),
            ("env=%3D1", "NAME=VALUE"),
        ] {
            let error = Asked::parse(&Query::parse(query)).unwrap_err();
            assert!(error.code == 400 && error.message.contains(expected), "{query}: {}", error.message);
        }
    }
}
