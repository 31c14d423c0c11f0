//! WebSockets under routes of axum 0.8 (feature `axum`), over HTTP/1.1 and HTTP/2 (RFC 8441).
//!
//! ```no_run
//! use axum::{Router, response::Response, routing::any};
//! use ws_tokio::{axum::WebSocketUpgrade, deflate::Settings};
//!
//! async fn echo(upgrade: WebSocketUpgrade) -> Response {
//!     upgrade.deflate(Settings::small()).on_open(async |mut ws| {
//!         while let Some(mut received) = ws.read().await? {
//!             received.reply.queue(received.message).await?;
//!         }
//!         Ok(())
//!     })
//! }
//!
//! // HTTP/1.1 asks with GET, HTTP/2 with CONNECT.
//! let router: Router = Router::new().route("/", any(echo));
//! ```
//!
//! A server of HTTP/2 has to announce extended CONNECT: `axum::serve` does so with axum's feature `http2`; with hyper,
//! `enable_connect_protocol` does. Browsers speak HTTP/2 over TLS only, and ask for a WebSocket by it if they have a connection
//! of HTTP/2 to that server already.
//!
//! # From axum's own extractor
//!
//! | axum | here |
//! |---|---|
//! | `use axum::extract::ws::{WebSocket, WebSocketUpgrade, Message}` | `use ws_tokio::axum::{WebSocket, WebSocketUpgrade}`, `ws_tokio::OwnedMessage` |
//! | `on_upgrade(callback)` | [`on_open`](WebSocketUpgrade::on_open); the callback returns a result |
//! | `protocols(["chat"])` | [`subprotocols`](WebSocketUpgrade::subprotocols) |
//! | `max_message_size`, `max_frame_size` | [`config`](WebSocketUpgrade::config) |
//! | `on_failed_upgrade(callback)` | [`on_error`](WebSocketUpgrade::on_error), which gets the errors of the callback too |
//! | `socket.recv()`, `socket.next()`, `socket.send(message)` | `ws.read()`, `ws.next()`, `ws.send(&message)` |
//! | none | [`origin`](WebSocketUpgrade::origin), [`deflate`](WebSocketUpgrade::deflate), [`tracker`](WebSocketUpgrade::tracker), keepalive |

use core::{error::Error, fmt, future::Future};
use std::{borrow::Cow, sync::LazyLock};

use axum_core::{
    body::Body,
    extract::FromRequestParts,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, Method, StatusCode, Version, request::Parts};
use hyper::{
    ext::Protocol,
    upgrade::{OnUpgrade, Upgraded},
};
use hyper_util::rt::TokioIo;
use ws_proto::{
    Server,
    driver::{AcceptSettings, Log},
    server::{Accept, HttpVersion, Offer, OriginPolicy, Rejection, negotiate, negotiate_extended_connect},
};

use crate::{Agreed, Config, HandlerResult, Tracker};

/// The stream of a request to axum, over HTTP/1.1 or HTTP/2.
pub type Stream = TokioIo<Upgraded>;

/// The connection of a request to axum.
pub type WebSocket = crate::WebSocket<Server, Stream>;

/// The reading half of a [`WebSocket`].
pub type Reader = crate::Reader<Server, Stream>;

/// The writing half of a [`WebSocket`].
pub type Writer = crate::Writer<Server, Stream>;

/// The function that errors of a connection are reported to.
type OnError = Box<dyn FnOnce(Box<dyn Error + Send + Sync>) + Send>;

/// A request for a connection: an extractor of axum.
///
/// By default pages of the same host only may connect, no subprotocol is chosen and messages are not compressed.
pub struct WebSocketUpgrade {
    request: Request,
    on_upgrade: OnUpgrade,
    settings: AcceptSettings<'static>,
    subprotocols: Vec<Cow<'static, str>>,
    tracker: Option<Tracker>,
    /// `None`: the [`LOG`].
    on_error: Option<OnError>,
}

/// The log of connections whose errors go to no function of the user's.
static LOG: LazyLock<Log> = LazyLock::new(Log::default);

