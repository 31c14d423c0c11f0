//! Output that is written piece by piece.

use ws_proto::{
    CloseCode, Config, Endpoint, Instant, Message, Pending, SendError, Server, connection::Output,
    endpoint::Negotiated,
};
use ws_tests::{BINARY, FIN, PING, frame, masked, noise};

#[test]
fn output_keeps_its_order_however_little_the_transport_takes() {
    let mut endpoint = Endpoint::new(Server, &Config::default(), Negotiated::default(), Instant::ZERO);
    let mut output = Output::new();
    output.send(&mut endpoint, Message::Text("one")).unwrap();
    output.written(&mut endpoint, Instant::ZERO, 2);
    let mut ping = masked(PING, b"p");
    endpoint.receive(Instant::ZERO, &mut &mut ping[..]).unwrap();
    // The Pong that is owed comes first.
    output.send(&mut endpoint, Message::Binary(b"two")).unwrap();
    output.close(&mut endpoint, Instant::ZERO, CloseCode::NORMAL, "bye").unwrap();
    assert_eq!(output.close(&mut endpoint, Instant::ZERO, CloseCode::NORMAL, ""), Err(SendError::Closing));
    let mut reply = masked(0x88, &[0x03, 0xE8]);
    endpoint.receive(Instant::ZERO, &mut &mut reply[..]).unwrap();
    output.drain(&mut endpoint);
    let expected =
        [b"one", &frame(0x8A, b"p")[..], &frame(FIN | BINARY, b"two"), &frame(0x88, b"\x03\xE8bye")].concat();
    assert_eq!(output.len(), expected.len());
    let mut bytes: Vec<u8> = Vec::new();
    while let Some(Pending::Bytes(more)) = output.pending() {
        bytes.extend(&more[..1]);
        output.written(&mut endpoint, Instant::ZERO, 1);
    }
    assert_eq!(bytes, expected);
    assert_eq!(output.pending(), Some(Pending::Shutdown));
    output.shut_down();
    assert!(output.is_empty());
}

#[test]
fn output_can_be_taken_whole_wherever_the_last_write_stopped() {
    let mut endpoint = Endpoint::refused(&Config::default(), Instant::ZERO);
    let mut output = Output::new();
    output.drain(&mut endpoint);
    output.buffer().extend(b"abcdef");
    output.written(&mut endpoint, Instant::ZERO, 2);
    assert_eq!(output.take_bytes(), b"cdef");
    output.buffer().extend(b"xyz");
    assert_eq!(output.pending(), Some(Pending::Bytes(b"xyz")));
    assert_eq!(output.take_bytes(), b"xyz");
    assert_eq!(output.take_bytes(), b"");
    assert_eq!(output.pending(), Some(Pending::Shutdown));
}

#[test]
fn output_gives_back_what_a_big_message_took() {
    let mut endpoint = Endpoint::new(Server, &Config::default(), Negotiated::default(), Instant::ZERO);
    let mut output = Output::new();
    output.send(&mut endpoint, Message::Binary(&noise(1 << 20))).unwrap();
    let len = output.len();
    output.written(&mut endpoint, Instant::ZERO, len - 1);
    assert!(output.buffer().capacity() > 1 << 20);
    output.written(&mut endpoint, Instant::ZERO, 1);
    assert!(output.is_empty());
    assert!(output.buffer().capacity() <= 64 * 1024);
}

fn at(seconds: u64) -> Instant {
    Instant::from_millis(1000 * seconds)
}

/// A server's endpoint, and an output whose write timeout is the same for any length.
fn without_rate() -> (Endpoint<Server>, Output) {
    let mut config = Config::default();
    config.min_write_rate = 0;
    let endpoint = Endpoint::new(Server, &config, Negotiated::default(), Instant::ZERO);
    (endpoint, Output::with_config(&config))
}

#[test]
fn lent_output_goes_on_where_the_transport_stopped() {
    let (mut endpoint, mut output) = without_rate();
    output.buffer().extend(b"abcdef");
    let lent = output.lend_bytes(at(1));
    assert_eq!((output.is_empty(), output.poll_timeout()), (true, Some(at(31))));
    output.buffer().extend(b"xyz");
    output.put_back(&mut endpoint, at(2), lent, 4);
    assert_eq!((output.pending(), output.poll_timeout()), (Some(Pending::Bytes(b"efxyz")), Some(at(32))));
    let lent = output.lend_bytes(at(3));
    output.put_back(&mut endpoint, at(4), lent, 5);
    assert_eq!((output.is_empty(), output.poll_timeout()), (true, None));
}

#[test]
fn a_frame_that_lies_elsewhere_goes_before_what_is_queued_meanwhile() {
    let (mut endpoint, mut output) = without_rate();
    output.lend_elsewhere(6);
    output.written_elsewhere(&mut endpoint, at(1), 0);
    assert_eq!((output.is_lent(), output.poll_timeout()), (true, Some(at(31))));
    output.ping(&mut endpoint, b"").unwrap();
    output.written_elsewhere(&mut endpoint, at(2), 4);
    assert_eq!((output.is_lent(), output.poll_timeout()), (true, Some(at(32))));
    output.put_back(&mut endpoint, at(3), b"ef".to_vec(), 0);
    assert_eq!((output.is_lent(), output.pending()), (false, Some(Pending::Bytes(b"ef\x89\x00"))));
    output.written(&mut endpoint, at(4), 4);
    // To its end.
    output.lend_elsewhere(6);
    output.written_elsewhere(&mut endpoint, at(5), 6);
    assert_eq!((output.is_lent(), output.is_empty(), output.poll_timeout()), (false, true, None));
    // A transport that has failed takes nothing back.
    output.lend_elsewhere(6);
    output.abandon();
    output.put_back(&mut endpoint, at(6), b"abcdef".to_vec(), 0);
    assert!(!output.is_lent() && output.is_empty());
}

#[test]
fn an_output_without_bytes_gives_its_memory_away_and_one_with_bytes_keeps_it() {
    let mut endpoint = Endpoint::new(Server, &Config::new(), Negotiated::default(), Instant::ZERO);
    let mut output = Output::new();
    assert_eq!(output.swap_memory(Vec::with_capacity(1_000)).capacity(), 0);
    output.send(&mut endpoint, Message::Text("stays")).unwrap();
    assert_eq!(output.swap_memory(Vec::with_capacity(50)).capacity(), 50, "it is not used");
    assert_eq!(output.pending(), Some(Pending::Bytes(b"\x81\x05stays")));
    output.written(&mut endpoint, Instant::ZERO, 7);
    assert!(output.swap_memory(Vec::new()).capacity() >= 1_000);
}

#[test]
fn a_peer_that_was_too_slow_has_the_whole_time_again_when_the_host_says_so() {
    let mut endpoint = Endpoint::new(Server, &Config::new(), Negotiated::default(), Instant::ZERO);
    let mut output = Output::new();
    output.set_write_timeout(Some(core::time::Duration::from_secs(3)));
    output.send(&mut endpoint, Message::Text("slowly")).unwrap();
    output.written(&mut endpoint, at(0), 0);
    assert_eq!((output.poll_timeout(), output.is_overdue(at(3))), (Some(at(3)), true));
    output.restart_deadline();
    assert!(!output.is_overdue(at(3)));
    output.written(&mut endpoint, at(4), 0);
    assert_eq!(output.poll_timeout(), Some(at(7)));
    assert_eq!(output.len(), 8, "and nothing is lost");
}
