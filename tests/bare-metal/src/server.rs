//! The server: its answers to a recorded client, byte by byte.

use ws_proto::{
    Config, Connection, Control, Next,
    connection::Memory,
    server::{Accept, OriginPolicy},
};

use crate::{
    board::{Channel, say, say_number},
    connection::{Device, now},
    failure::Failure,
};

/// A request, "Hello" in two fragments with a Ping between them, and a Close with 1000; all masked.
const RECEIVED: &[u8] = b"\
    GET /chat HTTP/1.1\r\n\
    Host: board.invalid\r\n\
    Upgrade: websocket\r\n\
    Connection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Version: 13\r\n\
    \r\n\
    \x01\x83\x37\xfa\x21\x3d\x7f\x9f\x4d\
    \x89\x82\x01\x02\x03\x04\x69\x6b\
    \x80\x82\x37\xfa\x21\x3d\x5b\x95\
    \x88\x82\x0a\x0b\x0c\x0d\x09\xe3";
const SENT: &[u8] = b"\
    HTTP/1.1 101 Switching Protocols\r\n\
    Upgrade: websocket\r\n\
    Connection: Upgrade\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\
    \r\n\
    \x8a\x02hi\
    \x81\x05Hello\
    \x88\x02\x03\xe8";
/// Nothing of the client's arrives in one piece.
const READ_LEN: usize = 3;

/// A channel that reads what was recorded and takes nothing but the right answers.
struct Recording {
    received: &'static [u8],
    expected: &'static [u8],
}

impl Channel for Recording {
    fn read(&mut self, room: &mut [u8]) -> Option<usize> {
        let len = room.len().min(self.received.len()).min(READ_LEN);
        let (read, rest) = self.received.split_at_checked(len)?;
        room.get_mut(..len)?.copy_from_slice(read);
        self.received = rest;
        Some(len)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.expected = self.expected.strip_prefix(bytes).ok_or(Failure(c"the answer is another one"))?;
        Ok(())
    }
}

pub fn run(input: &mut [u8], output: &mut [u8]) -> Result<(), Failure> {
    let config = Config::default();
    let mut recording = Recording { received: RECEIVED, expected: SENT };
    let memory = Memory::fixed(input, output, &config);
    let connection = Connection::accept_in(memory, &config, OriginPolicy::SameHost, now());
    let mut device = Device { connection, channel: &mut recording };
    device.expect(c"no request", |connection| match connection.next()? {
        Next::Opening(mut request) => Some(request.accept(&Accept::new()).is_ok()),
        _ => Some(false),
    })?;
    say(c"server: open, Connection<Server> takes ");
    say_number(u32::try_from(size_of_val(&device.connection)).unwrap_or(u32::MAX));
    say(c" bytes\n");

    device.expect(c"no Ping inside of the message", |connection| {
        Some(matches!(connection.next()?, Next::Control(Control::Ping)))
    })?;
    say(c"server: Pong to the Ping between two fragments\n");
    device.expect(c"not a message", |connection| match connection.next()? {
        Next::Data(message, mut reply) => Some(reply.send(message).is_ok()),
        _ => Some(false),
    })?;
    say(c"server: echo of the fragments\n");

    device.expect_closed()?;
    Failure::unless(recording.expected.is_empty(), c"an answer is missing")?;
    say(c"server: closed cleanly with 1000\n");
    Ok(())
}
