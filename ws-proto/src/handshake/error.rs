use core::fmt;

use super::foreign::LooksLike;

/// The failure of an opening handshake: the peer's fault, or its time has passed.
///
/// A server answers with [`write_response`](Self::write_response), then ends the transport: half-close, drain for
/// a moment, drop. A client just ends the transport. All later calls return the same error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HandshakeError {
    /// The head was not complete in time: 408.
    Timeout,
    /// The head is longer than [`max_head_len`](crate::Config::max_head_len) or the host's buffer: 431.
    HeadTooLong,
    /// A line of the head is longer than [`max_line_len`](crate::Config::max_line_len): 431.
    LineTooLong,
    /// The head has more fields than [`max_header_fields`](crate::Config::max_header_fields): 431.
    TooManyFields,
    /// The request target is longer than [`MAX_TARGET_LEN`](super::MAX_TARGET_LEN): 414.
    TargetTooLong,
    /// The bytes are not an HTTP/1.1 head: 400.
    Syntax,
    /// A WebSocket is requested, or opened, over HTTP/1.0, which has no Upgrade: 400. The usual cause is nginx
    /// without `proxy_http_version 1.1`.
    Http10,
    /// The message is of a version of HTTP other than 1.0 and 1.1: 505.
    HttpVersion,
    /// The method is not one of HTTP: 501.
    UnknownMethod,
    /// A WebSocket is requested with a method other than GET, or a page with one other than GET and HEAD: 405.
    MethodNotAllowed,
    /// The request target has a form or a character that is not allowed: 400.
    Target,
    /// Host is missing or not a valid host: 400.
    Host,
    /// A field that may come once is repeated: 400.
    DuplicateField(SingleField),
    /// A body is announced where none is allowed: 400.
    Body,
    /// The request is not for a WebSocket, or is for one but without `Upgrade: websocket`: 426. A
    /// [`Connection`](crate::Connection) sends this answer itself.
    UpgradeRequired,
    /// Upgrade is missing, malformed, or names another protocol: 400.
    Upgrade,
    /// Connection is missing, malformed, or does not name Upgrade: 400.
    Connection,
    /// Sec-WebSocket-Version is missing or not a version: 400.
    Version,
    /// The version of the WebSocket protocol is not 13: 426, and the response names 13.
    UnsupportedVersion,
    /// Sec-WebSocket-Key is missing, not the base64 of 16 bytes, or part of a response: 400.
    Key,
    /// Sec-WebSocket-Extensions is malformed, or a response names an extension that was not offered: 400.
    Extensions,
    /// Sec-WebSocket-Protocol is malformed, or a response names a subprotocol that was not offered: 400.
    Subprotocol,
    /// The [`OriginPolicy`](super::server::OriginPolicy) does not admit the page that sent the request: 403.
    /// [`OriginMismatch`](super::server::OriginMismatch) has its origin, for a log.
    Origin,
    /// The status of a response is not valid: 502.
    Status,
    /// There are more interim responses than [`MAX_INTERIM_RESPONSES`](super::MAX_INTERIM_RESPONSES): 502.
    TooManyInterimResponses,
    /// Sec-WebSocket-Accept is missing or does not answer the key: 502.
    Accept,
    /// A response accepts compression without `server_no_context_takeover`, which
    /// `deflate::Settings::require_server_parameters` demands: 502.
    ServerContextTakeover,
    /// A response accepts compression without `server_max_window_bits`, or with a greater value than
    /// `deflate::Settings::require_server_parameters` demands: 502.
    ServerMaxWindowBits,
    /// The server's first bytes cannot become an HTTP response: 502. The value says which protocol they look like.
    NotHttp(LooksLike),
}

impl HandshakeError {
    /// The greatest number of bytes that [`write_response`](Self::write_response) writes.
    pub const MAX_RESPONSE_LEN: usize = 320;

