//! What an ordinary command gets and gives.

use runtime::{Access, Exit, Mount, Profile, pipe};

use crate::support::{Bench, args, hello, module};

/// A component that calls `wasi:cli/run`'s body: core code with `(call $exit (i32.const CODE))` at hand.
fn component(body: &str) -> String {
    format!(
        r#"(component
            (import "wasi:cli/exit@0.2.12" (instance $exit
                (export "exit-with-code" (func (param "status-code" u8)))))
            (core func $exit (canon lower (func $exit "exit-with-code")))
            (core module $program
                (import "host" "exit" (func $exit (param i32)))
                (func (export "run") (result i32) {body}))
            (core instance $running
                (instantiate $program (with "host" (instance (export "exit" (func $exit))))))
            (func $run (result (result)) (canon lift (core func $running "run")))
            (instance $exported (export "run" (func $run)))
            (export "wasi:cli/run@0.2.0" (instance $exported)))"#
    )
}

#[tokio::test]
async fn a_module_prints_and_ends_in_every_profile() {
    let bench = Bench::with_preview3();
    for profile in Profile::ALL {
        let code = bench.try_load(&hello(), profile).await.unwrap();
        let (exit, output) = bench.start(&code, |_| {}).finish().await;
        assert_eq!((exit, output.as_str()), (Exit::Code(0), "hello\n"), "{profile:?}");
    }
}

#[tokio::test]
async fn the_exit_code_is_the_guests() {
    let bench = Bench::new();
    for (program, code) in [
        (module("", "(call $exit (i32.const 42))"), 42),
        (component("(call $exit (i32.const 7)) (i32.const 0)"), 7),
        (component("(i32.const 1)"), 1),
        (component("(i32.const 0)"), 0),
    ] {
        assert_eq!(bench.run(&program, |_| {}).await.0, Exit::Code(code));
    }
}

#[tokio::test]
async fn arguments_environment_and_host_name_arrive() {
    let bench = Bench::new();
    let code = bench.guest("hello").await;
    for (given, expected) in [
        (args(&["a", "b c"]), "hello a b c\n"),
        (args(&["env", "COLOR"]), "blue\n"),
        (args(&["env", "HOSTNAME"]), "host\n"),
        (args(&["env", "PWD"]), "/elsewhere\n"),
    ] {
        let started = bench.start(&code, |spec| {
            spec.args = given;
            spec.env = vec![("COLOR".into(), "blue".into())];
            spec.working_dir = Some("/elsewhere".into());
        });
        assert_eq!(started.finish().await, (Exit::Code(0), expected.into()));
    }
}

#[tokio::test]
async fn input_is_read_to_its_end() {
    let bench = Bench::new();
    let code = bench.guest("hello").await;
    let (writer, reader) = pipe(4);
    let started = bench.start(&code, |spec| {
        spec.args = args(&["upper"]);
        spec.stdin = Some(reader);
    });
    let writing = async move { writer.write_all(b"one\ntwo\n").await };
    let ((), ended) = tokio::join!(writing, started.finish());
    assert_eq!(ended, (Exit::Code(0), "ONE\nTWO\n".into()));

    let without = bench.start(&code, |spec| spec.args = args(&["upper"]));
    assert_eq!(without.finish().await, (Exit::Code(0), String::new()));
}

#[tokio::test]
async fn a_volume_is_shared_as_its_mounts_say_and_nothing_beside_it_is_seen() {
    let bench = Bench::new();
    let code = bench.guest("hello").await;
    let dir = bench.volume("volume");
    let run = async |access, words: &[&str]| {
        let mount = Mount { guest_path: "/data".into(), dir: dir.try_clone().unwrap(), access };
        let started = bench.start(&code, |spec| {
            spec.args = args(words);
            spec.mounts = vec![mount];
            spec.working_dir = Some("/data".into());
        });
        let (exit, output) = started.finish().await;
        (exit.code(), output)
    };
    let ok = |text: &str| (0, text.to_owned());
    assert_eq!(run(Access::ReadWrite, &["write", "/data/note", "kept"]).await, ok(""));
    assert_eq!(run(Access::ReadOnly, &["cat", "/data/note"]).await, ok("kept"));
    assert_eq!(run(Access::ReadOnly, &["cat", "note"]).await, ok("kept"), "relative to the working directory");
    assert_eq!(run(Access::ReadOnly, &["ls", "/data"]).await, ok("note\n"));
    let refused = (1, String::new());
    assert_eq!(run(Access::ReadOnly, &["write", "/data/note", "lost"]).await, refused);
    assert_eq!(run(Access::ReadWrite, &["cat", "/data/../code"]).await, refused);
    assert_eq!(run(Access::ReadWrite, &["cat", "/etc/passwd"]).await, refused);
    assert_eq!(dir.read_to_string("note").unwrap(), "kept");
}

#[tokio::test]
async fn a_link_out_of_a_volume_leads_nowhere() {
    let bench = Bench::new();
    let code = bench.guest("hello").await;
    std::fs::write(bench.folder.path().join("secret"), "secret").unwrap();
    let dir = bench.volume("volume");
    dir.symlink("../secret", "link").unwrap();
    let started = bench.start(&code, |spec| {
        spec.args = args(&["cat", "/data/link"]);
        spec.mounts = vec![Mount { guest_path: "/data".into(), dir, access: Access::ReadWrite }];
    });
    assert_eq!(started.finish().await, (Exit::Code(1), String::new()));
}

#[tokio::test]
async fn a_guest_that_sleeps_uses_no_cpu_and_no_thread() {
    let bench = Bench::with_threads(1);
    let code = bench.guest("hello").await;
    let sleeping = bench.start(&code, |spec| spec.args = args(&["sleep", "3600"]));
    let (exit, _) = bench.start(&code, |_| {}).finish().await;
    assert_eq!((exit, sleeping.sandbox.exit()), (Exit::Code(0), None));
    sleeping.sandbox.kill();
    assert_eq!(sleeping.ends().await, Exit::Killed);
}
