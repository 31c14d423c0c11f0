//! Short frames that a read cuts, and that wait for their rest.

use ws_proto::{
    Config, Control, Endpoint, Event, Instant, Message, MessageBuffer, Part, ReceiveError, Server,
    endpoint::Negotiated,
    error::{Fault, ReceiveErrorKind},
    frame::FrameError,
};
use ws_tests::{BINARY, CLOSE, FIN, PING, TEXT, masked, noise, read};

/// A server's receiving side.
struct Host {
    endpoint: Endpoint<Server>,
    buffer: MessageBuffer<Vec<u8>>,
    messages: Vec<Vec<u8>>,
    controls: Vec<Control>,
}

/// The way of a read.
#[derive(Clone, Copy, Debug)]
enum To {
    Own,
    Shared,
}

const WAYS: [To; 2] = [To::Own, To::Shared];

impl Host {
    fn new() -> Self {
        Self::with(&Config::default())
    }

    fn with(config: &Config) -> Self {
        Self {
            endpoint: Endpoint::new(Server, config, Negotiated::default(), Instant::ZERO),
            buffer: MessageBuffer::new(Vec::new()),
            messages: Vec::new(),
            controls: Vec::new(),
        }
    }

    /// Reads `bytes`, in one read if there is room.
    fn read(&mut self, to: To, bytes: &[u8]) -> Result<(), ReceiveError> {
        let mut shared = bytes.to_vec();
        let (mut input, mut rest) = match to {
            To::Own => (&mut [][..], read(&mut self.buffer, &self.endpoint, bytes)),
            To::Shared => (&mut shared[..], &[][..]),
        };
        loop {
            let found = match to {
                To::Own => self.buffer.next(&mut self.endpoint, Instant::ZERO)?,
                To::Shared => self.buffer.next_in(&mut self.endpoint, Instant::ZERO, &mut input)?,
            };
            match found {
                Some(Event::Data(message)) => self.messages.push(message.as_bytes().to_vec()),
                Some(Event::Control(control)) => self.controls.push(control),
                None if rest.is_empty() => return Ok(()),
                None => rest = read(&mut self.buffer, &self.endpoint, rest),
            }
        }
    }
}

// K-buffer
#[test]
fn a_frame_may_be_cut_anywhere_and_read_in_either_way_each_time() {
    for len in [0, 1, 2, 125, 126, 300, 4_088, 4_089, 5_000] {
        let wire =
            [masked(FIN | BINARY, &noise(len)), masked(FIN | TEXT, b"between"), masked(PING, b"p")].concat();
        let cuts: Vec<_> = (1..20).chain(len.max(20) - 3..len + 12).filter(|cut| *cut < wire.len()).collect();
        for (number, cut) in cuts.iter().enumerate() {
            for (first, second) in [(To::Own, To::Own), (To::Shared, To::Shared), (To::Own, To::Shared)] {
                let mut host = Host::new();
                // The second cut is after one or two bytes more.
                let next = (cut + 1 + number % 2).min(wire.len());
                for (to, part) in [(first, &wire[..*cut]), (second, &wire[*cut..next]), (second, &wire[next..])] {
                    host.read(to, part).unwrap();
                    let is_done = std::ptr::eq(part.as_ptr_range().end, wire.as_ptr_range().end);
                    assert!(host.buffer.unread().is_empty(), "all was received");
                    assert!(!is_done || host.buffer.is_empty());
                }
                assert!(
                    host.messages == [noise(len), b"between".to_vec()],
                    "{len} B cut at {cut}, {first:?} {second:?}"
                );
                assert_eq!(host.controls, [Control::Ping]);
            }
        }
    }
}

