//! Frames whose length is announced first and whose payload follows in pieces.

use std::time::Duration;

use proptest::{collection::vec, prelude::*};
use ws_proto::{
    Cause, Client, CloseCode, Config, Connection, Endpoint, Event, Instant, Message, MessageKind, Part, Pending,
    SendError, Server, State,
    connection::{FixedQueue, Output},
    endpoint::{Negotiated, OpenFrame, Prepared},
    error::Fault,
    frame::FrameHeader,
    role::Role,
};
use ws_tests::{
    BINARY, CLOSE, FIN, Host, Keys, PING, PONG, Pair, Say, TEXT, TestClient, Told, bare_config, client, close_of,
    masked, on_both, server,
};

use MessageKind::{Binary, Text};
use Part::{First, Last, Middle, Whole};

/// Begins a frame and queues its header.
fn begin<R: Role>(host: &mut Host<R>, kind: MessageKind, part: Part, len: u64) -> Result<OpenFrame, SendError> {
    let mut out = [0; FrameHeader::MAX_LEN];
    let (header_len, frame) = host.endpoint.begin_frame(kind, part, len, &mut out)?;
    host.output.extend(&out[..header_len]);
    Ok(frame)
}

/// Queues a piece, and checks that a refused one leaves no trace.
fn add<R: Role>(host: &mut Host<R>, frame: &mut OpenFrame, piece: &[u8]) -> Result<(), SendError> {
    let mut bytes = piece.to_vec();
    let remaining = frame.remaining();
    let result = host.endpoint.send_piece(host.now, frame, &mut bytes);
    match result {
        Ok(()) => host.output.extend(&bytes),
        Err(_) => assert_eq!((&bytes[..], frame.remaining()), (piece, remaining)),
    }
    host.transmit();
    result
}

/// The frames of some bytes by [`FrameHeader::decode`] and a mask that is applied byte by byte.
fn decoded(mut bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut frames = Vec::new();
    while let Some((header, header_len)) = FrameHeader::decode(bytes).expect("a legal header") {
        let (frame, rest) = bytes.split_at(header_len + usize::try_from(header.payload_len).unwrap());
        let key = header.masking_key.map_or([0; 4], |key| key.to_bytes());
        let payload = frame[header_len..].iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key);
        frames.push((frame[0], payload.collect()));
        bytes = rest;
    }
    assert!(bytes.is_empty(), "half a frame");
    frames
}

/// Cuts `payload` into pieces of these lengths, over and over; empty ones are among them.
fn pieces<'p>(mut payload: &'p [u8], lens: &'p [usize]) -> impl Iterator<Item = &'p [u8]> {
    lens.iter().cycle().map_while(move |&len| {
        let (piece, rest) = payload.split_at(len.min(payload.len()));
        let more = !payload.is_empty();
        payload = rest;
        more.then_some(piece)
    })
}

/// Sends the parts of a message, each as one frame in pieces, both in place and by copying.
fn send_cut<R: Role>(mut host: Host<R>, kind: MessageKind, parts: &[Vec<u8>], lens: &[usize]) {
    let mut expected = Vec::new();
    for (at, payload) in parts.iter().enumerate() {
        let part = match (at, at + 1 == parts.len()) {
            (0, true) => Whole,
            (0, false) => First,
            (_, false) => Middle,
            (_, true) => Last,
        };
        let mut frame = begin(&mut host, kind, part, payload.len() as u64).unwrap();
        for (count, piece) in pieces(payload, lens).enumerate() {
            if count % 2 == 0 {
                add(&mut host, &mut frame, piece).unwrap();
                continue;
            }
            let mut out = vec![0xEE; piece.len() + 1];
            let written = host.endpoint.write_piece(host.now, &mut frame, piece, &mut out).unwrap();
            assert_eq!((written, out.pop()), (piece.len(), Some(0xEE)));
            host.output.extend(&out);
        }
        assert_eq!(frame.remaining(), 0);
        let opcode = if part.is_first() { if kind == Text { TEXT } else { BINARY } } else { 0 };
        expected.push((if part.is_last() { FIN | opcode } else { opcode }, payload.clone()));
    }
    assert_eq!(decoded(&host.output), expected);
    // Everything is as after whole frames.
    Say::text("next").by(&mut host).unwrap();
}

fn lens() -> impl Strategy<Value = Vec<usize>> {
    vec(0..200_usize, 1..8).prop_filter("some progress", |lens| lens.iter().any(|&len| len > 0))
}

