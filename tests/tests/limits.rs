//! Limits and memory: decided from the header, and nothing grows but with what arrives.

use std::time::Duration;

use cpu_time::ThreadTime;
use ws_proto::{
    Config, MessageBuffer,
    connection::{Retention, Storage},
    error::{Fault, ReceiveErrorKind},
    frame::FrameHeader,
    role::Role,
};
use ws_tests::{
    BINARY, CLOSE, CONTINUATION, FIN, Host, KEY, PING, TEXT, Told, bare_config, client, close_of, from_peer,
    header, masked, noise, on_both, parse, server,
};

/// What `Vec` storage may hold beyond twice what has arrived: a read's worth.
const READ: usize = 64 * 1024;
/// What it may keep between messages.
const KEPT: usize = 16 * 1024;

fn limited(change: impl FnOnce(&mut Config)) -> Config {
    let mut config = bare_config();
    change(&mut config);
    config
}

/// A header as the peer of `R` sends it.
fn peer_header<R: Role>(first: u8, len: u64) -> Vec<u8> {
    header(first, len, (R::SIDE == ws_proto::role::Side::Server).then_some(KEY))
}

/// Receives `before`, then a header without its payload, byte by byte: refused by its last byte at the latest.
fn refused_by_header<R: Role>(
    mut host: Host<R>,
    before: &[(u8, &[u8])],
    first: u8,
    len: u64,
    expected: ReceiveErrorKind,
) {
    for (first, payload) in before {
        host.receive_frame(*first, payload);
    }
    assert_eq!(host.error, None);
    let told = host.told.len();
    for byte in peer_header::<R>(first, len) {
        assert_eq!(host.error, None);
        host.receive(&[byte]);
    }
    let error = host.error.expect("the header is enough");
    assert_eq!((error.kind(), host.told.len()), (expected, told));
    let close = host.sent_plain().pop();
    assert_eq!(close, Some(close_of(expected)));
}

fn both_refuse(config: &Config, before: &[(u8, &[u8])], first: u8, len: u64, kind: ReceiveErrorKind) {
    on_both(
        config,
        |host| refused_by_header(host, before, first, len, kind),
        |host| refused_by_header(host, before, first, len, kind),
    );
}

fn both_accept(config: &Config, frames: &[(u8, &[u8])], messages: usize) {
    fn check<R: Role>(mut host: Host<R>, frames: &[(u8, &[u8])], messages: usize) {
        for (first, payload) in frames {
            host.receive_frame(*first, payload);
        }
        assert_eq!((host.error, host.told.len()), (None, messages));
    }
    on_both(config, |host| check(host, frames, messages), |host| check(host, frames, messages));
}

// R10.4-1 R7.4.1-2
#[test]
fn a_frame_over_the_limit_is_refused_by_its_header() {
    let config = limited(|config| config.max_frame_len = Some(1000));
    for first in [FIN | TEXT, TEXT, FIN | BINARY, BINARY] {
        both_refuse(&config, &[], first, 1001, ReceiveErrorKind::FrameTooBig);
    }
    both_refuse(&config, &[(BINARY, b"")], CONTINUATION, 1001, ReceiveErrorKind::FrameTooBig);
    both_accept(&config, &[(FIN | BINARY, &[0; 1000])], 1);
}

// R10.4-1
#[test]
fn without_a_limit_of_its_own_a_frame_may_be_as_long_as_a_message() {
    let config = limited(|config| config.max_message_len = 1000);
    both_refuse(&config, &[], FIN | BINARY, 1001, ReceiveErrorKind::FrameTooBig);
    both_accept(&config, &[(FIN | BINARY, &[0; 1000])], 1);
}

// R10.4-1
#[test]
fn a_message_over_the_limit_is_refused_by_the_header_that_takes_it_there() {
    let config = limited(|config| config.max_message_len = 1000);
    let part = [7; 600];
    both_refuse(&config, &[(BINARY, &part)], FIN, 401, ReceiveErrorKind::MessageTooBig);
    both_refuse(&config, &[(TEXT, &part), (PING, b""), (0, b"")], 0, 401, ReceiveErrorKind::MessageTooBig);
    // The count starts anew with each message.
    both_accept(&config, &[(BINARY, &part), (FIN, &part[..400]), (BINARY, &part), (FIN, &part[..400])], 2);
}

