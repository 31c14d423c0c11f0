//! What a connection needs of a board, and a board made of an operating system.

use std::{
    io,
    net::{Shutdown, TcpStream},
    time::Duration,
};

use embedded_io::{ErrorType, Read, ReadReady, Write};
use ws_proto::Instant;

/// A byte stream and a clock.
pub(crate) trait Board: Read + ReadReady + Write {
    fn now(&self) -> Instant;

    /// Ends our direction of the stream, for which `embedded-io` has no word.
    fn half_close(&mut self) -> Result<(), Self::Error>;

    /// Waits for input, and reads it; `None` if the deadline has come before.
    fn read_until(&mut self, room: &mut [u8], deadline: Option<Instant>) -> Result<Option<usize>, Self::Error> {
        while !self.read_ready()? {
            if deadline.is_some_and(|deadline| deadline <= self.now()) {
                return Ok(None);
            }
        }
        self.read(room).map(Some)
    }
}

pub(crate) struct Desk {
    stream: TcpStream,
    epoch: std::time::Instant,
}

impl Desk {
    pub(crate) fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_millis(1)))?;
        stream.set_write_timeout(Some(Duration::from_secs(10)))?;
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
    /// Within a millisecond: a device would sleep until the next interrupt.
    fn read_ready(&mut self) -> io::Result<bool> {
        match self.stream.peek(&mut [0]) {
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => Ok(false),
            result => result.map(|_| true),
        }
    }
}

impl Write for Desk {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        io::Write::write(&mut self.stream, buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Board for Desk {
    fn now(&self) -> Instant {
        self.epoch.elapsed().into()
    }

    fn half_close(&mut self) -> io::Result<()> {
        self.stream.shutdown(Shutdown::Write)
    }
}
