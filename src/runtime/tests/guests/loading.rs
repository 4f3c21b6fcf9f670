//! From bytes to code, and what is refused on the way.

use std::path::{Path, PathBuf};
use std::time::Duration;

use runtime::{CompileError, Compiler, Exit, Kind, LoadError, Options, Profile, Runtime};

use crate::support::{Bench, hello};

fn cached(folder: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(folder.join("code")).unwrap().map(|file| file.unwrap().path()).collect()
}

#[tokio::test]
async fn what_cannot_run_here_is_told_by_name() {
    let bench = Bench::new();
    let component = |import: &str| format!(r#"(component (import "{import}" (instance (export "go" (func)))))"#);
    for (program, expected) in [
        (r#"(module (import "env" "sleep" (func)))"#, "imports that are not offered here: env::sleep"),
        (r#"(module (func (export "main")))"#, "exports neither _start"),
        (r#"(module (func (export "_start") (param i32)))"#, "exports neither _start"),
        ("(component)", "exports neither _start"),
        (&component("acme:db/store@1.0.0"), "not offered here: acme:db/store@1.0.0"),
        (&component("wasi:cli/environment@0.3.0"), "wasi-preview3 of a node with --wasi-preview3"),
        (&component("wasi:cli/environment@0.2.0"), "cannot be linked"),
        (r#"(module (import "wasi_snapshot_preview1" "fd_read" (func)) (func (export "_start")))"#, "cannot be linked"),
    ] {
        let error = bench.try_load(program, Profile::Dense).await.unwrap_err().to_string();
        assert!(error.contains(expected), "{program}: {error}");
    }
}

#[tokio::test]
async fn what_is_no_webassembly_is_invalid() {
    let bench = Bench::new();
    for bytes in [&b""[..], b"\0asm", b"\0asm\x01\0\0\0\xff", b"\x7fELF\x02\x01", b"#!/bin/sh\n"] {
        let path = bench.folder.path().join("bytes");
        std::fs::write(&path, bytes).unwrap();
        let error = bench.runtime.load(&path, &format!("{bytes:?}"), Profile::Dense).await.unwrap_err();
        assert!(matches!(error, LoadError::Compile(CompileError::Invalid(_))), "{bytes:?}: {error}");
    }
    assert_eq!(cached(bench.folder.path()).len(), 0);
}

#[tokio::test]
async fn many_pods_of_one_image_compile_it_once() {
    let bench = Bench::new();
    let program = hello();
    let loads = (0..8).map(|_| bench.load(&program));
    let loaded = tokio::time::timeout(crate::support::PATIENCE, async { futures::future::join_all(loads).await });
    assert!(loaded.await.unwrap().iter().all(|code| code.kind() == Kind::Module));
    assert_eq!(cached(bench.folder.path()).len(), 1);
}

#[tokio::test]
async fn code_is_taken_from_the_cache_unless_somebody_changed_it() {
    let bench = Bench::new();
    drop(bench.load(&hello()).await);
    let folder = bench.folder.path();
    let restarted = || Runtime::start(Options::new(folder.join("code"), Compiler::InProcess)).unwrap();

    // Without the program there is only the cache.
    std::fs::remove_file(folder.join("program.wasm")).unwrap();
    let found = restarted().load(&folder.join("program.wasm"), &hello(), Profile::Dense).await;
    assert_eq!(found.unwrap().kind(), Kind::Module);

    let [artifact] = cached(folder).try_into().unwrap();
    let mut bytes = std::fs::read(&artifact).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&artifact, bytes).unwrap();
    let refused = restarted().load(&folder.join("program.wasm"), &hello(), Profile::Dense).await;
    assert!(matches!(refused, Err(LoadError::Compile(CompileError::Io { .. }))), "{refused:?}");
    assert!(!artifact.exists());
}

/// A runtime whose compiler is a child process, as in production.
fn with_child(folder: &Path, change: impl FnOnce(&mut Options)) -> Runtime {
    let deps = std::env::current_exe().unwrap().parent().unwrap().to_owned();
    let program = deps.parent().unwrap().join("examples/compiler");
    let mut options = Options::new(folder.join("code"), Compiler::Child { program, args: Vec::new() });
    change(&mut options);
    Runtime::start(options).unwrap()
}

#[tokio::test]
async fn a_compiler_in_a_child_process_compiles_or_says_why_not() {
    let bench = Bench::new();
    let folder = bench.folder.path();
    let wasm = folder.join("hello.wasm");
    std::fs::write(&wasm, wat::parse_str(hello()).unwrap()).unwrap();
    let other = Bench { runtime: with_child(folder, |_| {}), folder: tempfile::tempdir().unwrap() };
    let code = other.runtime.load(&wasm, "hello", Profile::Request).await.unwrap();
    assert_eq!(other.start(&code, |_| {}).finish().await, (Exit::Code(0), "hello\n".into()));

    std::fs::write(&wasm, "no program").unwrap();
    let error = other.runtime.load(&wasm, "other", Profile::Dense).await.unwrap_err();
    assert!(error.to_string().starts_with("invalid WebAssembly: "), "{error}");
}

#[tokio::test]
async fn a_compiler_that_wants_too_much_dies_alone() {
    let bench = Bench::new();
    let folder = bench.folder.path();
    let wasm = folder.join("hello.wasm");
    std::fs::write(&wasm, wat::parse_str(hello()).unwrap()).unwrap();
    let load = async |runtime: Runtime| match runtime.load(&wasm, "hello", Profile::Dense).await {
        Err(LoadError::Compile(error)) => error,
        other => panic!("{other:?}"),
    };
    let starved = load(with_child(folder, |options| options.compile_memory_bytes = 1 << 20)).await;
    assert!(matches!(starved, CompileError::Died { .. }), "{starved}");
    let hurried = load(with_child(folder, |options| options.compile_deadline = Duration::from_micros(1))).await;
    assert!(matches!(hurried, CompileError::TooSlow(_)), "{hurried}");
    let absent = Compiler::Child { program: folder.join("absent"), args: Vec::new() };
    let absent = load(with_child(folder, |options| options.compiler = absent)).await;
    assert!(absent.to_string().starts_with("cannot start the compiler"), "{absent}");
    assert_eq!(cached(folder).len(), 0);
}
