//! Guests that harm nobody but themselves, however they try.

use runtime::Exit;

use crate::support::{Bench, PATIENCE, hello, spin};

#[tokio::test]
async fn a_busy_loop_is_killed_and_its_neighbour_finishes_on_the_same_thread() {
    let bench = Bench::with_threads(1);
    let (busy, polite) = (bench.load(&spin()).await, bench.load(&hello()).await);
    let busy = bench.start(&busy, |_| {});
    let (exit, output) = bench.start(&polite, |_| {}).finish().await;
    assert_eq!((exit, output.as_str()), (Exit::Code(0), "hello\n"));
    assert_eq!(busy.sandbox.exit(), None);
    busy.sandbox.kill();
    assert_eq!(tokio::time::timeout(PATIENCE, busy.sandbox.wait()).await.unwrap(), Exit::Killed);
}
