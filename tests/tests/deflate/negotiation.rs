//! Negotiation of the parameters (RFC 7692 section 7.1).

use ws_proto::{
    Endpoint, Instant, MessageBuffer,
    client::{HttpVersion, Offer},
    deflate::{Deflater, Settings},
    endpoint::Negotiated,
    handshake::HandshakeError,
    role::Side,
    server::{Accept, OriginPolicy, negotiate_extended_connect},
};
use ws_tests::{Compressor, Host, Told, agreed, answer_to, bare_config, noise, symmetric, understood};

use super::{COMPRESSED_BINARY, alone, changed, takeover};

fn answer(settings: &Settings, offers: &str) -> Option<String> {
    answer_to(settings, &[offers]).map(|agreed| agreed.to_string())
}

// R7692-7.1.1.1 R7692-7.1.1.2 R7692-7.1.2.1 R7692-7.1.2.2
#[test]
fn a_server_answers_within_the_offer_and_its_settings() {
    // By the letter: each flag and window of the offer, each of the settings, and what the answer has to say.
    let windows = || [None, Some(9), Some(11), Some(15)].into_iter();
    for server in (9..=15).step_by(2) {
        for (alone, offered_bits, offered_alone) in [false, true]
            .into_iter()
            .flat_map(|alone| windows().map(move |bits| (alone, bits)))
            .flat_map(|(alone, bits)| [false, true].map(|offered| (alone, bits, offered)))
        {
            let settings = symmetric(server, !alone);
            let mut offer = String::from("permessage-deflate");
            let mut expected = offer.clone();
            for side in ["server", "client"] {
                if offered_alone {
                    offer += &format!("; {side}_no_context_takeover");
                }
                if let Some(bits) = offered_bits {
                    offer += &format!("; {side}_max_window_bits={bits}");
                }
                if offered_alone || alone {
                    expected += &format!("; {side}_no_context_takeover");
                }
                let bits = server.min(offered_bits.unwrap_or(15));
                // A parameter that the client has not named is not announced: some clients refuse it.
                if offered_bits.is_some() && (side == "server" || bits < 15) {
                    expected += &format!("; {side}_max_window_bits={bits}");
                }
            }
            assert_eq!(answer(&settings, &offer), Some(expected), "{offer} with {settings:?}");
        }
    }
    let asked = answer(&symmetric(10, true), "permessage-deflate; client_max_window_bits").unwrap();
    assert!(asked.ends_with("client_max_window_bits=10"), "the client has left it to the server");
    // It keeps to what it has not told.
    let kept = answer_to(&symmetric(10, true), &["permessage-deflate"]).unwrap();
    assert_eq!(kept.max_window_bits(Side::Server).get(), 10);
}

/// Parameters that make an offer or an answer invalid.
const BAD: [&str; 22] = [
    "unknown",
    "unknown=1",
    "server_no_context_takeover=1",
    "client_no_context_takeover=true",
    "server_no_context_takeover; server_no_context_takeover",
    "client_no_context_takeover; client_no_context_takeover",
    "server_max_window_bits",
    "server_max_window_bits=7",
    "server_max_window_bits=16",
    "server_max_window_bits=010",
    "server_max_window_bits=+10",
    "server_max_window_bits=1e1",
    "server_max_window_bits=\"010\"",
    "server_max_window_bits=10; server_max_window_bits=10",
    "server_max_window_bits=10; server_max_window_bits=11",
    "client_max_window_bits=7",
    "client_max_window_bits=16",
    "client_max_window_bits=09",
    "client_max_window_bits=266",
    "client_max_window_bits; client_max_window_bits",
    "client_max_window_bits=10; client_max_window_bits=10",
    "Server_no_context_takeover",
];