proptest! {
    #[test]
    fn any_cut_of_a_frame_gives_the_same_frame(
        parts in vec(vec(any::<u8>(), 0..700), 1..4),
        lens in lens(),
    ) {
        on_both(
            &bare_config(),
            |host| send_cut(host, Binary, &parts, &lens),
            |host| send_cut(host, Binary, &parts, &lens),
        );
        let keys = Client::new(Keys::Counted(7));
        let endpoint = Endpoint::new(keys, &bare_config(), Negotiated::default(), Instant::ZERO);
        send_cut(Host::new(endpoint), Binary, &parts, &lens);
    }

    #[test]
    fn any_cut_of_a_text_is_checked_as_a_whole(text in "\\PC{0,300}", cut in 0..300_usize, lens in lens()) {
        let bytes = text.as_bytes();
        let (head, tail) = bytes.split_at(cut.min(bytes.len()));
        let parts = [head.to_vec(), tail.to_vec()];
        on_both(
            &bare_config(),
            |host| send_cut(host, Text, &parts, &lens),
            |host| send_cut(host, Text, &parts, &lens),
        );
    }
}

#[test]
fn a_frame_of_16_mib_arrives_as_one_frame() {
    let mut config = bare_config();
    config.max_message_len = 16 << 20;
    config.max_fragments = Some(1);
    let mut pair = Pair::new(&config);
    let mut frame = begin(&mut pair.client, Binary, Whole, 16 << 20).unwrap();
    let piece = ws_tests::noise(64 << 10);
    while frame.remaining() > 0 {
        add(&mut pair.client, &mut frame, &piece).unwrap();
        pair.deliver();
    }
    assert_eq!(pair.server.told, [Told::Binary(piece.repeat(256))]);
}

#[test]
fn nothing_else_is_sent_inside_a_frame() {
    fn check<R: Role>(mut host: Host<R>) {
        for part in [Whole, First] {
            let mut frame = begin(&mut host, Binary, part, 3).unwrap();
            add(&mut host, &mut frame, b"a").unwrap();
            let say = |part| Say::Part(Binary, part, b"x".to_vec());
            for other in [say(Whole), say(First), say(Middle), say(Last)] {
                assert_eq!(other.by(&mut host), Err(SendError::FrameInProgress));
            }
            for other in [Say::Ping(vec![]), Say::Pong(vec![]), Say::Close(Some(1000), "")] {
                assert_eq!(other.by(&mut host), Err(SendError::FrameInProgress));
            }
            let mut out = [0; 20];
            assert_eq!(host.endpoint.write(Message::Binary(b"x"), &mut out), Err(SendError::FrameInProgress));
            let second = begin(&mut host, Binary, Last, 1).map(drop);
            assert_eq!(second, Err(SendError::FrameInProgress));
            add(&mut host, &mut frame, b"bc").unwrap();
        }
        Say::Ping(vec![]).by(&mut host).unwrap();
        Say::Part(Binary, Last, vec![]).by(&mut host).unwrap();
        let expected: [(u8, &[u8]); 4] = [(FIN | BINARY, b"abc"), (BINARY, b"abc"), (PING, b""), (FIN, b"")];
        assert_eq!(decoded(&host.output), expected.map(|(first, payload)| (first, payload.to_vec())));
    }
    on_both(&bare_config(), check, check);
}

#[test]
fn prepared_and_shared_messages_wait_for_the_end_of_a_frame() {
    let mut host = server(&bare_config());
    let mut frame = begin(&mut host, Binary, Whole, 1).unwrap();
    let prepared = Prepared::new(Binary, "x").unwrap();
    assert_eq!(host.endpoint.send_prepared(&prepared), Err(SendError::FrameInProgress));
    assert_eq!(host.endpoint.send_shared("x".into()).map(drop), Err(SendError::FrameInProgress));
    add(&mut host, &mut frame, b"x").unwrap();
    host.endpoint.send_prepared(&prepared).unwrap();
}

