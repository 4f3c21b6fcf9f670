//! Appends a line to a file at each start and then at each interval, and syncs it: shows that a volume outlives its
//! container, and that two lives of a pod do not overlap.
//!
//! `journal FILE [SECONDS]` writes `<name> <uid> start`, then `<name> <uid> <n>` at each interval, where name and uid
//! come from the environment (`POD_NAME`, `POD_UID`).

use std::fs::OpenOptions;
use std::io::Write as _;
use std::time::Duration;
use std::{env, io, thread};

fn main() -> io::Result<()> {
    let mut args = env::args().skip(1);
    let path = args.next().ok_or_else(|| io::Error::other("usage: journal FILE [SECONDS]"))?;
    let interval = args.next().and_then(|seconds| seconds.parse().ok()).unwrap_or(1.0);
    let name = env::var("POD_NAME").unwrap_or_else(|_| "-".into());
    let uid = env::var("POD_UID").unwrap_or_else(|_| "-".into());

    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    let mut write = |what: &str| -> io::Result<()> {
        println!("{name} {uid} {what}");
        file.write_all(format!("{name} {uid} {what}\n").as_bytes())?;
        file.sync_all()
    };
    write("start")?;
    for n in 1_u64.. {
        thread::sleep(Duration::from_secs_f64(interval));
        write(&n.to_string())?;
    }
    Ok(())
}
