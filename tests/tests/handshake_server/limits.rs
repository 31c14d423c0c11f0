//! Limits and the deadline of a head, which is looked at once.

use core::time::Duration;

use ws_proto::{
    Config, Instant,
    handshake::HandshakeError,
    server::{Handshake, Head, OriginPolicy},
};

use super::{bytes, padded, refuse, run};

#[test]
fn limits_are_exact_at_any_split() {
    // R9110-7, R9112-8
    let target = |len: usize| bytes(&[]).splice(4..16, vec![b'/'; len]).count();
    assert_eq!(target(1), 12);
    let with_target = |len: usize| {
        let mut request = bytes(&[]);
        request.splice(4..16, vec![b'/'; len]);
        request
    };
    let with_line = |len: usize| padded(&format!("X: {}\r\n", "a".repeat(len - 3)));
    let with_fields = |count: usize| padded(&"X: a\r\n".repeat(count - 5));
    let with_len = |len: usize| {
        let rest = len - padded("").len() - 2 * "X: \r\n".len();
        padded(&format!("X: {}\r\nX: {}\r\n", "a".repeat(rest / 2), "b".repeat(rest - rest / 2)))
    };
    for (what, request, expected) in [
        ("target at the limit", with_target(8_000), 101),
        ("target over it", with_target(8_001), 414),
        ("request line at its limit", with_target(8_192 - 13), 414),
        ("request line over it", with_target(8_192 - 12), 414),
        ("endless target", with_target(20_000), 414),
        ("cookies of 8.7 KB", padded(&format!("Cookie: {}\r\n", "c".repeat(8_700))), 101),
        ("a line that fills the head", with_line(16_384 - padded("").len() - 2), 101),
        ("a line over it", with_line(16_384 - padded("").len() - 1), 431),
        ("fields at the limit", with_fields(100), 101),
        ("fields over it", with_fields(101), 431),
        ("head at the limit", with_len(16_384), 101),
        ("head over it", with_len(16_385), 431),
    ] {
        let at_once = run(&request, request.len(), OriginPolicy::SameHost);
        assert_eq!(at_once.1, expected, "{what}");
        assert_eq!(run(&request, 1, OriginPolicy::SameHost), at_once, "{what}, byte by byte");
    }
    assert_eq!(with_len(16_384).len(), Config::default().max_head_len);
}

#[test]
fn limits_of_heads_can_be_set() {
    // R9110-7
    let fields = |count: usize| padded(&"X: a\r\n".repeat(count - 5));
    let lines = |count: usize| padded(&format!("X: {}\r\n", "a".repeat(1_000)).repeat(count));
    type Set = fn(&mut Config);
    for (set, request, expected) in [
        ((|config| config.max_head_len = 99) as Set, padded(""), Err(HandshakeError::HeadTooLong)),
        (|config| config.max_head_len = 64 << 10, lines(60), Ok(())),
        (|config| config.max_line_len = Some(50), padded(""), Ok(())),
        (|config| config.max_line_len = Some(42), padded(""), Err(HandshakeError::LineTooLong)),
        (|config| config.max_line_len = Some(10), padded(""), Err(HandshakeError::TargetTooLong)),
        (|config| config.max_header_fields = 5, fields(5), Ok(())),
        (|config| config.max_header_fields = 5, fields(6), Err(HandshakeError::TooManyFields)),
        (|config| config.max_header_fields = 1_000, fields(128), Ok(())),
        (|config| config.max_header_fields = 1_000, fields(129), Err(HandshakeError::TooManyFields)),
    ] {
        let mut config = Config::default();
        set(&mut config);
        let mut handshake = Handshake::new(Instant::ZERO, &config);
        let found = handshake.poll_head(Instant::ZERO, &request);
        assert_eq!(found.map(|len| assert_eq!(len, Some(request.len()))), expected);
        if expected.is_ok() {
            let head = handshake.request(&request, OriginPolicy::SameHost);
            assert!(matches!(head, Ok(Head::Upgrade(_))), "{head:?}");
        }
    }
}

