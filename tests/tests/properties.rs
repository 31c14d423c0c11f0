//! Any split gives the same outcome; what is encoded is decoded; time may jump.

use std::time::Duration;

use proptest::{collection::vec, prelude::*, sample::Index};
use ws_proto::{
    Config, Instant, MessageBuffer, MessageKind, Part,
    error::Fault,
    host::Deadlines,
    role::{Role, Side},
};
use ws_tests::{
    BINARY, CLOSE, CONTINUATION, FIN, Host, Outcome, PING, PONG, Pair, Say, TEXT, bare_config, client, from_peer,
    hostile_inputs, noise, server, told_of, two_way_splits,
};

fn cases(count: u32) -> ProptestConfig {
    ProptestConfig { cases: count, failure_persistence: None, ..ProptestConfig::default() }
}

/// Limits small enough to be met by what the strategies make.
fn config() -> Config {
    let mut config = bare_config();
    config.max_message_len = 600;
    config.max_frame_len = Some(400);
    config.max_fragments = Some(12);
    config.max_empty_fragments = 3;
    config
}

/// Cuts `bytes` at these places.
fn cut<'b>(bytes: &'b [u8], places: &[Index]) -> Vec<&'b [u8]> {
    let mut cuts: Vec<_> = places.iter().map(|place| place.index(bytes.len() + 1)).collect();
    cuts.sort_unstable();
    cuts.push(bytes.len());
    let mut begin = 0;
    cuts.into_iter().map(|end| &bytes[std::mem::replace(&mut begin, end)..end]).collect()
}

fn streamed<R: Role>(mut host: Host<R>, pieces: &[&[u8]]) -> Outcome {
    for piece in pieces {
        host.receive(piece);
    }
    host.outcome()
}

fn buffered<R: Role>(mut host: Host<R>, pieces: &[&[u8]]) -> Outcome {
    let mut buffer = MessageBuffer::new(Vec::new());
    for piece in pieces {
        host.receive_buffered(&mut buffer, piece);
    }
    host.outcome()
}

fn shared<R: Role>(mut host: Host<R>, pieces: &[&[u8]]) -> Outcome {
    let mut storage = [0; 700];
    let mut buffer = MessageBuffer::new(&mut storage[..]);
    for piece in pieces {
        host.receive_shared(&mut buffer, piece);
    }
    host.outcome()
}

fn in_parts<R: Role>(mut host: Host<R>, pieces: &[&[u8]]) -> Outcome {
    let mut storage = [0; 20];
    let mut buffer = MessageBuffer::new(&mut storage[..]);
    for piece in pieces {
        host.receive_in_parts(&mut buffer, piece);
    }
    host.outcome()
}

/// What a `MessageBuffer` can tell: no parts of an unfinished message.
fn whole(outcome: Outcome) -> Outcome {
    Outcome { unfinished: None, ..outcome }
}

fn check_split<R: Role>(new: impl Fn() -> Host<R>, bytes: &[u8], pieces: &[&[u8]]) {
    let expected = streamed(new(), &[bytes]);
    assert_eq!(streamed(new(), pieces), expected, "streamed in {pieces:02x?}");
    assert_eq!(in_parts(new(), pieces), expected, "in parts in {pieces:02x?}");
    let expected = whole(expected);
    assert_eq!(buffered(new(), &[bytes]), expected, "buffered");
    assert_eq!(shared(new(), &[bytes]), expected, "shared");
    assert_eq!(buffered(new(), pieces), expected, "buffered in {pieces:02x?}");
    assert_eq!(shared(new(), pieces), expected, "shared in {pieces:02x?}");
}

fn check_split_on(side: Side, bytes: &[u8], pieces: &[&[u8]]) {
    match side {
        Side::Client => check_split(|| client(&config()), bytes, pieces),
        Side::Server => check_split(|| server(&config()), bytes, pieces),
    }
}

fn sides() -> impl Strategy<Value = Side> {
    prop_oneof![Just(Side::Client), Just(Side::Server)]
}

fn places() -> impl Strategy<Value = Vec<Index>> {
    vec(any::<Index>(), 0..8)
}

/// Text, often valid, often cut inside a character.
fn text() -> impl Strategy<Value = Vec<u8>> {
    let pieces = prop_oneof![
        5 => Just("a".as_bytes().to_vec()),
        3 => Just("é中🦀".as_bytes().to_vec()),
        1 => Just(b"\xE2\x82".to_vec()),
        1 => Just(b"\xAC".to_vec()),
        1 => Just("long enough to be worth a vector register or two ".repeat(3).into_bytes()),
    ];
    vec(pieces, 0..4).prop_map(|pieces| pieces.concat())
}