    /// Returns the HTTP status of the error. For an error of a response, it is the status that a gateway passes
    /// on.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::Timeout => 408,
            Self::HeadTooLong | Self::LineTooLong | Self::TooManyFields => 431,
            Self::TargetTooLong => 414,
            Self::HttpVersion => 505,
            Self::UnknownMethod => 501,
            Self::MethodNotAllowed => 405,
            Self::UpgradeRequired | Self::UnsupportedVersion => 426,
            Self::Origin => 403,
            Self::Status
            | Self::TooManyInterimResponses
            | Self::Accept
            | Self::ServerContextTakeover
            | Self::ServerMaxWindowBits
            | Self::NotHttp(_) => 502,
            Self::Syntax
            | Self::Http10
            | Self::Target
            | Self::Host
            | Self::DuplicateField(_)
            | Self::Body
            | Self::Upgrade
            | Self::Connection
            | Self::Version
            | Self::Key
            | Self::Extensions
            | Self::Subprotocol => 400,
        }
    }

    /// Returns the name of the field at fault, or `None` if the error is not about one certain field.
    #[must_use]
    pub const fn field(self) -> Option<&'static str> {
        Some(match self {
            Self::Host => "Host",
            Self::UpgradeRequired | Self::Upgrade => "Upgrade",
            Self::Connection => "Connection",
            Self::Version | Self::UnsupportedVersion => "Sec-WebSocket-Version",
            Self::Key => "Sec-WebSocket-Key",
            Self::Extensions | Self::ServerContextTakeover | Self::ServerMaxWindowBits => {
                "Sec-WebSocket-Extensions"
            }
            Self::Subprotocol => "Sec-WebSocket-Protocol",
            Self::Origin => "Origin",
            Self::Accept => "Sec-WebSocket-Accept",
            Self::DuplicateField(field) => field.name(),
            _ => return None,
        })
    }

    /// Returns the fault in words, with the section of the RFC.
    pub(super) const fn text(self) -> &'static str {
        match self {
            Self::Timeout => "opening handshake took too long (RFC 9110 section 15.5.9)",
            Self::HeadTooLong => "head is over the limit (RFC 6585 section 5)",
            Self::LineTooLong => "line of the head is over the limit (RFC 6585 section 5)",
            Self::TooManyFields => "too many fields in the head (RFC 6585 section 5)",
            Self::TargetTooLong => "request target is over the limit (RFC 9112 section 3)",
            Self::Syntax => "not an HTTP/1.1 head (RFC 9112 section 2.1)",
            Self::Http10 => {
                "HTTP/1.0 has no upgrade, HTTP/1.1 is needed; for nginx, set `proxy_http_version 1.1` (RFC 6455 section 4.2.1)"
            }
            Self::HttpVersion => "HTTP version is not 1.1 (RFC 6455 section 4.2.1)",
            Self::UnknownMethod => "method is not known (RFC 9110 section 9.1)",
            Self::MethodNotAllowed => "method is not GET (RFC 6455 section 4.2.1)",
            Self::Target => "request target is malformed (RFC 9112 section 3.2)",
            Self::Host => "host is missing or malformed (RFC 9112 section 3.2)",
            Self::DuplicateField(field) => match field {
                SingleField::Host => "host is repeated (RFC 9110 section 5.3)",
                SingleField::ContentLength => "content-length is repeated (RFC 9110 section 5.3)",
                SingleField::Upgrade => "upgrade is repeated (RFC 6455 section 4.1)",
                SingleField::Key => "websocket key is repeated (RFC 6455 section 11.3.1)",
                SingleField::Version => "websocket version is repeated (RFC 6455 section 11.3.5)",
                SingleField::Accept => "answer to the key is repeated (RFC 6455 section 11.3.3)",
                SingleField::Subprotocol => "subprotocol is repeated (RFC 6455 section 11.3.4)",
            },
            Self::Body => "message of the handshake has a body (RFC 9112 section 6)",
            Self::UpgradeRequired => "handshake without an upgrade to websocket (RFC 6455 section 4.2.1)",
            Self::Upgrade => "upgrade is missing or not to websocket (RFC 6455 section 4.1)",
            Self::Connection => "connection does not name upgrade (RFC 6455 section 4.1)",
            Self::Version => "websocket version is missing or malformed (RFC 6455 section 4.3)",
            Self::UnsupportedVersion => "websocket version is not 13 (RFC 6455 section 4.4)",
            Self::Key => "websocket key is missing or malformed (RFC 6455 section 11.3.1)",
            Self::Extensions => "extensions are malformed or were not offered (RFC 6455 section 9.1)",
            Self::Subprotocol => "subprotocol is malformed or was not offered (RFC 6455 section 11.3.4)",
            Self::Origin => "origin is not admitted (RFC 6455 section 10.2)",
            Self::Status => "status of the response is not one (RFC 9110 section 15)",
            Self::TooManyInterimResponses => "too many interim responses (RFC 9110 section 15.2)",
            Self::Accept => "response does not answer the key (RFC 6455 section 4.1)",
            Self::ServerContextTakeover => {
                "server_no_context_takeover is not confirmed (RFC 7692 section 7.1.1.1)"
            }
            Self::ServerMaxWindowBits => "server_max_window_bits is not confirmed (RFC 7692 section 7.1.2.1)",
            Self::NotHttp(looks_like) => match looks_like {
                LooksLike::Ssh => "answer is not HTTP but SSH (RFC 9112 section 4)",
                LooksLike::Greeting => {
                    "answer is not HTTP but the greeting of a mail or FTP server (RFC 9112 section 4)"
                }
                LooksLike::Tls => "answer is not HTTP but TLS, which wss is for (RFC 9112 section 4)",
                LooksLike::Http2 => "answer is not HTTP/1.1 but HTTP/2 (RFC 9112 section 4)",
                LooksLike::HttpRequest => "answer is not a response of HTTP but a request (RFC 9112 section 4)",
                LooksLike::Unknown => "answer is not HTTP (RFC 9112 section 4)",
            },
        }
    }
}

