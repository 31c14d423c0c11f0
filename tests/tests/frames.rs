//! One table of what is said and its bytes, run through every way to produce and to take them.

use ws_proto::{
    MessageBuffer, MessageKind, Part,
    frame::{Decoder, FrameHeader, Opcode, Rsv},
    message::Data,
    role::{Role, Side},
};
use ws_tests::{
    BINARY, CLOSE, CONTINUATION, FIN, Host, KEY, PING, PONG, Say, TEXT, bare_config, client, frame, header,
    masked, noise, server, told_of, two_way_splits,
};

/// What one side says, and its bytes from a server and from a client.
struct Row {
    said: Vec<Say>,
    from_server: Vec<u8>,
    from_client: Vec<u8>,
}

fn part(kind: MessageKind, part: Part, payload: &[u8]) -> Say {
    Say::Part(kind, part, payload.into())
}

/// Rows whose bytes are written out; those with names are in RFC 6455 section 5.7.
fn literal_rows() -> Vec<Row> {
    use {MessageKind::Text, Part::*};
    let row = |said: &[Say], from_server: &[u8], from_client: &[u8]| Row {
        said: said.into(),
        from_server: from_server.into(),
        from_client: from_client.into(),
    };
    vec![
        // "A single-frame unmasked text message" and the masked one.
        row(&[Say::text("Hello")], b"\x81\x05Hello", b"\x81\x85\x37\xFA\x21\x3D\x7F\x9F\x4D\x51\x58"),
        // "A fragmented unmasked text message".
        row(
            &[part(Text, First, b"Hel"), part(Text, Last, b"lo")],
            b"\x01\x03Hel\x80\x02lo",
            b"\x01\x83\x37\xFA\x21\x3D\x7F\x9F\x4D\x80\x82\x37\xFA\x21\x3D\x5B\x95",
        ),
        // "Unmasked Ping request and masked Ping response".
        row(&[Say::Ping(b"Hello".to_vec())], b"\x89\x05Hello", b"\x89\x85\x37\xFA\x21\x3D\x7F\x9F\x4D\x51\x58"),
        row(&[Say::Pong(b"Hello".to_vec())], b"\x8A\x05Hello", b"\x8A\x85\x37\xFA\x21\x3D\x7F\x9F\x4D\x51\x58"),
        row(&[Say::text("")], b"\x81\x00", b"\x81\x80\x37\xFA\x21\x3D"),
        row(&[Say::binary(b"")], b"\x82\x00", b"\x82\x80\x37\xFA\x21\x3D"),
        row(&[Say::Ping(vec![])], b"\x89\x00", b"\x89\x80\x37\xFA\x21\x3D"),
        row(&[Say::Close(None, "")], b"\x88\x00", b"\x88\x80\x37\xFA\x21\x3D"),
        row(&[Say::Close(Some(1000), "")], b"\x88\x02\x03\xE8", b"\x88\x82\x37\xFA\x21\x3D\x34\x12"),
        row(
            &[Say::Close(Some(4999), "bye")],
            b"\x88\x05\x13\x87bye",
            b"\x88\x85\x37\xFA\x21\x3D\x24\x7D\x43\x44\x52",
        ),
        // A code point cut by a fragment's end, and a Ping inside it.
        row(
            &[part(Text, First, b"\xE2\x82"), Say::Ping(b"x".to_vec()), part(Text, Last, b"\xAC")],
            b"\x01\x02\xE2\x82\x89\x01x\x80\x01\xAC",
            b"\x01\x82\x37\xFA\x21\x3D\xD5\x78\x89\x81\x37\xFA\x21\x3D\x4F\x80\x81\x37\xFA\x21\x3D\x9B",
        ),
    ]
}