// R7692-5-1 R7692-7.1.2.1
#[test]
fn a_server_declines_an_offer_with_a_bad_parameter_and_takes_the_next() {
    for bad in BAD {
        let offer = format!("permessage-deflate; {bad}");
        assert_eq!(answer(&takeover(), &offer), None, "{offer}");
        let offer = format!("{offer}, permessage-deflate; client_no_context_takeover, permessage-deflate");
        let second = Some("permessage-deflate; client_no_context_takeover".into());
        assert_eq!(answer(&takeover(), &offer), second, "{offer}");
        // The same in lines of their own, and with another good one behind.
        let lines = answer_to(&takeover(), &[&format!("permessage-deflate; {bad}"), "x, permessage-deflate"]);
        assert_eq!(lines.map(|agreed| agreed.to_string()).as_deref(), Some("permessage-deflate"));
        let order = format!("permessage-deflate; server_max_window_bits=\"1\\2\", permessage-deflate; {bad}");
        assert_eq!(answer(&takeover(), &order).as_deref(), Some("permessage-deflate; server_max_window_bits=12"));
    }
    for other in ["permessage-bzip2", "x-webkit-deflate-frame", "PERMESSAGE-DEFLATE", "permessage-deflate-2"] {
        assert_eq!(answer(&takeover(), other), None, "{other}");
    }
}

// R7692-7.1.2.1
#[test]
fn a_server_does_not_promise_a_window_that_its_compressor_can_not_keep_to() {
    assert_eq!(answer(&takeover(), "permessage-deflate; server_max_window_bits=8"), None);
    let next = "permessage-deflate; server_max_window_bits=8, permessage-deflate; server_max_window_bits=9";
    assert_eq!(answer(&takeover(), next).as_deref(), Some("permessage-deflate; server_max_window_bits=9"));
    // The client's compressor is its own affair.
    let client = answer(&takeover(), "permessage-deflate; client_max_window_bits=8");
    assert_eq!(client.as_deref(), Some("permessage-deflate; client_max_window_bits=8"));
}

// R7692-5-2 R7692-7.1.2.2
#[test]
fn a_client_fails_on_an_answer_that_breaks_a_rule() {
    for bad in BAD.iter().chain(&["client_max_window_bits"]) {
        assert_eq!(understood(&takeover(), &[&format!("permessage-deflate; {bad}")]), None, "{bad}");
    }
    for bad in [
        &["permessage-bzip2"][..],
        &["permessage-deflate, permessage-bzip2"],
        &["permessage-deflate;"],
        &["permessage-deflate; server_max_window_bits=\"10"],
        &[""],
    ] {
        assert_eq!(understood(&takeover(), bad), None, "{bad:?}");
    }
    assert_eq!(understood(&takeover(), &[]), Some(Negotiated::default()), "the server does without");
    let nothing_offered = ws_proto::client::Request::new("example.com", "/");
    let answered = [("sec-websocket-extensions", &b"permessage-deflate"[..])];
    let nothing_offered = Offer::extended_connect(nothing_offered).unwrap();
    assert!(nothing_offered.check(HttpVersion::Other, 200, || answered.into_iter()).is_err());
}

// R7692-5-3
#[test]
fn a_client_fails_on_two_extensions_that_use_the_same_bit() {
    let twice = &["permessage-deflate, permessage-deflate; client_no_context_takeover"];
    assert_eq!(understood(&takeover(), twice), None);
    assert_eq!(understood(&takeover(), &["permessage-deflate", "permessage-deflate"]), None);
    // A server accepts one, however many are offered.
    let answer = answer(&takeover(), "permessage-deflate; client_max_window_bits, permessage-deflate");
    assert_eq!(answer.as_deref(), Some("permessage-deflate"));
}

