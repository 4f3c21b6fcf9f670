//! What a `.wasm` is, seen from outside: its kind, what it imports, what it exports.
//!
//! Only the headers of sections and the names in import and export sections are read, so a file of any size costs
//! little memory and no validation; whether its code is sound, the compiler tells. Reading order: [`Inspection`],
//! [`inspect`], [`sections`](self) (how the file is walked), [`offered`] (what we give, and what is missing).

mod foreign;
pub mod offered;
mod sections;
pub mod text;

use std::fmt;
use std::io::{Read, Seek};
use std::path::Path;

use self::sections::{Names, Sections};

/// What a `.wasm` is and needs.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Inspection {
    /// How it can be run.
    pub kind: Kind,
    /// What it needs from us, in its order.
    pub imports: Vec<Import>,
    /// What it gives, in its order: names of functions, memories and so on, or of interfaces.
    pub exports: Vec<String>,
    /// Its length.
    pub size_bytes: u64,
}

/// How Wasm can be run.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Kind {
    /// A WASI 0.1 program: a core module that exports `_start`.
    CommandModule,
    /// A core module without `_start`: functions for others to call.
    LibraryModule,
    /// A program as a component: it exports `wasi:cli/run`.
    CommandComponent(Wasi),
    /// A server: it exports `wasi:http/incoming-handler`, or in WASI 0.3 `wasi:http/handler`.
    HttpComponent(Wasi),
    /// A component that exports neither.
    LibraryComponent,
}

/// The version of WASI that an export is of.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Wasi {
    /// 0.2, any patch.
    Preview2,
    /// 0.3, release candidates included.
    Preview3,
}

/// One thing that a `.wasm` needs.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Import {
    /// A core module's: a module's name and what in it.
    Core {
        /// For example `wasi_snapshot_preview1`.
        module: String,
        /// For example `fd_write`.
        name: String,
    },
    /// A component's: `wasi:cli/environment@0.2.3`, or a plain name.
    Interface(String),
}

