//! Where a command writes: what programs may read, and what people want to know. And what it is given to read.

use std::io::{self, IsTerminal as _, Write};
use std::time::Duration;

use bytes::Bytes;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::sync::mpsc::Receiver;

use crate::input;

/// How often a progress bar is drawn.
const DRAW_EVERY: Duration = Duration::from_millis(100);

/// The streams of a command.
pub struct Terminal {
    out: Box<dyn Write + Send>,
    err: Box<dyn Write + Send>,
    /// Whether a person watches the second one.
    is_watched: bool,
    /// Begins to read what the command is given.
    input: fn() -> io::Result<Receiver<Bytes>>,
}

impl Terminal {
    /// The process's own.
    #[must_use]
    pub fn standard() -> Self {
        let is_watched = io::stderr().is_terminal();
        Self { out: Box::new(io::stdout()), err: Box::new(io::stderr()), is_watched, input: input::read }
    }

    /// One that writes both to `screen`, where no person watches, and reads from `input`.
    #[cfg(test)]
    pub(crate) fn on(screen: impl Write + Clone + Send + 'static, input: fn() -> io::Result<Receiver<Bytes>>) -> Self {
        Self { out: Box::new(screen.clone()), err: Box::new(screen), is_watched: false, input }
    }

    /// What the command is given to read, from now on.
    ///
    /// # Errors
    /// When there is no thread to read it.
    pub(crate) fn input(&self) -> io::Result<Receiver<Bytes>> {
        (self.input)()
    }

    /// A line of the command's result.
    ///
    /// # Errors
    /// When nobody reads it any more.
    pub fn say(&mut self, line: &str) -> io::Result<()> {
        writeln!(self.out, "{line}")
    }

    /// Bytes of a program's output, as they are.
    ///
    /// # Errors
    /// When nobody reads it any more.
    pub fn pass(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes)?;
        self.out.flush()
    }

    /// A line for the person who started the command. It is no error when nobody reads it.
    pub fn tell(&mut self, line: &str) {
        writeln!(self.err, "{line}").ok();
    }

    /// A line that helps a person, and would only trouble a program.
    pub fn hint(&mut self, line: &str) {
        if self.is_watched {
            self.tell(line);
        }
    }

    /// A bar for `bytes` bytes, on a terminal only.
    #[must_use]
    pub fn progress(&self, what: &str, bytes: u64) -> ProgressBar {
        let template = "{msg} {bar:30} {bytes}/{total_bytes} {bytes_per_sec}";
        self.bar(Some(bytes), template, what)
    }

    /// A spinner for work of unknown length, on a terminal only.
    #[must_use]
    pub fn spinner(&self, what: &str) -> ProgressBar {
        let bar = self.bar(None, "{spinner} {msg}", what);
        bar.enable_steady_tick(DRAW_EVERY);
        bar
    }

    fn bar(&self, bytes: Option<u64>, template: &str, what: &str) -> ProgressBar {
        let target = if self.is_watched { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(bytes, target).with_message(what.to_owned());
        match ProgressStyle::with_template(template) {
            Ok(style) => bar.with_style(style),
            // The bar then looks as the library has it, which is no reason to stop.
            Err(_) => bar,
        }
    }
}
