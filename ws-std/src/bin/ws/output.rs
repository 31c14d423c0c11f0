//! Messages on standard output, all other lines on standard error, neither through the line that a user types.

use std::{
    io::{self, IsTerminal, Write},
    sync::{Mutex, MutexGuard, PoisonError, mpsc},
    thread,
    time::{Duration, SystemTime},
};

use rustyline::ExternalPrinter;
use ws_std::Message;

use crate::plain::escaped;

/// The bytes of a binary message that are shown.
const SHOWN: usize = 16;

/// The time that a terminal has to show the last lines.
const LAST_LINES: Duration = Duration::from_millis(300);

/// A printer that does not tear the line being typed.
pub(crate) type Printer = Box<dyn ExternalPrinter + Send>;

/// The form of printed messages.
#[derive(Clone, Copy, Debug, Default)]
#[allow(clippy::struct_excessive_bools, reason = "each is an option of its own")]
pub(crate) struct Form {
    /// Characters that control a terminal are escaped.
    pub(crate) escape: bool,
    /// JSON is indented.
    pub(crate) json: bool,
    /// Binary messages are written as they are.
    pub(crate) raw: bool,
    /// The time is printed first.
    pub(crate) timestamps: bool,
}

impl Form {
    /// Returns the bytes that show a message, without the time.
    pub(crate) fn render(self, message: Message<'_>) -> Vec<u8> {
        match message {
            Message::Binary(bytes) if self.raw => bytes.to_vec(),
            Message::Binary(bytes) => summary(bytes).into_bytes(),
            Message::Text(text) => self.lines(text).into_bytes(),
        }
    }

    fn lines(self, text: &str) -> String {
        let indented = if self.json { indented(text) } else { None };
        let mut lines = match indented {
            Some(json) if self.escape => json.lines().map(escaped).collect::<Vec<_>>().join("\n"),
            Some(json) => json,
            None if self.escape => escaped(text),
            None => text.to_owned(),
        };
        lines.push('\n');
        lines
    }
}

/// Returns a text that is JSON with indentation, its numbers and the order of its fields unchanged.
fn indented(text: &str) -> Option<String> {
    let value: serde_json::Value = serde_json::from_str(text).ok()?;
    serde_json::to_string_pretty(&value).ok()
}

fn summary(bytes: &[u8]) -> String {
    let shown = bytes.get(..SHOWN).unwrap_or(bytes);
    let pairs: Vec<_> = shown.iter().map(|byte| format!("{byte:02x}")).collect();
    let more = if shown.len() < bytes.len() { " …" } else { "" };
    let colon = if bytes.is_empty() { "" } else { ": " };
    format!("[{} bytes{colon}{}{more}]\n", bytes.len(), pairs.join(" "))
}

/// Where messages and other lines go.
pub(crate) struct Output {
    form: Form,
    quiet: bool,
    to_terminal: bool,
    errors_to_terminal: bool,
    printer: Mutex<Option<Printer>>,
}

impl Output {
    /// Creates an output. Nothing is escaped, and binary messages may be raw, if standard output is not a terminal.
    pub(crate) fn new(form: Form, quiet: bool) -> Self {
        let to_terminal = io::stdout().is_terminal();
        let form = Form { escape: form.escape && to_terminal, raw: form.raw && !to_terminal, ..form };
        let errors_to_terminal = io::stderr().is_terminal();
        Self { form, quiet, to_terminal, errors_to_terminal, printer: Mutex::new(None) }
    }

    /// Prints through `printer` from now on, as far as output goes to a terminal.
    pub(crate) fn use_printer(&self, printer: Printer) {
        *self.printer() = Some(printer);
    }

    fn printer(&self) -> MutexGuard<'_, Option<Printer>> {
        self.printer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Prints a message.
    ///
    /// # Errors
    ///
    /// Standard output has failed, or its reader has gone ([`BrokenPipe`](io::ErrorKind::BrokenPipe)).
    pub(crate) fn message(&self, message: Message<'_>) -> io::Result<()> {
        let mut shown = Vec::new();
        let is_raw = self.form.raw && matches!(message, Message::Binary(_));
        if self.form.timestamps && !is_raw {
            shown.extend_from_slice(timestamp().as_bytes());
        }
        let mut printer = self.printer();
        if let Some(printer) = printer.as_mut().filter(|_| self.to_terminal) {
            shown.extend_from_slice(b"< ");
            shown.extend(self.form.render(message));
            return printer.print(String::from_utf8_lossy(&shown).into_owned()).map_err(io::Error::other);
        }
        shown.extend(self.form.render(message));
        let mut out = io::stdout().lock();
        out.write_all(&shown)?;
        out.flush()
    }

    /// Prints a line that is no message, unless the user wants none.
    pub(crate) fn status(&self, line: &str) {
        if self.quiet {
            return;
        }
        let time = if self.form.timestamps { timestamp() } else { String::new() };
        match self.printer().as_mut().filter(|_| self.errors_to_terminal) {
            // A terminal that fails ends the input too, which is reported.
            Some(printer) => _ = printer.print(format!("{time}* {line}\n")),
            None => eprintln!("{time}{line}"),
        }
    }

    /// Waits until everything that was printed is shown, at most for a moment: the terminal may be stopped by Ctrl-S.
    pub(crate) fn finish(&self) {
        let Some(mut printer) = self.printer().take() else {
            return;
        };
        let (done, shown) = mpsc::channel();
        thread::spawn(move || {
            // The printer has room for one text: when it takes the second of these, which move nothing, the lines before are shown.
            for _ in 0..2 {
                if printer.print("\u{1b}[A\n".into()).is_err() {
                    break;
                }
            }
            let _ = done.send(());
        });
        let _ = shown.recv_timeout(LAST_LINES);
    }
}

fn timestamp() -> String {
    format!("{} ", humantime::format_rfc3339_millis(SystemTime::now()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(form: Form, message: Message<'_>) -> String {
        String::from_utf8_lossy(&form.render(message)).into_owned()
    }

    #[test]
    fn text_is_escaped_for_terminals_only() {
        let text = Message::Text("a\u{1b}[31m\u{202E}\nb");
        assert_eq!(shown(Form { escape: true, ..Form::default() }, text), "a\\u{1b}[31m\\u{202e}\\nb\n");
        assert_eq!(shown(Form::default(), text), "a\u{1b}[31m\u{202E}\nb\n");
    }

    #[test]
    fn json_keeps_its_order_and_its_numbers() {
        let form = Form { escape: true, json: true, ..Form::default() };
        let text = Message::Text("{\"b\":1.10,\"a\":[123456789012345678901234567890,\"\u{202E}\"]}");
        let expected =
            "{\n  \"b\": 1.10,\n  \"a\": [\n    123456789012345678901234567890,\n    \"\\u{202e}\"\n  ]\n}\n";
        assert_eq!(shown(form, text), expected);
        assert_eq!(shown(form, Message::Text("{no json")), "{no json\n");
    }

    #[test]
    fn binary_is_a_summary_or_raw() {
        let bytes: Vec<u8> = (0..17).collect();
        let summary = "[17 bytes: 00 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f …]\n";
        assert_eq!(shown(Form::default(), Message::Binary(&bytes)), summary);
        assert_eq!(shown(Form::default(), Message::Binary(&[])), "[0 bytes]\n");
        assert_eq!(Form { raw: true, ..Form::default() }.render(Message::Binary(&bytes)), bytes);
    }
}