/// The first byte and the payload of a frame that is mostly in order.
fn frames() -> impl Strategy<Value = (u8, Vec<u8>)> {
    let control = vec(any::<u8>(), 0..20);
    prop_oneof![
        6 => (Just(FIN | TEXT), text()),
        3 => (Just(TEXT), text()),
        4 => (Just(CONTINUATION), text()),
        4 => (Just(FIN | CONTINUATION), text()),
        4 => (Just(FIN | BINARY), vec(any::<u8>(), 0..200)),
        2 => (Just(BINARY), vec(any::<u8>(), 0..150)),
        4 => (Just(PING), control.clone()),
        3 => (Just(PONG), control),
        1 => (Just(CLOSE), prop_oneof![Just(vec![]), Just(vec![3, 0xE8]), Just(vec![3, 0xE8, 0xC3, 0xA9]), vec(any::<u8>(), 1..4)]),
        1 => (any::<u8>(), vec(any::<u8>(), 0..10)),
    ]
}

proptest! {
    #![proptest_config(cases(2000))]

    // R5.4-1 R5.3-2 R6.2-1
    #[test]
    fn any_split_of_any_bytes_gives_the_same_outcome(side in sides(), bytes in vec(any::<u8>(), 0..60), places in places()) {
        check_split_on(side, &bytes, &cut(&bytes, &places));
    }

    // R5.4-1 R5.4-2 R5.3-2 R6.2-1 R8.1-1
    #[test]
    fn any_split_of_a_stream_of_frames_gives_the_same_outcome(side in sides(), frames in vec(frames(), 0..16), places in places()) {
        let bytes: Vec<u8> = frames.iter().flat_map(|(first, payload)| from_peer(side, *first, payload)).collect();
        check_split_on(side, &bytes, &cut(&bytes, &places));
    }
}

// R5.4-1 R6.2-1 R10.1-1
#[test]
fn any_split_of_a_hostile_input_gives_the_same_outcome() {
    for side in [Side::Client, Side::Server] {
        for bytes in hostile_inputs(side) {
            let bytes = &bytes[..bytes.len().min(3000)];
            check_split_on(side, bytes, &bytes.chunks(1).collect::<Vec<_>>());
            for halves in two_way_splits(bytes).take(20) {
                check_split_on(side, bytes, &halves);
            }
        }
    }
}

/// Messages in random parts with control frames between them; texts are cut anywhere.
fn said() -> impl Strategy<Value = Vec<Say>> {
    let control = || {
        prop_oneof![vec(any::<u8>(), 0..=125).prop_map(Say::Ping), vec(any::<u8>(), 0..=125).prop_map(Say::Pong),]
    };
    let message = prop_oneof![
        any::<String>().prop_map(|text| (MessageKind::Text, text.into_bytes())),
        (0_usize..400).prop_map(|len| (MessageKind::Binary, noise(len))),
    ];
    let message = (message, places(), vec(proptest::option::of(control()), 10)).prop_map(
        |((kind, payload), places, controls)| {
            let pieces = cut(&payload, &places);
            let last = pieces.len() - 1;
            let mut said = Vec::new();
            for (i, (piece, control)) in pieces.into_iter().zip(controls).enumerate() {
                let part = match (i == 0, i == last) {
                    (true, true) => Part::Whole,
                    (true, false) => Part::First,
                    (false, false) => Part::Middle,
                    (false, true) => Part::Last,
                };
                said.push(Say::Part(kind, part, piece.into()));
                said.extend(control);
            }
            said
        },
    );
    (vec(message, 0..5), any::<bool>()).prop_map(|(messages, close)| {
        let mut said = messages.concat();
        if close {
            said.push(Say::Close(Some(4321), "é"));
        }
        said
    })
}

fn check_round_trip(said: &[Say], read_len: usize) {
    let mut pair = Pair { read_len, ..Pair::new(&bare_config()) };
    for say in said {
        say.by(&mut pair.client).unwrap();
    }
    pair.deliver();
    assert_eq!(pair.server.told, told_of(said));
    let mut pair = Pair { read_len, ..Pair::new(&bare_config()) };
    for say in said {
        say.by(&mut pair.server).unwrap();
    }
    pair.deliver();
    let pings = said.iter().filter(|say| matches!(say, Say::Ping(_))).count();
    assert_eq!(pair.client.told, told_of(said));
    // Every Ping came back, unless the Close had been sent before.
    if !said.iter().any(|say| matches!(say, Say::Close(..))) {
        assert_eq!(pair.server.told.len(), pings);
    }
}

/// Something that happens at a random time.
#[derive(Clone, Debug)]
enum Happening {
    Clock(u64),
    Handle,
    Receive(u8, Vec<u8>),
    Bytes(Vec<u8>),
    Say(Say),
    Fail,
    Eof,
}

