//! What builds guests: rustup's Wasm targets where it can fetch them, else a private toolchain in the cache folder.

use std::path::PathBuf;
use std::process::Command;

use crate::{Result, cache, root, run, succeeds};

/// The targets that guests are built for: WASI 0.1 modules and WASI 0.2 components.
pub(crate) const TARGETS: [&str; 2] = ["wasm32-wasip1", "wasm32-wasip2"];

/// The C compiler for guests that contain C, as a Python package at a version: clang with a libc for WASI, 90 MB.
const C_COMPILER: &str = "ziglang==0.15.2";

/// A way to build guests.
pub(crate) enum Toolchain {
    /// The user's own.
    Rustup,
    /// The one that `guest-toolchain.sh` lays down, in this folder.
    Private(PathBuf),
}

impl Toolchain {
    /// Finds a toolchain or makes one.
    pub(crate) fn ready() -> Result<Self> {
        if targets_are_installed() || succeeds(Command::new("rustup").args(["target", "add"]).args(TARGETS)) {
            return Ok(Self::Rustup);
        }
        let folder = cache().join("guest-toolchain");
        if !folder.join(".done").exists() {
            println!(
                "rustup cannot fetch {}: laying a private toolchain into {}",
                TARGETS.join(", "),
                folder.display()
            );
            run(Command::new("bash").arg(root().join("tests/xtask/guest-toolchain.sh")).arg(&folder))?;
        }
        Ok(Self::Private(folder))
    }

    /// Cargo, set up to build guests.
    pub(crate) fn cargo(&self) -> Command {
        let mut cargo = Command::new("cargo");
        // The outer cargo's choices are for the host.
        for name in
            ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_TARGET_DIR", "CARGO_BUILD_TARGET", "RUSTUP_TOOLCHAIN"]
        {
            cargo.env_remove(name);
        }
        if let Self::Private(folder) = self {
            cargo.env("RUSTC", folder.join("usr/bin/rustc"));
            cargo.env("LD_LIBRARY_PATH", folder.join("usr/lib/x86_64-linux-gnu"));
        }
        cargo
    }

    /// Cargo, set up to build guests that contain C: [`C_COMPILER`] is fetched into the cache folder when it is not there.
    pub(crate) fn cargo_with_c(&self) -> Result<Command> {
        let folder = cache().join(C_COMPILER.replace("==", "-"));
        if !folder.join("ziglang/__main__.py").exists() {
            println!("fetching {C_COMPILER}");
            let mut pip = Command::new("python3");
            pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]);
            run(pip.args(["--only-binary", ":all:", C_COMPILER, "--target"]).arg(&folder)).map_err(|error| {
                format!("{error}: fetching {C_COMPILER} needs Python 3 with pip; install python3-pip")
            })?;
        }
        let mut cargo = self.cargo();
        cargo.env("PYTHONPATH", folder);
        cargo.env("CC_wasm32_wasip1", "python3 -m ziglang cc").env("AR_wasm32_wasip1", "python3 -m ziglang ar");
        // Stands behind the target that the build script names, which this compiler calls otherwise.
        cargo.env("CFLAGS_wasm32_wasip1", "--target=wasm32-wasi");
        Ok(cargo)
    }
}

fn targets_are_installed() -> bool {
    let listed = Command::new("rustup").args(["target", "list", "--installed"]).output();
    let listed = listed.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    TARGETS.iter().all(|target| listed.lines().any(|line| line == *target))
}
