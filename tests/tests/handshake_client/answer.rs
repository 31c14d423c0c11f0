//! Answers: the tables, limits, the deadline, and arbitrary bytes.

use proptest::{collection::vec, prelude::*, sample};
use ws_proto::{
    Config, Instant,
    client::{Answer, Handshake, Request},
    handshake::{HandshakeError as E, MAX_INTERIM_RESPONSES},
};
use ws_tests::Edit::{Add, AddBytes, Before, Start};

use super::{
    BASE, FRAMES, NONCE,
    Verdict::{Failed, Open, Refused},
    bytes, handshake, judge, run,
    tables::{ACCEPT, Case, INTERIM, NEGOTIATION, STATUS, SYNTAX, TABLES, UPGRADE},
    try_run,
};

fn check(table: &[Case]) {
    for &(expected, what, edits) in table {
        let answer = bytes(edits);
        let at_once = run(&answer, answer.len());
        assert_eq!(at_once.1, expected, "{what}");
        assert_eq!(run(&answer, 1), at_once, "{what}, byte by byte");
        // R9110-8: what follows the head is neither looked at nor lost.
        let followed = [&answer[..], FRAMES].concat();
        assert_eq!(run(&followed, followed.len()), at_once, "{what}, with frames behind it");
        assert_eq!(run(&followed, 1), at_once, "{what}, byte by byte with frames behind it");
        if let Open(_) | Refused(_) = expected {
            assert_eq!(at_once.0, Some(answer.len()), "{what}");
        }
    }
}

#[test]
fn status_lines() {
    check(STATUS);
}

#[test]
fn upgrade_and_connection() {
    check(UPGRADE);
}

#[test]
fn accept_keys() {
    check(ACCEPT);
}

#[test]
fn subprotocols_and_extensions() {
    check(NEGOTIATION);
}

#[test]
fn syntax() {
    check(SYNTAX);
}

#[test]
fn interim_responses() {
    check(INTERIM);
}

#[test]
fn the_tables_have_80_cases() {
    assert!(TABLES.iter().map(|table| table.len()).sum::<usize>() >= 80);
}

#[test]
fn interim_responses_are_counted() {
    // R9110-5, R9110-7
    let answer = |count| [&b"HTTP/1.1 102 \r\n\r\n".repeat(count)[..], &bytes(&[])].concat();
    let most = answer(MAX_INTERIM_RESPONSES);
    assert_eq!(run(&most, 1), (Some(most.len()), Open(None)));
    let more = answer(MAX_INTERIM_RESPONSES + 1);
    assert_eq!(run(&more, 1), (None, Failed(E::TooManyInterimResponses)));
    assert_eq!(run(&more, more.len()), (None, Failed(E::TooManyInterimResponses)));
}

#[test]
fn limits_are_exact_at_any_split() {
    // R9110-7 K-limits K-interim
    let padded = |filler: &str| {
        let mut answer = bytes(&[]);
        answer.truncate(answer.len() - 2);
        answer.extend_from_slice(filler.as_bytes());
        answer.extend_from_slice(b"\r\n");
        answer
    };
    let with_line = |len: usize| padded(&format!("X: {}\r\n", "a".repeat(len - 3)));
    let room = 16_384 - padded("").len() - 2;
    for (what, answer, expected) in [
        ("cookies of 8.7 KB", padded(&format!("Set-Cookie: {}\r\n", "c".repeat(8_700))), Open(None)),
        ("a line that fills the head", with_line(room), Open(None)),
        ("a line over it", with_line(room + 1), Failed(E::HeadTooLong)),
        ("fields at the limit", padded(&"X: a\r\n".repeat(97)), Open(None)),
        ("fields over it", padded(&"X: a\r\n".repeat(98)), Failed(E::TooManyFields)),
    ] {
        assert_eq!(run(&answer, answer.len()).1, expected, "{what}");
        assert_eq!(run(&answer, 1).1, expected, "{what}, byte by byte");
        // R9110-5: each head has the limits for itself.
        let interim = format!("HTTP/1.1 103 \r\n{}X: {}\r\n\r\n", "X: a\r\n".repeat(99), "b".repeat(15_000));
        let followed = [interim.as_bytes(), &answer].concat();
        assert_eq!(run(&followed, followed.len()).1, expected, "{what}, after an interim response");
    }
    let mut config = Config::default();
    config.max_line_len = Some(100);
    let long = with_line(101);
    let mut handshake = Handshake::new(Request::new("a", "/"), NONCE, Instant::ZERO, &config).unwrap();
    assert_eq!(handshake.poll_head(Instant::ZERO, &long), Err(E::LineTooLong));
}

