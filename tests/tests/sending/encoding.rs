//! How messages and control frames are encoded, and whose keys mask them.

use std::mem::MaybeUninit;

use ws_proto::{
    Message,
    MessageKind::{Binary, Text},
    Part::{First, Last, Whole},
    SendError, Server,
    endpoint::Prepared,
    role::Role,
};
use ws_tests::{
    CLOSE, CONTINUATION, FIN, Host, Keys, PING, PONG, Say, TEXT, bare_config, client, noise, on_both, server,
};

use super::{begin, client_with};

// R5.1-1 R5.3-1 R10.3-1
#[test]
fn every_frame_of_a_client_has_a_key_of_its_own() {
    let mut host = client_with(Keys::Counted(7));
    for i in 0..50 {
        Say::Part(Binary, First, noise(i)).by(&mut host).unwrap();
        Say::Ping(vec![]).by(&mut host).unwrap();
        host.receive_frame(PING, b"x");
        let mut payload = noise(i);
        let frame = host.endpoint.send(Binary, Last, &mut payload).unwrap();
        host.output.extend(frame.slices().concat());
    }
    Say::Close(None, "").by(&mut host).unwrap();
    let frames = host.sent();
    let mut keys: Vec<_> = frames.iter().map(|frame| frame.key.expect("masked")).collect();
    assert_eq!(keys.len(), 201);
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), 201, "no key twice");
}

// R5.1-3
#[test]
fn no_frame_of_a_server_is_masked() {
    let mut host = server(&bare_config());
    for say in [Say::text("x"), Say::binary(&noise(300)), Say::Ping(vec![1]), Say::Pong(vec![2])] {
        say.by(&mut host).unwrap();
    }
    host.receive_frame(PING, b"x");
    let mut payload = *b"in place";
    let frame = host.endpoint.send(Binary, Whole, &mut payload).unwrap();
    host.output.extend(frame.slices().concat());
    assert_eq!(payload, *b"in place");
    host.receive_frame(CLOSE, b"");
    let frames = host.sent();
    assert_eq!(frames.len(), 7);
    assert!(frames.iter().all(|frame| frame.key.is_none()));
}

// R5.2-4 R5.1-1 R5.1-3
#[test]
fn all_ways_to_send_a_message_make_the_same_bytes() {
    fn check<R: Role>(new: impl Fn() -> Host<R>) {
        for len in [0, 1, 125, 126, 1000, 65_535, 65_536, 100_000] {
            let payload = noise(len);
            let mut expected = Vec::new();
            new().endpoint.write_to(Message::Binary(&payload), &mut expected).unwrap();
            let mut out = vec![0; len + 14];
            let written = new().endpoint.write(Message::Binary(&payload), &mut out).unwrap();
            assert_eq!(out[..written], expected);
            let mut room = vec![MaybeUninit::uninit(); len + 14];
            let frame =
                new().endpoint.write_uninit(Message::Binary(&payload), &mut room).map(|frame| frame.to_vec());
            assert_eq!(frame.as_ref(), Ok(&expected));
            let written = new().endpoint.write_part(Binary, Whole, &payload, &mut out).unwrap();
            assert_eq!(out[..written], expected);
            let mut growing = vec![1, 2, 3];
            new().endpoint.write_part_to(Binary, Whole, &payload, &mut growing).unwrap();
            assert_eq!(growing[3..], expected);
            let mut in_place = payload.clone();
            let frame_of = new().endpoint.send(Binary, Whole, &mut in_place).map(|frame| frame.slices().concat());
            assert_eq!(frame_of.unwrap(), expected);
        }
    }
    check(|| client(&bare_config()));
    check(|| server(&bare_config()));
}

// R5.1-3
#[test]
fn prepared_and_shared_messages_have_the_same_bytes_as_written_ones() {
    for (kind, payload) in [(Text, "ünïcode".as_bytes().to_vec()), (Binary, noise(70_000)), (Text, vec![])] {
        let message = Message::new(kind, &payload).unwrap();
        let mut expected = Vec::new();
        server(&bare_config()).endpoint.write_to(message, &mut expected).unwrap();
        let prepared = Prepared::new(kind, payload.clone()).unwrap();
        let mut endpoint = server(&bare_config()).endpoint;
        endpoint.send_prepared(&prepared).unwrap();
        assert_eq!(prepared.slices().concat(), expected);
        for written in 0..expected.len().min(20) {
            assert_eq!(prepared.remaining(written).concat(), expected[written..]);
        }
        assert_eq!(prepared.remaining(expected.len() + 1), [&[][..]; 2]);
        let joined = prepared.joined();
        endpoint.send_prepared(&joined).unwrap();
        assert_eq!(joined.slices(), [&[][..], &expected]);
        assert_eq!(joined.remaining(2), [&[][..], &expected[2..]]);
        assert_eq!(format!("{joined:?}"), format!("{prepared:?}"));
        let frame = endpoint.send_shared(message).unwrap();
        assert_eq!(frame.slices().concat(), expected);
        assert_eq!(frame.remaining(expected.len() - 1).concat(), expected[expected.len() - 1..]);
    }
}

// R5.4-3 R5.5.1-2 R5.6-1
#[test]
fn prepared_and_shared_messages_wait_for_the_message_in_progress_and_for_no_close() {
    let mut host: Host<Server> = server(&bare_config());
    let prepared = Prepared::new(Text, "news").unwrap();
    assert!(Prepared::new(Text, b"\xFF").is_err());
    begin(&mut host, Binary);
    assert_eq!(host.endpoint.send_prepared(&prepared), Err(SendError::MessageInProgress));
    assert_eq!(host.endpoint.send_shared("news".into()).map(drop), Err(SendError::MessageInProgress));
    Say::Part(Binary, Last, vec![]).by(&mut host).unwrap();
    assert_eq!(host.endpoint.send_prepared(&prepared), Ok(()));
    Say::Close(None, "").by(&mut host).unwrap();
    assert_eq!(host.endpoint.send_prepared(&prepared), Err(SendError::Closing));
    assert_eq!(host.endpoint.send_shared("news".into()).map(drop), Err(SendError::Closing));
}

// R5.4-2 R5.5-1
#[test]
fn control_frames_go_out_between_the_parts_of_a_message_and_are_never_fragmented() {
    fn check<R: Role>(mut host: Host<R>) {
        Say::Part(Text, First, vec![]).by(&mut host).unwrap();
        Say::Ping(b"1".to_vec()).by(&mut host).unwrap();
        host.receive_frame(PING, b"2");
        Say::Pong(b"3".to_vec()).by(&mut host).unwrap();
        Say::Part(Text, Last, vec![]).by(&mut host).unwrap();
        let firsts: Vec<_> = host.sent_plain().into_iter().map(|(first, _)| first).collect();
        assert_eq!(firsts, [TEXT, PING, PONG, PONG, FIN | CONTINUATION]);
    }
    on_both(&bare_config(), check, check);
}
