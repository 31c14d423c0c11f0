//! TLS for drivers, by rustls: the settings of both sides, and the faults of a handshake.

use core::fmt;
use std::{
    io,
    sync::{Arc, OnceLock},
    vec,
    vec::Vec,
};

use rustls::{
    AlertDescription, CertificateError, ClientConfig, ServerConfig,
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use rustls_platform_verifier::Verifier;

/// The protocol that a WebSocket of RFC 6455 is opened in (RFC 7301 section 6).
const HTTP_1_1: &[u8] = b"http/1.1";

/// The TLS settings of a client. Clones share their sessions, so that later connections to a server resume earlier ones.
///
/// By default the certificates of servers are verified as the platform does it, with its roots.
#[derive(Clone, Debug, Default)]
pub struct ClientTls {
    /// `None`: the default, which the process makes once.
    config: Option<Arc<ClientConfig>>,
}

/// Builds [`ClientTls`] with roots or a certificate of the user's own.
#[derive(Debug, Default)]
pub struct ClientTlsBuilder {
    roots: Vec<CertificateDer<'static>>,
    only_these: bool,
    identity: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
}

/// The TLS settings of a server. Clones share their sessions.
#[derive(Clone, Debug)]
pub struct ServerTls {
    config: Arc<ServerConfig>,
}

/// The reason why TLS failed: its settings, or its handshake.
#[derive(Debug)]
#[non_exhaustive]
pub enum TlsError {
    /// The server's certificate is for other names than the host of the URL.
    WrongName,
    /// The server's certificate has expired.
    Expired,
    /// The server's certificate is not valid yet. The clock of this machine may be wrong.
    NotYetValid,
    /// The server's certificate was not issued by one of the roots.
    UnknownIssuer,
    /// The peer's certificate is not accepted for another reason.
    Certificate(CertificateError),
    /// The peer's bytes are not those of TLS: it may speak plain HTTP at this port.
    NotTls,
    /// The peer gave the handshake up, and said why.
    Alert(AlertDescription),
    /// The peer chose another protocol than HTTP/1.1, which the settings offer by ALPN.
    WrongProtocol,
    /// The peer ended the transport in the handshake.
    Closed,
    /// The transport failed in the handshake.
    Io(io::Error),
    /// The settings cannot be used. The text says which.
    Settings(&'static str),
    /// Another fault that rustls has found.
    Other(rustls::Error),
}

impl ClientTls {
    /// Returns the default: TLS 1.2 and 1.3, the platform's verification, no certificate of the client.
    #[must_use]
    pub const fn new() -> Self {
        Self { config: None }
    }

    /// Returns a builder for roots and certificates of the user's own.
    #[must_use]
    pub fn builder() -> ClientTlsBuilder {
        ClientTlsBuilder::default()
    }

    /// Returns the configuration of rustls.
    ///
    /// # Errors
    ///
    /// The platform's verification cannot be used.
    pub fn config(&self) -> Result<Arc<ClientConfig>, TlsError> {
        static DEFAULT: OnceLock<Arc<ClientConfig>> = OnceLock::new();
        if let Some(config) = self.config.as_ref().or_else(|| DEFAULT.get()) {
            return Ok(Arc::clone(config));
        }
        // Of two threads that make it at once, one is late.
        let config = Arc::new(ClientTlsBuilder::default().build_config()?);
        Ok(Arc::clone(DEFAULT.get_or_init(|| config)))
    }
}

/// Uses a configuration as it is. A protocol that it offers by ALPN has to be `http/1.1`.
impl From<Arc<ClientConfig>> for ClientTls {
    fn from(config: Arc<ClientConfig>) -> Self {
        Self { config: Some(config) }
    }
}

impl ClientTlsBuilder {
    /// Trusts the certificates in `pem` too, as roots.
    ///
    /// # Errors
    ///
    /// [`TlsError::Settings`] if there is none in it, or one that cannot be read.
    pub fn add_roots(mut self, pem: impl AsRef<[u8]>) -> Result<Self, TlsError> {
        self.roots.extend(certificates(pem.as_ref())?);
        Ok(self)
    }

    /// Trusts the roots that were [added](Self::add_roots), and not those of the platform.
    #[must_use]
    pub fn only_added_roots(mut self) -> Self {
        self.only_these = true;
        self
    }

    /// Presents a certificate to servers that ask for one: the chain, its own certificate first, and the private key, both in
    /// PEM.
    ///
    /// # Errors
    ///
    /// [`TlsError::Settings`] if one of them cannot be read.
    pub fn certificate(mut self, chain: impl AsRef<[u8]>, key: impl AsRef<[u8]>) -> Result<Self, TlsError> {
        self.identity = Some((certificates(chain.as_ref())?, private_key(key.as_ref())?));
        Ok(self)
    }

    /// Returns the settings.
    ///
    /// # Errors
    ///
    /// A root cannot be used, the private key is not that of the certificate, or the platform's verification cannot be used.
    pub fn build(self) -> Result<ClientTls, TlsError> {
        self.build_config().map(|config| Arc::new(config).into())
    }

    fn build_config(self) -> Result<ClientConfig, TlsError> {
        let provider = provider();
        let versions =
            ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
        let verified = if self.only_these {
            let mut roots = rustls::RootCertStore::empty();
            for root in self.roots {
                roots.add(root)?;
            }
            versions.with_root_certificates(roots)
        } else {
            let verifier = Verifier::new_with_extra_roots(self.roots, provider)?;
            versions.dangerous().with_custom_certificate_verifier(Arc::new(verifier))
        };
        let mut config = match self.identity {
            Some((chain, key)) => verified.with_client_auth_cert(chain, key)?,
            None => verified.with_no_client_auth(),
        };
        config.alpn_protocols = vec![HTTP_1_1.into()];
        Ok(config)
    }
}

impl ServerTls {
    /// Creates settings with a certificate: the chain, its own certificate first, and the private key, both in PEM. Clients
    /// need none.
    ///
    /// # Errors
    ///
    /// One of them cannot be read, or the key is not that of the certificate.
    pub fn new(chain: impl AsRef<[u8]>, key: impl AsRef<[u8]>) -> Result<Self, TlsError> {
        let (chain, key) = (certificates(chain.as_ref())?, private_key(key.as_ref())?);
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain, key)?;
        config.alpn_protocols = vec![HTTP_1_1.into()];
        Ok(Arc::new(config).into())
    }

    /// Returns the configuration of rustls.
    #[must_use]
    pub fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config)
    }
}

