//! The compiler as a program of its own: what the roof's hidden verb does, for this floor's tests.

fn main() {
    std::process::exit(runtime::compile_main(std::env::args_os().skip(1)));
}
