//! What the host offers to programs, and what a program imports beyond it.
//!
//! WASI 0.1 modules get every function of `wasi_snapshot_preview1`; components get the interfaces of WASI 0.2 below,
//! in any version of that line that we know. Sockets are linked, so that ordinary programs start, and answer
//! "access denied" until pods have a network. WASI 0.3 is offered beside 0.2 in the profile for it, and nowhere else.

use wasmtime::component::{Component, Linker as ComponentLinker};
use wasmtime::{Engine, Linker as ModuleLinker, Module};

use crate::profiles::Profile;
use crate::sandbox::state::{ComponentState, ModuleState};

/// The version of the WASI 0.2 interfaces that we offer; older ones of the line are the same with less.
const VERSION: &str = "0.2.12";

/// The interfaces of WASI 0.2 that we offer.
const INTERFACES: [&str; 29] = [
    "wasi:cli/environment",
    "wasi:cli/exit",
    "wasi:cli/stderr",
    "wasi:cli/stdin",
    "wasi:cli/stdout",
    "wasi:cli/terminal-input",
    "wasi:cli/terminal-output",
    "wasi:cli/terminal-stderr",
    "wasi:cli/terminal-stdin",
    "wasi:cli/terminal-stdout",
    "wasi:clocks/monotonic-clock",
    "wasi:clocks/wall-clock",
    "wasi:filesystem/preopens",
    "wasi:filesystem/types",
    "wasi:http/outgoing-handler",
    "wasi:http/types",
    "wasi:io/error",
    "wasi:io/poll",
    "wasi:io/streams",
    "wasi:random/insecure",
    "wasi:random/insecure-seed",
    "wasi:random/random",
    "wasi:sockets/instance-network",
    "wasi:sockets/ip-name-lookup",
    "wasi:sockets/network",
    "wasi:sockets/tcp",
    "wasi:sockets/tcp-create-socket",
    "wasi:sockets/udp",
    "wasi:sockets/udp-create-socket",
];

/// The interfaces of WASI 0.3 that the profile for them has.
const INTERFACES_3: [&str; 23] = [
    "wasi:cli/environment",
    "wasi:cli/exit",
    "wasi:cli/stderr",
    "wasi:cli/stdin",
    "wasi:cli/stdout",
    "wasi:cli/terminal-input",
    "wasi:cli/terminal-output",
    "wasi:cli/terminal-stderr",
    "wasi:cli/terminal-stdin",
    "wasi:cli/terminal-stdout",
    "wasi:cli/types",
    "wasi:clocks/monotonic-clock",
    "wasi:clocks/system-clock",
    "wasi:clocks/types",
    "wasi:filesystem/preopens",
    "wasi:filesystem/types",
    "wasi:http/client",
    "wasi:http/types",
    "wasi:random/insecure",
    "wasi:random/insecure-seed",
    "wasi:random/random",
    "wasi:sockets/ip-name-lookup",
    "wasi:sockets/types",
];

/// The module that WASI 0.1 programs import from.
const PREVIEW1: &str = "wasi_snapshot_preview1";

/// The functions that they may import from it.
const PREVIEW1_FUNCTIONS: [&str; 46] = [
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

/// Up to which line of WASI components are linked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Line {
    /// WASI 0.2 alone.
    Preview2,
    /// WASI 0.3 beside it.
    Preview3,
}

/// The linkers of one engine.
pub(crate) struct Linkers {
    pub(crate) line: Line,
    pub(crate) modules: ModuleLinker<ModuleState>,
    pub(crate) components: ComponentLinker<ComponentState>,
}

impl Line {
    pub(crate) fn of(profile: Profile) -> Self {
        match profile {
            Profile::Request | Profile::Dense | Profile::Guarded => Self::Preview2,
            Profile::Preview3 => Self::Preview3,
        }
    }
}

impl Linkers {
    pub(crate) fn new(engine: &Engine, line: Line) -> wasmtime::Result<Self> {
        let mut modules = ModuleLinker::new(engine);
        wasmtime_wasi::p1::add_to_linker_async(&mut modules, |state: &mut ModuleState| &mut state.wasi)?;
        let mut components = ComponentLinker::new(engine);
        wasmtime_wasi::p2::add_to_linker_async(&mut components)?;
        wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut components)?;
        if line == Line::Preview3 {
            wasmtime_wasi::p3::add_to_linker(&mut components)?;
            wasmtime_wasi_http::p3::add_to_linker(&mut components)?;
        }
        Ok(Self { line, modules, components })
    }
}

/// Everything that a program may import in every profile: `MODULE::FUNCTION` for WASI 0.1, `NAMESPACE:PACKAGE/INTERFACE@VERSION` for
/// components, of which any version of the same 0.2 line may be imported.
#[must_use]
pub fn offered_imports() -> Vec<String> {
    let functions = PREVIEW1_FUNCTIONS.iter().map(|function| format!("{PREVIEW1}::{function}"));
    let interfaces = INTERFACES.iter().map(|interface| format!("{interface}@{VERSION}"));
    functions.chain(interfaces).collect()
}