// R10.4-1
#[test]
fn the_default_limit_is_a_mebibyte() {
    let config = Config::default();
    both_refuse(&config, &[], FIN | BINARY, (1 << 20) + 1, ReceiveErrorKind::FrameTooBig);
    both_accept(&config, &[(FIN | BINARY, &vec![0; 1 << 20])], 1);
}

// R10.4-1
#[test]
fn a_fragment_too_many_is_refused_by_its_header() {
    let config = limited(|config| config.max_fragments = Some(3));
    let two: [(u8, &[u8]); 2] = [(BINARY, b"a"), (CONTINUATION, b"b")];
    let three = [two[0], two[1], (CONTINUATION, b"c")];
    both_refuse(&config, &three, FIN, 1, ReceiveErrorKind::TooManyFragments);
    both_refuse(&config, &three, FIN, 0, ReceiveErrorKind::TooManyFragments);
    both_accept(&config, &[two[0], two[1], (FIN, b"c"), two[0], two[1], (FIN, b"c")], 2);
}

// R10.4-1
#[test]
fn unless_set_a_message_may_come_in_one_fragment_per_64_bytes_of_its_limit() {
    for (limit, most) in [(0, 1), (1, 1), (64, 1), (65, 2), (1000, 16)] {
        let config = limited(|config| config.max_message_len = limit);
        let mut frames = vec![(BINARY, &b""[..])];
        frames.extend((1..most).map(|_| (CONTINUATION, &b""[..])));
        both_refuse(&config, &frames, FIN, 0, ReceiveErrorKind::TooManyFragments);
        frames.last_mut().unwrap().0 |= FIN;
        both_accept(&config, &frames, 1);
    }
}

// R10.4-1 R5.4-1
#[test]
fn an_empty_fragment_too_many_is_refused_by_its_header() {
    let config = limited(|config| config.max_empty_fragments = 2);
    let empty: [(u8, &[u8]); 4] = [(TEXT, b""), (CONTINUATION, b"x"), (PING, b""), (CONTINUATION, b"")];
    both_refuse(&config, &empty, CONTINUATION, 0, ReceiveErrorKind::TooManyEmptyFragments);
    // The one that ends the message is not counted, nor are empty messages.
    both_accept(&config, &[empty[0], empty[1], empty[3], (FIN, b"")], 1);
    both_accept(&config, &[(FIN | TEXT, &b""[..]); 100], 100);
}

// R10.4-1 R5.2-3
#[test]
fn lengths_of_the_class_of_two_to_the_63_neither_wrap_nor_reserve() {
    let open = limited(|config| config.max_message_len = u64::MAX);
    for len in [(1 << 63) - 1, 1 << 62, 1 << 32, (1 << 32) - 1, 1 << 31] {
        both_refuse(&bare_config(), &[], FIN | BINARY, len, ReceiveErrorKind::FrameTooBig);
        on_both(&open, |host| announces(host, len), |host| announces(host, len));
    }
}

/// Takes a header that announces `len` bytes, some of them, and holds no more than came.
fn announces<R: Role>(mut host: Host<R>, len: u64) {
    let mut buffer = MessageBuffer::new(Vec::new());
    host.receive_buffered(&mut buffer, &peer_header::<R>(BINARY, len));
    host.receive_buffered(&mut buffer, &[0xAA; 100]);
    if isize::try_from(len).is_ok() {
        assert_eq!((host.error, host.endpoint.payload_remaining()), (None, len - 100));
    } else {
        // No storage of this machine is so long.
        let kind = host.error.map(|error| error.kind());
        assert_eq!(kind, Some(ReceiveErrorKind::Fault(Fault::StorageFull)));
    }
    assert!(buffer.held_bytes() <= READ);
    let mut own = [0; 200];
    let mut shared = MessageBuffer::new(&mut own[..]);
    let endpoint = match R::SIDE {
        ws_proto::role::Side::Server => {
            let mut host = server(&limited(|config| config.max_message_len = u64::MAX));
            host.receive_shared(&mut shared, &masked_header(len));
            host.error
        }
        ws_proto::role::Side::Client => {
            let mut host = client(&limited(|config| config.max_message_len = u64::MAX));
            host.receive_shared(&mut shared, &header(BINARY, len, None));
            host.error
        }
    };
    assert_eq!(endpoint.map(|error| error.kind()), Some(ReceiveErrorKind::Fault(Fault::StorageFull)));
}

