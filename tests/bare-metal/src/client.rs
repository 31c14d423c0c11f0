//! The client: an exchange with an echoing server at the other end of the UART.

use core::time::Duration;

use ws_proto::{
    CloseCode, Config, Connection, Control, Entropy, EntropyError, Message, MessageKind, Next, Part,
    client::{Answer, Request},
    connection::Memory,
};

use crate::{
    board::{Channel, say, say_number},
    connection::{Device, now},
    failure::Failure,
};

type Client<'a, C> = Device<'a, ws_proto::Client<NotRandom>, C>;

const TEXT: &str = "Grüße vom Cortex-M4 🦀";
const PING: &[u8] = b"are you there?";
const FRAGMENT_LEN: usize = 256;
/// Eight times the receive buffer.
const FRAGMENTS: usize = 16;

/// Masking keys that anyone can guess, because this board has no source of randomness.
struct NotRandom(u32);

impl Entropy for NotRandom {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), EntropyError> {
        for byte in bytes {
            self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            [.., *byte] = self.0.to_le_bytes();
        }
        Ok(())
    }
}

pub fn run<C: Channel>(channel: &mut C, input: &mut [u8], output: &mut [u8]) -> Result<(), Failure> {
    let mut config = Config::default();
    // A UART does not tell when the server has ended the transport.
    config.server_fin_timeout = Some(Duration::from_millis(50));
    let memory = Memory::fixed(input, output, &config);
    let request = Request::new("board.invalid", "/");
    let connection = Connection::connect_in(memory, request, NotRandom(1), &config, now())?;
    let mut device = Device { connection, channel };
    device.expect(c"the server has refused", |connection| {
        Some(matches!(connection.next()?, Next::Opening(Answer::Open(_))))
    })?;
    say(c"client: open, Connection<Client> takes ");
    say_number(u32::try_from(size_of_val(&device.connection)).unwrap_or(u32::MAX));
    say(c" bytes\n");

    echo(&mut device, Message::Text(TEXT))?;
    say(c"client: text came back\n");
    echo(&mut device, Message::Binary(&pattern::<300>(0)))?;
    say(c"client: binary came back\n");
    echo_of_fragments(&mut device)?;
    say(c"client: 16 fragments came back as one frame of 4096 bytes, taken in parts\n");

    device.connection.ping(PING)?;
    device.expect(c"not the Pong", |connection| match connection.next()? {
        Next::Control(Control::Pong) => Some(connection.control_payload() == PING),
        _ => Some(false),
    })?;
    say(c"client: Pong\n");

    device.connection.close(now(), CloseCode::NORMAL, "")?;
    device.expect_closed()?;
    say(c"client: closed cleanly with 1000\n");
    Ok(())
}

fn echo<C: Channel>(device: &mut Client<'_, C>, message: Message<'_>) -> Result<(), Failure> {
    device.connection.send(message)?;
    device.expect(c"the echo is another message", |connection| match connection.next()? {
        Next::Data(echo, _) => Some(echo == message),
        _ => Some(false),
    })
}

fn echo_of_fragments<C: Channel>(device: &mut Client<'_, C>) -> Result<(), Failure> {
    for index in 0..FRAGMENTS {
        let part = match index {
            0 => Part::First,
            _ if index == FRAGMENTS - 1 => Part::Last,
            _ => Part::Middle,
        };
        let fragment = pattern::<FRAGMENT_LEN>(index * FRAGMENT_LEN);
        device.connection.send_part(MessageKind::Binary, part, &fragment)?;
        device.write()?;
    }
    let mut received = 0;
    device.expect(c"the echo of the fragments is another message", |connection| {
        loop {
            let Next::Data(data, _) = connection.next_part()? else { return Some(false) };
            let same = data.as_bytes().iter().enumerate().all(|(at, byte)| *byte == pattern_at(received + at));
            received += data.as_bytes().len();
            if !same || data.part().is_last() {
                return Some(same && received == FRAGMENTS * FRAGMENT_LEN);
            }
        }
    })
}

fn pattern<const N: usize>(from: usize) -> [u8; N] {
    core::array::from_fn(|at| pattern_at(from + at))
}

fn pattern_at(at: usize) -> u8 {
    let [byte, ..] = (at % 251).to_le_bytes();
    byte
}
