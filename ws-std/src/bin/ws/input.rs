//! The messages to send: from the command line, a pipe, or the keyboard.

use std::{
    fs,
    io::{self, BufRead, IsTerminal, Read},
    time::Duration,
};

use rustyline::{DefaultEditor, error::ReadlineError};
use ws_std::{CloseCode, Message, MessageKind};

use crate::{
    arguments::Messages,
    command::{HELP, Line},
    failure::Failure,
    session::Session,
};

/// The silence of the server after the end of input, after which the connection is closed.
const WAIT: Duration = Duration::from_millis(500);

/// The source of messages, and the wait after its end.
pub(crate) struct Input {
    source: Source,
    wait: Duration,
}

enum Source {
    /// `--execute`.
    Given(Vec<String>),
    /// All of standard input is a message.
    Whole(MessageKind),
    /// Each line of standard input is a message.
    Lines(MessageKind),
    /// Lines from a terminal, of which some are commands. Output goes elsewhere.
    Terminal,
    /// A terminal on both sides.
    Editor(Box<DefaultEditor>),
}

impl Input {
    pub(crate) fn of(messages: &Messages) -> Self {
        let kind = if messages.binary { MessageKind::Binary } else { MessageKind::Text };
        let in_lines = messages.lines || !(messages.no_lines || messages.binary);
        let is_terminal = io::stdin().is_terminal();
        let source = if !messages.execute.is_empty() {
            Source::Given(messages.execute.clone())
        } else if !is_terminal || messages.binary || messages.no_lines {
            if in_lines { Source::Lines(kind) } else { Source::Whole(kind) }
        } else {
            editor().map_or(Source::Terminal, Source::Editor)
        };
        // Until the last message has come, silence is no end.
        let wait = if messages.exit_after.is_some() { Duration::MAX } else { WAIT };
        Self { source, wait: messages.wait.unwrap_or(wait) }
    }

    /// Sends all messages, and closes the connection after the last one.
    pub(crate) fn feed(self, session: &Session) {
        let result = match self.source {
            Source::Given(texts) => {
                texts.iter().all(|text| session.send(text.as_str()));
                Ok(())
            }
            Source::Whole(kind) => send_whole(kind, session),
            Source::Lines(kind) => send_lines(kind, session),
            Source::Terminal => obey_lines(session),
            Source::Editor(editor) => {
                edit(*editor, session);
                session.leave(CloseCode::NORMAL, "");
                return;
            }
        };
        match result {
            Ok(()) => session.close_after_silence(self.wait),
            Err(error) => session.fail(Failure::local("standard input", &error)),
        }
    }
}

fn editor() -> Option<Box<DefaultEditor>> {
    if !io::stdout().is_terminal() {
        return None;
    }
    // A paste of several lines is several messages.
    let config = rustyline::Config::builder().bracketed_paste(false).auto_add_history(true).build();
    DefaultEditor::with_config(config).ok().map(Box::new)
}

fn send_whole(kind: MessageKind, session: &Session) -> io::Result<()> {
    let mut payload = Vec::new();
    io::stdin().lock().read_to_end(&mut payload)?;
    session.send(Message::new(kind, &payload).map_err(io::Error::other)?);
    Ok(())
}

fn send_lines(kind: MessageKind, session: &Session) -> io::Result<()> {
    let (mut stdin, mut line) = (io::stdin().lock(), Vec::new());
    while stdin.read_until(b'\n', &mut line)? > 0 {
        let payload = line.strip_suffix(b"\n").unwrap_or(&line);
        let payload = match kind {
            MessageKind::Text => payload.strip_suffix(b"\r").unwrap_or(payload),
            MessageKind::Binary => payload,
        };
        if !session.send(Message::new(kind, payload).map_err(io::Error::other)?) {
            break;
        }
        line.clear();
    }
    Ok(())
}

fn obey_lines(session: &Session) -> io::Result<()> {
    for line in io::stdin().lock().lines() {
        if !obey(&line?, session) {
            break;
        }
    }
    Ok(())
}

/// Lets the user edit lines until Ctrl-D or Ctrl-C.
fn edit(mut editor: DefaultEditor, session: &Session) {
    if let Ok(printer) = editor.create_external_printer() {
        session.output.use_printer(Box::new(printer));
    }
    loop {
        match editor.readline("> ") {
            Ok(line) if obey(&line, session) => {}
            // A change of the window's size interrupts the call, too.
            Err(ReadlineError::Signal(_)) => {}
            Ok(_) | Err(ReadlineError::Eof) => return,
            Err(ReadlineError::Interrupted) => return session.interrupt(),
            Err(error) => return session.fail(Failure::local("terminal", &io::Error::other(error))),
        }
    }
}

/// Does what a typed line says. Returns whether the session goes on.
fn obey(line: &str, session: &Session) -> bool {
    match Line::parse(line) {
        Line::Text(text) => return session.send(text),
        Line::Ping => return session.ping(),
        Line::Binary(bytes) => return session.send(bytes.as_slice()),
        Line::Close(code, reason) => {
            session.leave(code, reason);
            return false;
        }
        Line::File(path) => match fs::read(path) {
            Ok(bytes) => return session.send(bytes.as_slice()),
            Err(error) => session.output.status(&format!("{path}: {error}")),
        },
        Line::Help => HELP.lines().for_each(|line| session.output.status(line)),
        Line::Unknown(fault) => session.output.status(&fault),
    }
    true
}
