//! WASI 0.3, for those who asked for it.

use std::time::Duration;

use runtime::{Exit, Kind, LoadError, Profile};

use crate::http::{ask, check};
use crate::support::{Bench, Started, hello, spin};

/// A command whose `run` does `body`. It may `(call $exit (i32.const CODE))`; 0 on the stack is success.
fn command(body: &str) -> String {
    format!(
        r#"(component
            (import "wasi:cli/exit@0.3.0" (instance $exit
                (export "exit-with-code" (func (param "status-code" u8)))))
            (core func $exit (canon lower (func $exit "exit-with-code")))
            (core module $program
                (import "host" "exit" (func $exit (param i32)))
                (func $run (export "run") (result i32) {body}))
            (core instance $program (instantiate $program (with "host" (instance (export "exit" (func $exit))))))
            (func $run async (result (result)) (canon lift (core func $program "run")))
            (instance $exported (export "run" (func $run)))
            (export "wasi:cli/run@0.3.0" (instance $exported)))"#
    )
}

/// The web guest, started.
async fn web(bench: &Bench) -> Started {
    let code = bench.guest_in("web3", Profile::Preview3).await;
    assert_eq!(code.kind(), Kind::Http);
    bench.start(&code, |spec| spec.http.request_deadline = Duration::from_secs(5))
}

#[tokio::test]
async fn a_command_runs_to_its_end() {
    let bench = Bench::with_preview3();
    for (body, expected) in [
        ("(i32.const 0)", Exit::Code(0)),
        ("(i32.const 1)", Exit::Code(1)),
        ("(call $exit (i32.const 3)) unreachable", Exit::Code(3)),
    ] {
        let code = bench.try_load(&command(body), Profile::Preview3).await.unwrap();
        assert_eq!(bench.start(&code, |_| {}).ends().await, expected, "{body}");
    }
}

#[tokio::test]
async fn a_command_that_never_ends_is_ended() {
    let bench = Bench::with_preview3();
    let code = bench.try_load(&command("(loop $again (br $again)) unreachable"), Profile::Preview3).await.unwrap();
    let late = bench.start(&code, |spec| spec.deadline = Some(Duration::from_millis(50)));
    assert_eq!(late.ends().await, Exit::Deadline);
    let killed = bench.start(&code, |_| {});
    killed.sandbox.kill();
    assert_eq!(killed.ends().await, Exit::Killed);
}

#[tokio::test]
async fn requests_are_answered_and_bodies_stream_both_ways() {
    let bench = Bench::with_preview3();
    let started = web(&bench).await;
    check(&ask(&started, "GET /", b"").await, "200", "hello from wasm");
    check(&ask(&started, "POST /echo", b"there and back").await, "200", "there and back");
    check(&ask(&started, "GET /trap", b"").await, "500", "the component failed");
    check(&ask(&started, "GET /", b"").await, "200", "hello from wasm");
    started.sandbox.request_termination();
    assert_eq!(started.ends().await, Exit::Code(0));
}

#[tokio::test]
async fn older_programs_run_in_the_same_profile() {
    let bench = Bench::with_preview3();
    let module = bench.try_load(&hello(), Profile::Preview3).await.unwrap();
    assert_eq!(bench.start(&module, |_| {}).finish().await, (Exit::Code(0), "hello\n".into()));
    let spin = bench.try_load(&spin(), Profile::Preview3).await.unwrap();
    let spinning = bench.start(&spin, |spec| spec.deadline = Some(Duration::from_millis(50)));
    assert_eq!(spinning.ends().await, Exit::Deadline);
    let web = bench.guest_in("web", Profile::Preview3).await;
    let web = bench.start(&web, |_| {});
    check(&ask(&web, "POST /echo", b"there and back").await, "200", "there and back");
}

#[tokio::test]
async fn without_the_switch_there_is_no_such_profile() {
    let bench = Bench::new();
    let error = bench.try_load(&hello(), Profile::Preview3).await.unwrap_err();
    assert!(matches!(error, LoadError::NoProfile("wasi-preview3")), "{error}");
    let draft = r#"(component (import "wasi:cli/exit@0.3.0-rc-2025-09-16" (instance (export "exit" (func)))))"#;
    let error = Bench::with_preview3().try_load(draft, Profile::Preview3).await.unwrap_err();
    assert!(matches!(error, LoadError::UnknownImports(_)), "{error}");
}