fn happenings() -> impl Strategy<Value = Happening> {
    let times = prop_oneof![any::<u64>(), (0_u64..120_000_000_000), Just(0), Just(u64::MAX), Just(u64::MAX - 1),];
    prop_oneof![
        6 => times.prop_map(Happening::Clock),
        6 => Just(Happening::Handle),
        4 => frames().prop_map(|(first, payload)| Happening::Receive(first, payload)),
        1 => vec(any::<u8>(), 0..10).prop_map(Happening::Bytes),
        2 => Just(Happening::Say(Say::text("x"))),
        1 => Just(Happening::Say(Say::Close(None, ""))),
        1 => Just(Happening::Say(Say::Ping(vec![1]))),
        1 => Just(Happening::Fail),
        1 => Just(Happening::Eof),
    ]
}

/// Handles what is due, after which nothing is: no driver spins.
fn handle_all<R: Role>(host: &mut Host<R>) {
    for _ in 0..3 {
        host.handle_timeout();
    }
    // At the end of time every deadline saturates.
    let is_end = host.now.as_nanos() > u64::MAX / 2;
    assert!(is_end || host.endpoint.poll_timeout().is_none_or(|deadline| deadline > host.now));
}

fn happen<R: Role>(mut host: Host<R>, happenings: &[Happening]) {
    for happening in happenings {
        match happening {
            Happening::Clock(nanos) => host.now = Instant::from_nanos(*nanos),
            Happening::Handle => handle_all(&mut host),
            Happening::Receive(first, payload) => host.receive_frame(*first, payload),
            Happening::Bytes(bytes) => host.receive(bytes),
            Happening::Say(say) => {
                let _ = say.by(&mut host);
            }
            Happening::Fail => {
                host.endpoint.fail(host.now, Fault::Internal);
                host.transmit();
            }
            Happening::Eof => host.receive_eof(),
        }
        assert!(host.shutdowns <= 1);
        let closed = matches!(host.endpoint.state(), ws_proto::State::Closed(_));
        assert!(!closed || host.endpoint.poll_timeout().is_none());
    }
}

proptest! {
    #![proptest_config(cases(800))]

    // R5.1-1 R5.1-3 R5.2-4 R5.4-1 R5.4-2 R6.1-1 R6.2-1
    #[test]
    fn what_is_encoded_is_decoded(said in said(), read_len in prop_oneof![1_usize..40, Just(usize::MAX)]) {
        check_round_trip(&said, read_len);
    }

    #[test]
    fn whatever_happens_whenever_nothing_panics_and_shutdown_comes_once(
        happenings in vec(happenings(), 0..40),
        idle in proptest::option::of(any::<u32>()),
    ) {
        let mut config = Config::default();
        config.idle_timeout = idle.map(|millis| Duration::from_millis(millis.into()));
        happen(client(&config), &happenings);
        happen(server(&config), &happenings);
    }
}

/// What may be done with the deadlines of eight connections, one millisecond after the other.
fn armings() -> impl Strategy<Value = Vec<(usize, Option<u64>)>> {
    vec((0..8_usize, proptest::option::of(0..50_u64)), 0..600)
}

proptest! {
    #![proptest_config(cases(200))]

    #[test]
    fn each_deadline_comes_up_in_time_once_and_not_after_it_was_disarmed(armings in armings()) {
        // K-deadlines
        let mut deadlines = Deadlines::new();
        let mut armed = [None; 8];
        for (millis, (id, after)) in armings.into_iter().enumerate() {
            let now = Instant::from_millis(millis as u64);
            armed[id] = after.map(|after| now.saturating_add(Duration::from_millis(after)));
            deadlines.arm(id, armed[id]);
            let first = armed.iter().flatten().min();
            prop_assert!(first.is_none_or(|first| deadlines.wait(now) <= Some(first.saturating_duration_since(now))));
            while let Some(id) = deadlines.pop(now) {
                match armed[id] {
                    Some(deadline) if deadline <= now => armed[id] = None,
                    // Too early, because it was moved to later.
                    Some(deadline) => deadlines.arm(id, Some(deadline)),
                    None => prop_assert!(false, "{id} is not armed"),
                }
            }
            prop_assert!(armed.iter().flatten().all(|deadline| *deadline > now), "missed");
        }
    }
}

// K-deadlines
#[test]
fn connections_that_come_and_go_leave_no_deadlines_behind() {
    let mut deadlines = Deadlines::with_capacity(64);
    let before = format!("{deadlines:?}").len();
    for millis in 0..100_000 {
        deadlines.arm(0, Some(Instant::from_millis(200_000 - millis)));
        deadlines.arm(0, None);
    }
    assert!(format!("{deadlines:?}").len() < before + 64 * 100);
    assert_eq!(deadlines.pop(Instant::from_millis(u64::MAX / 1_000_000)), None);
}