#[test]
fn frames_begin_only_where_parts_may_come() {
    fn check<R: Role>(mut host: Host<R>) {
        let refused = |host: &mut Host<R>, kind, part, len, error| {
            assert_eq!(begin(host, kind, part, len).map(drop), Err(error));
        };
        refused(&mut host, Binary, Middle, 1, SendError::NoMessage);
        refused(&mut host, Binary, Whole, 1 << 63, SendError::PayloadTooLong);
        Say::Part(Text, First, vec![0xC3]).by(&mut host).unwrap();
        refused(&mut host, Text, First, 1, SendError::MessageInProgress);
        refused(&mut host, Binary, Last, 1, SendError::KindMismatch);
        refused(&mut host, Text, Last, 0, SendError::InvalidUtf8);
        let len = 6 - if R::SIDE == ws_proto::role::Side::Server { 4 } else { 0 };
        let small = host.endpoint.begin_frame(Text, Last, 1, &mut [0; 1]).map(drop);
        assert_eq!(small, Err(SendError::BufferTooSmall { needed: len }));
        let mut frame = begin(&mut host, Text, Last, 1).unwrap();
        add(&mut host, &mut frame, &[0xBC]).unwrap();
        Say::Close(Some(1000), "").by(&mut host).unwrap();
        refused(&mut host, Binary, Whole, 1, SendError::Closing);
    }
    on_both(&bare_config(), check, check);
}

#[test]
fn a_piece_that_does_not_fit_is_refused_without_a_trace() {
    fn check<R: Role>(mut host: Host<R>) {
        let mut frame = begin(&mut host, Text, Whole, 4).unwrap();
        assert_eq!(add(&mut host, &mut frame, b"abcde"), Err(SendError::PayloadTooLong));
        add(&mut host, &mut frame, b"a\xC3").unwrap();
        assert_eq!(add(&mut host, &mut frame, b"b"), Err(SendError::InvalidUtf8));
        assert_eq!(add(&mut host, &mut frame, b"\xBC\xC3"), Err(SendError::InvalidUtf8), "it ends too soon");
        let small = host.endpoint.write_piece(host.now, &mut frame, b"\xBC", &mut []);
        assert_eq!(small, Err(SendError::BufferTooSmall { needed: 1 }));
        add(&mut host, &mut frame, b"\xBCb").unwrap();
        assert_eq!(add(&mut host, &mut frame, b""), Err(SendError::NoFrame));
        assert_eq!(add(&mut host, &mut frame, b"x"), Err(SendError::PayloadTooLong));
        assert_eq!(decoded(&host.output), [(FIN | TEXT, "aüb".as_bytes().to_vec())]);
        let mut empty = begin(&mut host, Binary, Whole, 0).unwrap();
        assert_eq!((empty.remaining(), add(&mut host, &mut empty, b"")), (0, Err(SendError::NoFrame)));
    }
    on_both(&bare_config(), check, check);
}

#[test]
fn a_pong_waits_for_the_end_of_a_frame() {
    fn check<R: Role>(mut host: Host<R>) {
        let mut frame = begin(&mut host, Binary, Whole, 2).unwrap();
        host.receive_frame(PING, b"first");
        host.receive_frame(PING, b"second");
        add(&mut host, &mut frame, b"a").unwrap();
        add(&mut host, &mut frame, b"b").unwrap();
        // §5.5.3: the latest one.
        assert_eq!(decoded(&host.output), [(FIN | BINARY, b"ab".to_vec()), (PONG, b"second".to_vec())]);
    }
    on_both(&bare_config(), check, check);
}

#[test]
fn no_ping_becomes_due_inside_a_frame() {
    fn check<R: Role>(mut host: Host<R>) {
        let mut frame = begin(&mut host, Binary, Whole, 1).unwrap();
        assert_eq!(host.endpoint.poll_timeout(), None);
        host.now = Instant::from_millis(100_000);
        host.handle_timeout();
        add(&mut host, &mut frame, b"a").unwrap();
        assert_eq!((decoded(&host.output).len(), host.endpoint.state()), (1, State::Open));
        // Now it is due, and its answer has all its time.
        host.handle_timeout();
        assert_eq!(decoded(&host.output).last(), Some(&(PING, vec![])));
        assert_eq!(host.endpoint.poll_timeout(), Some(Instant::from_millis(120_000)));
    }
    on_both(&Config::default(), check, check);
}

#[test]
fn a_frame_that_makes_progress_is_activity() {
    fn check<R: Role>(mut host: Host<R>) {
        let mut frame = begin(&mut host, Binary, Whole, 100).unwrap();
        for _ in 0..10 {
            host.step_clock();
            add(&mut host, &mut frame, b"a").unwrap();
        }
        assert_eq!(host.endpoint.state(), State::Open);
        host.step_clock();
        host.step_clock();
        assert_eq!(host.endpoint.state(), State::Closing);
        assert!(host.step_clock(), "the Close can't be sent, but the wait has an end");
        assert_eq!((host.closed().clean, host.shutdowns), (false, 1));
        assert_eq!(add(&mut host, &mut frame, b"a"), Err(SendError::Closing));
    }
    let mut config = Config::default();
    config.idle_timeout = Some(Duration::from_secs(7));
    on_both(&config, check, check);
}

