//! Tar layers: finding the file that is Wasm, without unpacking anything.
//!
//! Nothing from an archive ever becomes a path on this machine: names are compared as text and the chosen file's bytes
//! go where the caller says. The reader is our own because it must hold its bounds against an archive made to hurt:
//! unpacked bytes, files and name lengths are counted while reading, whatever the headers claim.

use std::io::{self, Read};

/// One tar block in bytes.
const BLOCK_BYTES: usize = 512;

/// The most files that are looked through, over all layers of an image. Images of one program have a handful; past the
/// bound the image is refused.
const FILES_MAX: usize = 100_000;

/// The longest extended header (long names, pax records) in bytes; it is held in memory.
const EXTENSION_BYTES_MAX: u64 = 64 << 10;

/// How Wasm begins.
const WASM_MAGIC: [u8; 4] = *b"\0asm";

/// A file in an archive that begins as Wasm does.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct WasmFile {
    /// Its name without leading `/` and `./`.
    pub(crate) path: String,
    /// Its length.
    pub(crate) size_bytes: u64,
}

/// Why an archive cannot be searched.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ArchiveError {
    /// It is no tar archive, or is cut off.
    #[error("the layer is no tar archive: {0}")]
    Malformed(&'static str),
    /// It unpacks to more than it may.
    #[error("the layer unpacks to more than {0} bytes")]
    TooLarge(u64),
    /// It has more files than it may.
    #[error("the layer has more than {FILES_MAX} files")]
    TooManyFiles,
    /// Reading, or unpacking gzip, failed.
    #[error("cannot read the layer: {0}")]
    Io(#[from] io::Error),
}

/// What the visitor of [`walk`] wants next.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Next {
    /// The next file.
    Continue,
    /// No more.
    Stop,
}

/// Walks the archive `packed` (unpacked already) and shows each Wasm file with its content to `visit`, which may read
/// it. At most `bytes_max` bytes are unpacked.
///
/// # Errors
/// When the archive is malformed or breaks a bound, and what `visit` answers.
pub(crate) fn walk<E: From<ArchiveError>>(
    unpacked: impl Read,
    bytes_max: u64,
    mut visit: impl FnMut(&WasmFile, &mut dyn Read) -> Result<Next, E>,
) -> Result<(), E> {
    let mut tar = Tar { input: unpacked.take(bytes_max), bytes_max };
    let mut long_name = None;
    for _ in 0..FILES_MAX {
        let Some(header) = tar.header()? else { return Ok(()) };
        match header.kind {
            Kind::LongName => long_name = Some(text_of(&tar.extension(header.size_bytes)?)),
            Kind::Pax => {
                if let Some(name) = pax_path(&tar.extension(header.size_bytes)?) {
                    long_name = Some(name);
                }
            }
            Kind::File => {
                let name = long_name.take().unwrap_or(header.name);
                if tar.visit(&name, header.size_bytes, &mut visit)? == Next::Stop {
                    return Ok(());
                }
            }
            Kind::Other => {
                long_name = None;
                tar.skip(header.size_bytes)?;
            }
        }
    }
    Err(ArchiveError::TooManyFiles.into())
}

/// The path as it is compared: relative to the archive's root.
pub(crate) fn relative(path: &str) -> &str {
    path.trim_start_matches("./").trim_start_matches('/')
}

struct Tar<R> {
    input: io::Take<R>,
    bytes_max: u64,
}

struct Header {
    name: String,
    kind: Kind,
    size_bytes: u64,
}

enum Kind {
    File,
    LongName,
    Pax,
    Other,
}

