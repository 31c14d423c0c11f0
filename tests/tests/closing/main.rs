//! The closing handshake from both sides, in every order.

mod by_host;
mod codes;
mod failures;
mod half_close;
mod order;
mod table;

use ws_proto::{Config, config::CloseReply};

/// The default configuration without keepalive: the only deadlines are those of closing.
fn config() -> Config {
    let mut config = Config::default();
    config.keepalive_interval = None;
    config
}

fn replying(reply: CloseReply) -> Config {
    let mut config = config();
    config.close_reply = reply;
    config
}

fn body(code: u16, reason: &str) -> Vec<u8> {
    [&code.to_be_bytes(), reason.as_bytes()].concat()
}
