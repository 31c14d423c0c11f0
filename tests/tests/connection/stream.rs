//! A stream of the standard library that plays a part.

use std::{
    collections::VecDeque,
    io::{self, ErrorKind, Read, Write},
};

/// The bytes that are left to be read, the room for writes, and a record of what has been done.
#[derive(Default)]
pub(crate) struct Script {
    /// Reads in order; the last ones would block.
    pub(crate) reads: VecDeque<io::Result<Vec<u8>>>,
    /// The number of bytes that each write takes; `None`: all.
    pub(crate) takes: Option<usize>,
    /// The errors of the next writes.
    pub(crate) write_errors: VecDeque<ErrorKind>,
    pub(crate) read_count: usize,
    pub(crate) sent: Vec<u8>,
    /// The lengths of the writes.
    pub(crate) writes: Vec<usize>,
    pub(crate) half_closed: bool,
}

impl Script {
    pub(crate) fn of(reads: impl IntoIterator<Item = Vec<u8>>) -> Self {
        Self { reads: reads.into_iter().map(Ok).collect(), ..Self::default() }
    }

    /// Half-closes, and fails, as the socket of a peer that is gone does.
    pub(crate) fn half_close(&mut self) -> io::Result<()> {
        self.half_closed = true;
        Err(ErrorKind::NotConnected.into())
    }
}

impl Read for Script {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        self.read_count += 1;
        let mut bytes = self.reads.pop_front().unwrap_or(Err(ErrorKind::WouldBlock.into()))?;
        let len = bytes.len().min(room.len());
        room[..len].copy_from_slice(&bytes[..len]);
        if len < bytes.len() {
            self.reads.push_front(Ok(bytes.split_off(len)));
        }
        Ok(len)
    }
}

impl Write for Script {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(error) = self.write_errors.pop_front() {
            return Err(error.into());
        }
        match self.takes {
            Some(0) => Err(ErrorKind::WouldBlock.into()),
            takes => {
                let len = takes.map_or(bytes.len(), |takes| takes.min(bytes.len()));
                self.sent.extend(&bytes[..len]);
                self.writes.push(bytes.len());
                Ok(len)
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
