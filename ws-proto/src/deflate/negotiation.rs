//! The four parameters (RFC 7692 section 7.1): what a client offers, what a server makes of it.

use core::fmt;

use super::{Settings, WindowBits};
use crate::{
    handshake::{Extension, Value},
    role::Side,
};

const NAME: &str = "permessage-deflate";

/// What the two sides have agreed on.
///
/// Its `Display` is the server's answer, as it stands in Sec-WebSocket-Extensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameters {
    server: Direction,
    client: Direction,
}

/// What holds for the messages of one side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Direction {
    no_context_takeover: bool,
    max_window_bits: WindowBits,
    /// Whether the peer has to be told the window's size even if it is the biggest.
    asked: bool,
}

impl Parameters {
    /// Whether each message of `side` is compressed by itself.
    #[must_use]
    pub const fn no_context_takeover(&self, side: Side) -> bool {
        self.of(side).no_context_takeover
    }

    /// How far back the compressor of `side` may look.
    #[must_use]
    pub const fn max_window_bits(&self, side: Side) -> WindowBits {
        self.of(side).max_window_bits
    }

    const fn of(&self, side: Side) -> Direction {
        match side {
            Side::Server => self.server,
            Side::Client => self.client,
        }
    }
}

impl fmt::Display for Parameters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(NAME)?;
        for (side, direction) in [("server", self.server), ("client", self.client)] {
            if direction.no_context_takeover {
                write!(f, "; {side}_no_context_takeover")?;
            }
            if direction.asked {
                write!(f, "; {side}_max_window_bits={}", direction.max_window_bits.get())?;
            }
        }
        Ok(())
    }
}

/// A client's offer is its [`Settings`]; this is how it stands in Sec-WebSocket-Extensions.
impl fmt::Display for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(NAME)?;
        if self.server_no_context_takeover {
            f.write_str("; server_no_context_takeover")?;
        }
        if self.client_no_context_takeover {
            f.write_str("; client_no_context_takeover")?;
        }
        if self.server_max_window_bits < WindowBits::MAX {
            write!(f, "; server_max_window_bits={}", self.server_max_window_bits.get())?;
        }
        // Without a value it tells that the server may choose one.
        f.write_str("; client_max_window_bits")?;
        if self.client_max_window_bits < WindowBits::MAX {
            write!(f, "={}", self.client_max_window_bits.get())?;
        }
        Ok(())
    }
}

/// The parameters of an offer or an answer, each known and at most once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Named {
    server_no_context_takeover: bool,
    client_no_context_takeover: bool,
    server_max_window_bits: Option<WindowBits>,
    /// The inner `None` is a name without a value.
    client_max_window_bits: Option<Option<WindowBits>>,
}

impl Named {
    /// `None` if there is one that is unknown, repeated, or has a value that it can't have.
    fn parse(extension: &Extension<'_>) -> Option<Self> {
        let mut named = Self::default();
        for (name, value) in extension.parameters() {
            let repeated = match (name, value) {
                ("server_no_context_takeover", None) => {
                    core::mem::replace(&mut named.server_no_context_takeover, true)
                }
                ("client_no_context_takeover", None) => {
                    core::mem::replace(&mut named.client_no_context_takeover, true)
                }
                ("server_max_window_bits", Some(value)) => {
                    named.server_max_window_bits.replace(window_bits(value)?).is_some()
                }
                ("client_max_window_bits", value) => {
                    let bits = value.map(|value| window_bits(value).ok_or(())).transpose().ok()?;
                    named.client_max_window_bits.replace(bits).is_some()
                }
                _ => return None,
            };
            if repeated {
                return None;
            }
        }
        Some(named)
    }
}

/// 8 to 15 in decimal, without a leading zero (RFC 7692 section 7.1.2).
fn window_bits(value: Value<'_>) -> Option<WindowBits> {
    const NUMBERS: [&str; 8] = ["8", "9", "10", "11", "12", "13", "14", "15"];
    let index = NUMBERS.iter().position(|number| value == *number)?;
    WindowBits::new(WindowBits::MIN.get() + u8::try_from(index).ok()?)
}

/// The first offer that this server can accept, and what it makes of it.
pub(crate) fn accept<'h>(
    settings: &Settings,
    mut offers: impl Iterator<Item = Extension<'h>>,
) -> Option<Parameters> {
    offers.find_map(|offer| if offer.name() == NAME { accept_one(settings, Named::parse(&offer)?) } else { None })
}

fn accept_one(settings: &Settings, offer: Named) -> Option<Parameters> {
    let server_bits = settings.server_max_window_bits.min(offer.server_max_window_bits.unwrap_or(WindowBits::MAX));
    // A window that the compressor can't keep to may not be promised.
    if server_bits == WindowBits::MIN {
        return None;
    }
    let server = Direction {
        no_context_takeover: offer.server_no_context_takeover || settings.server_no_context_takeover,
        max_window_bits: server_bits,
        asked: offer.server_max_window_bits.is_some() || server_bits < WindowBits::MAX,
    };
    // Only a client that knows the parameter can be told to use a smaller window.
    let client_bits = match offer.client_max_window_bits {
        Some(hint) => settings.client_max_window_bits.min(hint.unwrap_or(WindowBits::MAX)),
        None => WindowBits::MAX,
    };
    let client = Direction {
        no_context_takeover: offer.client_no_context_takeover || settings.client_no_context_takeover,
        max_window_bits: client_bits,
        asked: client_bits < WindowBits::MAX,
    };
    Some(Parameters { server, client })
}

/// What the answer to the offer of `settings` says; `None` if it breaks a rule.
pub(crate) fn check_answer(settings: &Settings, answer: &Extension<'_>) -> Option<Parameters> {
    if answer.name() != NAME {
        return None;
    }
    let named = Named::parse(answer)?;
    let server_bits = named.server_max_window_bits.unwrap_or(WindowBits::MAX);
    if server_bits > settings.server_max_window_bits
        || settings.server_no_context_takeover && !named.server_no_context_takeover
    {
        return None;
    }
    let client_bits = match named.client_max_window_bits {
        Some(bits) => bits?.min(settings.client_max_window_bits),
        None => settings.client_max_window_bits,
    };
    Some(Parameters {
        server: Direction {
            no_context_takeover: named.server_no_context_takeover,
            max_window_bits: server_bits,
            asked: named.server_max_window_bits.is_some(),
        },
        client: Direction {
            // This side may do without even if it need not.
            no_context_takeover: named.client_no_context_takeover || settings.client_no_context_takeover,
            max_window_bits: client_bits,
            asked: named.client_max_window_bits.is_some(),
        },
    })
}
