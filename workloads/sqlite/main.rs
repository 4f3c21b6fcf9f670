//! SQLite as a command: `sqlite FILE "SQL; …"` runs each statement on the database file and prints the rows, columns
//! separated by `|`, as SQLite's own shell does.
//!
//! It is the real SQLite, compiled from C. WASI has no file locks, so that of two programs only one may have a database
//! open at a time; an init container and the container after it keep to that by themselves.

use std::env;
use std::process::ExitCode;

use rusqlite::fallible_iterator::FallibleIterator as _;
use rusqlite::types::ValueRef;
use rusqlite::{Batch, Connection, OpenFlags, Row};

/// SQLite's access to files as on Unix, without locks.
const VFS: &str = "unix-none";

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let [file, sql] = args.as_slice() else {
        eprintln!("usage: sqlite FILE \"SQL; …\"");
        return ExitCode::from(2);
    };
    match run(file, sql) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sqlite: {file}: {error}");
            ExitCode::from(1)
        }
    }
}

fn run(file: &str, sql: &str) -> rusqlite::Result<()> {
    let database = Connection::open_with_flags_and_vfs(file, OpenFlags::default(), VFS)?;
    // A container has no folder for temporary files.
    database.pragma_update(None, "temp_store", "memory")?;
    let mut statements = Batch::new(&database, sql);
    while let Some(mut statement) = statements.next()? {
        let columns = statement.column_count();
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            println!("{}", line(row, columns)?);
        }
    }
    Ok(())
}

/// A row as SQLite's shell shows it: nothing for NULL, bytes as they are.
fn line(row: &Row<'_>, columns: usize) -> rusqlite::Result<String> {
    let cell = |column| {
        Ok(match row.get_ref(column)? {
            ValueRef::Null => String::new(),
            ValueRef::Integer(number) => number.to_string(),
            ValueRef::Real(number) => format!("{number:?}"),
            ValueRef::Text(bytes) | ValueRef::Blob(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        })
    };
    let cells: rusqlite::Result<Vec<String>> = (0..columns).map(cell).collect();
    Ok(cells?.join("|"))
}