#[test]
fn the_answer_to_a_close_waits_for_the_end_of_a_frame() {
    fn check<R: Role>(mut host: Host<R>) {
        let mut frame = begin(&mut host, Binary, First, 2).unwrap();
        host.receive_frame(CLOSE, b"\x03\xE8");
        assert_eq!((host.endpoint.closed(), host.shutdowns), (None, 0));
        assert_eq!(host.endpoint.poll_timeout(), Some(Instant::from_millis(10_000)), "as for a Close");
        host.now = Instant::from_millis(9_000);
        add(&mut host, &mut frame, b"ab").unwrap();
        assert_eq!(decoded(&host.output), [(BINARY, b"ab".to_vec()), (CLOSE, b"\x03\xE8".to_vec())]);
        let linger = if R::SIDE == ws_proto::role::Side::Server { 1_000 } else { 5_000 };
        assert_eq!(host.endpoint.poll_timeout(), Some(Instant::from_millis(9_000 + linger)));
        host.receive_eof();
        assert_eq!((host.closed().clean, host.closed().cause, host.shutdowns), (true, Cause::Peer, 1));
    }
    let mut config = Config::default();
    config.keepalive_interval = None;
    on_both(&config, check, check);
}

#[test]
fn a_failure_inside_a_frame_is_told_if_the_frame_is_completed() {
    fn check<R: Role>(mut host: Host<R>, completes: bool) {
        let mut frame = begin(&mut host, Binary, Whole, 2).unwrap();
        let error = host.endpoint.fail(host.now, Fault::Internal);
        host.transmit();
        assert_eq!((host.endpoint.closed(), host.shutdowns), (None, 0));
        if completes {
            add(&mut host, &mut frame, b"ab").unwrap();
            assert_eq!(decoded(&host.output), [(FIN | BINARY, b"ab".to_vec()), close_of(error.kind())]);
        }
        host.step_clock();
        let closed = host.closed();
        assert_eq!((closed.clean, closed.code, closed.cause), (false, CloseCode::ABNORMAL, Cause::Failure));
        assert_eq!(host.shutdowns, 1);
    }
    let config = Config::default();
    on_both(&config, |host| check(host, true), |host| check(host, true));
    on_both(&config, |host| check(host, false), |host| check(host, false));
}

#[test]
fn the_end_of_the_transport_ends_a_frame() {
    fn check<R: Role>(mut host: Host<R>, close: bool) {
        let mut frame = begin(&mut host, Binary, Whole, 2).unwrap();
        if close {
            host.receive_frame(CLOSE, b"");
        }
        host.receive_eof();
        let cause = if close { Cause::Peer } else { Cause::Eof };
        assert_eq!((host.closed().clean, host.closed().cause, host.shutdowns), (false, cause, 1));
        assert_eq!(add(&mut host, &mut frame, b"ab"), Err(SendError::Closing));
    }
    for close in [false, true] {
        on_both(&Config::default(), |host| check(host, close), |host| check(host, close));
    }
}

#[test]
fn an_output_hands_out_what_waited_for_a_frame() {
    let Host { mut endpoint, now, .. } = client(&bare_config());
    let mut output = Output::new();
    let mut frame = output.begin_frame(&mut endpoint, Binary, Whole, 3).unwrap();
    let mut ping = ws_tests::frame(PING, b"?");
    endpoint.receive(now, &mut &mut ping[..]).unwrap();
    output.drain(&mut endpoint);
    output.send_piece(&mut endpoint, now, &mut frame, b"ab").unwrap();
    let waiting = output.len();
    let too_long = output.send_piece(&mut endpoint, now, &mut frame, b"cd");
    assert_eq!((too_long, output.len()), (Err(SendError::PayloadTooLong), waiting));
    output.send_piece(&mut endpoint, now, &mut frame, b"c").unwrap();
    assert_eq!(decoded(&output.take_bytes()), [(FIN | BINARY, b"abc".to_vec()), (PONG, b"?".to_vec())]);
}