/// The parts of a request that the negotiation needs.
struct Request {
    version: Version,
    method: Method,
    authority: Option<String>,
    headers: HeaderMap,
    /// The value of `:protocol`, of an extended CONNECT.
    protocol: Option<Protocol>,
}

/// A request that opens no connection; the response says why.
#[derive(Debug)]
pub struct Refused {
    status: u16,
    fields: Vec<(String, String)>,
    body: &'static str,
}

impl Request {
    /// Negotiates with pages that `origin` admits.
    fn negotiate<X>(
        &self,
        origin: OriginPolicy<'_>,
        accept: impl FnOnce(&dyn Offered) -> X,
    ) -> Result<X, Refused> {
        let fields = || self.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
        let authority = self.authority.as_deref();
        let version = match (self.version, self.protocol.as_ref().map(Protocol::as_str)) {
            (_, Some("websocket")) => {
                let offer = negotiate_extended_connect(authority.unwrap_or_default(), fields, origin)?;
                return Ok(accept(&offer));
            }
            // RFC 9220 §3.
            (_, Some(_)) => return Err(Refused::new(501, "the protocol is not served here")),
            (Version::HTTP_10, None) => HttpVersion::Http10,
            (Version::HTTP_11, None) => HttpVersion::Http11,
            // HTTP/2 and HTTP/3 have no field Upgrade, which 426 demands (RFC 9110 §15.5.22).
            (_, None) => {
                let refused = Refused::new(405, "only WebSockets are served here (RFC 8441)");
                return Err(refused.with_field("allow", "CONNECT"));
            }
        };
        Ok(accept(&negotiate(version, self.method.as_str(), authority, fields, origin)?))
    }
}

/// An offer, whatever the type of its fields.
trait Offered {
    /// Accepts it, with the first of `ours` that the client offers too; returns the response and the connection.
    fn accept(&self, settings: &AcceptSettings<'_>, ours: &[Cow<'static, str>]) -> (Response, Agreed<Server>);
}

impl<'h, F: Fn() -> I, I: Iterator<Item = (&'h str, &'h [u8])>> Offered for Offer<'h, F> {
    fn accept(&self, settings: &AcceptSettings<'_>, ours: &[Cow<'static, str>]) -> (Response, Agreed<Server>) {
        let ours: Vec<&str> = ours.iter().map(|subprotocol| &**subprotocol).collect();
        let answer = Accept::new().subprotocol(self.select(&ours));
        #[cfg(feature = "deflate")]
        let answer = answer.deflate(settings.deflate().and_then(|settings| self.deflate(&settings)));
        let acceptance = Self::accept(self, &answer).unwrap_or_else(|_| unreachable!("no fields are added"));
        let response = response(acceptance.status(), acceptance.fields(), Body::empty());
        (response, Agreed::new(|now| settings.open(&acceptance, now)))
    }
}

impl WebSocketUpgrade {
    /// Sets the subprotocols to choose from, the preferred one first (RFC 6455 section 1.9).
    #[must_use]
    pub fn subprotocols<I>(mut self, subprotocols: I) -> Self
    where
        I: IntoIterator<Item: Into<Cow<'static, str>>>,
    {
        self.subprotocols = subprotocols.into_iter().map(Into::into).collect();
        self
    }

    /// Sets the pages that may connect, by their origin (RFC 6455 section 10.2).
    #[must_use]
    pub const fn origin(mut self, origin: OriginPolicy<'static>) -> Self {
        self.settings.origin = origin;
        self
    }

    /// Sets limits and timeouts, keepalive among them.
    #[must_use]
    pub fn config(mut self, config: Config) -> Self {
        self.settings.config = config;
        self
    }

    /// Compresses messages as far as the client agrees (RFC 7692); [`deflate`](crate::deflate) lists the costs.
    #[cfg(feature = "deflate")]
    #[must_use]
    pub fn deflate(mut self, settings: crate::deflate::Settings) -> Self {
        self.settings.set_deflate(settings);
        self
    }