/// Why bytes are nothing to run; each message says what they are.
#[derive(Debug, thiserror::Error)]
pub enum NotWasm {
    /// No bytes.
    #[error("the file is empty")]
    Empty,
    /// It ends before it says it does.
    #[error("the file is cut off: a part that begins at byte {at} reaches beyond its end at {size_bytes}")]
    Truncated {
        /// Where the unfinished part begins.
        at: u64,
        /// Where the file ends.
        size_bytes: u64,
    },
    /// Something else altogether, named.
    #[error("the file is {0}, not WebAssembly")]
    Foreign(&'static str),
    /// Compiled code; it is never loaded, since nothing tells what it does.
    #[error("the file is code compiled by wasmtime (.cwasm), which is never loaded; give the .wasm it was made from")]
    Precompiled,
    /// WebAssembly of a version that does not exist yet.
    #[error("the file is WebAssembly of the unknown version {version}, layer {layer}")]
    Version {
        /// The number after the magic bytes.
        version: u16,
        /// 0 for modules, 1 for components.
        layer: u16,
    },
    /// A part that cannot be read.
    #[error("the file is malformed WebAssembly: {0}")]
    Malformed(String),
    /// More names or sections than any real program has.
    #[error("the file has more than {max} {what}")]
    TooMany {
        /// What there is too much of.
        what: &'static str,
        /// The bound.
        max: usize,
    },
    /// The disk failed.
    #[error("cannot read the file: {0}")]
    Io(#[from] std::io::Error),
}

/// Reads what the file at `path` is, on a thread where that harms nobody.
///
/// # Errors
/// When it is no Wasm; the error says what it is.
pub async fn inspect_file(path: &Path) -> Result<Inspection, NotWasm> {
    let path = path.to_owned();
    base::task::blocking(move || inspect(std::fs::File::open(path)?))
        .await
        .unwrap_or_else(|ended| Err(NotWasm::Io(std::io::Error::other(ended))))
}

/// Reads what a file is. Text is [`text`]'s business: here it is [`NotWasm::Foreign`].
///
/// # Errors
/// When it is no Wasm; the error says what it is.
pub fn inspect(file: impl Read + Seek) -> Result<Inspection, NotWasm> {
    let mut sections = Sections::open(file)?;
    let size_bytes = sections.size_bytes();
    let mut names = Names::default();
    while let Some(section) = sections.step()? {
        section.read_names(&mut names)?;
    }
    let Names { imports, exports } = names;
    let kind = if sections.is_component() { kind_of_component(&exports) } else { kind_of_module(&exports) };
    Ok(Inspection { kind, imports, exports, size_bytes })
}

fn kind_of_module(exports: &[String]) -> Kind {
    if exports.iter().any(|name| name == "_start") { Kind::CommandModule } else { Kind::LibraryModule }
}

/// A server goes before a program: who exports both wants to be reached.
fn kind_of_component(exports: &[String]) -> Kind {
    let exported = |interfaces: &[(&str, Wasi)]| {
        exports.iter().find_map(|export| {
            let found = interfaces.iter().find(|(interface, _)| export.starts_with(interface));
            found.map(|(_, wasi)| *wasi)
        })
    };
    let http = [("wasi:http/incoming-handler@0.2.", Wasi::Preview2), ("wasi:http/handler@0.3.", Wasi::Preview3)];
    let run = [("wasi:cli/run@0.2.", Wasi::Preview2), ("wasi:cli/run@0.3.", Wasi::Preview3)];
    exported(&http)
        .map(Kind::HttpComponent)
        .or_else(|| exported(&run).map(Kind::CommandComponent))
        .unwrap_or(Kind::LibraryComponent)
}

impl Inspection {
    /// Whether it is of WASI 0.3, which a node runs only when told to.
    #[must_use]
    pub fn is_preview3(&self) -> bool {
        let is_kind = matches!(self.kind, Kind::CommandComponent(Wasi::Preview3) | Kind::HttpComponent(Wasi::Preview3));
        let is_import = |import: &Import| matches!(import, Import::Interface(name) if name.starts_with("wasi:") && name.contains("@0.3."));
        is_kind || self.imports.iter().any(is_import)
    }
}

impl Kind {
    /// Whether it is a component; else it is a core module.
    #[must_use]
    pub fn is_component(self) -> bool {
        !matches!(self, Self::CommandModule | Self::LibraryModule)
    }

    /// Whether it can be a container's main program.
    #[must_use]
    pub fn is_runnable(self) -> bool {
        !matches!(self, Self::LibraryModule | Self::LibraryComponent)
    }
}

/// The name in verdicts and messages.
impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CommandModule => "command module",
            Self::LibraryModule => "library module",
            Self::CommandComponent(_) => "command component",
            Self::HttpComponent(_) => "http component",
            Self::LibraryComponent => "library component",
        })
    }
}

