//! Messages that were encoded once, and are sent from the host's memory.

use std::time::Duration;

use ws_proto::{
    MessageKind::{self, Binary, Text},
    Part, SendError,
    deflate::{Deflater, WindowBits},
    endpoint::Prepared,
};
use ws_tests::{BINARY, CLOSE, FIN, PING, PONG, TEXT, frame, masked, noise, opened};

use super::*;

/// A transport that takes so many bytes of a message.
struct Transport {
    takes: usize,
    taken: Vec<u8>,
}

impl Transport {
    const fn that_takes(takes: usize) -> Self {
        Self { takes, taken: Vec::new() }
    }

    fn write(&mut self, slices: [&[u8]; 2]) -> usize {
        self.taken.extend(slices.concat().iter().take(self.takes));
        self.takes
    }
}

fn prepared(kind: MessageKind, payload: &[u8]) -> Prepared<&[u8]> {
    Prepared::new(kind, payload).expect("a text is UTF-8")
}

fn never(_: [&[u8]; 2]) -> usize {
    panic!("the transport must not be asked")
}

fn pending(connection: &Connection<'_, Server>) -> Vec<u8> {
    match connection.pending() {
        Some(Pending::Bytes(bytes)) => bytes.to_vec(),
        _ => Vec::new(),
    }
}

// R5.2-4
#[test]
fn all_that_a_transport_does_not_take_is_queued_as_if_it_had_been_offered_from_the_queue() {
    for (kind, payload) in
        [(Text, vec![]), (Text, b"hello".to_vec()), (Binary, noise(126)), (Binary, noise(70_000))]
    {
        let whole = frame(FIN | if kind == Text { TEXT } else { BINARY }, &payload);
        for takes in [0, 1, 2, 3, whole.len() - 1, whole.len(), whole.len() + 7] {
            let mut host = open_server(&Config::default());
            let mut copying = opened(&Config::default());
            let mut transport = Transport::that_takes(takes);
            let now = at(5);
            let message = prepared(kind, &payload);
            host.connection.send_prepared(now, &message, |slices| transport.write(slices)).unwrap();
            copying.send(Message::new(kind, &payload).unwrap()).unwrap();
            copying.written(now, takes);
            assert_eq!(pending(&host.connection), pending(&copying), "{takes}");
            assert_eq!(host.connection.poll_timeout(), copying.poll_timeout(), "{takes}");
            assert_eq!([transport.taken, pending(&host.connection)].concat(), whole);
        }
    }
}

// R5.4-3
#[test]
fn a_message_comes_after_all_output_that_is_pending() {
    let mut config = Config::default();
    config.write_timeout = Some(Duration::from_secs(5));
    let mut host = open_server(&config);
    let mut transport = Transport::that_takes(3);
    host.connection.send_prepared(at(1), &prepared(Text, b"first"), |slices| transport.write(slices)).unwrap();
    host.receive(&masked(PING, b"?"), Way::Own);
    host.connection.send_prepared(at(2), &prepared(Binary, b"second"), never).unwrap();
    assert_eq!(host.connection.poll_timeout(), Some(at(5_001)), "the rest of the first message waits since then");
    host.connection.close(at(3), CloseCode::TRY_AGAIN_LATER, "").unwrap();
    let frames = [
        frame(FIN | TEXT, b"first"),
        frame(PONG, b"?"),
        frame(FIN | BINARY, b"second"),
        frame(CLOSE, b"\x03\xF5"),
    ];
    assert_eq!([&transport.taken[..], &pending(&host.connection)].concat(), frames.concat());
    let mut peer = open_client(&Config::default());
    peer.receive(&frames.concat(), Way::Own);
    let texts = [Told::Text("first".into()), Told::Pong(b"?".to_vec()), Told::Binary(b"second".to_vec())];
    assert_eq!(peer.log.told[..3], texts);
}

#[test]
fn a_connection_that_wrote_everything_waits_for_no_transport() {
    let mut host = open_server(&Config::default());
    let idle = host.connection.poll_timeout();
    let mut transport = Transport::that_takes(4);
    host.connection.send_prepared(at(1), &prepared(Text, b"news"), |slices| transport.write(slices)).unwrap();
    assert_eq!(host.connection.poll_timeout().min(idle), idle, "the write timeout is later than the keepalive");
    host.connection.written(at(2), 2);
    transport.takes = usize::MAX;
    for now in 3..9 {
        host.connection
            .send_prepared(at(now), &prepared(Text, b"news"), |slices| transport.write(slices))
            .unwrap();
        assert_eq!((host.connection.pending_len(), host.connection.poll_timeout()), (0, idle));
    }
    host.connection.handle_timeout(at(20_000));
    assert_eq!(
        pending(&host.connection),
        frame(PING, b""),
        "a peer that is only talked to is asked for a sign of life"
    );
    host.connection.send_prepared(at(20_001), &prepared(Text, b"late"), never).unwrap();
}

