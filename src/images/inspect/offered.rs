//! What we give to guests, by name, and what a guest needs beyond that.
//!
//! The list is written down here because this floor must not see the runtime; a test in the roof holds it against the
//! runtime's linker. Names follow wasmtime-wasi 48: all of WASI 0.1, and the interfaces of 0.2 that it links. WASI 0.3
//! is not offered yet.

use super::{Import, Inspection};

/// The core module that WASI 0.1 programs import from.
const PREVIEW1_MODULE: &str = "wasi_snapshot_preview1";

/// The functions of WASI 0.1.
const PREVIEW1: &[&str] = &[
    "args_get",
    "args_sizes_get",
    "clock_res_get",
    "clock_time_get",
    "environ_get",
    "environ_sizes_get",
    "fd_advise",
    "fd_allocate",
    "fd_close",
    "fd_datasync",
    "fd_fdstat_get",
    "fd_fdstat_set_flags",
    "fd_fdstat_set_rights",
    "fd_filestat_get",
    "fd_filestat_set_size",
    "fd_filestat_set_times",
    "fd_pread",
    "fd_prestat_dir_name",
    "fd_prestat_get",
    "fd_pwrite",
    "fd_read",
    "fd_readdir",
    "fd_renumber",
    "fd_seek",
    "fd_sync",
    "fd_tell",
    "fd_write",
    "path_create_directory",
    "path_filestat_get",
    "path_filestat_set_times",
    "path_link",
    "path_open",
    "path_readlink",
    "path_remove_directory",
    "path_rename",
    "path_symlink",
    "path_unlink_file",
    "poll_oneoff",
    "proc_exit",
    "proc_raise",
    "random_get",
    "sched_yield",
    "sock_accept",
    "sock_recv",
    "sock_send",
    "sock_shutdown",
];

/// The interfaces of WASI 0.2.
const PREVIEW2: &[&str] = &[
    "wasi:cli/environment@0.2.12",
    "wasi:cli/exit@0.2.12",
    "wasi:cli/stderr@0.2.12",
    "wasi:cli/stdin@0.2.12",
    "wasi:cli/stdout@0.2.12",
    "wasi:cli/terminal-input@0.2.12",
    "wasi:cli/terminal-output@0.2.12",
    "wasi:cli/terminal-stderr@0.2.12",
    "wasi:cli/terminal-stdin@0.2.12",
    "wasi:cli/terminal-stdout@0.2.12",
    "wasi:clocks/monotonic-clock@0.2.12",
    "wasi:clocks/wall-clock@0.2.12",
    "wasi:filesystem/preopens@0.2.12",
    "wasi:filesystem/types@0.2.12",
    "wasi:http/outgoing-handler@0.2.12",
    "wasi:http/types@0.2.12",
    "wasi:io/error@0.2.12",
    "wasi:io/poll@0.2.12",
    "wasi:io/streams@0.2.12",
    "wasi:random/insecure@0.2.12",
    "wasi:random/insecure-seed@0.2.12",
    "wasi:random/random@0.2.12",
    "wasi:sockets/instance-network@0.2.12",
    "wasi:sockets/ip-name-lookup@0.2.12",
    "wasi:sockets/network@0.2.12",
    "wasi:sockets/tcp@0.2.12",
    "wasi:sockets/tcp-create-socket@0.2.12",
    "wasi:sockets/udp@0.2.12",
    "wasi:sockets/udp-create-socket@0.2.12",
];

/// Everything that a guest may import: `MODULE::FUNCTION` for WASI 0.1, `NAMESPACE:PACKAGE/INTERFACE@VERSION` for
/// components, as the runtime writes them.
#[must_use]
pub fn offered() -> Vec<String> {
    let functions = PREVIEW1.iter().map(|function| format!("{PREVIEW1_MODULE}::{function}"));
    functions.chain(PREVIEW2.iter().map(ToString::to_string)).collect()
}