impl<R: Read> Tar<R> {
    /// The next header; `None` at the archive's end (a block of zeros, or nothing more).
    fn header(&mut self) -> Result<Option<Header>, ArchiveError> {
        let mut block = [0; BLOCK_BYTES];
        let mut filled = 0;
        while let Some(rest) = block.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.input.read(rest)? {
                0 if filled == 0 && self.input.limit() > 0 => return Ok(None),
                0 => return Err(self.ended()),
                length => filled += length,
            }
        }
        if block == [0; BLOCK_BYTES] { Ok(None) } else { Header::parse(&block).map(Some) }
    }

    /// Shows a file to `visit` if it is Wasm, and steps behind it whatever was read of it.
    fn visit<E: From<ArchiveError>>(
        &mut self,
        name: &str,
        size_bytes: u64,
        visit: &mut impl FnMut(&WasmFile, &mut dyn Read) -> Result<Next, E>,
    ) -> Result<Next, E> {
        let mut magic = [0; WASM_MAGIC.len()];
        let padded = padded(size_bytes).ok_or(ArchiveError::TooLarge(self.bytes_max))?;
        if size_bytes < magic.len() as u64 {
            self.skip(size_bytes)?;
            return Ok(Next::Continue);
        }
        self.input.read_exact(&mut magic).map_err(|error| self.failed(error))?;
        let mut unread = padded - magic.len() as u64;
        let mut next = Next::Continue;
        if magic == WASM_MAGIC {
            let file = WasmFile { path: relative(name).to_owned(), size_bytes };
            let rest = size_bytes - magic.len() as u64;
            let mut body = magic.as_slice().chain(self.input.by_ref().take(rest));
            next = visit(&file, &mut body)?;
            unread -= rest - body.get_ref().1.limit();
        }
        self.discard(unread)?;
        Ok(next)
    }

    /// An extended header's content.
    fn extension(&mut self, size_bytes: u64) -> Result<Vec<u8>, ArchiveError> {
        if size_bytes > EXTENSION_BYTES_MAX {
            return Err(ArchiveError::Malformed("an extended header is too long"));
        }
        let mut content = Vec::new();
        self.input.by_ref().take(size_bytes).read_to_end(&mut content)?;
        self.discard(size_bytes.next_multiple_of(BLOCK_BYTES as u64) - size_bytes)?;
        Ok(content)
    }

    fn skip(&mut self, size_bytes: u64) -> Result<(), ArchiveError> {
        self.discard(padded(size_bytes).ok_or(ArchiveError::TooLarge(self.bytes_max))?)
    }

    fn discard(&mut self, bytes: u64) -> Result<(), ArchiveError> {
        let skipped = io::copy(&mut self.input.by_ref().take(bytes), &mut io::sink())?;
        if skipped < bytes { Err(self.ended()) } else { Ok(()) }
    }

    fn failed(&self, error: io::Error) -> ArchiveError {
        if error.kind() == io::ErrorKind::UnexpectedEof { self.ended() } else { error.into() }
    }

    /// Why there are no more bytes: the bound, or the archive itself.
    fn ended(&self) -> ArchiveError {
        if self.input.limit() == 0 {
            ArchiveError::TooLarge(self.bytes_max)
        } else {
            ArchiveError::Malformed("it is cut off")
        }
    }
}

impl Header {
    /// Reads the fields that matter: name (0..100), size (124..136), checksum (148..156), type (156), magic (257..262)
    /// and the name's prefix (345..500).
    fn parse(block: &[u8; BLOCK_BYTES]) -> Result<Self, ArchiveError> {
        let field = |from: usize, to: usize| block.get(from..to).unwrap_or_default();
        // The checksum adds all bytes, its own field counted as blanks.
        let sum: u64 = block.iter().map(|byte| u64::from(*byte)).sum();
        let own: u64 = field(148, 156).iter().map(|byte| u64::from(*byte)).sum();
        if octal(field(148, 156)) != Some(sum - own + 8 * u64::from(b' ')) {
            return Err(ArchiveError::Malformed("a header's checksum is wrong"));
        }
        let size_bytes = match field(124, 136) {
            // GNU's binary form, for sizes beyond 8 GiB: the last eight bytes are enough for us.
            [0x80, .., a, b, c, d, e, f, g, h] => u64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h]),
            digits => octal(digits).ok_or(ArchiveError::Malformed("a header's size is no number"))?,
        };
        let name = text_of(field(0, 100));
        let prefix = text_of(field(345, 500));
        let has_prefix = field(257, 263) == b"ustar\0" && !prefix.is_empty();
        let name = if has_prefix { format!("{prefix}/{name}") } else { name };
        let kind = match field(156, 157) {
            [0 | b'0' | b'7'] => Kind::File,
            [b'L'] => Kind::LongName,
            [b'x'] => Kind::Pax,
            _ => Kind::Other,
        };
        Ok(Self { name, kind, size_bytes })
    }
}

/// A number in octal digits, with blanks or zeros around it.
fn octal(field: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(field).ok()?.trim_matches(['\0', ' ']);
    if text.is_empty() { Some(0) } else { u64::from_str_radix(text, 8).ok() }
}

fn padded(size_bytes: u64) -> Option<u64> {
    size_bytes.checked_next_multiple_of(BLOCK_BYTES as u64)
}

/// Text up to its first zero byte.
fn text_of(field: &[u8]) -> String {
    String::from_utf8_lossy(field.split(|byte| *byte == 0).next().unwrap_or_default()).into_owned()
}

