//! A command that shows what it was given and ends as it is told: the guest of most tests.
//!
//! ```text
//! hello                       greets, and prints arguments and environment when there are any
//! hello exit 3                ends with code 3
//! hello env NAME              prints one environment variable
//! hello write PATH TEXT       writes a file
//! hello cat PATH              prints a file
//! hello ls PATH               prints the names in a folder, sorted
//! hello sleep SECONDS         sleeps, then greets
//! hello spin                  never yields and never ends
//! hello hoard                 takes memory without end
//! hello abort                 ends in a trap
//! hello flood                 prints without end
//! hello upper                 prints each line of its input in upper case
//! ```

use std::io::BufRead as _;
use std::process::ExitCode;
use std::time::Duration;
use std::{env, fs, hint, io, thread};

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match run(&args) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("hello: {error}");
            ExitCode::from(1)
        }
    }
}

fn run(args: &[&str]) -> io::Result<u8> {
    match args {
        [] => println!("hello from wasm"),
        ["exit", code] => return Ok(code.parse().unwrap_or(2)),
        ["env", name] => println!("{}", env::var(name).unwrap_or_default()),
        ["write", path, text] => fs::write(path, text)?,
        ["cat", path] => print!("{}", fs::read_to_string(path)?),
        ["ls", path] => {
            let names: io::Result<Vec<_>> = fs::read_dir(path)?.map(|file| Ok(file?.file_name())).collect();
            let mut names = names?;
            names.sort();
            names.iter().for_each(|name| println!("{}", name.to_string_lossy()));
        }
        ["sleep", seconds] => {
            thread::sleep(Duration::from_secs_f64(seconds.parse().unwrap_or(1.0)));
            println!("hello after {seconds} s");
        }
        ["spin"] => loop {
            hint::spin_loop();
        },
        ["hoard"] => hoard(),
        ["abort"] => dig(3),
        ["flood"] => loop {
            println!("{}", "flood ".repeat(20));
        },
        ["upper"] => io::stdin().lock().lines().try_for_each(|line| {
            println!("{}", line?.to_uppercase());
            io::Result::Ok(())
        })?,
        other => println!("hello {}", other.join(" ")),
    }
    Ok(0)
}

/// Keeps each mebibyte that it gets; the allocator ends the program when there are no more.
fn hoard() {
    let mut kept = Vec::new();
    loop {
        kept.push(vec![1_u8; 1 << 20]);
        hint::black_box(&kept);
    }
}

/// A trap some calls deep, so that its backtrace has something to show.
#[inline(never)]
fn dig(depth: u32) {
    if hint::black_box(depth) == 0 {
        std::process::abort();
    }
    dig(depth - 1);
}
