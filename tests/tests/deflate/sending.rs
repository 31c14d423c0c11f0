//! Sending whole messages compressed (RFC 7692 section 7.2.1).

use ws_proto::{
    Endpoint, Instant, Message, MessageBuffer, MessageKind, Part, SendError,
    deflate::{Deflater, Inflater, Settings, WindowBits},
    endpoint::{Negotiated, Prepared},
    role::Side,
};
use ws_tests::{
    BINARY, Compressor, FIN, Host, TEXT, Told, agreed, answer_to, bare_config, deflating_client, deflating_server,
    noise, server, symmetric,
};

use super::{COMPRESSED_BINARY, COMPRESSED_TEXT, HELLO, Sending, alone, came, changed, takeover, text};

// R7692-7.2.1 R7692-6-1
#[test]
fn a_whole_message_is_one_frame_whose_end_is_cut_off() {
    for settings in [takeover(), alone()] {
        let mut sending = Sending::new(&settings);
        let message = "tick tock ".repeat(100);
        let (first, payload) = sending.send(message.as_str());
        assert_eq!(first, COMPRESSED_TEXT);
        assert!(payload.len() < 50, "{}", payload.len());
        assert!(!payload.ends_with(&[0x00, 0x00, 0xFF, 0xFF]));
        // Put back, it is a stream by the oracle that knows nothing of messages.
        let whole = [&payload[..], &[0x00, 0x00, 0xFF, 0xFF]].concat();
        let mut out = vec![0; 2_000];
        let mut input = &whole[..];
        let len = Inflater::new().inflate(&mut input, &mut out).unwrap();
        assert_eq!((&out[..len], input.len()), (message.as_bytes(), 0));
        assert_eq!(sending.send(&[7; 300]).0, COMPRESSED_BINARY);
        // An empty message has nothing to compress.
        assert_eq!(sending.send(""), (FIN | TEXT, vec![]));
    }
}

// R7692-7.2.1
#[test]
fn a_client_masks_what_it_has_compressed() {
    let (mut client, mut server) =
        (deflating_client(&bare_config(), &takeover()), deflating_server(&bare_config(), &takeover()));
    let mut deflater = Deflater::new(takeover());
    let mut buffer = MessageBuffer::new(Vec::new());
    for len in [1, 30, 125, 126, 130, 200, 1_000, 65_535, 65_536, 65_560, 70_000] {
        for message in [vec![b'x'; len], noise(len), [noise(len), noise(len)].concat()] {
            let mut wire = Vec::new();
            client.endpoint.write_deflated_to(Message::Binary(&message), &mut deflater, &mut wire).unwrap();
            assert!(wire[1] & 0x80 != 0);
            server.receive_buffered(&mut buffer, &wire);
            assert_eq!(server.told.pop(), Some(Told::Binary(message)));
        }
    }
}

// R7692-7.1.1.1
#[test]
fn context_is_taken_over_or_is_not() {
    let message = String::from_utf8(noise(1_000).iter().map(|byte| b'!' + byte % 90).collect()).unwrap();
    let mut sending = Sending::new(&takeover());
    let [first, second] = [sending.send(message.as_str()).1, sending.send(message.as_str()).1];
    assert!(first.len() > 700 && second.len() < 30, "{} and {}", first.len(), second.len());
    assert!(!sending.deflater.is_idle());
    sending.deflater.forget();
    assert!(sending.deflater.is_idle());
    assert_eq!(sending.send(message.as_str()).1.len(), first.len(), "forgotten");

    let mut sending = Sending::new(&alone());
    let [first, second] = [sending.send(message.as_str()).1, sending.send(message.as_str()).1];
    assert_eq!(first, second);
    assert!(sending.deflater.is_idle());
}

// R7692-7.1.1.1 R7692-7.1.1.2
#[test]
fn each_side_takes_its_own_context_over_or_not() {
    let message = String::from_utf8(noise(500).iter().map(|byte| b'!' + byte % 90).collect()).unwrap();
    for (server_alone, client_alone) in [(false, true), (true, false)] {
        let mut settings = takeover();
        (settings.server_no_context_takeover, settings.client_no_context_takeover) = (server_alone, client_alone);
        let lens = |deflater: &mut Deflater, write: &mut dyn FnMut(&mut Deflater, &mut Vec<u8>)| {
            [(); 2].map(|()| {
                let mut wire = Vec::new();
                write(deflater, &mut wire);
                wire.len()
            })
        };
        let mut server = deflating_server(&bare_config(), &settings);
        let [a, b] = lens(&mut Deflater::new(settings), &mut |deflater, wire| {
            server.endpoint.write_deflated_to(message.as_str().into(), deflater, wire).unwrap();
        });
        assert_eq!(a == b, server_alone);
        let mut client = deflating_client(&bare_config(), &settings);
        let [a, b] = lens(&mut Deflater::new(settings), &mut |deflater, wire| {
            client.endpoint.write_deflated_to(message.as_str().into(), deflater, wire).unwrap();
        });
        assert_eq!(a == b, client_alone);
    }
}