/// Rows whose payloads are too long to be written out.
fn built_rows() -> Vec<Row> {
    use {MessageKind::Binary, Part::*};
    let mut rows = Vec::new();
    for len in [1, 2, 3, 4, 5, 7, 8, 63, 64, 65, 124, 125, 126, 127, 128, 200] {
        let payload = noise(len);
        rows.push(Row {
            said: vec![Say::binary(&payload)],
            from_server: frame(FIN | BINARY, &payload),
            from_client: masked(FIN | BINARY, &payload),
        });
    }
    let long = noise(125);
    rows.push(Row {
        said: vec![Say::Ping(long.clone()), Say::Pong(long.clone())],
        from_server: [frame(PING, &long), frame(PONG, &long)].concat(),
        from_client: [masked(PING, &long), masked(PONG, &long)].concat(),
    });
    let said = vec![
        part(Binary, First, b""),
        part(Binary, Middle, &long),
        Say::Pong(b"between".to_vec()),
        part(Binary, Middle, b""),
        part(Binary, Last, b""),
        Say::text("and on"),
        Say::Close(Some(3000), "é"),
    ];
    let frames: [(u8, &[u8]); 7] = [
        (BINARY, b""),
        (CONTINUATION, &long),
        (PONG, b"between"),
        (CONTINUATION, b""),
        (FIN | CONTINUATION, b""),
        (FIN | TEXT, b"and on"),
        (CLOSE, b"\x0B\xB8\xC3\xA9"),
    ];
    rows.push(Row {
        said,
        from_server: frames.iter().flat_map(|(first, payload)| frame(*first, payload)).collect(),
        from_client: frames.iter().flat_map(|(first, payload)| masked(*first, payload)).collect(),
    });
    rows
}

fn rows() -> Vec<Row> {
    let mut rows = literal_rows();
    rows.extend(built_rows());
    rows
}

/// Feeds `pieces` to fresh hosts of one role in every way there is, and compares what is told.
fn check_pieces<R: Role>(row: &Row, host: impl Fn() -> Host<R>, pieces: &[&[u8]]) {
    let expected = told_of(&row.said);
    let mut streaming = host();
    for piece in pieces {
        streaming.receive(piece);
    }
    assert_eq!(streaming.told, expected, "{pieces:02x?}");
    let outcome = streaming.outcome();
    let (mut in_parts, mut buffer) = (host(), MessageBuffer::new(Vec::new()));
    for piece in pieces {
        in_parts.receive_in_parts(&mut buffer, piece);
    }
    assert_eq!(in_parts.outcome(), outcome, "{pieces:02x?}");

    let mut storage = [0; 300];
    for buffered in [
        through_buffer(host(), MessageBuffer::new(Vec::new()), pieces),
        through_buffer(host(), MessageBuffer::new(&mut storage[..]), pieces),
        through_shared(host(), MessageBuffer::new(Vec::new()), pieces),
        through_shared(host(), MessageBuffer::new(&mut [0; 300][..]), pieces),
    ] {
        assert_eq!(buffered.outcome(), outcome, "{pieces:02x?}");
    }
}

fn through_buffer<R: Role, S: ws_proto::connection::Storage>(
    mut host: Host<R>,
    mut buffer: MessageBuffer<S>,
    pieces: &[&[u8]],
) -> Host<R> {
    for piece in pieces {
        host.receive_buffered(&mut buffer, piece);
    }
    host
}

fn through_shared<R: Role, S: ws_proto::connection::Storage>(
    mut host: Host<R>,
    mut buffer: MessageBuffer<S>,
    pieces: &[&[u8]],
) -> Host<R> {
    for piece in pieces {
        host.receive_shared(&mut buffer, piece);
    }
    host
}

/// Runs `check` for every row with the bytes that each role receives.
fn for_each_row(check: impl Fn(&Row, Side, &[u8])) {
    for row in rows() {
        check(&row, Side::Client, &row.from_server);
        check(&row, Side::Server, &row.from_client);
    }
}

fn check_side(row: &Row, side: Side, pieces: &[&[u8]]) {
    match side {
        Side::Client => check_pieces(row, || client(&bare_config()), pieces),
        Side::Server => check_pieces(row, || server(&bare_config()), pieces),
    }
}

