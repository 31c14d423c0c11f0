//! The client: an exchange with an echoing server at the other end of the UART.

use core::time::Duration;

use ws_proto::{
    Client, CloseCode, Config, Control, Entropy, EntropyError, Event, Message, MessageBuffer, MessageKind, Part,
    client::{Answer, Handshake, Request},
};

use crate::{
    board::{Channel, say, say_number},
    connection::{Connection, now, read_head},
    failure::Failure,
};

type Device<'a, C> = Connection<'a, Client<NotRandom>, C>;

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
    let mut device = open(channel, input, output)?;
    say(c"client: open, Endpoint<Client> takes ");
    say_number(u32::try_from(size_of_val(&device.endpoint)).unwrap_or(u32::MAX));
    say(c" bytes\n");

    echo(&mut device, Message::Text(TEXT))?;
    say(c"client: text came back\n");
    echo(&mut device, Message::Binary(&pattern::<300>(0)))?;
    say(c"client: binary came back\n");
    echo_of_fragments(&mut device)?;
    say(c"client: 16 fragments came back as one frame of 4096 bytes, taken in parts\n");

    device.send(|endpoint, out| endpoint.write_ping(PING, out))?;
    Failure::unless(device.next()? == Some(Event::Control(Control::Pong)), c"not a Pong")?;
    Failure::unless(device.endpoint.control_payload() == PING, c"the Pong has another payload than the Ping")?;
    say(c"client: Pong\n");

    device.send(|endpoint, out| endpoint.write_close(now(), CloseCode::NORMAL, "", out))?;
    let closed = device.closed()?;
    Failure::unless(closed.clean && closed.code == CloseCode::NORMAL, c"not closed cleanly with 1000")?;
    say(c"client: closed cleanly with 1000\n");
    Ok(())
}

fn open<'a, C: Channel>(
    channel: &'a mut C,
    input: &'a mut [u8],
    output: &'a mut [u8],
) -> Result<Device<'a, C>, Failure> {
    let mut config = Config::default();
    // A UART does not tell when the server has ended the transport.
    config.server_fin_timeout = Some(Duration::from_millis(50));
    let mut entropy = NotRandom(1);
    let mut nonce = [0; 16];
    entropy.fill(&mut nonce).map_err(|EntropyError| Failure(c"no entropy"))?;

    let mut handshake = Handshake::new(Request::new("board.invalid", "/"), nonce, now(), &config)?;
    let len = handshake.write_request(output)?;
    channel.write(output.get(..len).unwrap_or_default())?;
    let frames = read_head(channel, input, |now, received| handshake.poll_head(now, received))?;
    let Answer::Open(response) = handshake.answer(input)? else {
        return Err(Failure(c"the server has refused"));
    };
    let endpoint = response.open(Client::new(entropy), &config, now());
    let buffer = MessageBuffer::with_received(input, frames);
    Ok(Connection { endpoint, buffer, output, channel })
}

fn echo<C: Channel>(device: &mut Device<'_, C>, message: Message<'_>) -> Result<(), Failure> {
    device.send(|endpoint, out| endpoint.write(message, out))?;
    Failure::unless(device.next()? == Some(Event::Data(())), c"not a message")?;
    Failure::unless(device.buffer.message() == Some(message), c"the echo is another message")
}

fn echo_of_fragments<C: Channel>(device: &mut Device<'_, C>) -> Result<(), Failure> {
    for index in 0..FRAGMENTS {
        let part = match index {
            0 => Part::First,
            _ if index == FRAGMENTS - 1 => Part::Last,
            _ => Part::Middle,
        };
        let fragment = pattern::<FRAGMENT_LEN>(index * FRAGMENT_LEN);
        device.send(|endpoint, out| endpoint.write_part(MessageKind::Binary, part, &fragment, out))?;
    }
    let mut received = 0;
    loop {
        Failure::unless(device.next_part()? == Some(Event::Data(())), c"not a part of a message")?;
        let data = device.buffer.take_part().ok_or(Failure(c"no part to take"))?;
        let same = data.as_bytes().iter().enumerate().all(|(at, byte)| *byte == pattern_at(received + at));
        Failure::unless(same, c"the echo of the fragments is another message")?;
        received += data.as_bytes().len();
        if data.part().is_last() {
            return Failure::unless(
                received == FRAGMENTS * FRAGMENT_LEN,
                c"the echo of the fragments has another length",
            );
        }
    }
}

fn pattern<const N: usize>(from: usize) -> [u8; N] {
    core::array::from_fn(|at| pattern_at(from + at))
}

fn pattern_at(at: usize) -> u8 {
    let [byte, ..] = (at % 251).to_le_bytes();
    byte
}
