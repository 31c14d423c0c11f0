//! Helpers that the tests share: two endpoints on a simulated clock, a recording host, raw frames.
//!
//! Only [`watch`] and certificates need a clock, and only certificates a random source; no helper reads a socket; [`SilentAddress`] binds one. So every test
//! runs the same way every time.

#[cfg(feature = "rustls")]
mod certificates;
mod counting;
mod deflate;
mod head;
mod host;
mod hostile;
mod keys;
mod life;
mod pair;
mod read;
mod say;
#[cfg(target_os = "linux")]
mod silent;
mod watchdog;
mod wire;

#[cfg(feature = "rustls")]
pub use certificates::{Authority, Certificate, Days};
pub use counting::{Counting, allocations, growth};
pub use deflate::{
    Compressor, RSV1, agreed, answer_to, deflating_client, deflating_server, inflated, is_alone, symmetric,
    understood,
};
pub use head::{Edit, edited_head, poll_head_in_steps};
pub use host::{Host, Outcome, bare_config, client, on_both, server};
pub use hostile::hostile_inputs;
pub use keys::{Keys, TestClient};
pub use life::{REQUEST, accepting, answer, echo, opened, reply, take_pending};
pub use pair::Pair;
pub use read::{read, read_beside};
pub use say::{Say, Told, told_of};
#[cfg(target_os = "linux")]
pub use silent::SilentAddress;
pub use watchdog::watch;
pub use wire::{
    BINARY, CLOSE, CONTINUATION, FIN, KEY, PING, PONG, RawFrame, TEXT, close_of, code_of, frame, from_peer,
    header, masked, parse,
};

/// Returns `len` bytes that look random and are the same every time.
#[must_use]
pub fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    (0..len)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[3]
        })
        .collect()
}

/// Returns every way to cut `bytes` in two, the halves in order. Either half may be empty.
pub fn two_way_splits(bytes: &[u8]) -> impl Iterator<Item = [&[u8]; 2]> {
    (0..=bytes.len()).map(|cut| {
        let (head, tail) = bytes.split_at(cut);
        [head, tail]
    })
}

/// Compiles the programs in the README.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;