// R5.2-4 R5.2-5 R5.1-1 R5.1-3 R6.1-1
#[test]
fn every_row_is_encoded_to_its_bytes() {
    for row in rows() {
        let (mut client, mut server) = (client(&bare_config()), server(&bare_config()));
        for say in &row.said {
            say.by(&mut client).unwrap();
            say.by(&mut server).unwrap();
        }
        assert_eq!(client.output, row.from_client, "{:?}", row.said);
        assert_eq!(server.output, row.from_server, "{:?}", row.said);
    }
}

// R5.2-5 R5.3-2 R5.4-1 R5.4-2 R6.2-1 R6.2-2
#[test]
fn every_row_is_decoded_from_its_bytes() {
    for_each_row(|row, side, bytes| check_side(row, side, &[bytes]));
}

// R5.2-5 R5.3-2 R5.4-1 R6.2-2
#[test]
fn every_row_is_decoded_byte_by_byte() {
    for_each_row(|row, side, bytes| check_side(row, side, &bytes.chunks(1).collect::<Vec<_>>()));
}

// R5.3-2 R5.4-1 R6.2-1 R6.2-2
#[test]
fn every_row_is_decoded_from_any_two_pieces() {
    for_each_row(|row, side, bytes| {
        for halves in two_way_splits(bytes) {
            check_side(row, side, &halves);
        }
    });
}

// R6.2-1
#[test]
fn every_row_leaves_the_bytes_behind_it_for_the_next_message() {
    for mut row in rows() {
        if row.said.iter().any(|said| matches!(said, Say::Close(..))) {
            continue;
        }
        row.said.push(Say::binary(b"next"));
        row.from_server.extend(frame(FIN | BINARY, b"next"));
        row.from_client.extend(masked(FIN | BINARY, b"next"));
        check_side(&row, Side::Client, &[&row.from_server]);
        check_side(&row, Side::Server, &[&row.from_client]);
    }
}

// R5.2-4 R5.2-5
#[test]
fn lengths_of_two_and_eight_bytes_begin_where_the_shorter_form_ends() {
    for len in [65_535, 65_536, 65_537] {
        let payload = noise(len);
        let (mut client, mut server) = (client(&bare_config()), server(&bare_config()));
        Say::binary(&payload).by(&mut client).unwrap();
        Say::binary(&payload).by(&mut server).unwrap();
        assert_eq!(client.output, masked(FIN | BINARY, &payload));
        assert_eq!(server.output, frame(FIN | BINARY, &payload));
        let row = Row { said: vec![Say::binary(&payload)], from_server: vec![], from_client: vec![] };
        let mut storing = server;
        let (output, expected) = (std::mem::take(&mut client.output), told_of(&row.said));
        storing.receive_buffered(&mut MessageBuffer::new(Vec::new()), &output);
        assert_eq!(storing.told, expected);
    }
}

// R5.3-2
#[test]
fn any_masking_key_is_legal_and_is_taken_off_from_its_first_byte_on() {
    for key in [[0; 4], [0xFF; 4], [0, 0, 0, 1], [1, 0, 0, 0], KEY] {
        let payload = noise(77);
        let mut bytes = header(FIN | BINARY, 77, Some(key));
        bytes.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
        for halves in two_way_splits(&bytes) {
            let mut host = server(&bare_config());
            for half in halves {
                host.receive(half);
            }
            assert_eq!(host.told, told_of(&[Say::binary(&payload)]), "{key:02x?}");
        }
    }
}

/// Everything that a header can hold.
fn headers() -> impl Iterator<Item = FrameHeader> {
    let opcodes = [Opcode::Continuation, Opcode::Text, Opcode::Binary, Opcode::Close, Opcode::Ping, Opcode::Pong];
    let lens = [0, 1, 125, 126, 127, 65_535, 65_536, u64::from(u32::MAX) + 1, u64::MAX >> 1];
    let keys = [None, Some(ws_proto::mask::MaskingKey::new(KEY))];
    let rsvs = [Rsv::NONE, Rsv::RSV1, Rsv::RSV2, Rsv::RSV3, Rsv::RSV1 | Rsv::RSV2 | Rsv::RSV3];
    opcodes.into_iter().flat_map(move |opcode| {
        lens.into_iter().flat_map(move |payload_len| {
            keys.into_iter().flat_map(move |masking_key| {
                rsvs.into_iter().flat_map(move |rsv| {
                    [true, false].map(|fin| FrameHeader { fin, rsv, opcode, masking_key, payload_len })
                })
            })
        })
    })
}