#[test]
fn bytes_that_have_been_looked_at_are_not_looked_at_again() {
    let request = bytes(&[]);
    let mut handshake = Handshake::new(Instant::ZERO, &Config::default());
    let mut received = Vec::new();
    for (index, &byte) in request.iter().enumerate() {
        received.push(byte);
        let complete = index + 1 == request.len();
        let expected = Ok(complete.then_some(request.len()));
        assert_eq!(handshake.poll_head(Instant::ZERO, &received), expected);
        received[index] = b'\n';
    }
}

#[test]
fn what_can_not_become_a_head_is_refused_at_the_byte_that_shows_it() {
    for (bytes, what) in [
        (&b"\r\n\r\n"[..], "R9112-4: endless empty lines"),
        (b"GET / HTTP/1.1\r\n ", "R9112-7: space before the first field"),
        (b"GET / HTTP/1.1\r\nHost: a\r\n\t", "R9112-1: folded line"),
        (b"GET / HTTP/1.1\n", "R9112-3: bare LF"),
        (b"GET / HTTP/1.1\rH", "R9112-2: bare CR"),
        (b"GET /\0", "R9110-3: NUL"),
        (b"\x16", "TLS on a plain port"),
    ] {
        let mut handshake = Handshake::new(Instant::ZERO, &Config::default());
        let (_, before) = bytes.split_last().unwrap();
        assert_eq!(handshake.poll_head(Instant::ZERO, before), Ok(None), "{what}");
        for _ in 0..2 {
            assert_eq!(handshake.poll_head(Instant::ZERO, bytes), Err(HandshakeError::Syntax), "{what}");
        }
    }
}

// R9110-3
#[test]
fn a_control_character_is_refused_at_once_wherever_it_stands() {
    let controls = (0..0x20).chain([0x7F]).filter(|byte| !b"\t\n\r".contains(byte));
    for (control, before) in controls.flat_map(|control| {
        ["", "GET", "GET /", "GET / HTTP/1.1\r\n", "GET / HTTP/1.1\r\nX: a value that is long"]
            .map(|before| (control, before))
    }) {
        let mut handshake = Handshake::new(Instant::ZERO, &Config::default());
        assert_eq!(handshake.poll_head(Instant::ZERO, before.as_bytes()), Ok(None));
        let received = [before.as_bytes(), &[control]].concat();
        let result = handshake.poll_head(Instant::ZERO, &received);
        assert_eq!(result, Err(HandshakeError::Syntax), "{}", received.escape_ascii());
    }
}

#[test]
fn one_deadline_holds_for_the_whole_head() {
    let config = Config::default();
    let request = bytes(&[]);
    let (early, late) = (Instant::from_millis(9_999), Instant::from_millis(10_000));
    let mut handshake = Handshake::new(Instant::ZERO, &config);
    assert_eq!(handshake.poll_timeout(), Some(late));
    assert_eq!(handshake.poll_head(early, &request[..50]), Ok(None));
    assert_eq!(handshake.poll_timeout(), Some(late), "a byte does not prolong it");
    assert_eq!(handshake.handle_timeout(early), Ok(()));
    assert_eq!(handshake.clone().poll_head(early, &request), Ok(Some(request.len())));
    assert_eq!(handshake.handle_timeout(late), Err(HandshakeError::Timeout));
    assert_eq!(handshake.poll_head(late, &request), Err(HandshakeError::Timeout));
    assert_eq!(refuse(HandshakeError::Timeout, &request[..50]), 408);
}

#[test]
fn no_deadline_is_left_when_the_head_is_complete_or_the_timeout_is_off() {
    let request = bytes(&[]);
    let mut config = Config::default();
    let mut handshake = Handshake::new(Instant::ZERO, &config);
    assert_eq!(handshake.poll_head(Instant::ZERO, &request), Ok(Some(request.len())));
    assert_eq!(handshake.poll_timeout(), None);
    assert_eq!(handshake.handle_timeout(Instant::from_millis(60_000)), Ok(()));
    config.handshake_timeout = None;
    let mut handshake = Handshake::new(Instant::ZERO, &config);
    assert_eq!(handshake.poll_timeout(), None);
    assert_eq!(handshake.poll_head(Instant::from_nanos(u64::MAX), &request), Ok(Some(request.len())));
    config.handshake_timeout = Some(Duration::MAX);
    assert!(Handshake::new(Instant::ZERO, &config).poll_timeout().is_some());
}
