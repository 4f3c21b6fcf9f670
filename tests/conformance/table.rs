//! A table of exchanges in a file, played on a server.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::difference::{self, Difference};
use crate::exchange::{Answer, Exchange};
use crate::session::Session;
use crate::settle::Settler;

/// Set, the tables are written anew: upstream's as they are expected, our own as they are answered.
const WRITE: &str = "CONFORMANCE_WRITE";

#[derive(Debug)]
pub(crate) struct Table {
    name: String,
    path: PathBuf,
    /// Lines before the first exchange, for people.
    head: String,
    exchanges: Vec<Exchange>,
}

/// Where the tables lie.
pub(crate) fn folder() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/conformance"))
}

impl Table {
    pub(crate) fn read(folder_name: &str, name: &str) -> Self {
        let path = folder().join(folder_name).join(format!("{name}.http"));
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let (head, _) = text.split_once("### ").unwrap();
        let mut settler = Settler::default();
        settler.hides_managers = hides_managers(&path);
        let mut exchanges = Exchange::parse_all(&text);
        for answer in exchanges.iter_mut().filter_map(|exchange| exchange.answer.as_mut()) {
            answer.body.iter_mut().for_each(|value| settler.settle(value));
        }
        Self { name: name.to_owned(), path, head: head.to_owned(), exchanges }
    }

    /// All tables of a folder, by name.
    pub(crate) fn all_in(folder_name: &str) -> Vec<Self> {
        let files = fs::read_dir(folder().join(folder_name)).unwrap().map(|file| file.unwrap().path());
        let mut names: Vec<_> = files.map(|path| path.file_stem().unwrap().to_string_lossy().into_owned()).collect();
        names.sort();
        names.iter().map(|name| Self::read(folder_name, name)).collect()
    }

    fn write(&self) {
        let mut text = self.head.clone();
        self.exchanges.iter().for_each(|exchange| exchange.print(&mut text));
        fs::write(&self.path, text.trim_end().to_owned() + "\n").unwrap();
    }
}

/// Plays tables one after the other on one server, and tells where it answers otherwise.
pub(crate) async fn play(tables: &[Table]) -> Vec<Difference> {
    let mut session = Session::start().await;
    let mut settler = Settler::default();
    let mut differences = Vec::new();
    for table in tables {
        settler.hides_managers = hides_managers(&table.path);
        let mut answers = session.ask_all(&table.exchanges).await;
        for (exchange, ours) in table.exchanges.iter().zip(&mut answers) {
            ours.body.iter_mut().for_each(|value| settler.settle(value));
            let Some(expected) = &exchange.answer else { continue };
            differences.extend(difference::between(expected, ours).into_iter().map(|(path, expected, ours)| {
                let request = format!("{} {}", exchange.method, exchange.path);
                let (table, exchange) = (table.name.clone(), exchange.name.clone());
                Difference { table, exchange, request, path, expected, ours }
            }));
        }
        if std::env::var_os(WRITE).is_some() && !table.path.parent().unwrap().ends_with("upstream") {
            table.with_answers(answers).write();
        }
    }
    differences
}

impl Table {
    fn with_answers(&self, answers: Vec<Answer>) -> Self {
        let answered = |(exchange, answer): (&Exchange, Answer)| exchange.with_answer(answer);
        let exchanges = self.exchanges.iter().zip(answers).map(answered).collect();
        Self { name: self.name.clone(), path: self.path.clone(), head: self.head.clone(), exchanges }
    }
}

/// Writes upstream's tables anew, with placeholders and in our form.
pub(crate) fn rewrite_if_asked(tables: &[Table]) {
    if std::env::var_os(WRITE).is_some() {
        tables.iter().for_each(Table::write);
    }
}

/// Of our own tables one is about managers; in the others they would bury what is shown.
fn hides_managers(path: &Path) -> bool {
    !path.ends_with("requests/managers.http") && !path.parent().is_some_and(|folder| folder.ends_with("upstream"))
}

/// A value of an earlier answer.
pub(crate) fn pointed_at<'a>(answers: &'a [(String, Value)], name: &str, pointer: &str) -> &'a Value {
    let Some((_, answer)) = answers.iter().rev().find(|(own, _)| own == name) else { panic!("no answer named {name}") };
    answer.pointer(pointer).unwrap_or_else(|| panic!("{name} has no {pointer}: {answer}"))
}