#[test]
fn a_wrong_header_that_comes_byte_by_byte_is_refused_at_the_byte_that_shows_it() {
    let not_minimal = ReceiveErrorKind::Frame(FrameError::NonMinimalLength);
    let mut config = Config::default();
    config.max_message_len = 1_000;
    let header = |len: u16| [&[FIN | BINARY, 0x80 | 126][..], &len.to_be_bytes(), &[1, 2, 3, 4]].concat();
    for (header, at, kind) in [
        (vec![FIN | BINARY, 0x80 | 126, 0, 125], 4, not_minimal),
        (vec![FIN | BINARY, 10, 0], 2, ReceiveErrorKind::Unmasked),
        (header(1_001), 8, ReceiveErrorKind::FrameTooBig),
        (vec![FIN | BINARY | 0x40, 0x80, 1, 2, 3, 4], 6, ReceiveErrorKind::ReservedBits),
    ] {
        for to in WAYS {
            let mut host = Host::with(&config);
            for (number, byte) in (1..).zip(&header) {
                let found = host.read(to, &[*byte]).map_err(|error| error.kind());
                assert_eq!(found, if number >= at { Err(kind) } else { Ok(()) }, "{header:x?} at {number}");
            }
        }
    }
}

#[test]
fn a_failure_while_a_frame_waits_is_returned_by_every_call_after_it() {
    let wire = masked(FIN | BINARY, &noise(100));
    for to in WAYS {
        let mut host = Host::new();
        host.read(to, &wire[..50]).unwrap();
        let error = host.endpoint.fail(Instant::ZERO, Fault::Internal);
        for more in [&wire[50..51], &wire[51..], &wire, &[]] {
            assert_eq!(host.read(to, more), Err(error), "{to:?}");
        }
        assert_eq!((host.messages.len(), host.buffer.held_bytes()), (0, 0));
    }
}

#[test]
fn a_buffer_in_which_a_frame_of_another_connection_waits_is_noticed() {
    let wire = masked(FIN | BINARY, &noise(100));
    for to in WAYS {
        for (len, next) in [(50, 20), (50, 100), (1, 1)] {
            let (mut first, mut second) = (Host::new(), Host::new());
            first.read(to, &wire[..len]).unwrap();
            std::mem::swap(&mut first.buffer, &mut second.buffer);
            for host in [&mut first, &mut second] {
                let error = host.read(to, &wire[..next]).unwrap_err();
                assert_eq!(error.kind(), ReceiveErrorKind::Fault(Fault::Internal), "{to:?} {len} {next}");
            }
        }
    }
}

#[test]
fn a_buffer_that_lacks_the_frame_that_waits_is_noticed_when_parts_are_asked_for() {
    let wire = masked(FIN | BINARY, &noise(100));
    let mut host = Host::new();
    host.read(To::Own, &wire[..50]).unwrap();
    host.buffer = MessageBuffer::from(wire[50..].to_vec());
    let error = host.buffer.next_part(&mut host.endpoint, Instant::ZERO).unwrap_err();
    assert_eq!(error.kind(), ReceiveErrorKind::Fault(Fault::Internal));
}

#[test]
fn a_frame_that_waits_is_complete_after_our_close_and_the_peers_follows() {
    let wire = [masked(FIN | BINARY, &noise(100)), masked(CLOSE, b"")].concat();
    for to in WAYS {
        let mut host = Host::new();
        host.read(to, &wire[..50]).unwrap();
        host.endpoint.write_close(Instant::ZERO, ws_proto::CloseCode::NORMAL, "", &mut [0; 131]).unwrap();
        host.read(to, &wire[50..60]).unwrap();
        host.read(to, &wire[60..]).unwrap();
        assert_eq!((&*host.messages, &*host.controls), (&[noise(100)][..], &[Control::Close][..]), "{to:?}");
    }
}

#[test]
fn a_message_whose_frame_waits_comes_whole_although_parts_are_asked_for() {
    let wire = masked(FIN | BINARY, &noise(100)).repeat(2);
    let mut host = Host::new();
    host.read(To::Own, &wire[..50]).unwrap();
    assert!(read(&mut host.buffer, &host.endpoint, &wire[50..150]).is_empty());
    let mut parts = Vec::new();
    while host.buffer.next_part(&mut host.endpoint, Instant::ZERO).unwrap().is_some() {
        let part = host.buffer.take_part().unwrap();
        parts.push((part.part(), part.as_bytes().len()));
    }
    // The second is told as it comes: 44 bytes of its frame are there.
    assert_eq!(parts, [(Part::Whole, 100), (Part::First, 38)]);
}

