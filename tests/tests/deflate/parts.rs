//! Sending a compressed message in parts.

use ws_proto::{CloseCode, Instant, Message, MessageKind, Part, SendError, deflate::Deflater};
use ws_tests::{RSV1, Told, bare_config, deflating_server, noise, symmetric};

use super::{Sending, alone, came, takeover, text};

// R7692-6.1 R7692-7.2.1
#[test]
fn each_part_can_be_inflated_as_soon_as_it_arrives() {
    for settings in [takeover(), alone(), symmetric(9, true)] {
        let mut sending = Sending::new(&settings);
        for round in 0..3 {
            let parts = [&b"first "[..], b"", &noise(40_000), b"x", b"last"];
            let mut arrived = Vec::new();
            for (index, payload) in parts.iter().enumerate() {
                let part = [Part::First, Part::Middle, Part::Middle, Part::Middle, Part::Last][index];
                let wire = sending.part(MessageKind::Binary, part, payload).unwrap();
                let rsv1 = if index == 0 { RSV1 } else { 0 };
                assert_eq!(wire[0] & RSV1, rsv1, "round {round}");
                sending.far.receive_in_parts(&mut sending.buffer, &wire);
                arrived.extend_from_slice(payload);
                if index < 4 {
                    let (_, unfinished) = sending.far.unfinished.as_ref().expect("in progress");
                    assert_eq!(unfinished, &arrived);
                }
            }
            assert_eq!(sending.far.told.pop(), Some(Told::Binary(arrived)));
            assert_eq!(sending.deflater.is_idle(), settings == alone());
        }
    }
}

// R7692-7.2.1
#[test]
fn parts_may_be_empty() {
    for lens in [[0, 0, 0], [0, 5, 0], [5, 0, 0], [0, 0, 5]] {
        let mut sending = Sending::new(&takeover());
        for _ in 0..3 {
            for (part, len) in [Part::First, Part::Middle, Part::Last].into_iter().zip(lens) {
                let wire = sending.part(MessageKind::Text, part, &b"aaaaa"[..len]).unwrap();
                sending.far.receive_buffered(&mut sending.buffer, &wire);
            }
            assert_eq!(came(&sending.far), (vec![text(&"aaaaa"[..lens.iter().sum()])], None));
            sending.far.told.clear();
            let wire = sending.part(MessageKind::Text, Part::Whole, b"").unwrap();
            sending.hears(&wire, "".into());
        }
    }
}

#[test]
fn parts_of_any_length_around_the_compressors_pieces_are_understood() {
    let mut sending = Sending::new(&takeover());
    let noise = noise(70_000);
    // The compressed part fills whole pieces of the output at some of these lengths.
    for len in (16_330..16_400).chain(32_700..32_790).chain([65_530, 65_536, 70_000]) {
        let wire = sending.part(MessageKind::Binary, Part::Whole, &noise[..len]).unwrap();
        sending.hears(&wire, Message::Binary(&noise[..len]));
        sending.deflater.forget();
    }
}

#[test]
fn parts_out_of_order_are_refused_and_change_nothing() {
    use MessageKind::{Binary, Text};
    let mut sending = Sending::new(&takeover());
    assert_eq!(sending.part(Text, Part::Last, b""), Err(SendError::NoMessage));
    assert_eq!(sending.deflater.held_bytes(), 0);
    assert_eq!(sending.part(Text, Part::First, b"\xFF"), Err(SendError::InvalidUtf8));
    let first = sending.part(Text, Part::First, b"abc\xC3").unwrap();
    sending.far.receive_buffered(&mut sending.buffer, &first);
    assert_eq!(sending.part(Text, Part::First, b""), Err(SendError::MessageInProgress));
    assert_eq!(sending.part(Binary, Part::Last, b""), Err(SendError::KindMismatch));
    assert_eq!(sending.part(Text, Part::Last, b""), Err(SendError::InvalidUtf8));
    let Sending { near, deflater, .. } = &mut sending;
    let mut out = b"before".to_vec();
    let refused = near.endpoint.write_deflated_to("whole".into(), deflater, &mut out);
    assert_eq!(refused, Err(SendError::MessageInProgress));
    assert_eq!(near.endpoint.write_to("whole".into(), &mut out), Err(SendError::MessageInProgress));
    // A message is compressed as a whole or not at all.
    let plain = near.endpoint.write_part_to(Text, Part::Last, b"\xA9", &mut out);
    assert_eq!(plain, Err(SendError::KindMismatch));
    assert_eq!(out, b"before");
    let last = sending.part(Text, Part::Last, b"\xA9").unwrap();
    sending.far.receive_buffered(&mut sending.buffer, &last);
    assert_eq!(came(&sending.far), (vec![text("abcé")], None));
    // And the other way round.
    let Sending { near, .. } = &mut sending;
    near.endpoint.write_part_to(Text, Part::First, b"plain", &mut out).unwrap();
    assert_eq!(sending.part(Text, Part::Last, b""), Err(SendError::KindMismatch));
}

#[test]
fn a_deflater_whose_message_was_abandoned_serves_another_connection() {
    let mut deflater = Deflater::new(alone());
    {
        let mut gone = deflating_server(&bare_config(), &alone());
        let mut out = Vec::new();
        gone.endpoint
            .write_part_deflated_to(MessageKind::Text, Part::First, b"never ended", &mut deflater, &mut out)
            .unwrap();
    }
    assert!(!deflater.is_idle());
    deflater.forget();
    let mut sending = Sending::new(&alone());
    sending.deflater = deflater;
    let message = "never ended ".repeat(20);
    let expected = Sending::new(&alone()).send(message.as_str());
    assert_eq!(sending.send(message.as_str()), expected);
}

#[test]
fn a_closing_endpoint_compresses_nothing() {
    let mut sending = Sending::new(&takeover());
    let mut out = [0; 131];
    sending.near.endpoint.write_close(Instant::ZERO, CloseCode::NORMAL, "", &mut out).unwrap();
    assert_eq!(sending.part(MessageKind::Text, Part::Whole, b"a"), Err(SendError::Closing));
    let Sending { near, deflater, .. } = &mut sending;
    let mut out = Vec::new();
    let refused = near.endpoint.write_deflated_to("aaaa".repeat(100).as_str().into(), deflater, &mut out);
    assert_eq!((refused, out.len(), deflater.held_bytes()), (Err(SendError::Closing), 0, 0));
}
