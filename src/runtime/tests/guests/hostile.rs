//! Guests that harm nobody but themselves, however they try.

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use runtime::{Access, Exit, Limits, LoadError, Mount, OutputSink, Profile, StartError};

use crate::support::{Bench, args, hello, module, spin, text};

const MIB: u64 = 1 << 20;

fn memory(bytes: u64) -> Limits {
    Limits { memory_bytes: Some(bytes), ..Limits::default() }
}

/// Asserts that a program ends in a trap whose text holds all `words`.
async fn check_trap(bench: &Bench, program: &str, words: &[&str]) {
    let (exit, _) = bench.run(program, |_| {}).await;
    let Exit::Trap(text) = exit else { panic!("no trap but {exit:?}") };
    for word in words {
        assert!(text.contains(word), "{word:?} is not in: {text}");
    }
}

#[tokio::test]
async fn a_busy_loop_is_killed_and_its_neighbour_finishes_on_the_same_thread() {
    let bench = Bench::with_threads(1);
    let (busy, polite) = (bench.load(&spin()).await, bench.load(&hello()).await);
    let busy = bench.start(&busy, |_| {});
    let ended = bench.start(&polite, |_| {}).finish().await;
    assert_eq!(ended, (Exit::Code(0), "hello\n".into()));
    assert_eq!(busy.sandbox.exit(), None);
    busy.sandbox.kill();
    assert_eq!(busy.ends().await, Exit::Killed);
}

#[tokio::test]
async fn a_deadline_ends_a_busy_loop_and_a_cpu_limit_throttles_it() {
    let bench = Bench::new();
    let code = bench.load(&spin()).await;
    let limited = bench.start(&code, |spec| {
        spec.deadline = Some(Duration::from_millis(600));
        spec.limits.cpu_limit = Some(100);
    });
    assert_eq!(limited.ends().await, Exit::Deadline);
    // A tenth of 600 ms and a burst of 10 ms; the rest is room for slices on a machine that is busy otherwise.
    assert!(limited.sandbox.usage().cpu < Duration::from_millis(200), "{:?}", limited.sandbox.usage());
}

#[tokio::test]
async fn a_guest_in_debt_of_cpu_time_can_be_killed_at_once() {
    let bench = Bench::new();
    let code = bench.load(&spin()).await;
    // A slice of 1 ms makes a debt of hours.
    let started = bench.start(&code, |spec| spec.limits.cpu_limit = Some(0));
    while started.sandbox.usage().cpu.is_zero() {
        tokio::task::yield_now().await;
    }
    started.sandbox.kill();
    assert_eq!(started.ends().await, Exit::Killed);
}

#[tokio::test]
async fn a_dropped_handle_ends_its_guest() {
    let bench = Bench::new();
    let code = bench.load(&spin()).await;
    let started = bench.start(&code, |_| {});
    drop(started.sandbox);
    assert_eq!(text(&started.stdout).await, "", "the output ends with the guest");
}

#[tokio::test]
async fn growing_without_end_is_told_as_the_memory_limit() {
    let bench = Bench::new();
    let grow = "(loop $again (br_if $again (i32.ge_s (memory.grow (i32.const 1)) (i32.const 0))))";
    for (body, expected) in [
        (format!("{grow} unreachable"), Exit::MemoryLimit(MIB)),
        (format!("{grow} (call $exit (i32.const 1))"), Exit::MemoryLimit(MIB)),
        (grow.to_owned(), Exit::Code(0)),
    ] {
        let code = bench.load(&module("", &body)).await;
        let started = bench.start(&code, |spec| spec.limits = memory(MIB));
        assert_eq!(started.ends().await, expected, "{body}");
        let usage = started.sandbox.usage();
        assert_eq!((usage.memory_bytes, usage.memory_peak_bytes), (0, MIB));
    }
}