fn masked_header(len: u64) -> Vec<u8> {
    header(BINARY, len, Some(KEY))
}

// R10.4-1
#[test]
fn sums_of_lengths_do_not_wrap() {
    for limit in [i64::MAX.unsigned_abs(), u64::MAX >> 1, u64::from(u32::MAX), 100] {
        let config = limited(|config| config.max_message_len = limit);
        both_refuse(&config, &[(BINARY, b"12345678")], FIN, limit, ReceiveErrorKind::MessageTooBig);
    }
    // The longest legal frame behind something: more than any signed number holds.
    let config = limited(|config| {
        config.max_message_len = u64::MAX >> 1;
        config.max_frame_len = Some(u64::MAX);
    });
    both_refuse(&config, &[(BINARY, b"x")], CONTINUATION, u64::MAX >> 1, ReceiveErrorKind::MessageTooBig);
}

/// Feeds a message in pieces through both forms, and checks what is held after each.
fn check_memory<R: Role>(new: impl Fn() -> Host<R>, len: usize, fragment: usize, read: usize) {
    let payload = noise(len);
    let mut bytes = Vec::new();
    let count = len.div_ceil(fragment);
    for (i, piece) in payload.chunks(fragment).enumerate() {
        let first = if i == 0 { BINARY } else { CONTINUATION };
        let fin = if i + 1 == count { FIN } else { 0 };
        bytes.extend(from_peer(R::SIDE, fin | first, piece));
    }
    let (mut own, mut shared) = (MessageBuffer::new(Vec::new()), MessageBuffer::new(Vec::new()));
    let (mut of_own, mut of_shared) = (new(), new());
    let mut arrived = 0;
    for piece in bytes.chunks(read) {
        of_own.receive_buffered(&mut own, piece);
        of_shared.receive_shared(&mut shared, piece);
        arrived += piece.len();
        assert!(own.held_bytes() <= 2 * arrived + READ, "{} held of {arrived}", own.held_bytes());
        assert!(shared.held_bytes() <= 2 * arrived, "{} held of {arrived}", shared.held_bytes());
    }
    assert_eq!(of_own.told, [Told::Binary(payload.clone())]);
    assert_eq!(of_shared.told, [Told::Binary(payload)]);
    assert!(own.held_bytes() <= READ, "{} held of nothing ({len} in {fragment}, by {read})", own.held_bytes());
    assert_eq!(shared.held_bytes(), 0);
    // A small message makes the rest of a busy time go too.
    of_own.receive_frame(FIN | TEXT, b"");
    let small = of_own.peer_frame(FIN | TEXT, b"small");
    of_own.receive_buffered(&mut own, &small);
    assert!(own.held_bytes() <= KEPT, "{} held of nothing", own.held_bytes());
    let (storage, unread) = own.into_storage();
    assert!(storage.capacity() <= KEPT && unread.is_empty());
    assert_eq!(shared.into_storage().0.capacity(), 0);
}

// R10.4-1
#[test]
fn memory_grows_with_what_arrives_and_is_given_back() {
    let config = limited(|config| {
        config.max_message_len = 4 << 20;
        config.max_fragments = Some(u32::MAX);
    });
    for len in [1, 4000, 5000, 16_384, 65_536, 100_000, 131_072, 300_000, 1 << 20] {
        for (fragment, read) in
            [(usize::MAX, 1000), (usize::MAX, 65_536), (1000, 1000), (40_000, 7000), (50_000, 1 << 20)]
        {
            check_memory(|| server(&config), len, fragment.min(len), read);
            check_memory(|| client(&config), len, fragment.min(len), read);
        }
    }
}

#[test]
fn a_burst_of_small_messages_keeps_the_room_of_a_read_but_not_that_of_a_big_message() {
    let small = masked(FIN | BINARY, &noise(1000)).repeat(200);
    let big = masked(FIN | BINARY, &noise(4 << 20));
    let mut host = server(&limited(|config| config.max_message_len = 4 << 20));
    let mut own = MessageBuffer::new(Vec::new());
    for burst in [[&small[..], &small].concat(), [&small[..], &big].concat()] {
        host.receive_buffered(&mut own, &burst);
        assert_eq!(own.held_bytes(), READ);
    }
    for _ in 0..Retention::SMALL_USES {
        host.receive_buffered(&mut own, &masked(FIN | BINARY, b"small"));
    }
    assert!(own.held_bytes() <= KEPT);
}