/// Uses a configuration as it is. A protocol that it accepts by ALPN has to be `http/1.1`.
impl From<Arc<ServerConfig>> for ServerTls {
    fn from(config: Arc<ServerConfig>) -> Self {
        Self { config }
    }
}

/// Returns the provider that the process has installed, or else *ring*.
fn provider() -> Arc<CryptoProvider> {
    CryptoProvider::get_default().map_or_else(|| Arc::new(ring::default_provider()), Arc::clone)
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(TlsError::Settings("there is no certificate in the PEM")),
        Err(_) => Err(TlsError::Settings("a certificate in the PEM cannot be read")),
    }
}

fn private_key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_slice(pem).map_err(|_| TlsError::Settings("there is no private key in the PEM"))
}

impl TlsError {
    /// Checks the protocol that the peer has chosen by ALPN (RFC 7301): HTTP/1.1 or none.
    ///
    /// # Errors
    ///
    /// [`TlsError::WrongProtocol`].
    pub fn check_protocol(chosen: Option<&[u8]>) -> Result<(), Self> {
        if chosen.is_none_or(|chosen| chosen == HTTP_1_1) { Ok(()) } else { Err(Self::WrongProtocol) }
    }

    /// Returns whether another try may succeed even if the user changes nothing.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Closed => true,
            Self::Io(error) => super::transport_error::is_transient(error),
            // RFC 8446 section 6.2: a failure of the peer's own, such as a lack of memory.
            Self::Alert(alert) => *alert == AlertDescription::InternalError,
            _ => false,
        }
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::WrongName => "server's certificate is for another name",
            Self::Expired => "server's certificate has expired",
            Self::NotYetValid => "server's certificate is not valid yet; is the clock right?",
            Self::UnknownIssuer => "server's certificate has an unknown issuer; is its root missing?",
            Self::Certificate(fault) => return write!(f, "peer's certificate is not accepted: {fault}"),
            Self::NotTls => "peer does not speak TLS at this port",
            Self::Alert(alert) => return write!(f, "peer gave up the TLS handshake: {alert:?}"),
            Self::WrongProtocol => "peer chose another protocol than HTTP/1.1; offer no other by ALPN",
            Self::Closed => "peer ended the transport in the TLS handshake",
            Self::Io(_) => "transport failed in the TLS handshake",
            Self::Settings(what) => return write!(f, "TLS settings cannot be used: {what}"),
            Self::Other(_) => "TLS handshake failed",
        })
    }
}