impl fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl core::error::Error for HandshakeError {}

/// A field that may come once in a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SingleField {
    /// `Host`, of a request.
    Host,
    /// `Content-Length`, of a request.
    ContentLength,
    /// `Upgrade`, of a response.
    Upgrade,
    /// `Sec-WebSocket-Key`, of a request.
    Key,
    /// `Sec-WebSocket-Version`, of a request.
    Version,
    /// `Sec-WebSocket-Accept`, of a response.
    Accept,
    /// `Sec-WebSocket-Protocol`, of a response.
    Subprotocol,
}

impl SingleField {
    /// Returns the name of the field.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Host => "Host",
            Self::ContentLength => "Content-Length",
            Self::Upgrade => "Upgrade",
            Self::Key => "Sec-WebSocket-Key",
            Self::Version => "Sec-WebSocket-Version",
            Self::Accept => "Sec-WebSocket-Accept",
            Self::Subprotocol => "Sec-WebSocket-Protocol",
        }
    }
}

/// The refusal to write a head: the caller's fault. Nothing has changed, and the contents of the output are not a
/// head.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WriteError {
    /// The output is too small; the head takes `needed` bytes.
    BufferTooSmall {
        /// The length of the whole head in bytes.
        needed: usize,
    },
    /// The host does not have the form `uri-host [":" port]`.
    InvalidHost,
    /// The resource name does not start with a slash, or has a character that must be encoded.
    InvalidResource,
    /// The origin has a character that is not allowed.
    InvalidOrigin,
    /// A subprotocol is not a token, or is named twice.
    InvalidSubprotocol,
    /// The name of a field is not a token, its value has a control character, or the handshake writes the field
    /// itself.
    InvalidHeader,
    /// The status does not refuse a request: it is not 300–599, or it is 304, which has no content.
    InvalidStatus,
    /// The source of the random key failed.
    Entropy,
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BufferTooSmall { needed } => {
                return write!(f, "output is too small, the head takes {needed} bytes (RFC 9112 section 2.1)");
            }
            Self::InvalidHost => "host is malformed (RFC 6455 section 3)",
            Self::InvalidResource => "resource name is malformed (RFC 6455 section 3)",
            Self::InvalidOrigin => "origin is malformed (RFC 6454 section 7)",
            Self::InvalidSubprotocol => "subprotocol is no token or repeated (RFC 6455 section 4.1)",
            Self::InvalidHeader => "header is malformed or the handshake's own (RFC 9110 section 5.5)",
            Self::InvalidStatus => "status does not refuse (RFC 9110 section 15)",
            Self::Entropy => "source of the random key failed (RFC 6455 section 4.1)",
        })
    }
}

impl core::error::Error for WriteError {}
