//! The wire: reserved bits, fragments, blocks, and text (RFC 7692 sections 6 and 7.2).

use ws_proto::{CloseCode, MessageBuffer, MessageKind, error::ReceiveErrorKind, role::Role};
use ws_tests::{
    BINARY, CLOSE, CONTINUATION, Compressor, FIN, Host, PING, PONG, RSV1, TEXT, Told, bare_config, close_of,
    deflating_client, deflating_server, masked, on_both, two_way_splits,
};

use super::{
    COMPRESSED_BINARY, COMPRESSED_TEXT, CORRUPT, HELLO, HELLO_AGAIN, HELLO_FINAL, HELLO_STORED,
    HELLO_TWICE_BLOCKED, alone, error, received, takeover, text, told,
};

// R7692-6-1 R5.2-2
#[test]
fn the_first_reserved_bit_is_refused_unless_compression_was_agreed_on() {
    fn check<R: Role>(mut host: Host<R>) {
        host.receive_frame(COMPRESSED_TEXT, HELLO);
        assert_eq!(host.error.map(|error| error.kind()), Some(ReceiveErrorKind::ReservedBits));
        assert_eq!(host.endpoint.deflate(), None);
    }
    on_both(&bare_config(), check, check);
}

// R7692-6-1
#[test]
fn only_the_first_frame_of_a_message_has_the_first_reserved_bit() {
    fn check<R: Role>(host: impl Fn() -> Host<R>) {
        for (before, first) in [
            (Some(TEXT | RSV1), RSV1 | FIN | CONTINUATION),
            (Some(TEXT | RSV1), RSV1 | CONTINUATION),
            (Some(TEXT), RSV1 | FIN | CONTINUATION),
            (None, RSV1 | PING),
            (None, RSV1 | PONG),
            (None, RSV1 | CLOSE),
            (Some(BINARY | RSV1), RSV1 | PING),
            // Those that nothing was agreed on for.
            (None, COMPRESSED_TEXT | 0x20),
            (None, COMPRESSED_TEXT | 0x10),
            (None, FIN | 0x20 | TEXT),
            (None, FIN | 0x10 | BINARY),
        ] {
            let mut host = host();
            if let Some(before) = before {
                let payload: &[u8] = if before & RSV1 == 0 { b"He" } else { &HELLO[..2] };
                host.receive_buffered(&mut MessageBuffer::new(Vec::new()), &host.peer_frame(before, payload));
            }
            assert_eq!(host.error, None);
            host.receive_frame(first, b"");
            assert_eq!(host.error.map(|error| error.kind()), Some(ReceiveErrorKind::ReservedBits), "{first:02X}");
            assert_eq!(host.sent_plain().pop(), Some(close_of(ReceiveErrorKind::ReservedBits)));
        }
    }
    check(|| deflating_server(&bare_config(), &takeover()));
    check(|| deflating_client(&bare_config(), &takeover()));
}

// R7692-6-2
#[test]
fn plain_messages_remain_legal_between_compressed_ones() {
    let frames: &[(u8, &[u8])] = &[
        (COMPRESSED_TEXT, HELLO),
        (FIN | TEXT, b"plain"),
        (TEXT, b"in "),
        (FIN, b"parts"),
        (COMPRESSED_TEXT, HELLO_AGAIN),
        (FIN | BINARY, HELLO),
    ];
    let expected = [text("Hello"), text("plain"), text("in parts"), text("Hello"), Told::Binary(HELLO.into())];
    assert_eq!(told(&bare_config(), &takeover(), frames), expected);
}

// R7692-6.1 R7692-6-2
#[test]
fn fragments_are_cut_anywhere_and_control_frames_come_between() {
    let expected = [Told::Ping(b"!".into()), text("Hello"), Told::Ping(vec![]), text("Hello")];
    for [a, b] in two_way_splits(HELLO) {
        for [c, d] in two_way_splits(HELLO_AGAIN) {
            let frames =
                &[(RSV1 | TEXT, a), (PING, b"!"), (FIN, b), (RSV1 | TEXT, c), (PING, b""), (0, b""), (FIN, d)];
            assert_eq!(told(&bare_config(), &takeover(), frames), expected);
        }
    }
}

