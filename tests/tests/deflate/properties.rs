//! Random messages, settings, cuts and damage: all ways of receiving agree.

use proptest::{collection::vec, prelude::*, sample::Index};
use ws_proto::{
    Config, Endpoint, Instant, Message, MessageBuffer, MessageKind, Part, Server,
    deflate::{Deflater, Settings, WindowBits},
    role::Role,
};
use ws_tests::{
    Compressor, FIN, Host, PING, RSV1, TEXT, Told, agreed, bare_config, deflating_server, masked, noise,
    two_way_splits,
};

use super::{
    COMPRESSED_BINARY, COMPRESSED_TEXT, CORRUPT, Came, HELLO_FINAL, HELLO_STORED, Inflating, by_next, by_next_in,
    by_receive, came, in_parts, limited, takeover,
};

fn cases(count: u32) -> ProptestConfig {
    ProptestConfig { cases: count, failure_persistence: None, ..ProptestConfig::default() }
}

fn any_settings() -> impl Strategy<Value = Settings> {
    (any::<[bool; 2]>(), [9..=15_u8, 9..=15], 0..=9_u8, 1..=9_u8, 0..200_usize).prop_map(
        |(takeover, bits, level, memory_level, threshold)| {
            let mut settings = Settings::balanced();
            [settings.server_no_context_takeover, settings.client_no_context_takeover] = takeover;
            let [server, client] = bits.map(|bits| WindowBits::new(bits).expect("a window"));
            (settings.server_max_window_bits, settings.client_max_window_bits) = (server, client);
            (settings.level, settings.memory_level, settings.threshold) = (level, memory_level, threshold);
            settings
        },
    )
}

/// How a message is sent.
#[derive(Clone, Debug)]
enum How {
    Whole,
    Plain,
    Parts(Vec<Index>),
}

fn any_message() -> impl Strategy<Value = (How, Vec<u8>)> {
    let payload = prop_oneof![
        vec(any::<u8>(), 0..300),
        "[a-c ]{0,200}".prop_map(String::into_bytes),
        "\\PC{0,100}".prop_map(String::into_bytes),
        (vec(any::<u8>(), 1..20), 1..2_000_usize).prop_map(|(bytes, times)| bytes.repeat(times)),
        (0..70_000_usize).prop_map(noise),
    ];
    let how = prop_oneof![
        3 => Just(How::Whole),
        1 => Just(How::Plain),
        2 => vec(any::<Index>(), 0..4).prop_map(How::Parts),
    ];
    (how, payload)
}

fn write<R: Role>(host: &mut Host<R>, deflater: &mut Deflater, how: &How, payload: &[u8]) -> Told {
    let message = Message::new(MessageKind::Text, payload).unwrap_or(Message::Binary(payload));
    let Host { endpoint, output, .. } = host;
    match how {
        How::Whole => endpoint.write_deflated_to(message, deflater, output).unwrap(),
        How::Plain => endpoint.write_to(message, output).unwrap(),
        How::Parts(cuts) => {
            let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(payload.len() + 1)).collect();
            cuts.sort_unstable();
            let mut begin = 0;
            for (index, end) in cuts.iter().enumerate() {
                let part = if index == 0 { Part::First } else { Part::Middle };
                endpoint
                    .write_part_deflated_to(message.kind(), part, &payload[begin..*end], deflater, output)
                    .unwrap();
                begin = *end;
            }
            let part = if cuts.is_empty() { Part::Whole } else { Part::Last };
            endpoint.write_part_deflated_to(message.kind(), part, &payload[begin..], deflater, output).unwrap();
        }
    }
    Told::message(message.kind(), payload.into())
}

fn heard<R: Role>(mut far: Host<R>, wire: &[u8], places: &[Index], way: u8, config: &Config) -> Came {
    let mut cuts: Vec<_> = places.iter().map(|place| place.index(wire.len() + 1)).collect();
    cuts.extend([0, wire.len()]);
    cuts.sort_unstable();
    let mut buffer = MessageBuffer::new(Vec::new());
    let mut inflating = Inflating::new(&far, config);
    for piece in cuts.windows(2).map(|cut| &wire[cut[0]..cut[1]]) {
        match way {
            0 => far.receive_buffered(&mut buffer, piece),
            1 => far.receive_shared(&mut buffer, piece),
            2 => far.receive_in_parts(&mut buffer, piece),
            _ => inflating.receive(&mut far, piece),
        }
    }
    came(&far)
}

