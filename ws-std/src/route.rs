//! The way to a server: a TCP connection, the tunnel of a proxy, TLS.

use core::time::Duration;
use std::{
    io,
    net::{TcpStream, ToSocketAddrs},
    time::Instant,
};

use ws_proto::driver::{ConnectError, Dialing, ProxyDialogue, ProxyError, Route, is_gone};

#[cfg(feature = "rustls")]
use crate::tls::{Failure, TlsStream};
use crate::{NetStream, opening::write_by, transport::Transport};

/// Connects to the proxy, or else to the server. `timeout` is for all attempts together.
pub(crate) fn dial(route: &Route<'_>, timeout: Option<Duration>) -> Result<TcpStream, ConnectError> {
    let addresses = route.address().to_socket_addrs().map_err(ConnectError::Resolve)?.collect();
    let mut dialing = Dialing::new(addresses, timeout, Instant::now());
    while let Some((address, share)) = dialing.next(Instant::now()) {
        let attempt = match share {
            None => TcpStream::connect(address),
            Some(share) => TcpStream::connect_timeout(&address, share),
        };
        match attempt {
            Ok(stream) => return Ok(stream),
            Err(error) => dialing.failed(address, error),
        }
    }
    Err(dialing.into_error())
}

/// Opens the proxy's tunnel, and TLS to the proxy and to the server, as far as they are needed.
pub(crate) fn open(
    route: &Route<'_>,
    stream: NetStream,
    deadline: Option<Instant>,
) -> Result<NetStream, ConnectError> {
    #[cfg(feature = "rustls")]
    let stream = match route.tls_to_proxy()? {
        None => stream,
        Some((tls, name)) => {
            let stream = TlsStream::client(stream, tls, name)?;
            stream.handshake(deadline).map_err(|failure| match failure {
                Failure::Timeout => ProxyError::Timeout.into(),
                Failure::NoByte(error) | Failure::Tls(error) => ConnectError::ProxyTls(error),
            })?;
            stream.into()
        }
    };
    if let Some(dialogue) = route.dialogue()? {
        open_tunnel(&stream, dialogue, deadline)?;
    }
    #[cfg(feature = "rustls")]
    let stream = match route.tls_to_server()? {
        None => stream,
        Some((tls, name)) => TlsStream::connect(stream, tls, name, deadline)?.into(),
    };
    Ok(stream)
}

/// Speaks to a proxy until its tunnel is open, or `deadline` passes.
fn open_tunnel(
    stream: &NetStream,
    mut dialogue: ProxyDialogue,
    deadline: Option<Instant>,
) -> Result<(), ConnectError> {
    let mut buffer = [0; ProxyDialogue::MAX_WANTED];
    while !dialogue.is_open() {
        let wanted = dialogue.wanted();
        let read = write_by(stream, dialogue.pending(), deadline)
            .and_then(|()| stream.read(buffer.get_mut(..wanted).unwrap_or_default(), deadline));
        match read {
            Ok(0) => return Err(dialogue.closed().into()),
            Ok(len) => {
                dialogue.written(dialogue.pending().len());
                dialogue.received(buffer.get(..len).unwrap_or_default())?;
            }
            Err(error) if error.kind() == io::ErrorKind::TimedOut => return Err(ProxyError::Timeout.into()),
            Err(error) if is_gone(&error) => return Err(dialogue.closed().into()),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
