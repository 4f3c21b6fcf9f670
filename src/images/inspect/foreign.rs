//! What bytes that are no Wasm probably are, so that an error can say it.

use super::{NotWasm, text};

/// How much of a file's beginning is looked at: enough for tar's magic, which stands at byte 257.
pub(super) const HEAD_BYTES: usize = 512;

/// wasmtime's mark in the ELF files that it compiles to.
const ELF_OSABI_WASMTIME: u8 = 200;

/// Magic bytes and what they begin, in the order in which they are tried.
const MAGIC: [(&[u8], &str); 14] = [
    (b"\x7fELF", "a native program (ELF)"),
    (b"MZ", "a native program (PE)"),
    (b"\xcf\xfa\xed\xfe", "a native program (Mach-O)"),
    (b"\xca\xfe\xba\xbe", "a Java class or a native program (Mach-O)"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"PK\x03\x04", "a zip archive"),
    (b"\x28\xb5\x2f\xfd", "a zstd archive"),
    (b"BZh", "a bzip2 archive"),
    (b"\xfd7zXZ", "an xz archive"),
    (b"!<arch>\n", "an ar archive"),
    (b"BC\xc0\xde", "LLVM bitcode"),
    (b"#!", "a script"),
    (b"{", "JSON"),
    (b"<", "HTML or XML"),
];

/// Names a file by its beginning, which is not empty.
pub(super) fn name(head: &[u8]) -> NotWasm {
    if head.starts_with(b"\x7fELF") && head.get(7) == Some(&ELF_OSABI_WASMTIME) {
        return NotWasm::Precompiled;
    }
    if text::is_text(head) {
        return NotWasm::Foreign("the text form (.wat), where the binary form was expected");
    }
    let magic = MAGIC.iter().find(|(magic, _)| head.starts_with(magic)).map(|(_, what)| *what);
    NotWasm::Foreign(match magic {
        Some(what) => what,
        None if head.get(257..262) == Some(b"ustar") => "a tar archive",
        None if head.iter().all(|byte| matches!(byte, b'\t' | b'\n' | b'\r' | b' '..=b'~')) => "text",
        None => "of an unknown format",
    })
}