#[test]
fn bytes_that_have_been_looked_at_are_not_looked_at_again() {
    let answer = bytes(&[]);
    let mut handshake = handshake();
    let mut received = Vec::new();
    for (index, &byte) in answer.iter().enumerate() {
        received.push(byte);
        let complete = index + 1 == answer.len();
        let expected = Ok(complete.then_some(answer.len()));
        assert_eq!(handshake.poll_head(Instant::ZERO, &received), expected);
        // But for the status line, which tells whether this head is the last.
        if index >= BASE[0].len() {
            received[index] = b'\n';
        }
    }
}

#[test]
fn an_answer_is_judged_only_when_it_is_complete() {
    // R4.1-15: nothing but an answer makes an endpoint to send with.
    let answer = bytes(&[]);
    for len in 0..answer.len() {
        assert_eq!(judge(&handshake(), &answer[..len]), Failed(E::Syntax));
    }
}

#[test]
fn one_deadline_holds_for_the_whole_handshake() {
    let config = Config::default();
    let answer = bytes(&[Before("HTTP/1.1 100 \r\n\r\n")]);
    let (early, late) = (Instant::from_millis(9_999), Instant::from_millis(10_000));
    let mut handshake = handshake();
    assert_eq!(handshake.poll_timeout(), Some(late));
    assert_eq!(handshake.poll_head(early, &answer[..40]), Ok(None));
    assert_eq!(handshake.poll_timeout(), Some(late), "an interim response does not prolong it");
    assert_eq!(handshake.handle_timeout(early), Ok(()));
    assert_eq!(handshake.clone().handle_timeout(late), Err(E::Timeout));
    assert_eq!(handshake.clone().poll_head(late, &answer), Err(E::Timeout));
    assert_eq!(handshake.poll_head(early, &answer), Ok(Some(answer.len())));
    assert_eq!(handshake.poll_timeout(), None);
    assert_eq!(handshake.handle_timeout(late), Ok(()));
    assert!(config.handshake_timeout.is_some());
}

#[test]
fn a_refusal_shows_its_parts() {
    // R4.1-16
    let answer =
        bytes(&[Start("HTTP/1.1 401 Who are you?"), Add("WWW-Authenticate: Basic"), AddBytes(b"X: \xFF")]);
    let mut handshake = handshake();
    let len = handshake.poll_head(Instant::ZERO, &answer).unwrap().unwrap();
    let Ok(Answer::Refused(refusal)) = handshake.answer(&answer[..len]) else { panic!("not refused") };
    assert_eq!((refusal.status(), refusal.reason()), (401, &b"Who are you?"[..]));
    assert_eq!(refusal.header("www-authenticate"), Some(&b"Basic"[..]));
    assert_eq!(refusal.headers().last(), Some(("X", &b"\xFF"[..])));
}

#[test]
fn a_response_shows_its_fields() {
    let answer = bytes(&[Add("Set-Cookie: a"), Add("Set-Cookie: b")]);
    let mut handshake = handshake();
    assert_eq!(handshake.answer(&answer).err(), Some(E::Syntax), "nothing has been found yet");
    assert_eq!(handshake.poll_head(Instant::ZERO, &answer), Ok(Some(answer.len())));
    let Ok(Answer::Open(response)) = handshake.answer(&answer) else { panic!("not open") };
    assert_eq!(response.header("SET-COOKIE"), Some(&b"a"[..]));
    assert_eq!(response.header("cookie"), None);
    assert_eq!(response.headers().count(), 5);
}

/// An answer in which some bytes are others.
fn altered() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![any::<u8>(), sample::select(&b"\r\n \t:,01\0\x7F\x80"[..])];
    vec((any::<sample::Index>(), byte), 0..6).prop_map(|changes| {
        let mut answer = bytes(&[Before("HTTP/1.1 100 \r\nA: b\r\n\r\n"), Add("Sec-WebSocket-Protocol: chat.v1")]);
        for (index, byte) in changes {
            let index = index.index(answer.len());
            answer[index] = byte;
        }
        answer
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_split_of_any_bytes_has_the_same_outcome(answer in altered(), step in 1_usize..50) {
        let at_once = try_run(&answer, answer.len());
        prop_assert_eq!(try_run(&answer, step), at_once);
        prop_assert_eq!(try_run(&answer, 1), at_once);
    }
}