/// A table of 64 bits can be asked to grow beyond any size, which fails before anybody is asked.
#[tokio::test]
async fn a_growth_that_cannot_be_gives_no_memory_back() {
    let bench = Bench::new();
    let program = r#"(module
        (memory 1)
        (table $wide i64 1 funcref)
        (func (export "_start") (local $round i32)
            (loop $again
                (drop (memory.grow (i32.const 1)))
                (drop (table.grow $wide (ref.null func) (i64.const -1)))
                (local.set $round (i32.add (local.get $round) (i32.const 1)))
                (br_if $again (i32.lt_u (local.get $round) (i32.const 100))))
            (if (i32.gt_u (memory.size) (i32.const 16)) (then unreachable))))"#;
    for profile in [Profile::Request, Profile::Dense, Profile::Guarded] {
        let code = bench.try_load(program, profile).await.unwrap();
        let exit = bench.start(&code, |spec| spec.limits = memory(MIB)).ends().await;
        assert_eq!(exit, Exit::Code(0), "{profile:?}: it has more than its limit");
    }
}

#[tokio::test]
async fn a_module_that_is_born_too_large_does_not_start() {
    let bench = Bench::new();
    let (exit, _) = bench.run(&hello(), |spec| spec.limits = memory(65_536)).await;
    assert_eq!(exit, Exit::MemoryLimit(65_536));
}

#[tokio::test]
async fn a_table_counts_as_memory() {
    let bench = Bench::new();
    let program = r#"(module
        (table $large 0 funcref)
        (func (export "_start")
            (loop $again
                (br_if $again (i32.ge_s (table.grow $large (ref.null func) (i32.const 1000)) (i32.const 0))))
            unreachable))"#;
    for profile in [Profile::Request, Profile::Dense, Profile::Guarded] {
        for limit in [MIB, 4096 * MIB] {
            let code = bench.try_load(program, profile).await.unwrap();
            let exit = bench.start(&code, |spec| spec.limits = memory(limit)).ends().await;
            assert_eq!(exit, Exit::MemoryLimit(limit), "{profile:?}");
        }
    }
}

#[tokio::test]
async fn recursion_without_end_is_a_trap() {
    let program = r#"(module (func $deeper (call $deeper)) (func (export "_start") (call $deeper)))"#;
    check_trap(&Bench::new(), program, &["call stack exhausted", "deeper"]).await;
}

#[tokio::test]
async fn a_trap_says_what_and_where() {
    let bench = Bench::new();
    let program = r#"(module $tool
        (func $dig unreachable)
        (func $main (export "_start") (call $dig)))"#;
    check_trap(&bench, program, &["unreachable", "tool!dig", "tool!main"]).await;
}

