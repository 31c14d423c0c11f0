use ws_proto::{
    Config, Connection, Instant, Message, Next, Pending, Server,
    connection::{Allocation, Opens, Request},
    server::{Accept, OriginPolicy, Reject},
};

/// A request for a connection, without subprotocols.
pub const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

/// Returns a server's connection that waits for a request since the epoch.
#[must_use]
pub fn accepting(config: &Config) -> Connection<'static, Server> {
    Connection::accept(config, OriginPolicy::SameHost, Instant::ZERO)
}

/// Returns a server's connection after a complete opening handshake, whose response has been written.
///
/// # Panics
///
/// The connection has not opened.
#[must_use]
pub fn opened(config: &Config) -> Connection<'static, Server> {
    let mut connection = accepting(config);
    echo(&mut connection, Instant::ZERO, REQUEST);
    let (response, ended) = take_pending(&mut connection, Instant::ZERO);
    assert!(response.starts_with(b"HTTP/1.1 101 ") && !ended && connection.endpoint().is_some());
    connection
}

/// Lets `connection` receive `bytes` at `now`, accepts its request and echoes messages.
pub fn echo(connection: &mut Connection<'_, Server>, now: Instant, bytes: &[u8]) {
    let mut bytes = bytes.to_vec();
    let mut reading = connection.received_in(now, &mut bytes);
    while let Some(next) = reading.next() {
        reply(next);
    }
}

/// Accepts a request and echoes a message.
///
/// # Panics
///
/// The request cannot be accepted.
pub fn reply<S: Allocation>(next: Next<'_, '_, Server, Message<'_>, S>) {
    match next {
        Next::Opening(mut request) => request.accept(&Accept::new()).expect("the answer is valid"),
        // Sending fails once the connection is closing.
        Next::Data(message, mut reply) => drop(reply.send(message)),
        Next::Control(_) | Next::Closed(_) => {}
    }
}

/// Answers a request, with 500 if `answer` cannot be sent.
///
/// # Panics
///
/// The 500 cannot be sent either.
pub fn answer<S: Allocation>(request: &mut Request<'_, '_, S>, answer: Result<Accept<'_>, u16>) {
    let answered = match answer {
        Ok(accept) => request.accept(&accept),
        Err(status) => request.reject(&Reject::new(status)),
    };
    answered.or_else(|_| request.reject(&Reject::new(500))).expect("a refusal can be sent");
}

/// Takes all pending output, a byte at a time. Returns it, and whether the transport has been half-closed after it.
///
/// # Panics
///
/// Output is pending after the half-close.
pub fn take_pending<R: Opens, S: Allocation>(
    connection: &mut Connection<'_, R, S>,
    now: Instant,
) -> (Vec<u8>, bool) {
    let (mut bytes, mut ended) = (Vec::new(), false);
    let taken: Result<(), ()> = connection.flush(now, |pending| {
        assert!(!ended, "the half-close comes last");
        match pending {
            Pending::Bytes(more) => bytes.push(more[0]),
            Pending::Shutdown => ended = true,
        }
        Ok(1)
    });
    assert!(taken.is_ok() && connection.pending().is_none());
    (bytes, ended)
}
