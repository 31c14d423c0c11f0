//! The halves of a connection that has been split.

use ws_proto::{Event, State, connection::Cause};
use ws_tests::{CLOSE, FIN, PING, PONG, TEXT, frame, masked, opened};

use super::*;

#[test]
fn halves_do_what_the_connection_did() {
    let (mut buffer, mut outgoing) = opened(&Config::default()).split().unwrap();
    let bytes = [masked(FIN | TEXT, b"one"), masked(PING, b"p"), masked(CLOSE, b"\x03\xE8")].concat();
    outgoing.room(&mut buffer)[..bytes.len()].copy_from_slice(&bytes);
    buffer.filled(bytes.len());
    assert_eq!(outgoing.next(&mut buffer, at(1)), Ok(Some(Event::Data(Message::Text("one")))));
    outgoing.send(Message::Text("two")).unwrap();
    assert_eq!(outgoing.next(&mut buffer, at(1)), Ok(Some(Event::Control(Control::Ping))));
    assert_eq!(outgoing.endpoint().control_payload(), b"p");
    assert_eq!(outgoing.next(&mut buffer, at(1)), Ok(Some(Event::Control(Control::Close))));
    assert_eq!(outgoing.next(&mut buffer, at(1)), Ok(None));
    let expected = [frame(FIN | TEXT, b"two"), frame(PONG, b"p"), frame(CLOSE, b"\x03\xE8")].concat();
    assert_eq!(outgoing.pending_len(), expected.len());
    assert_eq!(outgoing.closed(), None, "the Close is not written");
    let (mut sent, mut ended) = (Vec::new(), false);
    while let Some(pending) = outgoing.pending() {
        match pending {
            Pending::Bytes(bytes) => {
                sent.push(bytes[0]);
                outgoing.written(at(1), 1);
            }
            Pending::Shutdown => {
                ended = true;
                outgoing.shut_down();
            }
        }
    }
    assert_eq!((sent, ended), (expected, true));
    assert!(outgoing.closed().is_some_and(|closed| closed.clean && closed.code == CloseCode::NORMAL));
    assert!(!outgoing.is_over(), "the peer has not ended the transport");
    outgoing.receive_eof();
    assert!(outgoing.is_over());
}

#[test]
fn a_half_whose_peer_takes_nothing_ends() {
    let (_, mut outgoing) = opened(&Config::default()).split().unwrap();
    outgoing.send(Message::Binary(&[0; 1000])).unwrap();
    outgoing.written(at(0), 0);
    assert_eq!(outgoing.poll_timeout(), Some(at(20_000)));
    assert!(outgoing.handle_timeout(at(20_000)));
    assert!(!outgoing.handle_timeout(at(31_000)), "the write timeout has passed");
    assert_eq!((outgoing.pending_len(), outgoing.closed().unwrap().cause), (0, Cause::Eof));
}

#[test]
fn a_half_closes_and_drops_what_waits() {
    let (_, mut outgoing) = opened(&Config::default()).split().unwrap();
    outgoing.close(at(0), CloseCode::GOING_AWAY, "bye").unwrap();
    assert_eq!(outgoing.pending(), Some(Pending::Bytes(&frame(CLOSE, b"\x03\xE9bye"))));
    assert!(format!("{outgoing:?}").starts_with("Outgoing"));
    outgoing.abandon();
    assert_eq!((outgoing.pending(), outgoing.endpoint().state()), (None, State::Closing));
    let opening = Connection::accept(&Config::default(), OriginPolicy::SameHost, at(0));
    assert!(opening.split().is_none(), "it is not open");
}