#[tokio::test]
async fn opening_files_without_end_stops_at_the_bound() {
    let bench = Bench::new();
    let program = r#"(module
        (import "wasi_snapshot_preview1" "path_open"
            (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
        (memory (export "memory") 1)
        (data (i32.const 0) "file")
        (func (export "_start") (local $left i32)
            (local.set $left (i32.const 5000))
            (loop $again
                (if (call $open (i32.const 3) (i32.const 0) (i32.const 0) (i32.const 4)
                        (i32.const 0) (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 16))
                    (then (call $exit (i32.const 9))))
                (br_if $again (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))))"#;
    let code = bench.load(program).await;
    let dir = bench.volume("volume");
    dir.write("file", "").unwrap();
    let started = bench.start(&code, |spec| {
        spec.mounts = vec![Mount { guest_path: "/".into(), dir, access: Access::ReadOnly }];
    });
    let exit = started.ends().await;
    assert!(matches!(exit, Exit::Code(9) | Exit::Trap(_)), "{exit:?}");
}

#[tokio::test]
async fn a_flood_of_output_waits_for_its_reader_and_holds_up_nobody_else() {
    let bench = Bench::with_threads(1);
    let (flood, polite) = (bench.guest("hello").await, bench.load(&hello()).await);
    let flood = bench.start(&flood, |spec| spec.args = args(&["flood"]));
    let ended = bench.start(&polite, |_| {}).finish().await;
    assert_eq!(ended, (Exit::Code(0), "hello\n".into()));
    let mut read = 0;
    while read < MIB as usize {
        read += flood.stdout.next().await.expect("a flood has no end").len();
    }
    flood.sandbox.kill();
    assert_eq!(flood.ends().await, Exit::Killed);
}

#[tokio::test]
async fn strings_that_no_program_could_take_are_refused() {
    let bench = Bench::new();
    let code = bench.load(&hello()).await;
    let refusal = |arg: String| bench.try_start(&code, |spec| spec.args.push(arg)).err().unwrap();
    assert!(matches!(refusal("x".repeat(3 << 20)), StartError::TooLarge(_)));
    assert!(matches!(refusal("a\0b".into()), StartError::Nul(_)));
}

/// A sink with a bug.
struct Panics;

impl OutputSink for Panics {
    fn write(&self, _: &[u8]) -> usize {
        panic!("on purpose")
    }

    fn room(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}

#[tokio::test]
async fn a_panic_of_the_host_ends_one_guest_alone() {
    let bench = Bench::with_threads(1);
    let code = bench.load(&hello()).await;
    let unlucky = bench.start(&code, |spec| spec.stdout = Arc::new(Panics));
    assert!(matches!(unlucky.ends().await, Exit::Trap(_)));
    assert_eq!(bench.start(&code, |_| {}).ends().await, Exit::Code(0));
}

#[tokio::test]
async fn what_would_exhaust_the_mappings_of_the_process_is_refused_until_others_end() {
    // Four for the code, six for each guest.
    let bench = Bench::with_mappings(4 + 2 * 6);
    let code = bench.load(&spin()).await;
    let [first, _second] = [(); 2].map(|()| bench.start(&code, |_| {}));
    let refused = bench.try_start(&code, |_| {}).err().unwrap();
    assert!(
        matches!(refused, StartError::Mappings(_)) && refused.to_string().contains("vm.max_map_count"),
        "{refused}"
    );
    let unloadable = bench.try_load(&hello(), Profile::Dense).await.err().unwrap();
    assert!(matches!(unloadable, LoadError::Mappings(_)), "{unloadable}");
    first.sandbox.kill();
    first.ends().await;
    bench.start(&code, |_| {});
}

/// A module of 20 memories, each with data in its middle, and a large table, that says a word and never ends.
fn many_memories() -> String {
    let memories = "(memory 3 9) ".repeat(20);
    let data: String = (0..20).map(|index| format!("(data (memory {index}) (i32.const 70000) \"x\") ")).collect();
    format!(
        r#"(module
            (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
            {memories} {data} (table 100000 funcref) (export "memory" (memory 0))
            (data (i32.const 0) "\08\00\00\00\01\00\00\00!")
            (func (export "_start")
                (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 16)))
                (loop $again (br $again))))"#
    )
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn mappings_are_counted_as_the_kernel_counts_them() {
    let mapped = || std::fs::read_to_string("/proc/self/maps").unwrap().lines().count();
    let counted = 2 + 20 * 4 + 1;
    let bench = Bench::with_mappings(4 + counted);
    let code = bench.load(&many_memories()).await;
    let before = mapped();
    let started = bench.start(&code, |_| {});
    assert_eq!(started.stdout.next().await.as_deref(), Some(&b"!"[..]));
    let taken = mapped() - before;
    assert!((counted / 2..=counted).contains(&taken), "{taken} mappings were taken, {counted} counted");

    let short = Bench::with_mappings(4 + counted - 1);
    let code = short.load(&many_memories()).await;
    let exit = short.start(&code, |_| {}).ends().await;
    assert!(matches!(&exit, Exit::NoMappings(why) if why.contains("vm.max_map_count")), "{exit:?}");
}