// R7692-6.1 R7692-7.2.1 R7692-7.2.2 R7692-7.2.3
proptest! {
    #![proptest_config(cases(60))]

    #[test]
    fn whatever_was_agreed_on_what_is_sent_is_told(
        settings in [any_settings(), any_settings()],
        messages in vec(any_message(), 1..8),
        places in vec(any::<Index>(), 0..6),
        way in 0..4_u8,
    ) {
        let config = bare_config();
        let [near, far] = agreed(&settings[0], &settings[1]);
        let role = ws_proto::Client::new(ws_tests::Keys::Counted(3));
        let client = || Host::new(Endpoint::new(role.clone(), &config, near, Instant::ZERO));
        let server = || Host::new(Endpoint::new(Server, &config, far, Instant::ZERO));

        let (mut host, mut deflater) = (client(), Deflater::new(settings[0]));
        let told: Vec<_> = messages.iter().map(|(how, payload)| write(&mut host, &mut deflater, how, payload)).collect();
        prop_assert_eq!(heard(server(), &host.output, &places, way, &config), (told, None));

        let (mut host, mut deflater) = (server(), Deflater::new(settings[1]));
        let told: Vec<_> = messages.iter().map(|(how, payload)| write(&mut host, &mut deflater, how, payload)).collect();
        prop_assert_eq!(heard(client(), &host.output, &places, way, &config), (told, None));
    }

    #[test]
    fn corrupt_bytes_fail_alike_however_they_are_cut(
        message in vec(any::<u8>(), 0..200),
        damage in vec((any::<Index>(), any::<u8>()), 1..4),
        places in vec(any::<Index>(), 0..6),
    ) {
        let config = limited(1_000);
        let mut payload = Compressor::new(&takeover()).payload(&message.repeat(2));
        for (place, byte) in damage {
            let at = place.index(payload.len());
            payload[at] = byte;
        }
        let wire = [masked(COMPRESSED_BINARY, &payload), masked(COMPRESSED_BINARY, &[0x00])].concat();
        let whole = by_next(&config, &takeover(), &[&wire]);
        for way in 0..4 {
            prop_assert_eq!(heard(deflating_server(&config, &takeover()), &wire, &places, way, &config), whole.clone());
        }
    }
}

// R7692-7.2.2
#[test]
fn a_wire_cut_anywhere_gives_the_same() {
    let mut compressor = Compressor::new(&takeover());
    let long = compressor.frames(MessageKind::Text, &[b"some words, some more words, ", b"and a few", b""]);
    let wire = [
        masked(COMPRESSED_TEXT, HELLO_FINAL),
        masked(RSV1 | TEXT, &long[0]),
        masked(PING, b"p"),
        masked(0, &long[1]),
        masked(FIN, &long[2]),
        masked(FIN | TEXT, b"plain"),
        masked(COMPRESSED_TEXT, HELLO_STORED),
        masked(COMPRESSED_TEXT, &[0x07]),
    ]
    .concat();
    let whole = by_next(&bare_config(), &takeover(), &[&wire]);
    assert_eq!((whole.0.len(), whole.1), (5, Some(CORRUPT)));
    for [head, tail] in two_way_splits(&wire) {
        let pieces = &[head, tail];
        assert_eq!(by_next(&bare_config(), &takeover(), pieces), whole);
        assert_eq!(by_next_in(&bare_config(), &takeover(), pieces), whole);
        assert_eq!(in_parts(&bare_config(), &takeover(), pieces), whole);
        assert_eq!(by_receive(&bare_config(), &takeover(), pieces), whole);
    }
    let bytes: Vec<&[u8]> = wire.chunks(1).collect();
    for way in [by_next, by_next_in, in_parts, by_receive] {
        assert_eq!(way(&bare_config(), &takeover(), &bytes), whole);
    }
}
