//! A connection on the byte channel of a device that polls.

use ws_proto::{CloseCode, Connection, Instant, Next, Pending, connection::Opens};

use crate::{
    board::{self, Channel},
    failure::Failure,
};

pub fn now() -> Instant {
    Instant::from_nanos(board::now_nanos())
}

/// A connection without a heap, and its transport.
pub struct Device<'a, R: Opens, C> {
    pub connection: Connection<'a, R, &'a mut [u8]>,
    pub channel: &'a mut C,
}

impl<'a, R: Opens, C: Channel> Device<'a, R, C> {
    /// Waits until `look`, which returns `None` if more has to be read, finds something. That has to be right: otherwise the run fails, `otherwise` saying why.
    pub fn expect(
        &mut self,
        otherwise: &'static core::ffi::CStr,
        mut look: impl FnMut(&mut Connection<'a, R, &'a mut [u8]>) -> Option<bool>,
    ) -> Result<(), Failure> {
        self.write()?;
        loop {
            let found = look(&mut self.connection);
            self.write()?;
            match found {
                Some(is_right) => return Failure::unless(is_right, otherwise),
                None => self.read_or_time_out(),
            }
        }
    }

    /// Waits for the connection to be closed cleanly with 1000.
    pub fn expect_closed(&mut self) -> Result<(), Failure> {
        self.expect(c"not closed cleanly with 1000", |connection| {
            loop {
                match connection.next_part()? {
                    Next::Closed(Ok(closed)) => return Some(closed.clean && closed.code == CloseCode::NORMAL),
                    Next::Closed(Err(_)) => return Some(false),
                    Next::Opening(_) | Next::Data(..) | Next::Control(_) => {}
                }
            }
        })
    }

    pub fn write(&mut self) -> Result<(), Failure> {
        let Self { connection, channel } = self;
        connection.flush(now(), |pending| match pending {
            Pending::Bytes(bytes) => channel.write(bytes).map(|()| bytes.len()),
            // A UART has no end.
            Pending::Shutdown => Ok(0),
        })
    }

    fn read_or_time_out(&mut self) {
        while self.connection.poll_timeout().is_none_or(|deadline| deadline > now()) {
            if let Some(len) = self.channel.read(self.connection.room()) {
                return self.connection.received(now(), len);
            }
        }
        self.connection.handle_timeout(now());
    }
}
