//! How a sandbox ended, in words for people.

use std::fmt;

use wasmtime::{Trap, WasmBacktrace};
use wasmtime_wasi::I32Exit;

use super::limits::Denied;

/// How a sandbox ended. `Display` gives the text for a container's termination message.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Exit {
    /// It ended by itself, with this code.
    Code(i32),
    /// It broke off: a trap of the guest, or a host call that may not go on. Holds cause and guest backtrace, at
    /// most [`TRAP_TEXT_MAX`] bytes.
    Trap(String),
    /// It was denied memory beyond this cap (bytes) and ended for that.
    MemoryLimit(u64),
    /// It was denied memory because the process had no mappings left for it, and ended for that; the text says what to do.
    NoMappings(String),
    /// It ran longer than its deadline.
    Deadline,
    /// It was killed from outside.
    Killed,
}

/// The longest text of a trap, in bytes: what upstream keeps of a termination message.
pub const TRAP_TEXT_MAX: usize = 4096;

impl Exit {
    /// The exit code to report: the guest's own; 134 for a trap, as of a process that aborted; 137 for what was ended
    /// from outside, as of a process that got SIGKILL.
    #[must_use]
    pub fn code(&self) -> i32 {
        match self {
            Self::Code(code) => *code,
            Self::Trap(_) => 134,
            Self::MemoryLimit(_) | Self::NoMappings(_) | Self::Deadline | Self::Killed => 137,
        }
    }

    /// The end of a call into the guest, which may have `memory_max` bytes of memory; `denied` says whether more was
    /// denied.
    pub(crate) fn of(outcome: Result<(), wasmtime::Error>, denied: &Denied, memory_max: u64) -> Self {
        let exit = match outcome {
            Ok(()) => Self::Code(0),
            Err(error) => match error.downcast_ref::<I32Exit>() {
                Some(exit) => Self::Code(exit.0),
                None => Self::Trap(trap_text(&error)),
            },
        };
        match exit {
            Self::Code(0) => exit,
            _ if denied.is_raised() => denied.exit(memory_max),
            _ => exit,
        }
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exited with code {code}"),
            Self::Trap(text) => f.write_str(text),
            Self::MemoryLimit(bytes) => write!(f, "was denied memory beyond its limit of {bytes} bytes"),
            Self::NoMappings(why) => write!(f, "could not have memory: {why}"),
            Self::Deadline => f.write_str("ran longer than its deadline"),
            Self::Killed => f.write_str("was killed"),
        }
    }
}

/// Cause first, then where in the guest, cut to [`TRAP_TEXT_MAX`].
pub(crate) fn trap_text(error: &wasmtime::Error) -> String {
    let cause = match error.downcast_ref::<Trap>() {
        Some(trap) => trap.to_string(),
        None => error.root_cause().to_string(),
    };
    let mut text = match error.downcast_ref::<WasmBacktrace>() {
        Some(backtrace) if !backtrace.frames().is_empty() => {
            format!("{cause}\n{backtrace}").replacen("error while executing at ", "", 1)
        }
        _ => cause,
    };
    text.truncate(text.floor_char_boundary(TRAP_TEXT_MAX));
    text
}

#[cfg(test)]
mod tests {
    use wasmtime::ResourceLimiter as _;

    use super::super::limits::{Limiter, Limits, Memory};
    use super::*;

    #[test]
    fn an_end_is_blamed_on_memory_only_if_it_was_denied_and_the_guest_failed() {
        let exit = |code| Err(wasmtime::Error::from(I32Exit(code)));
        let trap = || Err(wasmtime::Error::from(Trap::UnreachableCodeReached));
        let check = |outcome, is_denied, expected| {
            let denied = Denied::default();
            if is_denied {
                let memory = Memory::new(&Limits { memory_bytes: Some(0), ..Limits::default() });
                assert!(!Limiter::new(memory, denied.clone(), None).memory_growing(0, 1, None).unwrap());
            }
            assert_eq!(Exit::of(outcome, &denied, 99), expected);
        };
        check(Ok(()), false, Exit::Code(0));
        check(Ok(()), true, Exit::Code(0));
        check(exit(0), true, Exit::Code(0));
        check(exit(3), false, Exit::Code(3));
        check(exit(3), true, Exit::MemoryLimit(99));
        check(trap(), true, Exit::MemoryLimit(99));
        check(trap(), false, Exit::Trap("wasm trap: wasm `unreachable` instruction executed".into()));
    }

    #[test]
    fn the_text_of_a_trap_is_bounded() {
        let long = wasmtime::format_err!("{}", "ü".repeat(TRAP_TEXT_MAX));
        assert_eq!(trap_text(&long).len(), TRAP_TEXT_MAX);
    }
}