/// The imports that are not given, in the guest's order; none if it can run.
#[must_use]
pub fn verdict(inspection: &Inspection) -> Vec<Import> {
    inspection.imports.iter().filter(|import| !is_offered(import)).cloned().collect()
}

fn is_offered(import: &Import) -> bool {
    match import {
        Import::Core { module, name } => module == PREVIEW1_MODULE && PREVIEW1.contains(&name.as_str()),
        Import::Interface(wanted) => PREVIEW2.iter().any(|given| given == wanted || is_compatible(wanted, given)),
    }
}

/// Whether two versions of an interface meet in the linker: the same name, and versions in which semver allows no
/// break. Which of the two is newer does not matter, as in wasmtime: what is used is checked by type when linking.
fn is_compatible(wanted: &str, given: &str) -> bool {
    match (wanted.rsplit_once('@'), given.rsplit_once('@')) {
        (Some((wanted, wanted_version)), Some((given, given_version))) => {
            let wanted_track = track(wanted_version);
            wanted == given && wanted_track.is_some() && wanted_track == track(given_version)
        }
        _ => false,
    }
}

/// What must be equal for two versions to be compatible: the first number that is not zero, and those before it.
/// `None` for what is compatible with itself only (0.0.x, pre-releases) or no version.
fn track(version: &str) -> Option<(u32, u32)> {
    let mut numbers = version.split('.').map(str::parse::<u32>);
    match (numbers.next(), numbers.next(), numbers.next(), numbers.next()) {
        (Some(Ok(0)), Some(Ok(0)), ..) => None,
        (Some(Ok(0)), Some(Ok(minor)), Some(Ok(_)), None) => Some((0, minor)),
        (Some(Ok(major)), Some(Ok(_)), Some(Ok(_)), None) => Some((major, 0)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::Kind;
    use super::*;

    fn missing(imports: &[&str]) -> Vec<String> {
        let imports = imports.iter().map(|text| match text.split_once("::") {
            Some((module, name)) => Import::Core { module: module.to_owned(), name: name.to_owned() },
            None => Import::Interface((*text).to_owned()),
        });
        let kind = Kind::LibraryComponent;
        let inspection = Inspection { kind, imports: imports.collect(), exports: Vec::new(), size_bytes: 8 };
        verdict(&inspection).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn compatible_versions_of_wasi_are_given() {
        let given = ["wasi:cli/exit@0.2.0", "wasi:io/poll@0.2.3", "wasi:http/types@0.2.99"];
        assert_eq!(missing(&given), Vec::<String>::new());
        assert_eq!(missing(&["wasi_snapshot_preview1::fd_write"]), Vec::<String>::new());
    }

    #[test]
    fn what_is_not_given_is_named() {
        let not = [
            "wasi:cli/exit@0.2.0-rc-2023-11-10",
            "wasi:cli/exit@0.3.0",
            "wasi:cli/exit@1.2.0",
            "wasi:cli/exit",
            "wasi:clocks/timezone@0.2.0",
            "example:own/thing@0.2.0",
            "wasi_snapshot_preview1::sock_open",
            "wasi_unstable::fd_write",
            "env::memory",
        ];
        assert_eq!(missing(&not), not);
    }

    #[test]
    fn what_is_offered_is_given() {
        let offered = offered();
        assert_eq!(missing(&offered.iter().map(String::as_str).collect::<Vec<_>>()), Vec::<String>::new());
    }

    #[test]
    fn a_version_is_compatible_along_its_first_number_that_is_not_zero() {
        for (version, expected) in [
            ("1.2.3", Some((1, 0))),
            ("0.2.12", Some((0, 2))),
            ("0.0.1", None),
            ("0.3.0-rc-1", None),
            ("1.2", None),
            ("1.2.3.4", None),
            ("x", None),
        ] {
            assert_eq!(track(version), expected, "{version}");
        }
    }
}
