//! The way to a server over a transport: the tunnel of a proxy, TLS.

use std::{io, time::Instant};

use ws_proto::driver::{ConnectError, ProxyDialogue, ProxyError, Route, is_gone};

#[cfg(feature = "rustls")]
use crate::tls::{Failure, TlsStream};
use crate::{NetStream, opening::write_by, transport::Transport};

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