#[test]
fn a_message_of_which_a_part_of_the_header_waits_may_come_in_parts() {
    let wire = masked(FIN | BINARY, &noise(5_000));
    let mut storage = [0; 1_024];
    for cut in 1..4 {
        let mut endpoint = Endpoint::new(Server, &Config::default(), Negotiated::default(), Instant::ZERO);
        let mut buffer = MessageBuffer::new(&mut storage[..]);
        let mut rest = &wire[..];
        let mut received = Vec::new();
        while !rest.is_empty() {
            let room = buffer.unfilled(&endpoint);
            let len = if rest.len() == wire.len() { cut } else { room.len().min(rest.len()) };
            room[..len].copy_from_slice(&rest[..len]);
            buffer.filled(len);
            if rest.len() == wire.len() {
                assert_eq!(buffer.next(&mut endpoint, Instant::ZERO), Ok(None));
            }
            rest = &rest[len..];
            while buffer.next_part(&mut endpoint, Instant::ZERO).unwrap().is_some() {
                received.extend_from_slice(buffer.take_part().unwrap().as_bytes());
            }
        }
        assert!(received == noise(5_000), "cut at {cut}");
    }
}

#[test]
fn a_message_that_the_storage_cannot_hold_lies_in_the_read_that_brings_its_payload() {
    let wire = masked(FIN | BINARY, &noise(100));
    let mut storage = [0; 16];
    for cut in 1..=5 {
        let mut endpoint = Endpoint::new(Server, &Config::default(), Negotiated::default(), Instant::ZERO);
        let mut buffer = MessageBuffer::new(&mut storage[..]);
        let (mut first, mut second) = (wire[..cut].to_vec(), wire[cut..].to_vec());
        assert_eq!(buffer.next_in(&mut endpoint, Instant::ZERO, &mut &mut first[..]), Ok(None));
        let mut input = &mut second[..];
        let found = buffer.next_in(&mut endpoint, Instant::ZERO, &mut input);
        assert_eq!(found, Ok(Some(Event::Data(Message::Binary(&noise(100))))), "cut at {cut}");
    }
}

#[test]
fn the_room_of_a_big_message_is_freed_although_a_short_frame_waits_after_it() {
    let big = masked(FIN | BINARY, &noise(1 << 20));
    let wire = [&big[..], &masked(FIN | BINARY, &noise(100))[..3]].concat();
    let mut host = Host::new();
    for part in wire.chunks(100_000) {
        host.read(To::Shared, part).unwrap();
    }
    assert!(!host.buffer.is_empty(), "a frame waits");
    assert!(host.buffer.held_bytes() <= 16 << 10, "{}", host.buffer.held_bytes());
}

#[test]
fn a_look_that_brings_nothing_new_is_no_sign_of_life() {
    let mut config = Config::default();
    config.keepalive_interval = Some(std::time::Duration::from_secs(5));
    let mut host = Host::with(&config);
    host.read(To::Own, &masked(FIN | BINARY, &noise(100))[..50]).unwrap();
    let due = host.endpoint.poll_timeout();
    assert_eq!(host.buffer.next(&mut host.endpoint, Instant::from_millis(3_000)), Ok(None));
    assert_eq!(host.endpoint.poll_timeout(), due);
}

#[test]
fn a_frame_that_waits_moves_little_of_what_it_has() {
    // Reads of a fifth of a frame, to storage that they fill again and again.
    let wire = masked(FIN | BINARY, &noise(1_000)).repeat(100);
    let mut host = Host::new();
    for part in wire.chunks(203) {
        host.read(To::Own, part).unwrap();
        assert!(host.buffer.held_bytes() <= 4 * 1024, "{}", host.buffer.held_bytes());
    }
    assert!(host.messages.len() == 100 && host.messages.iter().all(|message| *message == noise(1_000)));
}
