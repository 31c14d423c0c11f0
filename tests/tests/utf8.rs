//! Text fails at the first byte that cannot be UTF-8, wherever frames and reads are cut.

use ws_proto::{MessageBuffer, error::ReceiveErrorKind, role::Role, utf8::Validator};
use ws_tests::{
    CONTINUATION, FIN, Host, PING, TEXT, Told, bare_config, client, frame, from_peer, header, masked, on_both,
    server, two_way_splits,
};

/// How many bytes of `text` may begin a UTF-8 text, the slow way; `None` if all may.
fn first_impossible(text: &[u8]) -> Option<usize> {
    (1..=text.len()).find_map(|len| {
        let error = std::str::from_utf8(&text[..len]).err()?;
        error.error_len().map(|_| len - 1)
    })
}

/// Texts that are wrong somewhere, sometimes long after the beginning.
fn bad_texts() -> Vec<Vec<u8>> {
    let endings: [&[u8]; 16] = [
        b"\xFF",
        b"\x80",
        b"\xC0\xAF",
        b"\xC1\xBF",
        b"\xC3\x28",
        b"\xE0\x80\xAF",
        b"\xE0\x9F\xBF",
        b"\xE2\x28\xA1",
        b"\xE2\x82\x28",
        b"\xED\xA0\x80",
        b"\xED\xBF\xBF",
        b"\xF0\x80\x80\xAF",
        b"\xF0\x8F\xBF\xBF",
        b"\xF4\x90\x80\x80",
        b"\xF5\x80\x80\x80",
        b"\xF0\x9F\xA6\x28",
    ];
    let mut texts = Vec::new();
    for ending in endings {
        for before in ["", "a", "é", "κόσμε", "🦀 and a rather long beginning of sixty-four bytes or more, in all"]
        {
            texts.push([before.as_bytes(), ending, b"behind"].concat());
        }
    }
    texts
}

/// Receives a header that announces far more, then the text byte by byte: fails at the first bad byte.
fn check_fail_fast<R: Role>(mut host: Host<R>, text: &[u8]) {
    let bad_at = first_impossible(text).unwrap();
    let bytes = from_peer(R::SIDE, TEXT, &[text, &[b'x'; 500]].concat());
    let header_len = bytes.len() - text.len() - 500;
    for byte in bytes[..header_len + bad_at].chunks(1) {
        host.receive(byte);
    }
    assert_eq!(host.error, None, "{text:02x?}");
    host.receive(&bytes[header_len + bad_at..=header_len + bad_at]);
    let error = host.error.expect("fails at the first impossible byte, in the middle of the frame");
    assert_eq!(error.kind(), ReceiveErrorKind::InvalidUtf8);
    assert_eq!(error.offset(), (header_len + bad_at) as u64);
}

// R8.1-1 R5.6-1
#[test]
fn text_fails_at_the_first_impossible_byte_in_the_middle_of_a_frame() {
    for text in bad_texts() {
        on_both(&bare_config(), |host| check_fail_fast(host, &text), |host| check_fail_fast(host, &text));
    }
}

// R8.1-1 R5.6-1
#[test]
fn the_offset_of_the_fault_is_the_same_under_every_split() {
    fn check<R: Role>(new: impl Fn() -> Host<R>, frames: &[(u8, &[u8])], offset: u64) {
        let bytes: Vec<u8> =
            frames.iter().flat_map(|(first, payload)| from_peer(R::SIDE, *first, payload)).collect();
        for halves in two_way_splits(&bytes) {
            let (mut streaming, mut buffered, mut shared) = (new(), new(), new());
            let (mut own, mut rest) = (MessageBuffer::new(Vec::new()), MessageBuffer::new(Vec::new()));
            for half in halves {
                streaming.receive(half);
                buffered.receive_buffered(&mut own, half);
                shared.receive_shared(&mut rest, half);
            }
            for host in [streaming, buffered, shared] {
                let error = host.error.map(|error| (error.kind(), error.offset()));
                assert_eq!(error, Some((ReceiveErrorKind::InvalidUtf8, offset)));
            }
        }
    }
    for text in bad_texts() {
        let bad_at = first_impossible(&text).unwrap() as u64;
        let header_len = if text.len() < 126 { 2 } else { 4 };
        check(|| client(&bare_config()), &[(FIN | TEXT, &text)], header_len + bad_at);
        check(|| server(&bare_config()), &[(FIN | TEXT, &text)], header_len + 4 + bad_at);
        // The first half in one frame, the other in the next, a Ping between them.
        let (head, tail) = text.split_at(text.len() / 2);
        let frames = [(TEXT, head), (PING, b"ping"), (FIN, tail)];
        let in_tail = if bad_at < head.len() as u64 { 0 } else { 1 };
        check(|| client(&bare_config()), &frames, 2 + bad_at + in_tail * 8);
        check(|| server(&bare_config()), &frames, 6 + bad_at + in_tail * 16);
    }
    // More fragments than are put together at once, empty ones among them.
    for bad_at in [0, 1, 44, 45, 46, 47, 100, 119] {
        let mut text: Vec<u8> = "aé中🦀".bytes().cycle().take(120).collect();
        text[bad_at] = 0xFF;
        let fragments = text.chunks(3).flat_map(|fragment| [fragment, &[]]);
        let first = |index| if index == 0 { TEXT } else { CONTINUATION };
        let frames: Vec<_> = fragments.enumerate().map(|(index, payload)| (first(index), payload)).collect();
        let headers = 2 * (bad_at / 3) as u64 + 1;
        check(|| client(&bare_config()), &frames, 2 * headers + bad_at as u64);
        check(|| server(&bare_config()), &frames, 6 * headers + bad_at as u64);
    }
}