// R10.4-1
#[test]
fn an_announced_length_reserves_nothing() {
    let mut host = server(&bare_config());
    let mut own = MessageBuffer::new(Vec::new());
    host.receive_buffered(&mut own, &header(FIN | BINARY, 1 << 20, Some(KEY)));
    assert!(own.held_bytes() <= 4096);
    let mut shared = MessageBuffer::new(Vec::new());
    let mut host = server(&bare_config());
    host.receive_shared(&mut shared, &header(FIN | BINARY, 1 << 20, Some(KEY)));
    assert_eq!(shared.held_bytes(), 0);
}

#[test]
fn storage_grows_to_the_end_of_a_frame_that_is_most_of_its_message() {
    for len in [70_000, 300_000, 1 << 20] {
        for read in [1460, 16_384, 65_536] {
            let mut host = server(&limited(|config| config.max_message_len = 4 << 20));
            let (mut own, mut shared) = (MessageBuffer::new(Vec::new()), MessageBuffer::new(Vec::new()));
            let mut of_shared = server(&limited(|config| config.max_message_len = 4 << 20));
            for piece in masked(FIN | BINARY, &noise(len)).chunks(read) {
                host.receive_buffered(&mut own, piece);
                of_shared.receive_shared(&mut shared, piece);
                let most = (len + FrameHeader::MAX_LEN).max(READ);
                assert!(own.held_bytes() <= most, "{} held for {len}, by {read}", own.held_bytes());
                assert!(shared.held_bytes() <= most, "{} held for {len}, by {read}", shared.held_bytes());
            }
            assert_eq!((host.told.len(), of_shared.told.len()), (1, 1));
        }
    }
}

#[test]
fn big_messages_of_a_stream_are_not_moved() {
    const HEADER: usize = FrameHeader::MAX_LEN;
    for len in [100_000, 256 << 10, 1 << 20] {
        let mut host = server(&bare_config());
        let mut buffer = MessageBuffer::new(Vec::new());
        let bytes = masked(FIN | BINARY, &noise(len));
        for number in 0..6 {
            // The storage is kept from the second message on.
            let start = buffer.unfilled(&host.endpoint).as_ptr().addr();
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                let room = buffer.unfilled(&host.endpoint);
                let (piece, after) = rest.split_at(rest.len().min(room.len()).min(16_384));
                room[..piece.len()].copy_from_slice(piece);
                buffer.filled(piece.len());
                rest = after;
                let found = buffer.next(&mut host.endpoint, ws_proto::Instant::ZERO).unwrap().is_some();
                assert_eq!(found, rest.is_empty());
            }
            let payload = buffer.message().unwrap().as_bytes().as_ptr().addr();
            assert!(number < 3 || payload == start + HEADER, "{len}: message {number} was moved");
            assert_eq!(buffer.next(&mut host.endpoint, ws_proto::Instant::ZERO).unwrap(), None);
        }
    }
}

#[test]
fn small_fragments_after_a_big_one_double_the_storage() {
    let mut host = server(&limited(|config| config.max_fragments = Some(u32::MAX)));
    let mut buffer = MessageBuffer::new(Vec::new());
    host.receive_buffered(&mut buffer, &masked(BINARY, &noise(200_000)));
    let mut growths = Vec::new();
    for _ in 0..200 {
        for piece in masked(CONTINUATION, &noise(1000)).chunks(600) {
            host.receive_buffered(&mut buffer, piece);
        }
        if growths.last() != Some(&buffer.held_bytes()) {
            growths.push(buffer.held_bytes());
        }
    }
    assert!(growths.len() <= 3, "{growths:?}");
}

#[test]
fn a_big_frame_is_read_to_its_end_and_no_further() {
    let mut host = server(&bare_config());
    let mut buffer = MessageBuffer::new(Vec::new());
    let bytes = masked(FIN | BINARY, &noise(500_000));
    host.receive_buffered(&mut buffer, &bytes[..1000]);
    let mut at = 1000;
    while at < bytes.len() {
        let left = bytes.len() - at;
        let room = buffer.unfilled(&host.endpoint).len();
        assert!(left < 4096 || room <= left, "room for {room}, the frame ends in {left}");
        let len = room.min(left);
        host.receive_buffered(&mut buffer, &bytes[at..at + len]);
        at += len;
    }
    assert_eq!(host.told.len(), 1);
}

