//! The walk over a Wasm file: headers of sections, and the names in those that hold names.
//!
//! A section that holds no names is stepped over, whatever its size. Nested modules and components are sections of
//! their parent and are stepped over too: only the outermost imports are ours to give.

use std::io::{BufReader, Read, Seek, SeekFrom};

use wasmparser::{
    BinaryReader, BinaryReaderError, ComponentExportSectionReader, ComponentImportSectionReader, ComponentTypeRef,
    ExportSectionReader, ImportSectionReader, TypeBounds,
};

use super::{Import, NotWasm, foreign};

/// Where an import or export section of this many bytes is refused: it is held in memory while its names are read.
/// The names of 100,000 imports fit.
const SECTION_BYTES_MAX: u64 = 8 << 20;

/// The most sections of one file: large components have some ten thousand; the bound keeps a file of empty sections
/// from costing minutes.
const SECTIONS_MAX: usize = 200_000;

/// The most imports, and the most exports, that are read. Real programs have some hundreds; past the bound the file is
/// refused, since what is read is held in memory.
const NAMES_MAX: usize = 100_000;

/// Magic bytes and version.
const PREAMBLE_BYTES: u64 = 8;

/// A Wasm file, read from section to section.
pub(super) struct Sections<F> {
    file: BufReader<F>,
    encoding: Encoding,
    position: u64,
    size_bytes: u64,
    seen: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Encoding {
    Module,
    Component,
}

/// The names found so far, each list at most [`NAMES_MAX`] long.
#[derive(Default)]
pub(super) struct Names {
    pub(super) imports: Vec<Import>,
    pub(super) exports: Vec<String>,
}

/// A section that holds names, with its content.
pub(super) enum Section {
    ModuleImports(Vec<u8>),
    ModuleExports(Vec<u8>),
    ComponentImports(Vec<u8>),
    ComponentExports(Vec<u8>),
}

impl<F: Read + Seek> Sections<F> {
    /// Reads the preamble.
    pub(super) fn open(mut file: F) -> Result<Self, NotWasm> {
        let size_bytes = file.seek(SeekFrom::End(0))?;
        file.seek(SeekFrom::Start(0))?;
        let mut head = Vec::with_capacity(foreign::HEAD_BYTES);
        file.by_ref().take(foreign::HEAD_BYTES as u64).read_to_end(&mut head)?;
        let encoding = match head.as_slice() {
            [] => return Err(NotWasm::Empty),
            [0, b'a', b's', b'm', 1, 0, 0, 0, ..] => Encoding::Module,
            [0, b'a', b's', b'm', 0x0d, 0, 1, 0, ..] => Encoding::Component,
            [0, b'a', b's', b'm', v0, v1, l0, l1, ..] => {
                let (version, layer) = (u16::from_le_bytes([*v0, *v1]), u16::from_le_bytes([*l0, *l1]));
                return Err(NotWasm::Version { version, layer });
            }
            short if b"\0asm".starts_with(short) || (short.starts_with(b"\0asm") && short.len() < 8) => {
                return Err(NotWasm::Truncated { at: 0, size_bytes });
            }
            other => return Err(foreign::name(other)),
        };
        file.seek(SeekFrom::Start(PREAMBLE_BYTES))?;
        Ok(Self { file: BufReader::new(file), encoding, position: PREAMBLE_BYTES, size_bytes, seen: 0 })
    }

    pub(super) fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    pub(super) fn is_component(&self) -> bool {
        self.encoding == Encoding::Component
    }

