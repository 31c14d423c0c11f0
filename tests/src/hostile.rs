use ws_proto::role::Side;

use crate::{
    noise,
    wire::{BINARY, CLOSE, CONTINUATION, FIN, KEY, PING, PONG, TEXT, from_peer, header},
};

/// Returns byte streams that are meant to bring an endpoint of `side` down.
#[must_use]
pub fn hostile_inputs(side: Side) -> Vec<Vec<u8>> {
    let frames = |frames: &[(u8, &[u8])]| {
        frames.iter().flat_map(|(first, payload)| from_peer(side, *first, payload)).collect::<Vec<u8>>()
    };
    let key = (side == Side::Server).then_some(KEY);
    let announced = |first: u8, len: u64| [header(first, len, key), vec![0; 100]].concat();
    let mut inputs = vec![
        // Text that is cut inside a code point, and ended by an empty frame.
        frames(&[(TEXT, b"\xE2\x82"), (FIN, b"")]),
        frames(&[(TEXT, b"\xE2\x82"), (CONTINUATION, b""), (PING, b"x"), (FIN, b"\xAC")]),
        frames(&[(FIN | TEXT, b"\xF0\x9F\xA6")]),
        frames(&[(FIN | TEXT, b"\xED\xA0\x80")]),
        // Masking of the wrong side.
        match side {
            Side::Client => crate::masked(FIN | TEXT, b"x"),
            Side::Server => crate::frame(FIN | TEXT, b"x"),
        },
        // Floods.
        frames(&[(PING, &noise(125)[..]); 300]),
        frames(&[(PONG, &noise(125)[..]); 300]),
        frames(&[(FIN | TEXT, &b""[..]); 300]),
        frames(&[(CLOSE, &b""[..]); 300]),
        [frames(&[(TEXT, b"")]), frames(&[(CONTINUATION, &b""[..]); 300])].concat(),
        [frames(&[(BINARY, b"x")]), frames(&[(CONTINUATION, &b"y"[..]); 300])].concat(),
        // Sequences of frames that do not form a message.
        frames(&[(CONTINUATION, b"x")]),
        frames(&[(TEXT, b"x"), (TEXT, b"y")]),
        frames(&[(CLOSE, b"\x03\xE8"), (FIN | TEXT, b"behind")]),
        frames(&[(CLOSE, b"\x03")]),
        frames(&[(CLOSE, b"\x03\xED")]),
        frames(&[(CLOSE, b"\x03\xE8\xFF")]),
        frames(&[(0xC1, b"x")]),
        frames(&[(0xF2, b"x")]),
        frames(&[(0x09, b"")]),
        frames(&[(PING, &noise(126))]),
        // Lengths in a longer form than needed.
        vec![FIN | BINARY, 0xFE, 0, 1, 0, 0, 0, 0, 7],
        vec![FIN | BINARY, 0xFF, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 7],
        noise(2000),
    ];
    inputs.extend((0..=u8::MAX).map(|first| vec![first, 0x80, 0, 0, 0, 0]));
    inputs.extend((7..64).map(|bits| announced(FIN | BINARY, 1 << bits)));
    inputs.push(announced(FIN | BINARY, u64::MAX));
    inputs.push(announced(FIN | TEXT, u64::MAX >> 1));
    inputs.push([frames(&[(BINARY, b"some")]), announced(FIN, u64::MAX >> 1)].concat());
    inputs.push([frames(&[(BINARY, b"some")]), announced(CONTINUATION, u64::MAX - 3)].concat());
    inputs
}