#[test]
fn the_last_bytes_of_a_big_frame_are_read_by_themselves() {
    for (len, by_themselves) in [(200_000, true), (60_000, true), (16_000, false)] {
        let mut host = server(&bare_config());
        let mut buffer = MessageBuffer::new(vec![0; 1 << 20]).keeping(1 << 20);
        let bytes = masked(FIN | BINARY, &noise(len));
        for _ in 0..2 {
            let (most, end) = bytes.split_at(bytes.len() - 100);
            host.receive_buffered(&mut buffer, most);
            assert_eq!(buffer.unfilled(&host.endpoint).len() == 100, by_themselves, "{len}");
            host.receive_buffered(&mut buffer, end);
        }
        assert_eq!(host.told.len(), 2);
        // The next frame begins at the start of the storage again, and is read alone if its last bytes were.
        let room = if by_themselves { bytes.len() } else { 1 << 20 };
        assert_eq!(buffer.unfilled(&host.endpoint).len(), room);
        // And where the frame does not end any more, there is room for what comes.
        host.receive_buffered(&mut buffer, &bytes[..100_000.min(len - 1)]);
        host.endpoint.fail(ws_proto::Instant::ZERO, Fault::PolicyViolation);
        assert!(!buffer.unfilled(&host.endpoint).is_empty());
    }
}

/// Feeds `bytes` through both forms on storage of `room` bytes, in reads of `read`; the errors.
fn on_slice<R: Role>(new: impl Fn() -> Host<R>, room: usize, bytes: &[u8], read: usize) -> [Host<R>; 2] {
    let (mut own, mut of_own) = (vec![0; room], new());
    let (mut shared, mut of_shared) = (vec![0; room], new());
    let (mut own, mut shared) = (MessageBuffer::new(&mut own[..]), MessageBuffer::new(&mut shared[..]));
    for piece in bytes.chunks(read) {
        feed_until_error(&mut of_own, &mut own, piece);
        of_shared.receive_shared(&mut shared, piece);
    }
    [of_own, of_shared]
}

fn feed_until_error<R: Role, S: Storage>(host: &mut Host<R>, buffer: &mut MessageBuffer<S>, bytes: &[u8]) {
    for byte in bytes.chunks(1) {
        if host.error.is_none() {
            host.receive_buffered(buffer, byte);
        }
    }
}

// R10.4-1 R7.4.1-2
#[test]
fn a_message_that_does_not_fit_a_slice_is_refused_with_1009_by_its_header() {
    let full = Some(ReceiveErrorKind::Fault(Fault::StorageFull));
    let one = header(FIN | BINARY, 101, Some(KEY));
    let sum = [masked(BINARY, &[0; 60]), header(FIN, 41, Some(KEY))].concat();
    for bytes in [one, sum] {
        for read in [1, 1000] {
            for mut host in on_slice(|| server(&bare_config()), 100, &bytes, read) {
                assert_eq!(host.error.map(|error| error.kind()), full);
                assert_eq!(host.sent_plain(), [(CLOSE, b"\x03\xF1no storage left for the message".to_vec())]);
            }
        }
    }
}

#[test]
fn a_message_that_just_fits_a_slice_is_taken() {
    let whole = noise(100);
    let streams = [
        masked(FIN | BINARY, &whole),
        [masked(BINARY, &whole[..50]), masked(FIN, &whole[50..])].concat(),
        [masked(BINARY, &whole[..99]), masked(PING, b"ping"), masked(FIN, &whole[99..])].concat(),
    ];
    for bytes in streams {
        for read in [1, 2, 99, 1000] {
            for host in on_slice(|| server(&bare_config()), 100, &[&bytes[..], &bytes].concat(), read) {
                assert_eq!(host.error, None);
                assert_eq!(host.told.iter().filter(|told| **told == Told::Binary(whole.clone())).count(), 2);
            }
        }
    }
}

#[test]
fn a_shared_input_may_hold_messages_longer_than_the_own_storage() {
    let mut host = server(&bare_config());
    let mut own = [0; 8];
    let mut buffer = MessageBuffer::new(&mut own[..]);
    let bytes = [masked(FIN | BINARY, &noise(5000)), masked(FIN | TEXT, b"12345678")].concat();
    host.receive_shared(&mut buffer, &bytes[..bytes.len() - 3]);
    host.receive_shared(&mut buffer, &bytes[bytes.len() - 3..]);
    assert_eq!(host.told, [Told::Binary(noise(5000)), Told::Text("12345678".into())]);
}