// R7692-6-2 R7692-8-2
#[test]
fn short_messages_and_those_that_must_not_be_compressed_are_sent_as_they_are() {
    let mut settings = takeover();
    settings.threshold = 100;
    let mut sending = Sending::new(&settings);
    assert_eq!(sending.send("a".repeat(99).as_str()).0, FIN | TEXT);
    assert_eq!(sending.deflater.held_bytes(), 0, "nothing was compressed");
    assert_eq!(sending.send("a".repeat(100).as_str()).0, COMPRESSED_TEXT);
    // An opt-out in between harms no context.
    let secret = "secret ".repeat(50);
    let mut wire = Vec::new();
    sending.near.endpoint.write_to(secret.as_str().into(), &mut wire).unwrap();
    assert_eq!(sending.hears(&wire, secret.as_str().into()), (FIN | TEXT, secret.clone().into_bytes()));
    assert!(sending.send("a".repeat(100).as_str()).1.len() < 10);
    // A level of 0 compresses nothing.
    settings.level = 0;
    settings.threshold = 0;
    let mut sending = Sending::new(&settings);
    assert_eq!(sending.send("a".repeat(1_000).as_str()).0, FIN | TEXT);
}

// R7692-8-2
#[test]
fn nothing_is_compressed_unless_it_was_agreed_on() {
    let mut host = server(&bare_config());
    let mut deflater = Deflater::new(takeover());
    let message = "aaaa".repeat(1_000);
    host.endpoint.write_deflated_to(message.as_str().into(), &mut deflater, &mut host.output).unwrap();
    host.endpoint
        .write_part_deflated_to(MessageKind::Text, Part::First, b"a", &mut deflater, &mut host.output)
        .unwrap();
    host.endpoint
        .write_part_deflated_to(MessageKind::Text, Part::Last, b"b", &mut deflater, &mut host.output)
        .unwrap();
    let sent = [(FIN | TEXT, message.into_bytes()), (TEXT, b"a".into()), (FIN, b"b".into())];
    assert_eq!(host.sent_plain(), sent);
    assert_eq!((deflater.held_bytes(), Negotiated::default().deflate), (0, None));
    assert_eq!(answer_to(&takeover(), &[]), None, "a server does not begin with it");
    let request = |deflate| {
        let request = ws_proto::client::Request::new("example.com", "/").deflate(deflate);
        let handshake = ws_proto::client::Handshake::new(request, [0; 16], Instant::ZERO, &bare_config()).unwrap();
        let mut out = Vec::new();
        handshake.write_request_to(&mut out);
        String::from_utf8(out).unwrap().to_lowercase().contains("sec-websocket-extensions: permessage-deflate")
    };
    assert_eq!([request(None), request(Some(takeover()))], [false, true]);
}

// R7692-6-2
#[test]
fn what_can_not_be_compressed_is_sent_as_it_is_and_what_follows_is_understood() {
    for settings in [takeover(), alone(), symmetric(9, true)] {
        for level in [1, 2, 6, 9] {
            let settings = changed(settings, |settings| settings.level = level);
            let mut sending = Sending::new(&settings);
            let known = "known words, and some more known words; ".repeat(30);
            for len in [1, 2, 5, 100, 5_000, 100_000] {
                assert_eq!(sending.send(known.as_str()).0, COMPRESSED_TEXT);
                let noise = noise(len + 3)[3..].to_vec();
                // A second time it may be known.
                assert_eq!(sending.send(&noise[..]), (FIN | BINARY, noise.clone()), "{len}, level {level}");
                sending.send(&noise[..]);
                assert_eq!(sending.send(known.as_str()).0, COMPRESSED_TEXT);
            }
        }
    }
}

