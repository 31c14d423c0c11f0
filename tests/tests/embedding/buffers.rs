//! Messages in storage of a connection's own, and in a buffer that many connections share.

use ws_proto::{
    Cause, CloseCode, Config, Control, Endpoint, Event, Instant, MessageBuffer, ReceiveError, Server, State,
    connection::Storage,
    endpoint::Negotiated,
    error::{Fault, ReceiveErrorKind},
};
use ws_tests::{BINARY, CLOSE, CONTINUATION, FIN, PING, TEXT, masked, noise, read, read_beside};

/// Reads `bytes` in reads of at most `len` as an event loop does whose buffer is `shared_len` long; the payloads of the
/// messages, and how many reads went straight to the connection's own storage.
fn read_shared(bytes: &[u8], shared_len: usize, len: usize) -> (Vec<Vec<u8>>, usize) {
    let mut endpoint = Endpoint::new(Server, &Config::default(), Negotiated::default(), Instant::ZERO);
    let mut buffer = MessageBuffer::new(Vec::new());
    let mut shared = vec![0; shared_len];
    let start = shared.as_ptr();
    let (mut unread, mut messages, mut direct) = (bytes, Vec::new(), 0);
    while !unread.is_empty() {
        let room = buffer.unfilled_or(&endpoint, &mut shared);
        direct += usize::from(room.as_ptr() != start);
        let taken = len.min(room.len()).min(unread.len());
        room[..taken].copy_from_slice(&unread[..taken]);
        unread = &unread[taken..];
        let mut input = buffer.filled_or(taken, &mut shared);
        while let Some(incoming) = buffer.next_in(&mut endpoint, Instant::ZERO, &mut input).unwrap() {
            if let Event::Data(message) = incoming {
                messages.push(message.as_bytes().to_vec());
            }
        }
        assert_eq!(buffer.is_empty(), buffer.held_bytes() == 0, "memory is held for what is unfinished only");
    }
    assert!(buffer.is_empty());
    (messages, direct)
}

#[test]
fn a_big_frame_is_read_to_its_place_beside_a_shared_buffer() {
    let payloads = [noise(5), noise(200_000), noise(10), noise(20_000), noise(70_000), Vec::new(), noise(3)];
    let [tiny, big, small, middling, first, empty, last] = &payloads;
    let bytes = [
        masked(FIN | BINARY, tiny),
        masked(FIN | BINARY, big),
        masked(FIN | BINARY, small),
        masked(FIN | BINARY, middling),
        masked(BINARY, first),
        masked(PING, b"between"),
        masked(CONTINUATION, empty),
        masked(FIN, last),
    ]
    .concat();
    let whole = [tiny, big, small, middling].map(Clone::clone);
    let expected = [&whole[..], &[[&first[..], empty, last].concat()]].concat();
    for shared_len in [1, 100, 8 * 1024, 32 * 1024] {
        for len in [7, 1_460, 4_096, 32 * 1024, usize::MAX] {
            let (messages, direct) = read_shared(&bytes, shared_len, len);
            assert!(messages == expected, "{shared_len} bytes, reads of {len}");
            assert!(direct > 0, "{shared_len} bytes, reads of {len}");
        }
    }
}

#[test]
fn what_would_fill_a_shared_buffer_is_read_to_its_place() {
    let frame = masked(FIN | BINARY, &noise(12_000));
    // The header and a part, the part that would fill the buffer, and with a longer buffer all by two reads to that.
    for (shared_len, direct) in [(6_004, 1), (6_005, 0)] {
        assert_eq!(read_shared(&frame, shared_len, usize::MAX).1, direct, "{shared_len} bytes");
    }
}

fn server() -> Endpoint<Server> {
    Endpoint::new(Server, &Config::default(), Negotiated::default(), Instant::ZERO)
}

/// Reads `bytes` to a buffer that is shared, or to the connection's own storage; how long the message is, if there is one.
fn read_to(
    shared: bool,
    buffer: &mut MessageBuffer<impl Storage>,
    endpoint: &mut Endpoint<Server>,
    bytes: &[u8],
) -> Result<Option<usize>, ReceiveError> {
    read_at(Instant::ZERO, shared, buffer, endpoint, bytes)
}