// R7692-7.2.2
#[test]
fn the_examples_of_the_rfc_are_understood() {
    for example in [HELLO, HELLO_STORED, HELLO_FINAL, HELLO_TWICE_BLOCKED] {
        for settings in [takeover(), alone()] {
            let frames = &[(COMPRESSED_TEXT, example), (COMPRESSED_TEXT, HELLO), (COMPRESSED_TEXT, example)];
            assert_eq!(told(&bare_config(), &settings, frames), [text("Hello"), text("Hello"), text("Hello")]);
        }
    }
    let twice = &[(COMPRESSED_TEXT, HELLO), (COMPRESSED_TEXT, HELLO_AGAIN)];
    assert_eq!(told(&bare_config(), &takeover(), twice), [text("Hello"), text("Hello")]);
    // A message cannot refer to one that both have agreed to forget.
    assert_eq!(received(&bare_config(), &alone(), twice), (vec![text("Hello")], Some(CORRUPT)));
}

// R7692-7.2.2
#[test]
fn a_final_block_may_come_anywhere() {
    let empty_final: &[u8] = &[0x03, 0x00];
    let final_then_more = [&HELLO_FINAL[..7], HELLO].concat();
    let many = [&HELLO_FINAL[..7]; 50].concat();
    for (payload, message) in [
        // Alone, cut like any empty stored block, with nothing behind it, before others, fifty of them.
        (empty_final, String::new()),
        (&[0x01], String::new()),
        (&HELLO_FINAL[..7], "Hello".into()),
        (&final_then_more, "HelloHello".into()),
        (&many, "Hello".repeat(50)),
        (&[0x00, 0x05, 0x00, 0xFA, 0xFF, 0x48, 0x65, 0x6C, 0x6C, 0x6F, 0x01], "Hello".into()),
    ] {
        for settings in [takeover(), alone()] {
            let frames = &[(COMPRESSED_TEXT, payload), (COMPRESSED_TEXT, HELLO), (COMPRESSED_TEXT, &[0x00])];
            let expected = [text(&message), text("Hello"), text("")];
            assert_eq!(told(&bare_config(), &settings, frames), expected, "{payload:02X?}");
        }
    }
}

// R7692-7.2.2
#[test]
fn an_empty_message_is_a_zero_or_nothing_at_all() {
    let frames: &[(u8, &[u8])] =
        &[(COMPRESSED_TEXT, &[0x00]), (COMPRESSED_BINARY, &[0x00]), (RSV1 | TEXT, b""), (FIN, &[0x00])];
    assert_eq!(told(&bare_config(), &takeover(), frames), [text(""), Told::Binary(vec![]), text("")]);
    for settings in [takeover(), alone()] {
        let nothing: &[(u8, &[u8])] =
            &[(COMPRESSED_TEXT, b""), (COMPRESSED_BINARY, b""), (RSV1 | TEXT, b""), (FIN, b"")];
        assert_eq!(told(&bare_config(), &settings, nothing), [text(""), Told::Binary(vec![]), text("")]);
        for before in [&[0x00][..], &[0x01], &[0x03, 0x00]] {
            let frames = &[(COMPRESSED_TEXT, before), (COMPRESSED_TEXT, b""), (COMPRESSED_TEXT, HELLO)];
            assert_eq!(told(&bare_config(), &settings, frames), [text(""), text(""), text("Hello")]);
        }
    }
    // Context that is taken over lasts.
    let frames = &[(COMPRESSED_TEXT, HELLO), (COMPRESSED_TEXT, b""), (COMPRESSED_TEXT, HELLO_AGAIN)];
    assert_eq!(told(&bare_config(), &takeover(), frames), [text("Hello"), text(""), text("Hello")]);
}

// R7692-7.2.1 R7692-7.2.2
#[test]
fn a_message_whose_end_was_not_cut_off_fails() {
    // With what is put back, it would end inside a stored block, and the next message would be taken for its content.
    for end in [&[0x00, 0x00, 0xFF, 0xFF][..], &[0x00, 0x00, 0xFF, 0xFF, 0x00, 0x00, 0xFF, 0xFF]] {
        let payload = [&HELLO[..HELLO.len() - 1], &[0x00], end].concat();
        for settings in [takeover(), alone()] {
            let found = error(&bare_config(), &settings, &[(COMPRESSED_TEXT, &payload)]);
            assert_eq!((found, found.close_code()), (CORRUPT, CloseCode::INVALID_PAYLOAD), "{payload:02X?}");
        }
    }
}