// R5.4-3 R5.5.1-2
#[test]
fn a_message_that_may_not_be_sent_now_is_not_offered() {
    let news = prepared(Text, b"news");
    let mut host = server();
    assert_eq!(host.connection.send_prepared(at(1), &news, never), Err(SendError::NotOpen));
    let mut host = open_server(&Config::default());
    let payload = "known words ".repeat(50);
    let compressed = Deflater::new(Settings::small()).prepare(payload.as_str().into(), WindowBits::MAX);
    assert!(compressed.window_bits().is_some());
    assert_eq!(host.connection.send_prepared(at(1), &compressed, never), Err(SendError::NotNegotiated));
    assert!(pending(&host.connection).is_empty());
    host.connection.send_part(Binary, Part::First, b"1").unwrap();
    host.flush();
    assert_eq!(host.connection.send_prepared(at(1), &news, never), Err(SendError::MessageInProgress));
    let mut frame = host.connection.sender().unwrap().begin_frame(Binary, Part::Last, 1).unwrap();
    assert_eq!(host.connection.send_prepared(at(1), &news, never), Err(SendError::FrameInProgress));
    host.connection.sender().unwrap().send_piece(at(1), &mut frame, b"2").unwrap();
    host.flush();
    host.connection.send_prepared(at(1), &news, |slices| slices.concat().len()).unwrap();
    host.connection.close(at(1), CloseCode::NORMAL, "").unwrap();
    host.flush();
    assert_eq!(host.connection.send_prepared(at(1), &news, never), Err(SendError::Closing));
    assert!(pending(&host.connection).is_empty());
}

#[test]
fn a_peer_that_has_agreed_to_it_gets_compressed_messages() {
    let deflate = Some(Settings::small());
    let (mut host, mut peer) =
        (server_with(&Config::default(), deflate), client_with(&Config::default(), deflate));
    peer.flush();
    host.receive(&peer.log.sent, Way::Own);
    host.flush();
    let payload = "known words ".repeat(50);
    let compressed =
        Deflater::new(Settings::small()).prepare(payload.as_str().into(), WindowBits::new(9).unwrap());
    let mut transport = Transport::that_takes(9);
    host.connection.send_prepared(at(1), &compressed, |slices| transport.write(slices)).unwrap();
    host.connection.send_prepared(at(1), &compressed.joined(), never).unwrap();
    let sent = [std::mem::take(&mut host.log.sent), transport.taken, pending(&host.connection)].concat();
    peer.receive(&sent, Way::Own);
    assert_eq!(peer.log.told, [Told::Text(payload.clone()), Told::Text(payload)]);
}

#[test]
fn output_of_fixed_length_has_room_for_a_message_that_the_transport_may_not_take() {
    let (mut input, mut output) = ([0; 1024], [0; 200]);
    let memory = Memory::fixed(&mut input, &mut output, &Config::default());
    let mut connection: Connection<Server, &mut [u8]> =
        Connection::accept_in(memory, &Config::default(), OriginPolicy::SameHost, at(0));
    connection.room()[..REQUEST.len()].copy_from_slice(REQUEST);
    connection.received(at(0), REQUEST.len());
    let Some(Next::Opening(mut request)) = connection.next() else { panic!("the request is whole") };
    request.accept(&Accept::new()).unwrap();
    connection
        .flush(at(0), |pending| Ok::<_, ()>(if let Pending::Bytes(bytes) = pending { bytes.len() } else { 0 }))
        .unwrap();
    let (long, short) = ([7; 198], [7; 60]);
    let result = connection.send_prepared(at(1), &prepared(Binary, &long), never);
    assert_eq!(result, Err(SendError::BufferTooSmall { needed: 202 }));
    for len in [62, 124, 186] {
        connection.send_prepared(at(1), &prepared(Binary, &short), |_| 0).unwrap();
        assert_eq!(connection.pending_len(), len);
    }
    let result = connection.send_prepared(at(1), &prepared(Binary, &short), never);
    assert_eq!(result, Err(SendError::BufferTooSmall { needed: 62 }));
}
