//! Negotiation of compression (RFC 7692 section 7.1): the parameters that a client offers and a server answers.

use super::{
    error::HandshakeError,
    extension::{Extension, Value},
};
use crate::deflate::{Direction, NAME, Parameters, Settings, WindowBits};

/// The parameters of an offer or an answer, each known and present at most once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct KnownParameters {
    server_no_context_takeover: bool,
    client_no_context_takeover: bool,
    server_max_window_bits: Option<WindowBits>,
    /// The inner `None` is a parameter without a value.
    client_max_window_bits: Option<Option<WindowBits>>,
}

impl KnownParameters {
    /// Parses the parameters. Returns `None` if one is unknown, repeated, or has a value that is not allowed.
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

/// Parses 8 to 15 in decimal, without a leading zero (RFC 7692 section 7.1.2).
fn window_bits(value: Value<'_>) -> Option<WindowBits> {
    const NUMBERS: [&str; 8] = ["8", "9", "10", "11", "12", "13", "14", "15"];
    let index = NUMBERS.iter().position(|number| value == *number)?;
    WindowBits::new(WindowBits::MIN.get() + u8::try_from(index).ok()?)
}

/// Returns the answer to the first offer that this server can accept, or `None` if there is none.
pub(super) fn accept<'h>(
    settings: &Settings,
    mut offers: impl Iterator<Item = Extension<'h>>,
) -> Option<Parameters> {
    offers.find_map(|offer| {
        if offer.name() == NAME { accept_one(settings, KnownParameters::parse(&offer)?) } else { None }
    })
}

/// Returns the answer to `offer`, or `None` if this server cannot accept it.
fn accept_one(settings: &Settings, offer: KnownParameters) -> Option<Parameters> {
    let server_bits = settings.server_max_window_bits.min(offer.server_max_window_bits.unwrap_or(WindowBits::MAX));
    // The compressor cannot keep to the smallest window, so it may not be promised.
    if server_bits == WindowBits::MIN {
        return None;
    }
    let server = Direction::new(
        offer.server_no_context_takeover || settings.server_no_context_takeover,
        server_bits,
        // Some clients refuse an answer with a parameter that their offer does not have. A smaller window needs no
        // announcement.
        offer.server_max_window_bits.is_some(),
    );
    // Only a client that sent the parameter accepts a smaller window.
    let client_bits = match offer.client_max_window_bits {
        Some(hint) => settings.client_max_window_bits.min(hint.unwrap_or(WindowBits::MAX)),
        None => WindowBits::MAX,
    };
    let client = Direction::new(
        offer.client_no_context_takeover || settings.client_no_context_takeover,
        client_bits,
        client_bits < WindowBits::MAX,
    );
    Some(Parameters::new(server, client))
}

/// Checks the server's answer to the offers of `settings`.
///
/// A server accepts a parameter for its own messages by repeating it in its answer (RFC 7692 sections 7.1.1.1 and
/// 7.1.2.1). An answer without it is therefore an answer to the second offer, which does not have it, unless
/// [`require_server_parameters`](Settings::require_server_parameters) leaves that out. An answer with it, or with
/// a window of any size, is valid for either offer.
///
/// # Errors
///
/// The answer is malformed or outside the offers, or lacks a parameter that `settings` require.
pub(super) fn check_answer(settings: &Settings, answer: &Extension<'_>) -> Result<Parameters, HandshakeError> {
    const INVALID: HandshakeError = HandshakeError::Extensions;
    let named = if answer.name() == NAME { KnownParameters::parse(answer) } else { None }.ok_or(INVALID)?;
    let server_bits = named.server_max_window_bits.unwrap_or(WindowBits::MAX);
    if settings.require_server_parameters {
        if settings.server_no_context_takeover && !named.server_no_context_takeover {
            return Err(HandshakeError::ServerContextTakeover);
        }
        if server_bits > settings.server_max_window_bits {
            return Err(HandshakeError::ServerMaxWindowBits);
        }
    }
    let client_bits = match named.client_max_window_bits {
        Some(bits) => bits.ok_or(INVALID)?.min(settings.client_max_window_bits),
        None => settings.client_max_window_bits,
    };
    let server =
        Direction::new(named.server_no_context_takeover, server_bits, named.server_max_window_bits.is_some());
    let client = Direction::new(
        // This side may always compress each message by itself.
        named.client_no_context_takeover || settings.client_no_context_takeover,
        client_bits,
        named.client_max_window_bits.is_some(),
    );
    Ok(Parameters::new(server, client))
}

#[cfg(test)]
mod tests {
    use std::{string::ToString, vec::Vec};

    use super::*;
    use crate::handshake::extension::extensions_of;
    use crate::role::Side;

    const BITS_10: WindowBits = WindowBits::new(10).unwrap();

