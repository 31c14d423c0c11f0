//! The sources of masking keys: RFC 6455 section 5.3 asks for keys that cannot be predicted.

use serde::{Deserialize, Serialize};

/// The masking keys that a client gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keys {
    /// Keys that cost next to nothing, wherever the crate lets its user choose.
    Cheapest,
    /// Those of the crate's own source, as it comes by default.
    Own,
}

/// A source of masking keys.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Source {
    /// The generator's name.
    pub generator: String,
    /// Whether keys follow from earlier ones: the generator is not a cryptographic one.
    pub predictable: bool,
}

const CHACHA_0_8: &str = "ChaCha12 (rand 0.8, ThreadRng)";
const CHACHA_0_10: &str = "ChaCha12 (rand 0.10, ThreadRng)";
const SYSTEM: &str = "the operating system's (getrandom)";

/// Each contender's generator, and whether its keys can be predicted, as its source code of the version in `Cargo.lock` says.
const SOURCES: [(&str, &str, bool); 13] = [
    ("actix-http", CHACHA_0_10, false),
    ("fastwebsockets", CHACHA_0_8, false),
    ("limit-fused", "a constant", true),
    ("ours", "ChaCha12 (chacha20), a new seed every 64 KiB", false),
    ("ratchet", "Xoshiro256++ (rand 0.8, SmallRng)", true),
    ("sockudo-ws", "Wyrand (fastrand)", true),
    ("soketto", CHACHA_0_8, false),
    // It has no default: its features are this, rand and getrandom.
    ("tokio-websockets", "Wyrand (fastrand)", true),
    ("tungstenite", CHACHA_0_10, false),
    ("web-socket", CHACHA_0_8, false),
    ("ws-framer", SYSTEM, false),
    ("wtx", "Xorshift64", true),
    ("yawc", CHACHA_0_8, false),
];

/// Returns the source of `contender`; its rows may say more than its name after a comma.
#[must_use]
pub fn source(contender: &str) -> Option<Source> {
    let name = contender.split(',').next()?;
    let &(_, generator, predictable) = SOURCES.iter().find(|(contender, ..)| *contender == name)?;
    Some(Source { generator: generator.into(), predictable })
}