impl std::error::Error for TlsError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            Self::Other(error) => Some(error),
            _ => None,
        }
    }
}

impl From<rustls::Error> for TlsError {
    fn from(error: rustls::Error) -> Self {
        use CertificateError as Bad;
        match error {
            rustls::Error::InvalidCertificate(bad) => match bad {
                Bad::NotValidForName | Bad::NotValidForNameContext { .. } => Self::WrongName,
                Bad::Expired | Bad::ExpiredContext { .. } => Self::Expired,
                Bad::NotValidYet | Bad::NotValidYetContext { .. } => Self::NotYetValid,
                Bad::UnknownIssuer => Self::UnknownIssuer,
                bad => Self::Certificate(bad),
            },
            rustls::Error::InvalidMessage(_) => Self::NotTls,
            rustls::Error::AlertReceived(alert) => Self::Alert(alert),
            error => Self::Other(error),
        }
    }
}

/// Finds the fault in the error of a stream that rustls drives.
impl From<io::Error> for TlsError {
    fn from(error: io::Error) -> Self {
        match error.downcast::<rustls::Error>() {
            Ok(fault) => fault.into(),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Self::Closed,
            Err(error) => Self::Io(error),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test panics where it fails")]
mod tests {
    use std::string::ToString;

    use super::*;

    #[test]
    fn settings_that_cannot_be_read_are_named() {
        let nothing = "no PEM";
        let torn = "-----BEGIN CERTIFICATE-----\nAAAA\n";
        for (error, expected) in [
            (ClientTls::builder().add_roots(nothing).err(), "there is no certificate"),
            (ClientTls::builder().add_roots(torn).err(), "cannot be read"),
            (ClientTls::builder().certificate(nothing, nothing).err(), "there is no certificate"),
            (ServerTls::new(nothing, nothing).err(), "there is no certificate"),
        ] {
            let text = error.unwrap().to_string();
            assert!(text.starts_with("TLS settings cannot be used: ") && text.contains(expected), "{text}");
        }
    }

    #[test]
    fn default_settings_are_made_once_and_offer_http_1_1() {
        let (one, other) = (ClientTls::new().config().unwrap(), ClientTls::default().config().unwrap());
        assert!(Arc::ptr_eq(&one, &other));
        assert_eq!(one.alpn_protocols, [HTTP_1_1]);
    }

    #[test]
    fn faults_of_a_handshake_have_names() {
        let certificate = |fault| TlsError::from(rustls::Error::InvalidCertificate(fault));
        assert!(matches!(certificate(CertificateError::NotValidForName), TlsError::WrongName));
        assert!(matches!(certificate(CertificateError::Expired), TlsError::Expired));
        assert!(matches!(certificate(CertificateError::NotValidYet), TlsError::NotYetValid));
        assert!(matches!(certificate(CertificateError::UnknownIssuer), TlsError::UnknownIssuer));
        assert!(matches!(certificate(CertificateError::Revoked), TlsError::Certificate(_)));
        let fault = rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType);
        assert!(matches!(TlsError::from(io::Error::other(fault)), TlsError::NotTls));
        let ended = TlsError::from(io::Error::from(io::ErrorKind::UnexpectedEof));
        assert!(matches!(ended, TlsError::Closed) && ended.is_transient());
        let reset = TlsError::from(io::Error::from(io::ErrorKind::ConnectionReset));
        assert!(matches!(reset, TlsError::Io(_)) && reset.is_transient() && !TlsError::Expired.is_transient());
    }

    #[test]
    fn a_protocol_other_than_http_1_1_is_refused() {
        for (chosen, good) in [(None, true), (Some(&b"http/1.1"[..]), true), (Some(b"h2"), false)] {
            assert_eq!(TlsError::check_protocol(chosen).is_ok(), good, "{chosen:?}");
        }
    }
}
