//! Reports of connections and their messages.

use ws_std::{CloseCode, Message, WebSocket, role::Server};

use crate::{
    arguments::{Common, Messages},
    failure::closing,
    output::{Form, Output},
};

/// A connection of a client.
pub(super) type Connection = WebSocket<Server>;

/// Reports of connections and messages, with `--verbose`.
pub(super) struct Log {
    output: Output,
    verbose: bool,
    form: Form,
}

impl Log {
    pub(super) fn new(common: &Common, messages: &Messages) -> Self {
        let form = Form { escape: true, json: messages.json, raw: false, timestamps: messages.timestamps };
        Self { output: Output::new(form, common.quiet), verbose: common.verbose, form }
    }

    pub(super) fn line(&self, line: &str) {
        if self.verbose {
            self.output.status(line);
        }
    }

    pub(super) fn message(&self, peer: &str, message: Message<'_>) {
        if self.verbose {
            let shown = self.form.render(message);
            self.output.status(&format!("{peer}: {}", String::from_utf8_lossy(&shown).trim_end()));
        }
    }

    pub(super) fn closed(&self, peer: &str, close: Option<(CloseCode, String)>) {
        if let Some((code, reason)) = close {
            self.line(&format!("{peer} closed: {}", closing(code, &reason)));
        }
    }
}