impl fmt::Display for Import {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Core { module, name } => write!(f, "{module}::{name}"),
            Self::Interface(name) => f.write_str(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn of(wat: &str) -> Inspection {
        inspect(Cursor::new(wat::parse_str(wat).unwrap())).unwrap()
    }

    fn refuse(bytes: &[u8], expected: &str) {
        let error = inspect(Cursor::new(bytes)).unwrap_err().to_string();
        assert!(error.contains(expected), "{error:?} does not say {expected:?}");
    }

    fn component_exporting(name: &str) -> String {
        format!(r#"(component (instance $i) (export "{name}" (instance $i)))"#)
    }

    #[test]
    fn the_kind_follows_from_what_is_exported() {
        let check = |wat: &str, expected: Kind| assert_eq!(of(wat).kind, expected, "{wat}");
        check(r#"(module (func (export "_start")))"#, Kind::CommandModule);
        check(r#"(module (func (export "_initialize")))"#, Kind::LibraryModule);
        check("(module)", Kind::LibraryModule);
        check("(component)", Kind::LibraryComponent);
        for (name, expected) in [
            ("wasi:cli/run@0.2.0", Kind::CommandComponent(Wasi::Preview2)),
            ("wasi:cli/run@0.2.12", Kind::CommandComponent(Wasi::Preview2)),
            ("wasi:cli/run@0.3.0-rc-2025-09-16", Kind::CommandComponent(Wasi::Preview3)),
            ("wasi:http/incoming-handler@0.2.3", Kind::HttpComponent(Wasi::Preview2)),
            ("wasi:http/handler@0.3.0", Kind::HttpComponent(Wasi::Preview3)),
            ("wasi:cli/run@1.0.0", Kind::LibraryComponent),
        ] {
            check(&component_exporting(name), expected);
        }
    }

    #[test]
    fn imports_and_exports_are_named_in_their_order() {
        let module = of(r#"(module
            (import "wasi_snapshot_preview1" "fd_write" (func (param i32 i32 i32 i32) (result i32)))
            (import "env" "memory" (memory 1))
            (func (export "_start")) (func (export "other")))"#);
        let imports: Vec<String> = module.imports.iter().map(ToString::to_string).collect();
        assert_eq!(imports, ["wasi_snapshot_preview1::fd_write", "env::memory"]);
        assert_eq!(module.exports, ["_start", "other"]);

        let component = of(r#"(component
            (import "wasi:cli/environment@0.2.3" (instance))
            (type $t u32)
            (import "alias" (type (eq $t)))
            (core module (import "inner" "hidden" (func))))"#);
        assert_eq!(component.imports, [Import::Interface("wasi:cli/environment@0.2.3".to_owned())]);
        assert_eq!(component.exports, Vec::<String>::new());
    }

    #[test]
    fn wasi_0_3_is_seen_in_imports_and_exports() {
        assert!(of(&component_exporting("wasi:http/handler@0.3.0")).is_preview3());
        assert!(of(r#"(component (import "wasi:cli/stdout@0.3.0" (instance)))"#).is_preview3());
        assert!(!of(&component_exporting("wasi:cli/run@0.2.0")).is_preview3());
    }

    #[test]
    fn what_is_no_wasm_is_named() {
        refuse(b"", "empty");
        refuse(b"\0as", "cut off");
        refuse(b"\0asm\x01\0", "cut off");
        refuse(b"\0asm\x07\0\0\0", "unknown version 7");
        refuse(b"\x7fELF\x02\x01\x01\xc8\0\0\0\0\0\0\0\0", ".cwasm");
        refuse(b"\x7fELF\x02\x01\x01\x00\0\0\0\0\0\0\0\0", "a native program");
        refuse(b"#!/bin/sh\necho\n", "a script");
        refuse(b"(module)", "text");
        refuse(b"\x1f\x8b\x08\0\0\0\0\0", "gzip");
        refuse(&[0xfe; 64], "of an unknown format");
    }

    #[test]
    fn a_file_cut_anywhere_is_told_or_whole() {
        let whole = wat::parse_str(r#"(module (import "a" "b" (func)) (func (export "_start")) (memory 1))"#).unwrap();
        for length in 1..whole.len() {
            let cut = inspect(Cursor::new(&whole[..length]));
            // A cut between two sections leaves a sound, smaller module.
            assert!(matches!(cut, Ok(_) | Err(NotWasm::Truncated { .. })), "at {length}: {cut:?}");
        }
    }

    #[test]
    fn hostile_sizes_are_refused_without_being_read() {
        let mut huge = b"\0asm\x01\0\0\0\x02".to_vec();
        huge.extend([0xff, 0xff, 0xff, 0xff, 0x0f]);
        refuse(&huge, "cut off");
        let mut endless = b"\0asm\x01\0\0\0\x02".to_vec();
        endless.extend([0xff; 8]);
        refuse(&endless, "malformed");
        let mut lying = b"\0asm\x01\0\0\0\x02\x05".to_vec();
        lying.extend([0xff, 0xff, 0xff, 0xff, 0x0f]);
        refuse(&lying, "malformed");
    }
}