// R7692-5-2 R7692-7.1.1.2 R7692-7.1.2.1 R7692-7.1.2.2
#[test]
fn an_answer_binds_the_client_and_keeps_to_its_offer() {
    let offered = changed(symmetric(11, true), |settings| settings.require_server_parameters = true);
    let understand = |parameters: &str| {
        let negotiated = understood(&offered, &[&format!("permessage-deflate; {parameters}")])?;
        let agreed = negotiated.deflate.expect("compression");
        Some(
            [Side::Server, Side::Client]
                .map(|side| (agreed.no_context_takeover(side), agreed.max_window_bits(side).get())),
        )
    };
    // The server was asked to keep to 11.
    for wider in ["server_no_context_takeover", "server_max_window_bits=12", "server_max_window_bits=15"] {
        assert_eq!(understand(wider), None, "{wider}");
    }
    for (answer, expected) in [
        ("server_max_window_bits=11", [(false, 11), (false, 11)]),
        ("server_max_window_bits=9; server_no_context_takeover", [(true, 9), (false, 11)]),
        ("server_max_window_bits=8", [(false, 8), (false, 11)]),
        ("server_max_window_bits=11; client_no_context_takeover", [(false, 11), (true, 11)]),
        ("server_max_window_bits=11; client_max_window_bits=9", [(false, 11), (false, 9)]),
        ("server_max_window_bits=\"11\";client_max_window_bits=\"1\\0\"", [(false, 11), (false, 10)]),
        ("client_max_window_bits=15; server_max_window_bits=11", [(false, 11), (false, 11)]),
    ] {
        assert_eq!(understand(answer), Some(expected), "{answer}");
    }
    // Taking nothing over was asked for, and has to be promised.
    let required = changed(alone(), |settings| settings.require_server_parameters = true);
    assert_eq!(understood(&required, &["permessage-deflate"]), None);
    let promised = understood(&alone(), &["permessage-deflate; server_no_context_takeover"]).unwrap();
    assert!(promised.deflate.unwrap().no_context_takeover(Side::Client), "as the client has hinted");
}

/// The parameters of the server's messages that a client with these settings takes from an answer, or the error.
fn of_server(settings: &Settings, answer: &str) -> Result<(bool, u8), HandshakeError> {
    let request = ws_proto::client::Request::new("example.com", "/").deflate(Some(*settings));
    let fields = || [("sec-websocket-extensions", answer.as_bytes())].into_iter();
    let offer = Offer::extended_connect(request).expect("nothing that can't be sent");
    let acceptance = offer.check(HttpVersion::Other, 200, fields)?.expect("200 accepts");
    let agreed = acceptance.negotiated().deflate.expect("compression");
    Ok((agreed.no_context_takeover(Side::Server), agreed.max_window_bits(Side::Server).get()))
}

// R7692-7.1.1.1 R7692-7.1.2.1
#[test]
fn servers_that_can_not_be_asked_take_the_second_offer() {
    let offer = "permessage-deflate; server_no_context_takeover; client_no_context_takeover; \
                 client_max_window_bits=10, permessage-deflate; client_max_window_bits";
    assert_eq!(Settings::small().to_string(), offer);
    let offer = "permessage-deflate; client_max_window_bits=12";
    assert_eq!(Settings::balanced().to_string(), offer);
    let offer = "permessage-deflate; client_max_window_bits";
    assert_eq!(Settings::best_ratio().to_string(), offer, "it asks for nothing");

    // gorilla says this to any offer.
    let gorilla = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
    // Tornado says again what has a value, and forgets what has none.
    let tornado = |bits: u8| format!("permessage-deflate; client_max_window_bits={bits}");
    let mojolicious = "permessage-deflate";
    // nhooyr takes the client's window without confirming it, and answers 400 to the server's. A list may help with newer ones;
    // 1.8.7 looks at the first offer only.
    for settings in [Settings::small(), Settings::balanced(), Settings::best_ratio()] {
        assert!(!settings.to_string().contains("server_max_window_bits"));
    }
    let nhooyr = "permessage-deflate; client_no_context_takeover; server_no_context_takeover";
    let newer_nhooyr = "permessage-deflate; client_no_context_takeover";
    for (settings, bits) in [(Settings::small(), 10), (Settings::balanced(), 12)] {
        for (answer, expected) in [
            (gorilla, (true, 15)),
            (&tornado(bits), (false, 15)),
            (mojolicious, (false, 15)),
            (nhooyr, (true, 15)),
            (newer_nhooyr, (false, 15)),
        ] {
            assert_eq!(of_server(&settings, answer), Ok(expected), "{answer}");
        }
    }
    let mut small = Settings::small();
    small.require_server_parameters = true;
    assert!(!small.to_string().contains(','), "there is no second offer");
    let no_takeover = HandshakeError::ServerContextTakeover;
    for (answer, error) in [
        (gorilla, HandshakeError::ServerMaxWindowBits),
        (&tornado(10), no_takeover),
        (mojolicious, no_takeover),
        (nhooyr, HandshakeError::ServerMaxWindowBits),
    ] {
        assert_eq!(of_server(&small, answer), Err(error), "{answer}");
    }
}

