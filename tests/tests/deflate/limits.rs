//! Limits of compressed messages: length, ratio, fragments (RFC 7692 section 8).

use core::num::NonZeroU32;

use ws_proto::{
    CloseCode, MessageBuffer, MessageKind,
    deflate::InflateLimits,
    error::{Fault, ReceiveErrorKind},
};
use ws_tests::{BINARY, Compressor, FIN, RSV1, TEXT, Told, bare_config, deflating_server, masked, noise};

use super::{COMPRESSED_BINARY, HELLO, TOO_BIG, alone, came, error, limited, received, takeover, told};

// R7692-8 R10.4-1
#[test]
fn the_limit_counts_what_is_inflated_and_is_exact() {
    for limit in [0, 1, 5, 100, 4_096, 4_097, 16_384, 65_535, 65_536, 70_000, 200_000] {
        let config = limited(limit as u64);
        for message in [vec![b'a'; limit], noise(limit)] {
            let payload = Compressor::new(&takeover()).payload(&message);
            let frames = &[(COMPRESSED_BINARY, &payload[..]), (COMPRESSED_BINARY, &payload)];
            let twice = [Told::Binary(message.clone()), Told::Binary(message.clone())];
            assert_eq!(told(&config, &alone(), frames), twice, "{limit}");

            let payload = Compressor::new(&takeover()).payload(&[&message[..], b"!"].concat());
            assert_eq!(received(&config, &alone(), &[(COMPRESSED_BINARY, &payload)]), (vec![], Some(TOO_BIG)));
        }
    }
}

// R7692-8
#[test]
fn a_message_over_the_limit_fails_in_the_frame_that_takes_it_there() {
    let config = limited(1_000);
    let parts: Vec<Vec<u8>> = Compressor::new(&takeover())
        .frames(MessageKind::Binary, &[&[b'a'; 600], &[b'b'; 400], &[b'c'; 1], &[b'd'; 9]]);
    let mut host = deflating_server(&config, &takeover());
    let mut buffer = MessageBuffer::new(Vec::new());
    for (first, part) in [(RSV1 | BINARY, &parts[0]), (0, &parts[1])] {
        host.receive_buffered(&mut buffer, &masked(first, part));
        assert_eq!(host.error, None);
    }
    host.receive_buffered(&mut buffer, &masked(0, &parts[2]));
    assert_eq!(came(&host), (vec![], Some(TOO_BIG)));
}

// R7692-8 R10.4-1
#[test]
fn what_does_not_become_shorter_may_take_a_little_more_than_the_limit_on_the_wire() {
    let config = limited(1_000);
    let message = noise(1_000);
    // Stored blocks of one byte take six each; of eight, thirteen.
    let stored = |size: usize| -> Vec<u8> {
        let blocks = message.chunks(size).flat_map(|chunk| {
            let len = u16::try_from(chunk.len()).unwrap();
            [&[0x00][..], &len.to_le_bytes(), &(!len).to_le_bytes(), chunk].concat()
        });
        blocks.chain([0x00]).collect()
    };
    let some = stored(50);
    assert!((1_101..=1_189).contains(&some.len()));
    assert_eq!(told(&config, &alone(), &[(COMPRESSED_BINARY, &some)]), [Told::Binary(message.clone())]);
    // An eighth and 64 bytes more is all.
    let most = 1_000 + 125 + 64;
    let padded = |len: usize| [&[0x00, 0x00, 0x00, 0xFF, 0xFF].repeat(300)[..len - len % 5], &[0x00]].concat();
    assert_eq!(told(&config, &alone(), &[(COMPRESSED_BINARY, &padded(most - 1))]), [Told::Binary(vec![])]);
    let over = error(&config, &alone(), &[(COMPRESSED_BINARY, &vec![0; most + 1])]);
    assert_eq!(over, ReceiveErrorKind::FrameTooBig);
    let over = error(&config, &alone(), &[(RSV1 | BINARY, &padded(most - 9)), (FIN, &[0; 20])]);
    assert_eq!(over, ReceiveErrorKind::MessageTooBig);
    // Not so for plain messages.
    assert_eq!(error(&config, &alone(), &[(FIN | BINARY, &vec![0; 1_001])]), ReceiveErrorKind::FrameTooBig);
}