#[test]
fn bytes_that_came_behind_the_head_are_the_first_of_both_forms() {
    let bytes = [masked(FIN | TEXT, b"first"), masked(PING, b"p"), masked(FIN | TEXT, b"second")].concat();
    let storage = [b"HEAD", &bytes[..]].concat();
    let told = [Told::Text("first".into()), Told::Ping(b"p".to_vec()), Told::Text("second".into())];
    for split in 0..=bytes.len() {
        let mut host = server(&bare_config());
        let mut buffer = MessageBuffer::with_received(storage[..4 + split].to_vec(), 4..4 + split);
        assert_eq!(buffer.unread(), &bytes[..split]);
        host.receive_shared(&mut buffer, &bytes[split..]);
        assert_eq!(host.told, told);
    }
    let mut host = server(&bare_config());
    let mut buffer = MessageBuffer::with_received(storage.clone(), 4..storage.len() + 100);
    assert_eq!(buffer.unread(), &bytes[..]);
    host.receive_shared(&mut buffer, b"");
    assert_eq!(host.told, told);
}

#[test]
fn the_two_forms_may_alternate_whenever_everything_was_taken() {
    let payload = noise(3000);
    let mut bytes = masked(BINARY, &payload[..1000]);
    bytes.extend(masked(PING, b""));
    bytes.extend(masked(FIN, &payload[1000..]));
    bytes.extend(masked(FIN | TEXT, b"next"));
    for read in [1, 7, 100, 999, 1006, 3000] {
        let mut host = server(&bare_config());
        let mut buffer = MessageBuffer::new(Vec::new());
        for (i, piece) in bytes.chunks(read).enumerate() {
            if i % 2 == 0 {
                host.receive_shared(&mut buffer, piece);
            } else {
                host.receive_buffered(&mut buffer, piece);
            }
        }
        let expected = [Told::Ping(vec![]), Told::Binary(payload.clone()), Told::Text("next".into())];
        assert_eq!(host.told, expected);
    }
}

// R5.5.3-1 R10.4-1
#[test]
fn a_flood_of_pings_makes_nothing_grow() {
    fn check<R: Role>(mut host: Host<R>) {
        let (mut own, mut shared) = (MessageBuffer::new(Vec::new()), MessageBuffer::new(Vec::new()));
        let flood = host.peer_frame(PING, &noise(125)).repeat(100);
        for _ in 0..100 {
            host.receive_buffered(&mut own, &flood);
            host.receive_shared(&mut shared, &flood);
            assert!(own.held_bytes() <= READ && shared.held_bytes() == 0);
        }
        assert_eq!(host.told.len(), 20_000);
        assert_eq!(parse(&host.output).len(), 20_000);
    }
    on_both(&bare_config(), check, check);

    // A host that never drains holds one answer.
    let mut host = server(&bare_config());
    let mut flood = masked(PING, &noise(125)).repeat(1000);
    let mut input = &mut flood[..];
    while let Ok(Some(_)) = host.endpoint.receive(host.now, &mut input) {}
    host.transmit();
    assert_eq!(host.sent().len(), 1);
}

/// How much processor time it takes to put a message of `len` bytes together from fragments of 64.
fn assembling(len: usize) -> Duration {
    let config = limited(|config| config.max_message_len = 4 << 20);
    let mut bytes = masked(BINARY, &[7; 64]);
    bytes.extend(masked(CONTINUATION, &[7; 64]).repeat(len / 64 - 2));
    bytes.extend(masked(FIN, &[7; 64]));
    let once = || {
        let mut host = server(&config);
        let mut buffer = MessageBuffer::new(Vec::new());
        let begun = ThreadTime::now();
        for piece in bytes.chunks(5000) {
            host.receive_buffered(&mut buffer, piece);
        }
        let taken = begun.elapsed();
        assert_eq!(host.told, [Told::Binary(vec![7; len])]);
        taken
    };
    (0..3).map(|_| once()).min().unwrap_or_default()
}

// R10.4-1
#[test]
fn four_mebibytes_in_fragments_of_64_bytes_take_linear_work() {
    let (small, big) = (assembling(1 << 20), assembling(4 << 20));
    // Linear work takes four times as long, quadratic sixteen times.
    assert!(big < small * 10, "{small:?} for one, {big:?} for four");
}