fn read_at(
    now: Instant,
    shared: bool,
    buffer: &mut MessageBuffer<impl Storage>,
    endpoint: &mut Endpoint<Server>,
    bytes: &[u8],
) -> Result<Option<usize>, ReceiveError> {
    let mut bytes = bytes.to_vec();
    let incoming = if shared {
        buffer.next_in(endpoint, now, &mut &mut bytes[..])
    } else {
        assert!(read(buffer, endpoint, &bytes).is_empty());
        buffer.next(endpoint, now)
    };
    incoming.map(|incoming| match incoming {
        Some(Event::Data(message)) => Some(message.as_bytes().len()),
        _ => None,
    })
}

#[test]
fn a_buffer_that_serves_two_endpoints_is_noticed() {
    for shared in [false, true] {
        let (mut one, mut other) = (server(), server());
        let mut buffer = MessageBuffer::new(Vec::new());
        let begun = masked(FIN | TEXT, b"hello");
        let (begun, rest) = begun.split_at(8);
        assert_eq!(read_to(shared, &mut buffer, &mut one, begun), Ok(None));
        let error = read_to(shared, &mut buffer, &mut other, begun).unwrap_err();
        assert_eq!(error.kind(), ReceiveErrorKind::Fault(Fault::Internal));
        // Nor is what is left of the first one's message told of anybody else's bytes.
        let error = read_to(shared, &mut buffer, &mut one, rest).unwrap_err();
        assert_eq!(error.kind(), ReceiveErrorKind::Fault(Fault::Internal));
    }
}

#[test]
fn a_text_goes_on_only_with_what_was_validated_from_its_end() {
    for shared in [false, true] {
        let (mut one, mut other) = (server(), server());
        let (mut buffer, mut elsewhere) = (MessageBuffer::new(Vec::new()), MessageBuffer::new(Vec::new()));
        // Cut inside a code point, where the other's text is at the end of one.
        let cut = masked(FIN | TEXT, "aé".as_bytes());
        assert_eq!(read_to(shared, &mut buffer, &mut one, &cut[..8]), Ok(None));
        let hello = masked(FIN | TEXT, b"hello");
        assert_eq!(read_to(shared, &mut elsewhere, &mut other, &hello[..8]), Ok(None));
        let error = read_to(shared, &mut buffer, &mut other, &hello[8..]).unwrap_err();
        assert_eq!(error.kind(), ReceiveErrorKind::InvalidUtf8);
    }
}

#[test]
fn every_byte_of_a_message_is_a_sign_of_life() {
    let at = |seconds: u64| Instant::from_millis(1000 * seconds);
    let message = masked(FIN | BINARY, &noise(100));
    for shared in [false, true] {
        let mut endpoint = server();
        let mut buffer = MessageBuffer::new(Vec::new());
        assert_eq!(read_at(at(1), shared, &mut buffer, &mut endpoint, &message[..50]), Ok(None));
        assert_eq!(endpoint.poll_timeout(), Some(at(21)));
        assert_eq!(read_at(at(20), shared, &mut buffer, &mut endpoint, &message[50..60]), Ok(None));
        assert_eq!(endpoint.poll_timeout(), Some(at(40)));
        assert_eq!(read_at(at(40), shared, &mut buffer, &mut endpoint, &message[60..]), Ok(Some(100)));
        assert_eq!(endpoint.poll_timeout(), Some(at(60)));
    }
}

#[test]
fn what_comes_late_of_a_message_is_discarded_where_it_lies() {
    let message = masked(FIN | BINARY, &noise(100_000));
    for shared in [false, true] {
        let mut endpoint = server();
        let mut buffer = MessageBuffer::new(Vec::new());
        assert_eq!(read_to(shared, &mut buffer, &mut endpoint, &message[..100]), Ok(None));
        let held = buffer.held_bytes();
        // The keepalive Ping is not answered.
        for seconds in [20, 40] {
            endpoint.handle_timeout(Instant::from_millis(1000 * seconds));
            while endpoint.poll_transmit().is_some() {}
        }
        assert_eq!(endpoint.payload_remaining(), 0);
        for late in message[100..].chunks(2000).take(40) {
            assert_eq!(read_to(shared, &mut buffer, &mut endpoint, late), Ok(None));
            assert!(buffer.unread().is_empty() && buffer.held_bytes() == held);
            assert!(!buffer.unfilled_or(&endpoint, &mut [0; 10]).is_empty());
        }
        assert!(
            matches!(endpoint.state(), State::Closed(closed) if closed.cause == Cause::PongTimeout),
            "64 KiB are enough"
        );
    }
}

