//! What compression holds: as much as it says, and of a bomb no more than the limit.

use ws_proto::{
    Config, Instant, Message, MessageBuffer,
    deflate::{Deflater, INFLATER_BYTES, Inflater, WindowBits},
    error::{Fault, ReceiveErrorKind},
    role::Side,
};
use ws_tests::{
    BINARY, Compressor, Counting, FIN, RSV1, bare_config, deflating_client, deflating_server, growth, inflated,
    masked, noise, read, symmetric,
};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// `told` is no less than what is really there, and at most 15 % more.
fn is_honest(told: usize, real: usize, what: &str) {
    println!("{what}: {told} told, {real} held");
    assert!(told >= real, "{what}: {told} bytes told, {real} held");
    assert!(told * 100 <= real * 115, "{what}: {told} bytes told, {real} held");
}

#[test]
fn the_counter_counts() {
    let (kept, held, most) = growth(|| {
        drop(std::hint::black_box(vec![0_u8; 1_000]));
        vec![0_u8; 100]
    });
    assert_eq!((kept.len(), held, most), (100, 100, 1_000));
}

#[test]
fn a_deflater_takes_what_its_settings_say() {
    let message = [noise(10_000), vec![b'x'; 2_000]].concat();
    let mut out = Vec::with_capacity(30_000);
    for bits in 9..=15 {
        for memory_level in 1..=9 {
            for level in [1, 9] {
                let mut settings = symmetric(bits, true);
                (settings.memory_level, settings.level) = (memory_level, level);
                let mut host = deflating_server(&bare_config(), &settings);
                let mut deflater = Deflater::new(settings);
                assert_eq!(deflater.held_bytes(), 0);
                let ((), held, most) = growth(|| {
                    out.clear();
                    host.endpoint.write_deflated_to(Message::Binary(&message), &mut deflater, &mut out).unwrap();
                });
                let what = format!("window {bits}, memory level {memory_level}, level {level}");
                is_honest(settings.deflater_bytes(Side::Server), held, &what);
                assert_eq!(deflater.held_bytes(), settings.deflater_bytes(Side::Server));
                assert!(most <= deflater.held_bytes(), "{most} meanwhile");
                let ((), freed, _) = growth(|| drop(deflater));
                assert_eq!(freed, 0);
            }
        }
    }
}

#[test]
fn an_inflater_takes_what_it_says() {
    for bits in [9, 12, 15] {
        let message = noise(100_000);
        let payload = Compressor::new(&symmetric(bits, true)).payload(&message);
        let mut out = vec![0; 200_000];
        let mut inflater = Inflater::new();
        let (made, held, most) = growth(|| inflater.inflate(&mut &payload[..], &mut out));
        assert_eq!(made, Ok(message.len()));
        is_honest(INFLATER_BYTES, held, "inflater");
        assert_eq!(inflater.held_bytes(), INFLATER_BYTES);
        assert!(most <= INFLATER_BYTES);
        // Forgetting takes and frees nothing.
        let ((), held, most) = growth(|| inflater.forget());
        assert_eq!((held, most, inflater.held_bytes()), (0, 0, INFLATER_BYTES));
    }
}

#[test]
fn a_message_buffer_tells_what_it_holds() {
    let settings = symmetric(15, true);
    let mut compressor = Compressor::new(&settings);
    for len in [1, 1_000, 20_000, 100_000, 500_000, 10] {
        let payload = compressor.payload(&vec![b'a'; len]);
        let wire = masked(FIN | RSV1 | BINARY, &payload);
        let mut host = deflating_server(&bare_config(), &settings);
        let mut buffer = MessageBuffer::new(Vec::new());
        // The history that is referred to is this host's own.
        compressor = Compressor::new(&settings);
        let ((), held, _) = growth(|| {
            assert!(read(&mut buffer, &host.endpoint, &wire).is_empty());
            assert!(buffer.next(&mut host.endpoint, Instant::ZERO).unwrap().is_some());
        });
        is_honest(buffer.held_bytes(), held, &format!("buffer with a message of {len}"));
        // What a big message needed is given back when it has been taken.
        assert!(buffer.next(&mut host.endpoint, Instant::ZERO).unwrap().is_none());
        assert!(buffer.held_bytes() <= INFLATER_BYTES + 2 * 16 * 1024, "{}", buffer.held_bytes());
    }
}

#[test]
fn what_a_connection_takes_at_most_is_known_before() {
    let mut config = bare_config();
    config.max_message_len = 300_000;
    for bits in [9, 12, 15] {
        let settings = symmetric(bits, true);
        let bound = settings.connection_bytes(Side::Server, &config);
        let mut host = deflating_server(&config, &settings);
        let mut deflater = Deflater::new(settings);
        let mut buffer = MessageBuffer::new(Vec::new());
        let wire = masked(FIN | RSV1 | BINARY, &Compressor::new(&settings).payload(&noise(300_000)));
        let mut out = Vec::with_capacity(400_000);
        let ((), _, most) = growth(|| {
            let mut rest = &wire[..];
            while !rest.is_empty() {
                rest = read(&mut buffer, &host.endpoint, rest);
                if buffer.next(&mut host.endpoint, Instant::ZERO).unwrap().is_some() {
                    host.endpoint.write_deflated_to(buffer.message().unwrap(), &mut deflater, &mut out).unwrap();
                }
            }
        });
        println!("{bits} bits: {bound} told, {most} held");
        assert!(most <= bound, "{bits} bits: {bound} told, {most} held");
    }
}