    /// Sets the tracker of the connection, which closes it and waits for it when the server stops.
    #[must_use]
    pub fn tracker(mut self, tracker: &Tracker) -> Self {
        self.tracker = Some(tracker.clone());
        self
    }

    /// Sets the function that an error of the upgrade or of the callback of [`on_open`](Self::on_open) is reported to. By default
    /// it is logged as [`Server::on_error`](crate::Server::on_error) does it by default: at most one line a second after ten.
    #[must_use]
    pub fn on_error(self, report: impl FnOnce(Box<dyn Error + Send + Sync>) + Send + 'static) -> Self {
        Self { on_error: Some(Box::new(report)), ..self }
    }

    /// Returns the response, which accepts the request unless its page may not connect, and calls `callback` with the connection
    /// in a task of its own.
    ///
    /// When the callback returns, the connection is dropped. [Close](crate::WebSocket::close) it before, or the peer sees an end
    /// without a Close, as after a panic.
    pub fn on_open<C, F>(self, callback: C) -> Response
    where
        C: FnOnce(WebSocket) -> F + Send + 'static,
        F: Future<Output = HandlerResult> + Send + 'static,
    {
        let Self { request, on_upgrade, settings, subprotocols, tracker, on_error } = self;
        let accepted = request.negotiate(settings.origin, |offer| offer.accept(&settings, &subprotocols));
        let (response, agreed) = match accepted {
            Ok(accepted) => accepted,
            Err(refused) => return refused.into_response(),
        };
        // From here on the client may regard the connection as open.
        let place = tracker.map(|tracker| tracker.enter());
        tokio::spawn(async move {
            let served = async {
                let ws = agreed.open(TokioIo::new(on_upgrade.await?));
                let ws = match &place {
                    Some(place) => place.watcher().opened(ws),
                    None => ws,
                };
                callback(ws).await
            };
            if let Err(error) = served.await {
                match on_error {
                    Some(on_error) => on_error(error),
                    None => LOG.report(None, &*error),
                }
            }
        });
        response
    }
}

impl<S: Send + Sync> FromRequestParts<S> for WebSocketUpgrade {
    type Rejection = Refused;

    /// Refuses a request that is not a valid request for a connection.
    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Refused> {
        let request = Request {
            version: parts.version,
            method: parts.method.clone(),
            authority: parts.uri.authority().map(|authority| authority.as_str().to_owned()),
            headers: parts.headers.clone(),
            protocol: parts.extensions.get().cloned(),
        };
        // The page is checked when it is known which pages may connect.
        request.negotiate(OriginPolicy::AllowAny, |_| ())?;
        let not_upgradable = || Refused::new(426, "the connection cannot be upgraded");
        let on_upgrade = parts.extensions.remove::<OnUpgrade>().ok_or_else(not_upgradable)?;
        Ok(Self {
            request,
            on_upgrade,
            settings: AcceptSettings::new(),
            subprotocols: Vec::new(),
            tracker: None,
            on_error: None,
        })
    }
}

impl Refused {
    const fn new(status: u16, body: &'static str) -> Self {
        Self { status, fields: Vec::new(), body }
    }

    fn with_field(mut self, name: &str, value: &str) -> Self {
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }
}

impl From<Rejection> for Refused {
    fn from(rejection: Rejection) -> Self {
        let fields = rejection.fields().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Self { status: rejection.status(), fields, body: rejection.body() }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let fields = self.fields.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        response(self.status, fields, Body::from(self.body))
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.status, self.body)
    }
}

impl Error for Refused {}

impl fmt::Debug for WebSocketUpgrade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocketUpgrade")
            .field("settings", &self.settings)
            .field("subprotocols", &self.subprotocols)
            .finish_non_exhaustive()
    }
}

fn response<'f>(status: u16, fields: impl Iterator<Item = (&'f str, &'f str)>, body: Body) -> Response {
    let response = Response::builder().status(status);
    let response = fields.fold(response, |response, (name, value)| response.header(name, value));
    // The status and the fields come from a negotiation, which has checked them.
    response.body(body).unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())
}