#[test]
fn fixed_storage_holds_messages_of_its_own_length_however_they_are_read() {
    const LEN: usize = 20_000;
    let wire = [masked(BINARY, &noise(LEN)), masked(CONTINUATION | FIN, b"")].concat();
    let (message, end) = wire.split_at(LEN + 8);
    for cut in [8, 9, 100, LEN] {
        let (mut storage, mut shared) = (vec![0; LEN], vec![0; 2 * LEN]);
        let mut endpoint = server();
        let mut buffer = MessageBuffer::new(&mut storage[..]);
        let mut found = Vec::new();
        for mut piece in [&message[..cut], &message[cut..], end] {
            while !piece.is_empty() {
                let (mut input, rest) = read_beside(&mut buffer, &endpoint, &mut shared, piece);
                piece = rest;
                if let Some(Event::Data(message)) =
                    buffer.next_in(&mut endpoint, Instant::ZERO, &mut input).unwrap()
                {
                    found.push(message.as_bytes().len());
                }
            }
        }
        assert_eq!(found, [LEN], "cut at {cut}");
    }
}

#[test]
fn what_a_storage_has_no_room_for_counts_as_discarded() {
    let message = masked(FIN | BINARY, &noise(65_000));
    for shared in [false, true] {
        let mut storage = vec![0; 64_500];
        let mut endpoint = server();
        let mut buffer = MessageBuffer::new(&mut storage[..]);
        let error = read_to(shared, &mut buffer, &mut endpoint, &message[..64_000]).unwrap_err();
        assert_eq!(error.kind(), ReceiveErrorKind::Fault(Fault::StorageFull));
        while endpoint.poll_transmit().is_some() {}
        assert_eq!(endpoint.state(), State::Closing);
        assert_eq!(read_to(true, &mut buffer, &mut endpoint, &[0; 2000]), Err(error));
        assert!(matches!(endpoint.state(), State::Closed(_)), "64 KiB have been discarded");
    }
}

/// The state once `reads` have been received, in the caller's hands, in shared inputs or in the connection's own storage.
fn state_behind(reads: &[&[u8]], how: Option<bool>, storage_len: usize) -> State {
    let mut endpoint = server();
    let mut storage = vec![0; storage_len];
    let mut buffer = MessageBuffer::new(&mut storage[..]);
    for read in reads {
        let mut read = read.to_vec();
        let mut input = &mut read[..];
        match how {
            None => while let Ok(Some(_)) = endpoint.receive(Instant::ZERO, &mut input) {},
            Some(true) => while let Ok(Some(_)) = buffer.next_in(&mut endpoint, Instant::ZERO, &mut input) {},
            Some(false) => {
                assert!(ws_tests::read(&mut buffer, &endpoint, input).is_empty());
                while let Ok(Some(_)) = buffer.next(&mut endpoint, Instant::ZERO) {}
            }
        }
    }
    while endpoint.poll_transmit().is_some() {}
    endpoint.state()
}

#[test]
fn what_follows_a_fault_counts_as_discarded_however_it_is_received() {
    // More than 64 KiB of them close.
    let behind = vec![0; 70_000];
    let mut wrong = vec![b'a'; 1000];
    wrong[900] = 0xFF;
    let cut = [masked(FIN | TEXT, &wrong), behind.clone()].concat();
    let fragments = [
        masked(TEXT, &[b'a'; 10]),
        masked(CONTINUATION, &[0xFF; 10]),
        masked(CONTINUATION, &[b'a'; 40_000]),
        masked(FIN | CONTINUATION, &[b'a'; 40_000]),
    ]
    .concat();
    for reads in [&[&cut[..500], &cut[500..]][..], &[&fragments]] {
        for how in [None, Some(true), Some(false)] {
            let state = state_behind(reads, how, 200_000);
            assert!(matches!(state, State::Closed(_)), "{how:?} {state:?}");
        }
    }
    // There is no room for the second part, or for the first, which moves there when the Ping is told.
    let parts = [masked(BINARY, &[1; 500]), masked(FIN | CONTINUATION, &[2; 600]), behind.clone()].concat();
    let ping = [masked(BINARY, &[1; 500]), masked(PING, b""), behind].concat();
    for (reads, storage_len) in [(&[&parts[..400], &parts[400..]][..], 1000), (&[&ping], 400)] {
        let state = state_behind(reads, Some(true), storage_len);
        assert!(matches!(state, State::Closed(_)), "{state:?}");
    }
}