    /// Steps to the next section that holds names; `None` at the end.
    pub(super) fn step(&mut self) -> Result<Option<Section>, NotWasm> {
        while self.position < self.size_bytes {
            self.seen += 1;
            if self.seen > SECTIONS_MAX {
                return Err(NotWasm::TooMany { what: "sections", max: SECTIONS_MAX });
            }
            let at = self.position;
            let id = self.byte(at)?;
            let length = u64::from(self.length(at)?);
            if length > self.size_bytes - self.position {
                return Err(NotWasm::Truncated { at, size_bytes: self.size_bytes });
            }
            let section: fn(Vec<u8>) -> Section = match (self.encoding, id) {
                (Encoding::Module, 2) => Section::ModuleImports,
                (Encoding::Module, 7) => Section::ModuleExports,
                (Encoding::Component, 10) => Section::ComponentImports,
                (Encoding::Component, 11) => Section::ComponentExports,
                _ => {
                    self.file.seek_relative(length.cast_signed())?;
                    self.position += length;
                    continue;
                }
            };
            if length > SECTION_BYTES_MAX {
                return Err(NotWasm::Malformed(format!("a section of names at byte {at} has {length} bytes")));
            }
            let mut content = Vec::new();
            self.file.by_ref().take(length).read_to_end(&mut content)?;
            self.position += length;
            return Ok(Some(section(content)));
        }
        Ok(None)
    }

    fn byte(&mut self, at: u64) -> Result<u8, NotWasm> {
        let mut byte = [0];
        match self.file.read_exact(&mut byte) {
            Ok(()) => {
                self.position += 1;
                Ok(u8::from_le_bytes(byte))
            }
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                Err(NotWasm::Truncated { at, size_bytes: self.size_bytes })
            }
            Err(error) => Err(error.into()),
        }
    }

    /// A section's length: LEB128 of 32 bits, so five bytes at most and four bits in the last.
    fn length(&mut self, at: u64) -> Result<u32, NotWasm> {
        let mut length = 0;
        for shift in [0, 7, 14, 21, 28] {
            let byte = self.byte(at)?;
            if shift == 28 && byte > 0x0f {
                break;
            }
            length |= u32::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(length);
            }
        }
        Err(NotWasm::Malformed(format!("the length of the section at byte {at} is no 32-bit number")))
    }
}

impl Section {
    /// Adds the section's names to what was found so far.
    pub(super) fn read_names(&self, names: &mut Names) -> Result<(), NotWasm> {
        match self {
            Self::ModuleImports(content) => {
                for import in ImportSectionReader::new(BinaryReader::new(content, 0))?.into_imports() {
                    let import = import?;
                    names.import(Import::Core { module: import.module.to_owned(), name: import.name.to_owned() })?;
                }
            }
            Self::ModuleExports(content) => {
                for export in ExportSectionReader::new(BinaryReader::new(content, 0))? {
                    names.export(export?.name)?;
                }
            }
            Self::ComponentImports(content) => {
                for import in ComponentImportSectionReader::new(BinaryReader::new(content, 0))? {
                    let import = import?;
                    // A type that equals a known one is only a name: nothing has to be given for it.
                    if !matches!(import.ty, ComponentTypeRef::Type(TypeBounds::Eq(_))) {
                        names.import(Import::Interface(import.name.name.to_owned()))?;
                    }
                }
            }
            Self::ComponentExports(content) => {
                for export in ComponentExportSectionReader::new(BinaryReader::new(content, 0))? {
                    names.export(export?.name.name)?;
                }
            }
        }
        Ok(())
    }
}

impl Names {
    fn import(&mut self, import: Import) -> Result<(), NotWasm> {
        self.imports.push(import);
        within("imports", self.imports.len())
    }

    fn export(&mut self, name: &str) -> Result<(), NotWasm> {
        self.exports.push(name.to_owned());
        within("exports", self.exports.len())
    }
}

fn within(what: &'static str, length: usize) -> Result<(), NotWasm> {
    if length > NAMES_MAX { Err(NotWasm::TooMany { what, max: NAMES_MAX }) } else { Ok(()) }
}

impl From<BinaryReaderError> for NotWasm {
    fn from(error: BinaryReaderError) -> Self {
        Self::Malformed(error.message().to_owned())
    }
}
