//! An open connection on a byte channel: the one law of ws-proto on a device that polls.

use core::ops::Range;

use ws_proto::{Closed, Endpoint, Event, HandshakeError, Instant, MessageBuffer, ReceiveError, Role, State, Transmit};

use crate::{
    board::{self, Channel},
    failure::Failure,
};

pub fn now() -> Instant {
    Instant::from_nanos(board::now_nanos())
}

/// Reads up to the end of the head that `poll_head` finds; `input` then has the first bytes of frames in the range.
pub fn read_head(
    channel: &mut impl Channel,
    input: &mut [u8],
    mut poll_head: impl FnMut(Instant, &[u8]) -> Result<Option<usize>, HandshakeError>,
) -> Result<Range<usize>, Failure> {
    let mut received = 0;
    loop {
        if let Some(len) = poll_head(now(), input.get(..received).unwrap_or_default())? {
            return Ok(len..received);
        }
        match channel.read(input.get_mut(received..).unwrap_or_default()) {
            Some(0) => return Err(Failure(c"the head is incomplete, or longer than the buffer")),
            read => received += read.unwrap_or_default(),
        }
    }
}

pub struct Connection<'a, R: Role, C> {
    pub endpoint: Endpoint<R>,
    pub buffer: MessageBuffer<&'a mut [u8]>,
    pub output: &'a mut [u8],
    pub channel: &'a mut C,
}

impl<R: Role, C: Channel> Connection<'_, R, C> {
    /// Writes the frame that `encode` puts into the output buffer.
    #[cfg(feature = "client")]
    pub fn send(
        &mut self,
        encode: impl FnOnce(&mut Endpoint<R>, &mut [u8]) -> Result<usize, ws_proto::SendError>,
    ) -> Result<(), Failure> {
        let len = encode(&mut self.endpoint, self.output)?;
        self.channel.write(self.output.get(..len).unwrap_or_default())
    }

    /// The next whole message, which `buffer` then has, or control frame; `None` at the end of the connection.
    pub fn next(&mut self) -> Result<Option<Event<()>>, Failure> {
        self.wait_for(|buffer, endpoint| Ok(buffer.next(endpoint, now())?.map(|event| event.map(|_| ()))))
    }

    /// The next part of a message, which `buffer` then has, or control frame; `None` at the end of the connection.
    pub fn next_part(&mut self) -> Result<Option<Event<()>>, Failure> {
        self.wait_for(|buffer, endpoint| buffer.next_part(endpoint, now()))
    }

    /// Waits for the connection to end.
    pub fn closed(&mut self) -> Result<Closed, Failure> {
        while self.next_part()?.is_some() {}
        match self.endpoint.state() {
            State::Closed(closed) => Ok(closed),
            State::Open | State::Closing => Err(Failure(c"the connection has ended without being closed")),
        }
    }

    fn wait_for(
        &mut self,
        mut find: impl FnMut(
            &mut MessageBuffer<&mut [u8]>,
            &mut Endpoint<R>,
        ) -> Result<Option<Event<()>>, ReceiveError>,
    ) -> Result<Option<Event<()>>, Failure> {
        loop {
            let found = find(&mut self.buffer, &mut self.endpoint);
            while let Some(transmit) = self.endpoint.poll_transmit() {
                // A UART has no end: of a Shutdown there is nothing to tell.
                if let Transmit::Control(frame) = transmit {
                    self.channel.write(frame.as_bytes())?;
                }
            }
            match found? {
                None if !matches!(self.endpoint.state(), State::Closed(_)) => self.read_or_time_out(),
                found => return Ok(found),
            }
        }
    }

    fn read_or_time_out(&mut self) {
        loop {
            match self.channel.read(self.buffer.unfilled(&self.endpoint)) {
                Some(0) => return self.endpoint.receive_eof(),
                Some(len) => return self.buffer.filled(len),
                None if self.endpoint.poll_timeout().is_some_and(|deadline| deadline <= now()) => {
                    return self.endpoint.handle_timeout(now());
                }
                None => {}
            }
        }
    }
}