/// The `path` of pax records, each `LENGTH KEY=VALUE\n`.
fn pax_path(records: &[u8]) -> Option<String> {
    let mut rest = records;
    let mut path = None;
    while let Some(blank) = rest.iter().position(|byte| *byte == b' ') {
        let length: usize = std::str::from_utf8(rest.get(..blank)?).ok()?.parse().ok()?;
        let record = rest.get(blank + 1..length)?.strip_suffix(b"\n")?;
        if let Some(value) = record.strip_prefix(b"path=") {
            path = Some(String::from_utf8_lossy(value).into_owned());
        }
        rest = rest.get(length..)?;
    }
    path
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A tar archive of regular files, as every tool writes it.
    pub(crate) fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut archive = Vec::new();
        for (name, content) in files {
            archive.extend(header(name, b'0', content.len() as u64));
            archive.extend(*content);
            archive.resize(archive.len().next_multiple_of(BLOCK_BYTES), 0);
        }
        archive.extend([0; 2 * BLOCK_BYTES]);
        archive
    }

    fn header(name: &str, kind: u8, size_bytes: u64) -> [u8; BLOCK_BYTES] {
        let mut block = [0; BLOCK_BYTES];
        block[..name.len()].copy_from_slice(name.as_bytes());
        block[124..135].copy_from_slice(format!("{size_bytes:011o}").as_bytes());
        block[156] = kind;
        block[257..263].copy_from_slice(b"ustar\0");
        block[148..156].fill(b' ');
        let sum: u64 = block.iter().map(|byte| u64::from(*byte)).sum();
        block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        block
    }

    fn found(archive: &[u8], bytes_max: u64) -> Result<Vec<(String, Vec<u8>)>, ArchiveError> {
        let mut files = Vec::new();
        walk(archive, bytes_max, |file, body| {
            let mut content = Vec::new();
            body.read_to_end(&mut content).map_err(ArchiveError::Io)?;
            files.push((file.path.clone(), content));
            Ok::<_, ArchiveError>(Next::Continue)
        })?;
        Ok(files)
    }

    #[test]
    fn wasm_is_found_by_its_bytes_whatever_its_name() {
        let archive = tar(&[("etc/passwd", b"root"), ("./app", b"\0asm\x01\0\0\0"), ("fake.wasm", b"#!/bin/sh")]);
        assert_eq!(found(&archive, 1 << 20).unwrap(), [("app".to_owned(), b"\0asm\x01\0\0\0".to_vec())]);
    }

    #[test]
    fn a_visitor_that_reads_nothing_does_not_lose_the_next_file() {
        let archive = tar(&[("a", b"\0asm 1"), ("b", b"\0asm 2")]);
        let mut seen = Vec::new();
        walk(archive.as_slice(), 1 << 20, |file, _| {
            seen.push(file.path.clone());
            Ok::<_, ArchiveError>(Next::Continue)
        })
        .unwrap();
        assert_eq!(seen, ["a", "b"]);
    }

    #[test]
    fn long_names_are_read_from_both_kinds_of_extension() {
        let long = format!("{}/app.wasm", "d".repeat(150));
        let record = format!("path={long}\n");
        let length = record.len() + 4;
        for (kind, content) in [(b'L', long.clone()), (b'x', format!("{length} {record}"))] {
            let mut archive = header("ext", kind, content.len() as u64).to_vec();
            archive.extend(content.as_bytes());
            archive.resize(archive.len().next_multiple_of(BLOCK_BYTES), 0);
            archive.extend(tar(&[("short", b"\0asm....")]));
            assert_eq!(found(&archive, 1 << 20).unwrap()[0].0, long, "{}", char::from(kind));
        }
    }

    #[test]
    fn names_that_climb_are_only_text() {
        let archive = tar(&[("../../etc/evil.wasm", b"\0asm....")]);
        assert_eq!(found(&archive, 1 << 20).unwrap()[0].0, "../../etc/evil.wasm");
    }

    #[test]
    fn an_archive_made_to_hurt_meets_a_bound() {
        let archive = tar(&[("a", b"\0asm...."), ("b", b"x")]);
        assert!(matches!(found(&archive, 700), Err(ArchiveError::TooLarge(700))));
        let cut = &archive[..600];
        assert!(matches!(found(cut, 1 << 20), Err(ArchiveError::Malformed(_))));
        let name = header("n", b'L', u64::from(u32::MAX));
        assert!(matches!(found(&name, 1 << 40), Err(ArchiveError::Malformed(_))));
        let mut huge = header("h", b'0', 0);
        huge[124..136].copy_from_slice(&[0x80, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255]);
        assert!(found(&huge, 1 << 20).is_err());
        assert!(matches!(found(&[b'x'; 1024], 1 << 20), Err(ArchiveError::Malformed(_))));
    }
}
