//! What a connection needs of a board, and a board made of an operating system: a socket that is asked until it has
//! something.

use std::{
    io,
    net::{Shutdown, TcpStream},
    thread,
    time::Duration,
};

use embedded_io::{ErrorType, Read, ReadReady, Write};
use ws_proto::Instant;

/// A byte stream, a clock, and something to do until the next interrupt.
pub(crate) trait Board: Read + ReadReady + Write {
    fn now(&self) -> Instant;

    fn idle(&mut self);

    /// Ends our direction of the stream, for which `embedded-io` has no word.
    fn half_close(&mut self) -> Result<(), Self::Error>;

    /// Waits for input, and reads it; `None` if the deadline has come before.
    fn read_until(&mut self, room: &mut [u8], deadline: Option<Instant>) -> Result<Option<usize>, Self::Error> {
        while !self.read_ready()? {
            if deadline.is_some_and(|deadline| deadline <= self.now()) {
                return Ok(None);
            }
            self.idle();
        }
        self.read(room).map(Some)
    }
}

/// A board made of an operating system.
pub(crate) struct Desk {
    stream: TcpStream,
    epoch: std::time::Instant,
}

impl Desk {
    pub(crate) fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self { stream, epoch: std::time::Instant::now() })
    }
}

impl ErrorType for Desk {
    type Error = io::Error;
}

impl Read for Desk {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        io::Read::read(&mut self.stream, buf)
    }
}

impl ReadReady for Desk {
    fn read_ready(&mut self) -> io::Result<bool> {
        self.stream.set_nonblocking(true)?;
        let peeked = self.stream.peek(&mut [0]);
        self.stream.set_nonblocking(false)?;
        Ok(!peeked.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock))
    }
}

impl Write for Desk {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        io::Write::write(&mut self.stream, buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        io::Write::flush(&mut self.stream)
    }
}

impl Board for Desk {
    fn now(&self) -> Instant {
        self.epoch.elapsed().into()
    }

    fn idle(&mut self) {
        thread::sleep(Duration::from_millis(1));
    }

    fn half_close(&mut self) -> io::Result<()> {
        self.stream.shutdown(Shutdown::Write)
    }
}