// R7692-7.1.2.1 R7692-7.2.3
#[test]
fn what_a_server_compresses_with_its_whole_window_and_context_is_understood() {
    // As Mojolicious does, whatever it is asked for: a message that refers far back, into the one before.
    let negotiated = understood(&Settings::small(), &["permessage-deflate"]).unwrap();
    let role = ws_proto::Client::new(ws_tests::Keys::Fixed);
    let mut client = Host::new(Endpoint::new(role, &bare_config(), negotiated, Instant::ZERO));
    let (mut server, mut buffer) = (Compressor::new(&takeover()), MessageBuffer::new(Vec::new()));
    let message = noise(20_000);
    for first in [true, false] {
        let payload = server.payload(&message);
        assert_eq!(payload.len() < 1_000, !first, "the second message is a reference");
        client.receive_buffered(&mut buffer, &ws_tests::frame(COMPRESSED_BINARY, &payload));
    }
    assert_eq!(client.told, [Told::Binary(message.clone()), Told::Binary(message)]);
}

// R7692-7.1.1.1 R7692-7.1.2.1
#[test]
fn a_client_that_refuses_what_it_has_not_named_is_answered_within_that() {
    // nhooyr's offer; it fails on any window in the answer.
    let offer = "permessage-deflate; client_no_context_takeover; server_no_context_takeover";
    let said = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
    for settings in [Settings::small(), Settings::balanced(), Settings::best_ratio()] {
        assert_eq!(answer(&settings, offer).as_deref(), Some(said));
        let kept = answer_to(&settings, &[offer]).unwrap();
        assert_eq!(kept.max_window_bits(Side::Server), settings.server_max_window_bits, "without a word");
    }
}

// R8441-5
#[test]
fn an_http_library_is_given_the_answer_to_an_offer() {
    let everything = "permessage-deflate; server_no_context_takeover; server_max_window_bits=10; \
                      client_no_context_takeover; client_max_window_bits=10";
    let fields = || {
        let fields = [("sec-websocket-version", "13"), ("sec-websocket-extensions", everything)];
        fields.into_iter().map(|(name, value)| (name, value.as_bytes()))
    };
    let offer = negotiate_extended_connect("example.com", fields, OriginPolicy::AllowAny).unwrap();
    let accept = Accept::new().deflate(offer.deflate(&Settings::small()));
    let acceptance = offer.accept(&accept).unwrap();
    assert!(acceptance.fields().eq([("sec-websocket-extensions", everything)]));
    assert_eq!(acceptance.negotiated().deflate.map(|agreed| agreed.to_string()).as_deref(), Some(everything));
}

// R7692-7.1.1.2
#[test]
fn a_client_that_is_told_to_forget_does() {
    let [negotiated, _] =
        agreed(&takeover(), &changed(takeover(), |settings| settings.client_no_context_takeover = true));
    let role = ws_proto::Client::new(ws_tests::Keys::Fixed);
    let mut host = Host::new(Endpoint::new(role, &bare_config(), negotiated, Instant::ZERO));
    let mut deflater = Deflater::new(takeover());
    for _ in 0..2 {
        host.endpoint.write_deflated_to("Hello, Hello, Hello".into(), &mut deflater, &mut host.output).unwrap();
        assert!(deflater.is_idle());
    }
    let sent = host.sent_plain();
    assert_eq!(sent[0], sent[1]);
}
