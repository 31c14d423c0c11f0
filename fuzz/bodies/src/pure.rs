use ws_proto::{
    Message, MessageKind,
    frame::{Decoder, FrameHeader, Opcode, Rsv},
    mask::{Mask, MaskingKey},
    utf8::Validator,
};

use super::{
    choices::Choices,
    reference::{Frame, impossible_utf8},
};

/// A header decodes the same whole and in pieces, as section 5.2 has it, and is encoded as it was.
pub fn frame_header(data: &[u8]) {
    let (mut choices, wire) = Choices::split(data);
    let whole = FrameHeader::decode(wire);

    let mut decoder = Decoder::new();
    let mut in_pieces = Ok(None);
    for piece in choices.pieces(wire.len()) {
        in_pieces = decoder.decode(&wire[piece.clone()]).map(|found| found.map(|(h, len)| (h, piece.start + len)));
        if in_pieces != Ok(None) {
            break;
        }
    }
    assert_eq!(in_pieces, whole);

    let reference = Frame::read(wire);
    assert_eq!(whole.err(), reference.as_ref().err().copied());
    let (Ok(Some((header, len))), Ok(Some(reference))) = (whole, &reference) else {
        assert_eq!(whole.is_ok_and(|found| found.is_none()), reference == Ok(None));
        check_encode(wire);
        return;
    };
    assert_eq!((len, header.payload_len), (reference.head, reference.announced));
    assert_eq!((header.fin, header.opcode.bits()), (reference.fin(), reference.opcode()));
    assert_eq!(header.masking_key.is_some(), reference.masked);
    assert_eq!(header.rsv.is_none(), reference.first & 0x70 == 0);
    let mut encoded = [0; FrameHeader::MAX_LEN];
    assert_eq!(header.encode(&mut encoded), len);
    assert_eq!(header.encoded_len(), len as u64);
    assert_eq!(encoded[..len], wire[..len]);
    // The result stays the same with more bytes, and fewer give none.
    assert_eq!(FrameHeader::decode(&wire[..len]), whole);
    assert_eq!(FrameHeader::decode(&wire[..len - 1]), Ok(None));
}

/// A header made of the bytes is decoded as it was, if it is legal.
fn check_encode(bytes: &[u8]) {
    let Some((&[flags, opcode, shift], rest)) = bytes.split_first_chunk() else { return };
    let (Some(opcode), Some((len, rest))) = (Opcode::from_bits(opcode & 0x0F), rest.split_first_chunk()) else {
        return;
    };
    let payload_len = u64::from_be_bytes(*len) >> (shift % 64);
    let masking_key = rest.first_chunk().map(|key| MaskingKey::new(*key));
    let fin = flags & 1 != 0;
    let rsv = [Rsv::NONE, Rsv::RSV1, Rsv::RSV2, Rsv::RSV3][usize::from(flags >> 6)];
    let header = FrameHeader { fin, rsv, opcode, masking_key, payload_len };
    let mut encoded = [0; FrameHeader::MAX_LEN];
    let len = header.encode(&mut encoded);
    let legal = payload_len >> 63 == 0 && (!opcode.is_control() || (fin && payload_len <= 125));
    let decoded = FrameHeader::decode(&encoded[..len]);
    assert_eq!(decoded == Ok(Some((header, len))), legal, "{header:?} {decoded:?}");
}

/// The validator and the mask do at any split what their plain twins do at once.
pub fn utf8_mask(data: &[u8]) {
    let (mut choices, wire) = Choices::split(data);
    let key = [choices.take(), choices.take(), choices.take(), choices.take()];
    let mut pieces = choices.pieces(wire.len());
    check_utf8(wire, &pieces);
    if choices.take() & 1 == 1 {
        pieces.push(wire.len()..wire.len());
    }
    check_mask(key, wire, &pieces);
}

fn masked(key: [u8; 4], payload: &[u8]) -> Vec<u8> {
    payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key).collect()
}

fn check_utf8(bytes: &[u8], pieces: &[core::ops::Range<usize>]) {
    let mut validator = Validator::new();
    let mut found = None;
    for piece in pieces {
        if let Err(error) = validator.update(&bytes[piece.clone()]) {
            found = Some(piece.start + error.position());
            break;
        }
        let so_far = core::str::from_utf8(&bytes[..piece.end]).is_ok();
        assert_eq!(validator.is_complete(), so_far);
    }
    assert_eq!(found, impossible_utf8(bytes));
    match Message::new(MessageKind::Text, bytes) {
        Ok(text) => assert_eq!(text.as_str(), core::str::from_utf8(bytes).ok()),
        Err(error) => {
            assert!(core::str::from_utf8(bytes).is_err());
            assert_eq!(error.position(), found.unwrap_or(bytes.len()));
        }
    }
}

fn check_mask(key: [u8; 4], bytes: &[u8], pieces: &[core::ops::Range<usize>]) {
    let mut in_place = bytes.to_vec();
    let mut copy = vec![0xEE; bytes.len()];
    let new = Mask::new(MaskingKey::new(key));
    let (mut applying, mut copying) = (new, new);
    for piece in pieces {
        applying.apply(&mut in_place[piece.clone()]);
        // The shorter side decides.
        let len = copying.apply_copy(&bytes[piece.start..], &mut copy[piece.clone()]);
        assert_eq!(len, piece.len());
        assert_eq!(applying, copying);
    }
    assert_eq!(in_place, masked(key, bytes));
    assert_eq!(copy, in_place);
}