// R8.1-1 R5.6-1
#[test]
fn a_text_cut_inside_a_code_point_and_ended_by_an_empty_frame_is_invalid() {
    for (bytes, offset) in [
        (b"\x01\x02\xE2\x82\x80\x00".to_vec(), 6),
        (b"\x81\x02\xE2\x82".to_vec(), 4),
        (b"\x01\x01\xF0\x00\x02\x9F\xA6\x80\x00".to_vec(), 9),
        (b"\x01\x02\xE2\x82\x89\x01x\x00\x00\x80\x00".to_vec(), 11),
    ] {
        for halves in two_way_splits(&bytes) {
            let mut host = client(&bare_config());
            let mut buffered = client(&bare_config());
            let mut buffer = MessageBuffer::new(Vec::new());
            for half in halves {
                host.receive(half);
                buffered.receive_buffered(&mut buffer, half);
            }
            let error = host.error.map(|error| (error.kind(), error.offset()));
            assert_eq!(error, Some((ReceiveErrorKind::InvalidUtf8, offset)));
            assert_eq!(host.outcome(), buffered.outcome());
            assert_eq!(host.sent_plain().pop(), Some((0x88, b"\x03\xEFtext is not UTF-8".to_vec())));
            assert!(!host.told.iter().any(|told| matches!(told, Told::Text(_))));
        }
    }
}

// R5.6-1 R5.4-1 R6.2-1
#[test]
fn a_text_may_be_cut_anywhere_and_is_whole_in_the_end() {
    let text = "aé中🦀\u{7FF}\u{800}\u{D7FF}\u{E000}\u{FFFF}\u{10000}\u{10FFFF}\0";
    for first in 0..=text.len() {
        for second in first..=text.len() {
            let bytes = text.as_bytes();
            let frames = [(TEXT, &bytes[..first]), (CONTINUATION, &bytes[first..second]), (FIN, &bytes[second..])];
            let stream: Vec<u8> = frames.iter().flat_map(|(first, payload)| masked(*first, payload)).collect();
            let mut host = server(&bare_config());
            host.receive(&stream);
            let mut buffer = MessageBuffer::new(Vec::new());
            host.receive_buffered(&mut buffer, &stream);
            assert_eq!(host.told, [Told::Text(text.into()), Told::Text(text.into())]);
        }
    }
}

// R5.6-1
#[test]
fn binary_is_opaque() {
    let mut host = server(&bare_config());
    for text in bad_texts() {
        host.receive(&masked(FIN | 2, &text));
        assert_eq!(host.told.pop(), Some(Told::Binary(text)));
    }
}

// R8.1-1
#[test]
fn the_validator_starts_anew_with_each_message() {
    let mut host = client(&bare_config());
    host.receive(&frame(FIN | TEXT, "é".as_bytes()));
    host.receive(&frame(2, b"\xC3"));
    host.receive(&frame(FIN, b""));
    host.receive(&frame(FIN | TEXT, b"\xA9"));
    assert_eq!(host.told.len(), 2);
    assert_eq!(host.error.map(|error| error.kind()), Some(ReceiveErrorKind::InvalidUtf8));
}

// R8.1-1
#[test]
fn every_code_point_is_taken_and_every_surrogate_refused() {
    for code in 0..=0x11_0000_u32 {
        let mut bytes = [0; 4];
        let text = char::from_u32(code).map(|character| character.encode_utf8(&mut bytes).as_bytes());
        let mut validator = Validator::new();
        match text {
            Some(text) => {
                assert!(validator.update(text).is_ok() && validator.is_complete(), "{code:x}");
                if text.len() > 1 {
                    assert!(Validator::new().update(&text[1..]).is_err(), "{code:x}");
                }
            }
            None => {
                let encoded = three_or_four_bytes(code);
                assert_eq!(validator.update(&encoded).err().map(|error| error.position()), Some(1), "{code:x}");
            }
        }
    }
}

/// The bytes that `code` would have if it were a character.
fn three_or_four_bytes(code: u32) -> Vec<u8> {
    let byte = |shift: u32| 0x80 | (code >> shift & 0x3F).to_le_bytes()[0];
    if code < 0x1_0000 {
        vec![0xE0 | (code >> 12).to_le_bytes()[0], byte(6), byte(0)]
    } else {
        vec![0xF0 | (code >> 18).to_le_bytes()[0], byte(12), byte(6), byte(0)]
    }
}

#[test]
fn a_header_announces_nothing_about_the_text() {
    let mut host = server(&bare_config());
    host.receive(&header(FIN | TEXT, 1000, Some([0; 4])));
    assert_eq!(host.error, None);
    host.receive(b"\xC3");
    host.receive(b"(");
    assert_eq!(host.error.map(|error| error.offset()), Some(9));
}