// R10.4-1 R7692-8
#[test]
fn fragments_of_compressed_messages_are_limited_like_any() {
    let mut config = bare_config();
    config.max_fragments = Some(3);
    let frames: &[(u8, &[u8])] =
        &[(RSV1 | TEXT, &HELLO[..2]), (0, &HELLO[2..3]), (0, &HELLO[3..4]), (0, &HELLO[4..])];
    assert_eq!(error(&config, &takeover(), frames), ReceiveErrorKind::TooManyFragments);
    config.max_fragments = None;
    config.max_empty_fragments = 1;
    let frames: &[(u8, &[u8])] = &[(RSV1 | TEXT, b""), (0, b"")];
    assert_eq!(error(&config, &takeover(), frames), ReceiveErrorKind::TooManyEmptyFragments);
}

#[test]
fn fragments_that_inflate_to_nothing_take_no_stack() {
    let wire: Vec<u8> =
        (0..10_000_usize).flat_map(|i| masked(0, &[[0x00, 0x00, 0xFF, 0xFF, 0x00][i % 5]])).collect();
    let wire = [masked(RSV1 | BINARY, &[0x00]), wire, masked(FIN, &[0x00; 0])].concat();
    let receive = move || {
        let mut host = deflating_server(&bare_config(), &takeover());
        let mut buffer = MessageBuffer::new(Vec::new());
        wire.chunks(60_000).for_each(|piece| host.receive_in_parts(&mut buffer, piece));
        came(&host)
    };
    let small = std::thread::Builder::new().stack_size(128 * 1024).spawn(receive).unwrap();
    assert_eq!(small.join().unwrap(), (vec![Told::Binary(vec![])], None));
}

/// Receives a compressed message under limits of its own, by each way of receiving to a buffer.
fn under(limits: InflateLimits, payload: &[u8]) -> [(Vec<Told>, Option<ReceiveErrorKind>); 2] {
    let mut config = bare_config();
    config.max_message_len = 4 << 20;
    let wire = masked(COMPRESSED_BINARY, payload);
    let buffer = || {
        let mut buffer = MessageBuffer::new(Vec::new());
        buffer.set_inflate_limits(limits);
        buffer
    };
    let mut host = deflating_server(&config, &alone());
    host.receive_buffered(&mut buffer(), &wire);
    let mut parts = deflating_server(&config, &alone());
    parts.receive_in_parts(&mut buffer(), &wire);
    [came(&host), came(&parts)]
}

// R7692-8 R10.4-1
#[test]
fn a_limit_of_its_own_counts_what_is_inflated_of_a_message() {
    let mut limits = InflateLimits::new();
    limits.max_len = Some(100_000);
    let compressed = |len| Compressor::new(&takeover()).payload(&vec![b'a'; len]);
    for (told, error) in under(limits, &compressed(100_000)) {
        assert_eq!((error, told.len()), (None, 1));
    }
    for (_, error) in under(limits, &compressed(100_001)) {
        assert_eq!(error, Some(TOO_BIG));
    }
    // It raises nothing.
    limits.max_len = Some(u64::MAX);
    for (_, error) in under(limits, &compressed((4 << 20) + 1)) {
        assert_eq!(error, Some(TOO_BIG));
    }
}

// R7692-8 R10.4-1
#[test]
fn a_message_that_inflates_too_much_fails_with_1008_unless_it_is_short() {
    let mut limits = InflateLimits::new();
    limits.max_ratio = NonZeroU32::new(20);
    let compressed = |message: &[u8]| Compressor::new(&takeover()).payload(message);
    let from = usize::try_from(InflateLimits::RATIO_FROM).unwrap();
    let long = noise(1 << 20);
    for message in [&vec![b' '; from][..], &long] {
        for (told, error) in under(limits, &compressed(message)) {
            assert_eq!((told.len(), error), (1, None));
        }
    }
    for (_, error) in under(limits, &compressed(&vec![b' '; from + 1])) {
        assert_eq!(error, Some(ReceiveErrorKind::Fault(Fault::InflatesTooMuch)));
        assert_eq!(error.unwrap().close_code(), CloseCode::POLICY_VIOLATION);
    }
    // The ratio is exact.
    let spaces = compressed(&vec![b' '; 100_000]);
    let ratio = u32::try_from(100_000_usize.div_ceil(spaces.len())).unwrap();
    for (ratio, fits) in [(ratio, true), (ratio - 1, false)] {
        limits.max_ratio = NonZeroU32::new(ratio);
        for (_, error) in under(limits, &spaces) {
            assert_eq!(error.is_none(), fits, "{ratio}");
        }
    }
}
