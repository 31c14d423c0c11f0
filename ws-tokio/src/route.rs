//! The way to a server over a stream: the tunnel of a proxy, TLS.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::Instant,
};
use ws_proto::driver::{ConnectError, ProxyDialogue, ProxyError, Route, is_gone};
#[cfg(feature = "rustls")]
use ws_proto::handshake::HandshakeError;

use crate::{NetStream, opening::by};

/// Opens the proxy's tunnel, and TLS to the proxy and to the server, as far as they are needed.
pub(crate) async fn open(
    route: &Route<'_>,
    mut stream: NetStream,
    deadline: Option<Instant>,
) -> Result<NetStream, ConnectError> {
    #[cfg(feature = "rustls")]
    if let Some((tls, name)) = route.tls_to_proxy()? {
        let handshake = async { Ok(NetStream::connect_tls(stream, tls, name).await) };
        let done = by(deadline, handshake).await.map_err(|_| ProxyError::Timeout)?;
        stream = done.map_err(ConnectError::ProxyTls)?;
    }
    if let Some(dialogue) = route.dialogue()? {
        let tunnel = async { Ok(open_tunnel(&mut stream, dialogue).await) };
        by(deadline, tunnel).await.map_err(|_| ProxyError::Timeout)??;
    }
    #[cfg(feature = "rustls")]
    if let Some((tls, name)) = route.tls_to_server()? {
        let handshake = async { Ok(NetStream::connect_tls(stream, tls, name).await) };
        stream = by(deadline, handshake).await.map_err(|_| HandshakeError::Timeout)??;
    }
    Ok(stream)
}

/// Speaks to a proxy until its tunnel is open.
async fn open_tunnel(stream: &mut NetStream, mut dialogue: ProxyDialogue) -> Result<(), ConnectError> {
    let mut buffer = [0; ProxyDialogue::MAX_WANTED];
    while !dialogue.is_open() {
        let step = async {
            stream.write_all(dialogue.pending()).await?;
            stream.flush().await?;
            let wanted = dialogue.wanted();
            stream.read(buffer.get_mut(..wanted).unwrap_or_default()).await
        };
        match step.await {
            Ok(0) => return Err(dialogue.closed().into()),
            Ok(len) => {
                dialogue.written(dialogue.pending().len());
                dialogue.received(buffer.get(..len).unwrap_or_default())?;
            }
            Err(error) if is_gone(&error) => return Err(dialogue.closed().into()),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