/// A header written by hand.
fn header_bytes(of: &FrameHeader) -> Vec<u8> {
    let bit = |set: bool, bit: u8| if set { bit } else { 0 };
    let first = bit(of.fin, 0x80)
        | bit(of.rsv.contains(Rsv::RSV1), 0x40)
        | bit(of.rsv.contains(Rsv::RSV2), 0x20)
        | bit(of.rsv.contains(Rsv::RSV3), 0x10)
        | of.opcode.bits();
    header(first, of.payload_len, of.masking_key.map(ws_proto::mask::MaskingKey::to_bytes))
}

// R5.2-4 R5.2-5
#[test]
fn every_header_is_encoded_and_decoded_as_by_hand() {
    for header in headers() {
        let expected = header_bytes(&header);
        let mut bytes = [0xEE; FrameHeader::MAX_LEN];
        let len = header.encode(&mut bytes);
        assert_eq!(bytes[..len], expected);
        assert_eq!(header.encoded_len(), len as u64);
        let legal = !header.opcode.is_control() || (header.fin && header.payload_len <= 125);
        assert_eq!(FrameHeader::decode(&expected).is_ok(), legal, "{header:?}");
        if !legal {
            continue;
        }
        assert_eq!(FrameHeader::decode(&expected), Ok(Some((header, len))));
        for halves in two_way_splits(&expected).take(len) {
            let mut decoder = Decoder::new();
            assert_eq!(decoder.decode(halves[0]), Ok(None));
            assert_eq!(decoder.decode(halves[1]), Ok(Some((header, halves[1].len()))));
        }
    }
}

// R5.4-1
#[test]
fn a_text_is_lent_as_a_string_only_when_it_is_whole() {
    let mut bytes = frame(FIN | TEXT, "héllo".as_bytes());
    let mut client = client(&bare_config()).endpoint;
    let mut input = &mut bytes[..];
    let Ok(Some(ws_proto::Event::Data(data))) = client.receive(ws_proto::Instant::ZERO, &mut input) else {
        panic!("no data");
    };
    assert_eq!((data.as_str(), data.part()), (Some("héllo"), Part::Whole));
    let bytes = Data::into_bytes(data);
    assert_eq!(bytes, "héllo".as_bytes());

    let mut bytes = frame(FIN | TEXT, "héllo".as_bytes());
    let (mut head, mut tail) = bytes.split_at_mut(4);
    let Ok(Some(ws_proto::Event::Data(data))) = client.receive(ws_proto::Instant::ZERO, &mut head) else {
        panic!("no data");
    };
    assert_eq!((data.as_str(), data.part(), data.as_bytes()), (None, Part::First, &b"h\xC3"[..]));
    assert_eq!(client.payload_remaining(), 4);
    let Ok(Some(ws_proto::Event::Data(data))) = client.receive(ws_proto::Instant::ZERO, &mut tail) else {
        panic!("no data");
    };
    assert_eq!((data.as_str(), data.part()), (None, Part::Last));
    assert_eq!(client.payload_remaining(), 0);
}

#[test]
fn a_fault_of_a_frame_names_its_section() {
    let fragmented = FrameHeader::decode(&[0x09, 0x00]).unwrap_err();
    assert_eq!(fragmented.to_string(), "control frame is fragmented (RFC 6455 section 5.5)");
    let reserved = FrameHeader::decode(&[0x83, 0x00]).unwrap_err();
    assert_eq!(reserved.to_string(), "opcode is reserved (RFC 6455 section 5.2)");
}