// R7692-7.2.2
#[test]
fn a_message_that_ends_inside_a_block_or_is_corrupt_fails() {
    for whole in [HELLO, HELLO_STORED, HELLO_TWICE_BLOCKED] {
        for end in 1..whole.len() {
            let cut = &whole[..end];
            // Those are whole messages themselves.
            if cut == [0x00] || cut == [0xF2, 0x48, 0x05, 0x00] || cut == [0xF2, 0x48, 0x05, 0x00, 0x00] {
                continue;
            }
            assert_eq!(error(&bare_config(), &takeover(), &[(COMPRESSED_TEXT, cut)]), CORRUPT, "{cut:02X?}");
        }
    }
    let not_cut_off = [HELLO, &[0x00, 0x00, 0xFF, 0xFF]].concat();
    for corrupt in [
        &[0x07][..],
        &[0xFF, 0xFF],
        b"Hello, world",
        // It refers to nothing.
        HELLO_AGAIN,
        // Lengths that don't fit each other.
        &[0x00, 0x05, 0x00, 0xFA, 0xFE, 0x48, 0x65, 0x6C, 0x6C, 0x6F, 0x00],
        &not_cut_off,
    ] {
        assert_eq!(error(&bare_config(), &takeover(), &[(COMPRESSED_TEXT, corrupt)]), CORRUPT, "{corrupt:02X?}");
    }
    // The message before the error is returned first.
    let late = received(&bare_config(), &takeover(), &[(COMPRESSED_TEXT, HELLO), (COMPRESSED_BINARY, &[0x07])]);
    assert_eq!(late, (vec![text("Hello")], Some(CORRUPT)));
}

// R8.1-1 R7692-7.2.2
#[test]
fn text_has_to_be_utf_8_once_it_is_inflated() {
    let crab = "a🦀é".as_bytes();
    for [head, tail] in two_way_splits(crab) {
        let frames = Compressor::new(&takeover()).frames(MessageKind::Text, &[head, b"", tail]);
        let frames = [(RSV1 | TEXT, &frames[0][..]), (0, &frames[1]), (FIN, &frames[2])];
        assert_eq!(told(&bare_config(), &takeover(), &frames), [text("a🦀é")]);
    }
    for invalid in [&b"\xFF"[..], b"abc\xC0\x80", b"\xED\xA0\x80", b"\xF0\x9F\xA6", b"a\xC3"] {
        let payload = Compressor::new(&takeover()).payload(invalid);
        assert_eq!(error(&bare_config(), &takeover(), &[(COMPRESSED_TEXT, &payload)]), CORRUPT, "{invalid:02X?}");
        let binary = told(&bare_config(), &takeover(), &[(COMPRESSED_BINARY, &payload)]);
        assert_eq!(binary, [Told::Binary(invalid.into())]);
        for [head, tail] in two_way_splits(&payload) {
            let frames = &[(RSV1 | TEXT, head), (FIN, tail)];
            assert_eq!(error(&bare_config(), &takeover(), frames), CORRUPT, "{invalid:02X?}");
        }
    }
    // A message begins anew, whatever the one before it ended with.
    let mut compressor = Compressor::new(&takeover());
    let binary = compressor.payload(b"\xF0\x9F");
    let rest = compressor.payload(b"\xA6\x80");
    let frames = &[(COMPRESSED_BINARY, &binary[..]), (COMPRESSED_TEXT, &rest)];
    assert_eq!(error(&bare_config(), &takeover(), frames), CORRUPT);
}

// R8.1-1
#[test]
fn text_that_can_not_become_utf_8_fails_before_its_message_ends() {
    let frames = Compressor::new(&takeover()).frames(MessageKind::Binary, &[b"abc\xFF", b"rest"]);
    let mut host = deflating_server(&bare_config(), &takeover());
    let mut buffer = MessageBuffer::new(Vec::new());
    host.receive_buffered(&mut buffer, &masked(RSV1 | TEXT, &frames[0]));
    assert_eq!(host.error.map(|error| error.kind()), Some(CORRUPT));
}