    fn offers(value: &str) -> impl Iterator<Item = Extension<'_>> {
        extensions_of(value.as_bytes())
    }

    /// Returns settings without restrictions.
    fn open() -> Settings {
        Settings::best_ratio()
    }

    fn answer(settings: &Settings, value: &str) -> Option<std::string::String> {
        accept(settings, offers(value)).map(|agreed| agreed.to_string())
    }

    #[test]
    fn a_server_answers_within_what_is_offered() {
        // R7692-7.1.1.1, R7692-7.1.1.2, R7692-7.1.2.1, R7692-7.1.2.2
        for (offer, expected) in [
            ("permessage-deflate", "permessage-deflate"),
            ("permessage-deflate; client_max_window_bits", "permessage-deflate"),
            ("permessage-deflate; client_max_window_bits=15", "permessage-deflate"),
            ("permessage-deflate; client_max_window_bits=9", "permessage-deflate; client_max_window_bits=9"),
            ("permessage-deflate; client_max_window_bits=\"8\"", "permessage-deflate; client_max_window_bits=8"),
            ("permessage-deflate; server_max_window_bits=15", "permessage-deflate; server_max_window_bits=15"),
            (
                "permessage-deflate; server_max_window_bits=\"1\\0\"",
                "permessage-deflate; server_max_window_bits=10",
            ),
            (
                "permessage-deflate; client_no_context_takeover; server_no_context_takeover",
                "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
            ),
        ] {
            assert_eq!(answer(&open(), offer).as_deref(), Some(expected), "{offer}");
        }
        let small = Settings::small();
        for (offer, expected) in [
            // The server keeps to 10 without an announcement.
            ("", ""),
            ("; server_max_window_bits=12", "; server_max_window_bits=10"),
            ("; server_max_window_bits=9", "; server_max_window_bits=9"),
        ] {
            let offer = ["permessage-deflate", offer].concat();
            let expected =
                ["permessage-deflate; server_no_context_takeover", expected, "; client_no_context_takeover"]
                    .concat();
            assert_eq!(answer(&small, &offer), Some(expected), "{offer}");
        }
        // A client that does not know the parameter is not asked.
        let told = answer(&small, "permessage-deflate; client_max_window_bits").unwrap();
        assert!(told.ends_with("; client_max_window_bits=10"), "{told}");
    }

    #[test]
    fn a_server_declines_what_it_does_not_understand_and_takes_the_next_offer() {
        // R7692-5-1
        for declined in [
            "permessage-deflate; unknown",
            "permessage-deflate; server_no_context_takeover=1",
            "permessage-deflate; client_no_context_takeover=\"true\"",
            "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
            "permessage-deflate; server_max_window_bits",
            "permessage-deflate; server_max_window_bits=7",
            "permessage-deflate; server_max_window_bits=16",
            "permessage-deflate; server_max_window_bits=010",
            "permessage-deflate; server_max_window_bits=1e1",
            "permessage-deflate; server_max_window_bits=10; server_max_window_bits=10",
            "permessage-deflate; client_max_window_bits; client_max_window_bits=10",
            "permessage-deflate; client_max_window_bits=256",
            // The compressor cannot keep to such a small window.
            "permessage-deflate; server_max_window_bits=8",
            "permessage-bzip2",
            "x-webkit-deflate-frame",
            "Permessage-Deflate",
        ] {
            assert_eq!(answer(&open(), declined), None, "{declined}");
            let next = [declined, ", foo, permessage-deflate; client_max_window_bits=12"].concat();
            let expected = "permessage-deflate; client_max_window_bits=12";
            assert_eq!(answer(&open(), &next).as_deref(), Some(expected), "{next}");
        }
    }

    #[test]
    fn a_client_offers_its_settings_and_a_server_understands_them() {
        let profiles = [Settings::small(), Settings::balanced(), Settings::best_ratio()];
        for (mut settings, required) in
            profiles.into_iter().flat_map(|settings| [(settings, false), (settings, true)])
        {
            settings.require_server_parameters = required;
            let offer = settings.to_string();
            let agreed = accept(&open(), offers(&offer)).expect(&offer);
            assert_eq!(agreed.no_context_takeover(Side::Server), settings.server_no_context_takeover);
            let server_bits = if required { settings.server_max_window_bits } else { WindowBits::MAX };
            assert_eq!(agreed.max_window_bits(Side::Server), server_bits);
            assert_eq!(agreed.max_window_bits(Side::Client), settings.client_max_window_bits);
            let answer = agreed.to_string();
            let understood = offers(&answer).map(|answer| check_answer(&settings, &answer)).collect::<Vec<_>>();
            let understood = understood[0].expect(&answer);
            for side in [Side::Client, Side::Server] {
                assert_eq!(understood.no_context_takeover(side), agreed.no_context_takeover(side));
                assert_eq!(understood.max_window_bits(side), agreed.max_window_bits(side));
            }
        }
    }

    #[test]
    fn a_client_fails_on_an_answer_that_breaks_a_rule() {
        // R7692-5-2
        let mut settings = open();
        settings.server_max_window_bits = BITS_10;
        settings.server_no_context_takeover = true;
        settings.require_server_parameters = true;
        let check = |answer: &str| check_answer(&settings, &offers(answer).next().unwrap());
        let good = "permessage-deflate; server_no_context_takeover; server_max_window_bits=10";
        assert!(check(good).is_ok());
        assert!(check(&[good, "; client_no_context_takeover; client_max_window_bits=8"].concat()).is_ok());
        for (bad, error) in [
            ("permessage-deflate; server_max_window_bits=10", HandshakeError::ServerContextTakeover),
            ("permessage-deflate; server_no_context_takeover", HandshakeError::ServerMaxWindowBits),
            (
                "permessage-deflate; server_no_context_takeover; server_max_window_bits=11",
                HandshakeError::ServerMaxWindowBits,
            ),
        ] {
            assert_eq!(check(bad), Err(error), "{bad}");
        }
        for bad in [
            "permessage-bzip2",
            "permessage-deflate; server_no_context_takeover; server_max_window_bits",
            "permessage-deflate; server_no_context_takeover; server_max_window_bits=10; client_max_window_bits",
            "permessage-deflate; server_no_context_takeover; server_max_window_bits=10; x",
            "permessage-deflate; server_no_context_takeover=1; server_max_window_bits=10",
        ] {
            assert_eq!(check(bad), Err(HandshakeError::Extensions), "{bad}");
        }
    }
}
