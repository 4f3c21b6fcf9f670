//! What an ordinary command gets and gives.

use runtime::{Exit, Profile};

use crate::support::{Bench, hello, module};

#[tokio::test]
async fn a_module_prints_and_ends_in_every_profile() {
    let bench = Bench::new();
    for profile in Profile::ALL {
        let code = bench.try_load(&hello(), profile).await.unwrap();
        let (exit, output) = bench.start(&code, |_| {}).finish().await;
        assert_eq!((exit, output.as_str()), (Exit::Code(0), "hello\n"), "{profile:?}");
    }
}

#[tokio::test]
async fn the_exit_code_is_the_guests() {
    let bench = Bench::new();
    let (exit, _) = bench.run(&module("", "(call $exit (i32.const 42))"), |_| {}).await;
    assert_eq!(exit, Exit::Code(42));
}