// R7692-7.2.3 R7692-7.1.2.1
#[test]
fn no_reference_reaches_beyond_the_window() {
    for bits in 9..=15_u8 {
        let window = 1_usize << bits;
        let word = noise(200);
        for distance in [window - 300, window + 10] {
            let message = [&word[..], &noise(distance)[200..], &word].concat();
            let settings = symmetric(bits, true);
            let payload = Compressor::new(&settings).payload(&message);
            // The word is stored again unless it is within reach.
            let found = payload.len() < message.len() - 100;
            assert_eq!(found, distance < window, "{bits} bits, {distance} bytes back, {}", payload.len());
            // The same over two messages.
            let mut compressor = Compressor::new(&settings);
            compressor.payload(&message[..distance]);
            let again = compressor.payload(&word);
            assert_eq!(
                again.len() < 100,
                distance < window,
                "{bits} bits, {distance} bytes back in another message"
            );
        }
    }
}

// R7692-7.2.3
#[test]
fn a_window_too_small_for_the_compressor_gets_nothing_compressed() {
    let offered = changed(takeover(), |settings| settings.client_max_window_bits = WindowBits::MIN);
    let [negotiated, _] = agreed(&offered, &takeover());
    assert_eq!(negotiated.deflate.unwrap().max_window_bits(Side::Client), WindowBits::MIN);
    let mut host = Host::new(Endpoint::new(
        ws_proto::Client::new(ws_tests::Keys::Fixed),
        &bare_config(),
        negotiated,
        Instant::ZERO,
    ));
    let mut deflater = Deflater::new(takeover());
    let message = "aaaa".repeat(100);
    host.endpoint.write_deflated_to(message.as_str().into(), &mut deflater, &mut host.output).unwrap();
    host.endpoint
        .write_part_deflated_to(MessageKind::Text, Part::Whole, b"aaaa", &mut deflater, &mut host.output)
        .unwrap();
    assert_eq!(host.sent_plain(), [(FIN | TEXT, message.into_bytes()), (FIN | TEXT, b"aaaa".into())]);
    let prepared = deflater.prepare("aaaa".repeat(100).as_str().into(), WindowBits::MIN);
    assert_eq!(prepared.window_bits(), None);
    // Messages may still come compressed.
    let frame = host.peer_frame(COMPRESSED_TEXT, HELLO);
    host.receive_buffered(&mut MessageBuffer::new(Vec::new()), &frame);
    assert_eq!(came(&host), (vec![text("Hello")], None));
}

// R7692-7.1.1.1 R7692-7.2.3
#[test]
fn what_was_prepared_once_goes_to_all_peers_that_understand_it() {
    let message = "tick ".repeat(100);
    let bits = |bits| WindowBits::new(bits).unwrap();
    let prepared = Deflater::new(takeover()).prepare(message.as_str().into(), bits(11));
    assert_eq!(prepared.window_bits(), Some(bits(11)));
    assert!(prepared.slices().concat().len() < 40);
    for (settings, fits) in [
        (symmetric(11, false), true),
        (symmetric(12, false), true),
        (symmetric(15, false), true),
        (symmetric(10, false), false),
        (symmetric(9, false), false),
        (symmetric(11, true), false),
        (symmetric(15, true), false),
    ] {
        let mut sending = Sending::new(&settings);
        for _ in 0..2 {
            let admitted = sending.near.endpoint.send_prepared(&prepared);
            assert_eq!(admitted, if fits { Ok(()) } else { Err(SendError::NotNegotiated) });
            if fits {
                let (first, _) = sending.hears(&prepared.slices().concat(), message.as_str().into());
                assert_eq!(first, COMPRESSED_TEXT);
                sending.send(message.as_str());
            }
        }
        // A message that is not compressed can be sent by any endpoint.
        let plain = Prepared::new(MessageKind::Text, message.as_bytes()).unwrap();
        assert_eq!(sending.near.endpoint.send_prepared(&plain), Ok(()));
    }
    assert_eq!(server(&bare_config()).endpoint.send_prepared(&prepared), Err(SendError::NotNegotiated));
    let short = Deflater::new(Settings::small()).prepare("short".into(), bits(11));
    assert_eq!(short.window_bits(), None);
    let hard = Deflater::new(takeover()).prepare(Message::Binary(&noise(500)), bits(15));
    assert_eq!((hard.window_bits(), hard.slices()[1]), (None, &noise(500)[..]));
}

#[test]
fn preparing_between_messages_of_a_connection_harms_neither() {
    let mut sending = Sending::new(&takeover());
    let message = "known words ".repeat(50);
    for _ in 0..3 {
        sending.send(message.as_str());
        let prepared = sending.deflater.prepare("for all ".repeat(50).as_str().into(), WindowBits::MAX);
        assert!(prepared.window_bits().is_some() && sending.deflater.is_idle());
    }
}