/// What a module imports and we do not offer, as `MODULE::NAME`.
pub(super) fn missing_of_module(module: &Module) -> Vec<String> {
    let offered = |from: &str, name: &str| from == PREVIEW1 && PREVIEW1_FUNCTIONS.contains(&name);
    let imports = module.imports().filter(|import| !offered(import.module(), import.name()));
    imports.map(|import| format!("{}::{}", import.module(), import.name())).collect()
}

/// What a component imports and we do not offer.
pub(super) fn missing_of_component(component: &Component, engine: &Engine, line: Line) -> Vec<String> {
    let imports = component.component_type();
    let names = imports.imports(engine).map(|(name, _)| name.to_owned());
    names.filter(|name| !is_offered(name, line)).collect()
}

/// Whether an interface is one of ours, in a version of our lines. The drafts of 0.3 are not 0.3.
fn is_offered(import: &str, line: Line) -> bool {
    let Some((interface, version)) = import.split_once('@') else { return false };
    let is_patch_of = |line: &str| version.strip_prefix(line).is_some_and(|patch| patch.parse::<u32>().is_ok());
    match line {
        Line::Preview3 if is_patch_of("0.3.") => INTERFACES_3.contains(&interface),
        Line::Preview2 | Line::Preview3 => INTERFACES.contains(&interface) && is_patch_of("0.2."),
    }
}

/// Whether an import is of WASI 0.3, drafts included.
pub(super) fn is_preview3(import: &str) -> bool {
    import.starts_with("wasi:") && import.split_once('@').is_some_and(|(_, version)| version.starts_with("0.3."))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use wasmtime::Store;
    use wasmtime_wasi::WasiCtxBuilder;
    use wasmtime_wasi::p1::{self, WasiP1Ctx};

    use super::*;

    /// The version of WASI 0.3 that wasmtime links.
    const VERSION_3: &str = "0.3.0";

    #[test]
    fn the_functions_are_those_that_the_linker_has() {
        let mut store = Store::new(&Engine::default(), WasiCtxBuilder::new().build_p1());
        let mut linker = ModuleLinker::new(store.engine());
        p1::add_to_linker_async(&mut linker, |context: &mut WasiP1Ctx| context).unwrap();
        let linked: BTreeSet<String> =
            linker.iter(&mut store).map(|(module, name, _)| format!("{module}::{name}")).collect();
        let offered: BTreeSet<String> =
            offered_imports().into_iter().filter(|import| import.starts_with(PREVIEW1)).collect();
        assert_eq!(linked, offered);
    }

    #[test]
    fn the_interfaces_are_in_the_linker() {
        let mut linkers = Linkers::new(&Engine::default(), Line::Preview3).unwrap();
        let mut define = |name: &str| linkers.components.root().func_wrap(name, |_, (): ()| Ok(())).is_ok();
        let preview2 = INTERFACES.map(|interface| format!("{interface}@{VERSION}"));
        // Interfaces of types alone have nothing to link.
        let preview3 = INTERFACES_3.into_iter().filter(|name| !["wasi:cli/types", "wasi:clocks/types"].contains(name));
        for interface in preview2.into_iter().chain(preview3.map(|interface| format!("{interface}@{VERSION_3}"))) {
            // Nothing can be defined under a name that is taken.
            assert!(!define(&interface), "{interface} is not linked");
        }
        assert!(define("wasi:keyvalue/store@0.2.0"));
    }

    #[test]
    fn wasi_0_3_is_linked_in_its_own_profile_alone() {
        for profile in Profile::ALL {
            let mut linkers = Linkers::new(&profile.engine().unwrap(), Line::of(profile)).unwrap();
            let name = format!("wasi:cli/environment@{VERSION_3}");
            let is_free = linkers.components.root().func_wrap(&name, |_, (): ()| Ok(())).is_ok();
            assert_eq!(is_free, profile != Profile::Preview3, "{profile:?}");
        }
    }

    #[test]
    fn any_version_of_the_line_will_do() {
        for (import, offered, offered_beside_preview3, preview3) in [
            ("wasi:cli/environment@0.2.0", true, true, false),
            ("wasi:http/types@0.2.99", true, true, false),
            ("wasi:cli/environment@0.2.0-rc-2023-11-10", false, false, false),
            ("wasi:cli/environment@0.3.0", false, true, true),
            ("wasi:cli/environment@0.3.0-rc-2025-09-16", false, false, true),
            ("wasi:clocks/wall-clock@0.3.0", false, false, true),
            ("wasi:cli/environment", false, false, false),
            ("wasi:keyvalue/store@0.2.0", false, false, false),
        ] {
            let is = (is_offered(import, Line::Preview2), is_offered(import, Line::Preview3), is_preview3(import));
            assert_eq!(is, (offered, offered_beside_preview3, preview3), "{import}");
        }
    }
}
