//! The opening handshake.

use reqwest::{Response, Upgraded, Version};
use ws_proto::client::HttpVersion;
use ws_tokio::{Connector, WebSocket, deflate::Settings, role::Client};

/// The answer of a server.
pub(crate) enum Answer {
    /// The connection is open.
    Open(WebSocket<Client, Upgraded>),
    /// The server opened no connection. The body of its response has not been read yet.
    Refused(Response),
}

/// Opens a WebSocket at `url`, whose scheme is `http` or `https`, with compression. `http` speaks HTTP/1.1 only.
///
/// A redirect that `http` follows is sent the same fields, the key included. If each request has to have a key of its
/// own, build `http` with `redirect::Policy::none` and call this function again with the URL of a redirect.
pub(crate) async fn open(http: &reqwest::Client, url: &str) -> anyhow::Result<Answer> {
    let connector = Connector::new().deflate(Settings::small());
    let offer = connector.offer()?;
    let request =
        offer.fields().fold(http.get(url), |request, (name, value)| request.header(name, value.to_string()));
    let response = request.send().await?;
    let version = match response.version() {
        Version::HTTP_10 => HttpVersion::Http10,
        Version::HTTP_11 => HttpVersion::Http11,
        _ => HttpVersion::Other,
    };
    let fields = || response.headers().iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
    let Some(acceptance) = offer.check(version, response.status().as_u16(), fields)? else {
        return Ok(Answer::Refused(response));
    };
    let stream = response.upgrade().await?;
    Ok(Answer::Open(connector.agree(&acceptance).open(stream)))
}