/// The wire bytes of one message that would be 4 GiB of zeros, in 4 MiB: a little of it again and again.
fn bomb() -> Vec<u8> {
    let mut compressor = Compressor::new(&symmetric(15, true));
    // From the second piece on each refers to the zeros before it, and is the same as the one before.
    let zeros = vec![0; 1 << 20];
    let pieces = compressor.frames(ws_proto::MessageKind::Binary, &[&zeros, &zeros, &zeros, &[]]);
    assert_eq!(pieces[1], pieces[2]);
    let payload = [&pieces[0][..], &pieces[1].repeat(4_095), &[0x00]].concat();
    assert!((4_000_000..4_500_000).contains(&payload.len()), "{}", payload.len());
    payload
}

// R7692-8 R10.4-1
#[test]
fn a_bomb_ends_with_1009_and_takes_no_more_than_the_limit() {
    let payload = bomb();
    for limit in [0_usize, 1_000, 100_000, 1 << 20, 4 << 20] {
        let mut config = Config::default();
        config.max_message_len = limit as u64;
        for shared in [false, true] {
            let mut host = deflating_server(&config, &symmetric(15, true));
            let mut buffer = MessageBuffer::new(Vec::new());
            // In frames that each are within the limit on the wire.
            let mut error = None;
            let mut taken = 0;
            let mut most_held = 0;
            for (index, piece) in payload.chunks((limit + limit / 8 + 64).min(50_000)).enumerate() {
                let mut wire = masked(if index == 0 { RSV1 | BINARY } else { 0 }, piece);
                let (before, _, most) = growth(|| {
                    let held = buffer.held_bytes();
                    let found = if shared {
                        buffer
                            .next_in(&mut host.endpoint, Instant::ZERO, &mut &mut wire[..])
                            .map(|found| found.is_some())
                    } else {
                        let mut rest = &wire[..];
                        let mut found = Ok(false);
                        while !rest.is_empty() && found == Ok(false) {
                            rest = read(&mut buffer, &host.endpoint, rest);
                            found = buffer.next(&mut host.endpoint, Instant::ZERO).map(|found| found.is_some());
                        }
                        found
                    };
                    error = found.err();
                    held
                });
                taken += piece.len();
                most_held = most_held.max(before + most);
                if error.is_some() {
                    break;
                }
            }
            assert_eq!(error.map(|error| error.kind()), Some(ReceiveErrorKind::Fault(Fault::MessageTooBig)));
            // Stopped at once: a byte of a bomb is a KiB of zeros.
            assert!(taken <= limit / 1_000 + 60_000, "{taken} bytes were taken");
            // Storage that is read to is 64 KiB at most.
            let bound = limit + 64 * 1024 + INFLATER_BYTES + if shared { 1_024 } else { 64 * 1024 };
            println!("limit {limit}: {most_held} of {bound}");
            assert!(most_held <= bound, "limit {limit}: {most_held} of {bound}");
            assert_eq!(buffer.held_bytes(), 0, "nothing is kept of a connection that has failed");
        }
    }
}

// R7692-8
#[test]
fn a_bomb_can_be_had_in_pieces_of_64_kib() {
    let payload = bomb();
    let mut config = Config::default();
    config.max_message_len = 100 << 20;
    let mut host = deflating_server(&config, &symmetric(15, true));
    let mut buffer = MessageBuffer::new(Vec::new());
    let mut total = 0_u64;
    let wire = masked(RSV1 | BINARY, &payload[..200_000]);
    let (error, _, most) = growth(|| {
        for piece in wire.chunks(10_000) {
            let mut rest = piece;
            while !rest.is_empty() {
                rest = read(&mut buffer, &host.endpoint, rest);
                loop {
                    match buffer.next_part(&mut host.endpoint, Instant::ZERO) {
                        Ok(Some(_)) => total += buffer.take_part().map_or(0, |part| part.as_bytes().len() as u64),
                        Ok(None) => break,
                        Err(error) => return Some(error.kind()),
                    }
                }
            }
        }
        None
    });
    assert_eq!(error, Some(ReceiveErrorKind::Fault(Fault::MessageTooBig)));
    assert!(((100 << 20) - (64 << 10)..=100 << 20).contains(&total), "{total}");
    assert!(most <= 2 * 64 * 1024 + INFLATER_BYTES + 1_024, "{most}");
}

#[test]
fn an_idle_connection_without_takeover_holds_nothing_once_its_inflater_is_taken() {
    let settings = symmetric(10, false);
    let mut host = deflating_client(&bare_config(), &settings);
    let mut buffer = MessageBuffer::new(Vec::new());
    let payload = Compressor::new(&settings).payload(&vec![b'a'; 10_000]);
    let frame = host.peer_frame(FIN | RSV1 | BINARY, &payload);
    host.told.reserve(4);
    let (inflater, held, _) = growth(|| {
        host.receive_shared(&mut buffer, &frame);
        host.told.clear();
        buffer.take_inflater()
    });
    assert!(held > 0 && inflater.is_some());
    let ((), _, _) = growth(|| drop(inflater));
    assert_eq!(buffer.held_bytes(), 0);
    let mut fresh = Inflater::new();
    assert_eq!(inflated(&mut fresh, true, &payload, 100).map(|message| message.len()), Ok(10_000));
    assert_eq!(
        Deflater::new(settings).prepare("a".repeat(500).as_str().into(), WindowBits::MAX).slices()[0][0],
        0xC1
    );
}
