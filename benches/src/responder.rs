//! A server in memory that answers each client's opening handshake, whatever its nonce, and nothing else.

#![allow(unsafe_code)]

use std::{
    cell::RefCell,
    io::{self, Read, Write},
    rc::Rc,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use sha1::{Digest as _, Sha1};

/// The client's end of a connection to it. Clones are the same end.
#[derive(Clone, Default)]
pub struct Responder(Rc<RefCell<Exchange>>);

#[derive(Default)]
struct Exchange {
    request: Vec<u8>,
    response: Vec<u8>,
    read: usize,
    /// Answers with what belongs to no key.
    lies: bool,
}

// SAFETY: some contenders ask for streams that can be sent to other threads. The harness has one thread, and so
// have they when they are polled by `poll_now`.
unsafe impl Send for Responder {}
// SAFETY: as above.
unsafe impl Sync for Responder {}

const KEY_FIELD: &[u8] = b"sec-websocket-key:";
const KEY_LEN: usize = 24;
const END: &[u8] = b"\r\n\r\n";

impl Responder {
    /// Waits for another request. With `lies` the answer will be that to another key.
    pub fn restart(&self, lies: bool) {
        let mut exchange = self.0.borrow_mut();
        let Exchange { request, response, .. } = &mut *exchange;
        request.clear();
        response.clear();
        exchange.read = 0;
        exchange.lies = lies;
    }

    /// What has been sent to it.
    #[must_use]
    pub fn request(&self) -> Vec<u8> {
        self.0.borrow().request.clone()
    }
}

/// A client's end for crates that leave reading and writing to their user.
pub struct SansIo {
    stream: Responder,
    buffer: Vec<u8>,
    nonces: u128,
}

impl SansIo {
    /// The client's end of `stream`.
    #[must_use]
    pub fn new(stream: Responder) -> Self {
        Self { stream, buffer: vec![0; 4096], nonces: 0 }
    }

    /// Another number each time that costs next to nothing, so that not the random source is measured.
    pub const fn nonce(&mut self) -> [u8; 16] {
        self.nonces += 1;
        self.nonces.to_le_bytes()
    }

    /// Sends `request`; the answer, empty if there is none.
    pub fn ask(&mut self, request: &[u8]) -> &[u8] {
        let _ = self.stream.write_all(request);
        let len = self.stream.read(&mut self.buffer).unwrap_or(0);
        &self.buffer[..len]
    }
}

impl Exchange {
    /// The answer, as soon as the request is complete and has a key.
    fn answer(&mut self) -> Option<()> {
        if !self.response.is_empty() {
            return Some(());
        }
        let fields = self.request.strip_suffix(END)?;
        let line = fields
            .split(|&byte| byte == b'\n')
            .find(|line| line.get(..KEY_FIELD.len()).is_some_and(|name| name.eq_ignore_ascii_case(KEY_FIELD)))?;
        let mut key: [u8; KEY_LEN] = *line.trim_ascii_end().last_chunk()?;
        if self.lies {
            key.reverse();
        }
        let digest =
            Sha1::new().chain_update(key).chain_update(b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").finalize();
        let mut accept = [0; 28];
        STANDARD.encode_slice(digest, &mut accept).ok()?;
        let parts: [&[u8]; 3] = [
            b"HTTP/1.1 101 Switching Protocols\r\n\
            Server: nginx/1.28.0\r\n\
            Date: Fri, 27 Nov 2026 12:00:00 GMT\r\n\
            Connection: upgrade\r\n\
            Upgrade: websocket\r\n\
            Sec-WebSocket-Accept: ",
            &accept,
            END,
        ];
        parts.into_iter().for_each(|part| self.response.extend_from_slice(part));
        Some(())
    }
}

impl Read for Responder {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut exchange = self.0.borrow_mut();
        exchange.answer().ok_or(io::ErrorKind::WouldBlock)?;
        let rest = &exchange.response[exchange.read..];
        let len = rest.len().min(buffer.len());
        buffer[..len].copy_from_slice(&rest[..len]);
        if len == 0 && !buffer.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        exchange.read += len;
        Ok(len)
    }
}

impl Write for Responder {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().request.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(feature = "tokio")]
mod for_tokio {
    use std::{
        io::{self, Read, Write},
        pin::Pin,
        task::{Context, Poll},
    };

    use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

    use super::Responder;

    impl AsyncRead for Responder {
        fn poll_read(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            buffer: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            match self.read(buffer.initialize_unfilled()) {
                Ok(len) => {
                    buffer.advance(len);
                    Poll::Ready(Ok(()))
                }
                Err(_) => Poll::Pending,
            }
        }
    }

    impl AsyncWrite for Responder {
        fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            Poll::Ready(self.write(bytes))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }
}