#[test]
fn what_a_big_message_took_is_given_back_although_every_read_cuts_one() {
    let small = masked(FIN | BINARY, &noise(9_000));
    let wire = [masked(FIN | BINARY, &noise(1 << 20)), small.repeat(20)].concat();
    let (mut endpoint, mut buffer, mut shared) = (server(), MessageBuffer::new(Vec::new()), vec![0; 1 << 20]);
    // Of each message the end comes with the beginning of the next.
    let (first, rest) = wire.split_at((1 << 20) + 14 + 9_000);
    for mut read in [first].into_iter().chain(rest.chunks_exact(small.len())) {
        while !read.is_empty() {
            let (mut input, rest) = read_beside(&mut buffer, &endpoint, &mut shared, read);
            read = rest;
            while buffer.next_in(&mut endpoint, Instant::ZERO, &mut input).unwrap().is_some() {}
        }
    }
    assert!(!buffer.is_empty() && buffer.held_bytes() <= 16 * 1024, "{}", buffer.held_bytes());
}

/// The lengths of the reads of `wire` that are as long as the room, at most 64 KiB, and how many messages they bring.
fn full_reads(shared: bool, wire: &[u8]) -> (Vec<usize>, usize) {
    const MOST: usize = 64 * 1024;
    let (mut endpoint, mut buffer, mut memory) = (server(), MessageBuffer::new(Vec::new()), vec![0; MOST]);
    let (mut rest, mut lens, mut messages) = (wire, Vec::new(), 0);
    while !rest.is_empty() {
        let room = if shared { buffer.unfilled_or(&endpoint, &mut memory) } else { buffer.unfilled(&endpoint) };
        let len = room.len().min(rest.len()).min(MOST);
        room[..len].copy_from_slice(&rest[..len]);
        rest = &rest[len..];
        lens.push(len);
        let mut input = if shared { buffer.filled_or(len, &mut memory) } else { Default::default() };
        if !shared {
            buffer.filled(len);
        }
        let mut next = |buffer: &mut MessageBuffer<Vec<u8>>| match shared {
            true => buffer.next_in(&mut endpoint, Instant::ZERO, &mut input).unwrap().is_some(),
            false => buffer.next(&mut endpoint, Instant::ZERO).unwrap().is_some(),
        };
        while next(&mut buffer) {
            messages += 1;
        }
    }
    (lens, messages)
}

#[test]
fn in_a_stream_of_long_frames_each_read_brings_one() {
    for len in [16 * 1024, 20_000, 32 * 1024, 65_000] {
        let frame = masked(FIN | BINARY, &noise(len));
        for shared in [false, true] {
            let (reads, messages) = full_reads(shared, &frame.repeat(20));
            assert_eq!(messages, 20);
            let settled = &reads[reads.len() - 10..];
            assert!(settled.iter().all(|read| *read == frame.len()), "{len}, shared {shared}: {reads:?}");
        }
    }
}

#[test]
fn reads_are_long_again_after_a_stream_of_long_frames_and_in_mixed_traffic() {
    let (long, short) = (masked(FIN | BINARY, &noise(20_000)), masked(FIN | BINARY, &noise(125)));
    for shared in [false, true] {
        let (reads, _) = full_reads(shared, &[long.repeat(10), short.repeat(4_000)].concat());
        let settled = &reads[reads.len() - 4..reads.len() - 1];
        assert!(settled.iter().all(|read| *read > 60_000), "shared {shared}: {reads:?}");
        let (reads, _) = full_reads(true, &[short.repeat(16), long.clone()].concat().repeat(40));
        assert!(reads.len() < 25, "{reads:?}");
    }
}

#[test]
fn a_close_inside_a_message_that_fixed_storage_has_no_room_for_ends_in_good_order() {
    let mut wire = [masked(BINARY, &[1; 500]), masked(CLOSE, b"\x03\xE8")].concat();
    let mut storage = [0; 400];
    let (mut endpoint, mut buffer) = (server(), MessageBuffer::new(&mut storage[..]));
    let found = buffer.next_in(&mut endpoint, Instant::ZERO, &mut &mut wire[..]);
    assert_eq!(found, Ok(Some(Event::Control(Control::Close))));
    assert_eq!((endpoint.failure(), endpoint.close_frame()), (None, Some((CloseCode::NORMAL, ""))));
}
