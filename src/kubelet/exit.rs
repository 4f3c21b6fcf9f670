//! How a sandbox' end becomes what `state.terminated` shows: a pure translation.

use jiff::Timestamp;
use runtime::Exit;

use crate::pods::state::Terminated;
use crate::reasons;

/// The exit code of a guest that ended because it was asked to: 128 + SIGTERM.
const TERMINATED: i32 = 143;

/// The longest termination message, as upstream's `MaxContainerTerminationMessageLength`.
pub(crate) const MESSAGE_BYTES_MAX: usize = 4096;

/// When and as which run a container ran.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    /// When it began.
    pub(crate) started_at: Timestamp,
    /// When it ended.
    pub(crate) finished_at: Timestamp,
    /// How many runs came before.
    pub(crate) run: u32,
}

/// See the module. A guest that was killed without force was only asked to end, and had no way to hear it.
pub(crate) fn terminated(exit: &Exit, is_forced: bool, span: Span) -> Terminated {
    let reason = match exit {
        Exit::Code(0) => reasons::COMPLETED,
        Exit::Code(_) | Exit::Trap(_) | Exit::NoMappings(_) | Exit::Killed => reasons::ERROR,
        Exit::MemoryLimit(_) => reasons::OOM_KILLED,
        Exit::Deadline => reasons::DEADLINE_EXCEEDED,
    };
    let is_asked = *exit == Exit::Killed && !is_forced;
    let message = match exit {
        Exit::Code(_) => None,
        Exit::Killed if is_asked => None,
        Exit::Trap(_) | Exit::MemoryLimit(_) | Exit::NoMappings(_) | Exit::Deadline | Exit::Killed => {
            Some(cut(&exit.to_string()).to_owned())
        }
    };
    Terminated {
        exit_code: if is_asked { TERMINATED } else { exit.code() },
        reason: reason.to_owned(),
        message,
        started_at: Some(span.started_at),
        finished_at: span.finished_at,
        run: span.run,
    }
}

/// The beginning of a text that fits into a termination message; a trap tells its cause first.
pub(crate) fn cut(text: &str) -> &str {
    let mut end = text.len().min(MESSAGE_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_has_its_code_reason_and_message() {
        let date: Timestamp = "2026-01-02T03:04:05Z".parse().unwrap();
        let span = Span { started_at: date, finished_at: date, run: 0 };
        for (exit, code, reason, message) in [
            (Exit::Code(0), 0, "Completed", None),
            (Exit::Code(3), 3, "Error", None),
            (Exit::Trap("wasm trap: unreachable".to_owned()), 134, "Error", Some("wasm trap: unreachable")),
            (Exit::MemoryLimit(9), 137, "OOMKilled", Some("was denied memory beyond its limit of 9 bytes")),
            (Exit::Killed, 137, "Error", Some("was killed")),
        ] {
            let how = terminated(&exit, true, span);
            assert_eq!((how.exit_code, how.reason.as_str(), how.message.as_deref()), (code, reason, message));
        }
        let asked = terminated(&Exit::Killed, false, span);
        assert_eq!((asked.exit_code, asked.message), (143, None));
    }

    #[test]
    fn a_message_is_cut_between_characters() {
        let long = "ä".repeat(MESSAGE_BYTES_MAX);
        assert_eq!(cut(&long).len(), MESSAGE_BYTES_MAX);
        assert_eq!(cut(&format!("x{long}")).len(), MESSAGE_BYTES_MAX - 1);
    }
}
