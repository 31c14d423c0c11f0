//! Opening connections as the command line says.

use std::{borrow::Cow, fs, path::Path, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ws_std::{ClientTls, Config, ConnectError, Connector, Proxy, ServerTls, TlsError};

use crate::{
    arguments::{Common, Compress, Connecting},
    failure::Failure,
    insecure,
    plain::escaped,
};

const CLOSE_TIMEOUT: Duration = Duration::from_secs(3);

/// Returns the URL that a user means, who may leave `ws://` out.
pub(crate) fn url_of(text: &str) -> Cow<'_, str> {
    let has_scheme = text.contains("://") || text.starts_with("ws+unix:");
    if has_scheme { text.into() } else { format!("ws://{text}").into() }
}

/// Returns a URL for a terminal, without credentials.
pub(crate) fn shown(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return escaped(url);
    };
    let (authority, resource) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    escaped(&format!("{scheme}://{host}{resource}"))
}

/// The settings of connections, with everything that files and options hold.
pub(crate) struct Dialler {
    headers: Vec<(String, String)>,
    subprotocols: Vec<String>,
    origin: Option<String>,
    connector: Connector<'static>,
}

impl Dialler {
    /// Reads the files that the options name. `compress` is the default of `--compress`.
    pub(crate) fn new(common: &Common, connecting: &Connecting, compress: Compress) -> Result<Self, Failure> {
        let mut config = config(common);
        config.handshake_timeout = Some(connecting.connect_timeout);
        let mut connector = Connector::new()
            .config(config)
            .connect_timeout(Some(connecting.connect_timeout))
            .max_redirects(connecting.redirects)
            .tls(client_tls(common, connecting)?);
        if let Some(settings) = common.deflate(compress) {
            connector = connector.deflate(settings);
        }
        if let Some(proxy) = &connecting.proxy {
            connector = connector.proxy(named_proxy(proxy)?);
        }
        let mut headers = connecting.headers.clone();
        if let Some(credentials) = &connecting.auth {
            headers.push(("Authorization".into(), format!("Basic {}", STANDARD.encode(credentials))));
        }
        let subprotocols = connecting.subprotocol.clone();
        Ok(Self { headers, subprotocols, origin: connecting.origin.clone(), connector })
    }

    /// Calls `open` with the connector for one try.
    pub(crate) fn with<T>(
        &self,
        open: impl FnOnce(&Connector<'_>) -> Result<T, ConnectError>,
    ) -> Result<T, ConnectError> {
        let subprotocols: Vec<_> = self.subprotocols.iter().map(String::as_str).collect();
        let mut connector = self.connector.clone().subprotocols(&subprotocols);
        for (name, value) in &self.headers {
            connector = connector.header(name, value);
        }
        if let Some(origin) = &self.origin {
            connector = connector.origin(origin);
        }
        open(&connector)
    }
}

/// Returns the limits of connections of both roles.
pub(crate) fn config(common: &Common) -> Config {
    let mut config = Config::default();
    config.max_message_len = common.max_message;
    // Few people wait longer for a server that does not answer a Close.
    config.close_timeout = Some(CLOSE_TIMEOUT);
    config
}

/// Returns the TLS settings of a server with the certificate of the command line, if there is one.
pub(crate) fn server_tls(common: &Common) -> Result<Option<ServerTls>, Failure> {
    let (Some(cert), Some(key)) = (&common.cert, &common.key) else {
        return Ok(None);
    };
    ServerTls::new(read(cert)?, read(key)?).map(Some).map_err(|error| unusable(&error))
}

fn named_proxy(url: &str) -> Result<Option<Proxy>, Failure> {
    if url == "none" {
        return Ok(None);
    }
    Proxy::parse(url).map(Some).map_err(|error| Failure::usage(format!("--proxy: {error}")))
}

fn client_tls(common: &Common, connecting: &Connecting) -> Result<ClientTls, Failure> {
    let mut builder = ClientTls::builder();
    for path in &connecting.ca {
        builder = builder.add_roots(read(path)?).map_err(|error| unusable(&error))?;
    }
    if let (Some(cert), Some(key)) = (&common.cert, &common.key) {
        builder = builder.certificate(read(cert)?, read(key)?).map_err(|error| unusable(&error))?;
    } else if connecting.ca.is_empty() && !connecting.insecure {
        // The default is made when a URL needs it: reading the platform's roots takes time.
        return Ok(ClientTls::new());
    }
    let tls = builder.build().map_err(|error| unusable(&error))?;
    if !connecting.insecure {
        return Ok(tls);
    }
    eprintln!("ws: --insecure: the server may be anyone, who can read and change all messages");
    insecure::trusting_all(&tls).map_err(|error| unusable(&error))
}

fn unusable(error: &TlsError) -> Failure {
    Failure::usage(format!("--ca, --cert or --key: {error}"))
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    fs::read(path).map_err(|error| Failure::local(&path.display().to_string(), &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_without_a_scheme_is_one_of_ws() {
        for (text, url) in [
            ("localhost:9001/x", "ws://localhost:9001/x"),
            ("wss://a", "wss://a"),
            ("ws+unix:/run/x:/", "ws+unix:/run/x:/"),
        ] {
            assert_eq!(url_of(text), url);
        }
    }

    #[test]
    fn credentials_are_not_shown() {
        for (url, expected) in [
            ("ws://me:secret@a:1/x?y=1@2", "ws://a:1/x?y=1@2"),
            ("wss://me@a", "wss://a"),
            ("ws://a/me@b", "ws://a/me@b"),
            ("ws+unix:/run/x:/", "ws+unix:/run/x:/"),
        ] {
            assert_eq!(shown(url), expected);
        }
    }
}