#[test]
fn an_output_of_fixed_length_takes_the_pieces_that_fit() {
    let Host { mut endpoint, now, .. } = server(&bare_config());
    let mut room = [0; 20];
    let mut output = Output::on(FixedQueue::new(&mut room), &bare_config());
    let mut frame = output.begin_frame(&mut endpoint, Binary, Whole, 30).unwrap();
    assert_eq!(output.len(), 2);
    let full = output.send_piece(&mut endpoint, now, &mut frame, &[7; 19]);
    assert_eq!((full, frame.remaining()), (Err(SendError::BufferTooSmall { needed: 19 }), 30));
    output.send_piece(&mut endpoint, now, &mut frame, &[7; 18]).unwrap();
    output.written(&mut endpoint, now, 20);
    output.send_piece(&mut endpoint, now, &mut frame, &[7; 12]).unwrap();
    assert_eq!((output.len(), frame.remaining()), (12, 0));
}

#[test]
fn a_connection_sends_a_frame_in_pieces() {
    let Host { endpoint, now, .. } = server(&bare_config());
    let mut connection = Connection::open(endpoint, Vec::new(), &bare_config());
    let mut frame = connection.sender().unwrap().begin_frame(Text, Whole, 3).unwrap();
    assert_eq!(connection.send("x"), Err(SendError::FrameInProgress));
    assert_eq!(connection.close(now, CloseCode::NORMAL, ""), Err(SendError::FrameInProgress));
    for piece in ["a", "bc"] {
        connection.sender().unwrap().send_piece(now, &mut frame, piece.as_bytes()).unwrap();
    }
    connection.close(now, CloseCode::NORMAL, "").unwrap();
    assert_eq!(connection.pending(), Some(Pending::Bytes(b"\x81\x03abc\x88\x02\x03\xE8")));
}

/// A proxy's two endpoints, the one that clients see and the one that is a client of the server after it.
struct Proxy {
    near: Host<Server>,
    far: Host<TestClient>,
    output: Output,
    frame: Option<OpenFrame>,
}

impl Proxy {
    /// Passes on what has come, frame by frame.
    fn receive(&mut self, bytes: &[u8]) {
        let (now, far) = (self.near.now, &mut self.far.endpoint);
        let mut bytes = bytes.to_vec();
        let mut input = &mut bytes[..];
        while let Some(Event::Data(data)) = self.near.endpoint.receive(now, &mut input).unwrap() {
            let remaining = self.near.endpoint.payload_remaining();
            let frame = self.frame.get_or_insert_with(|| {
                let ends = data.part().is_last() || self.near.endpoint.is_in_last_frame();
                let part = match (data.part().is_first(), ends) {
                    (true, true) => Whole,
                    (true, false) => First,
                    (false, false) => Middle,
                    (false, true) => Last,
                };
                let len = data.as_bytes().len() as u64 + remaining;
                self.output.begin_frame(far, data.kind(), part, len).unwrap()
            });
            self.output.send_piece(far, now, frame, data.as_bytes()).unwrap();
            assert_eq!(frame.remaining(), remaining);
            self.frame.take_if(|frame| frame.remaining() == 0);
        }
    }
}

proptest! {
    #[test]
    fn a_proxy_passes_frames_on_as_they_are(
        messages in vec(vec(vec(any::<u8>(), 1..300), 1..4), 1..5),
        reads in lens(),
    ) {
        let mut frames = Vec::new();
        for message in messages {
            let last = message.len() - 1;
            for (at, payload) in message.into_iter().enumerate() {
                let opcode = if at == 0 { BINARY } else { 0 };
                frames.push((if at == last { FIN | opcode } else { opcode }, payload));
            }
        }
        let wire: Vec<u8> = frames.iter().flat_map(|(first, payload)| masked(*first, payload)).collect();
        let (near, far) = (server(&bare_config()), client(&bare_config()));
        let mut proxy = Proxy { near, far, output: Output::new(), frame: None };
        for read in pieces(&wire, &reads) {
            proxy.receive(read);
        }
        assert_eq!(decoded(&proxy.output.take_bytes()), frames);
    }
}

/// A connection that is not in a frame takes no pieces of another's.
#[test]
fn pieces_are_for_the_endpoint_that_began_the_frame() {
    let mut other: Host<Server> = server(&bare_config());
    let mut host = server(&bare_config());
    let mut frame = begin(&mut host, Binary, Whole, 2).unwrap();
    assert_eq!(add(&mut other, &mut frame, b"ab"), Err(SendError::NoFrame));
    add(&mut host, &mut frame, b"ab").unwrap();
}
