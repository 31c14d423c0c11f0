//! The mode of the terminal, which the line editor changes while it waits for a line.

use std::io::{self, IsTerminal, Write};

#[cfg(unix)]
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};

/// The mode that a terminal has when the program starts.
pub(crate) struct Terminal {
    #[cfg(unix)]
    mode: Option<Termios>,
}

impl Terminal {
    pub(crate) fn new() -> Self {
        Self {
            #[cfg(unix)]
            mode: tcgetattr(io::stdin()).ok(),
        }
    }

    /// Restores the mode and clears the prompt: the editor may still wait, and its thread ends with the process.
    pub(crate) fn restore(&self) {
        #[cfg(unix)]
        if let Some(mode) = &self.mode {
            let _ = tcsetattr(io::stdin(), OptionalActions::Drain, mode);
        }
        if io::stdin().is_terminal() && io::stdout().is_terminal() {
            let _ = write!(io::stdout(), "\r\u{1b}[K").and_then(|()| io::stdout().flush());
        }
    }
}
