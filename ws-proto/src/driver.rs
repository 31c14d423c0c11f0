//! The parts of a driver that do no I/O and are the same over every runtime: settings, answers, errors, compressors.
//!
//! [`ws-std`](https://docs.rs/ws-std) and [`ws-tokio`](https://docs.rs/ws-tokio) are built from them and re-export them, so
//! that both have the same names, defaults and errors. A driver for another runtime finds here everything but its calls of
//! the transport:
//!
//! | step | a server | a client |
//! |---|---|---|
//! | settings | [`AcceptSettings`], [`Compressors`] | [`ConnectSettings`], [`Compressors`], [`ServerUrl`] |
//! | the transport | `ServerTls` | [`Route`], [`Target`], [`Dialing`], [`Proxy`], [`ProxyEnvironment`], [`ProxyDialogue`], `ClientTls` |
//! | the opening handshake | [`HeadBuffer`], [`ReceivedRequest`], [`Answer`], [`Page`] | [`Connecting`], [`RefusalBody`], [`Redirects`] |
//! | the open connection | [`Opened`], [`Compression`], [`Observer`] | the same |
//! | the next connection | | [`Tries`], [`Backoff`], [`ConnectError::is_transient`], [`Unconfirmed`] |
//! | errors | [`AcceptError`], [`Error`] | [`ConnectError`], [`ProxyError`], [`Error`] |
//! | a server's limits and log | [`Places`], [`Limits`], [`Log`], [`Incident`] | |

#![allow(clippy::std_instead_of_core, clippy::alloc_instead_of_core, reason = "drivers have the standard library")]

mod accept_error;
mod accept_settings;
mod answer;
#[cfg(feature = "client")]
mod client_side;
mod compression;
mod control_payload;
mod entropy;
mod error;
#[cfg(feature = "tracing")]
mod events;
mod head_buffer;
mod incident;
mod masked_frame;
mod observer;
mod opened;
mod places;
mod received_request;
#[cfg(feature = "rustls")]
mod tls;
mod transport_error;
mod write_front;

pub use accept_error::AcceptError;
pub use accept_settings::AcceptSettings;
pub use answer::{Answer, Page};
#[cfg(feature = "client")]
pub use client_side::{
    Answered, Backoff, ConnectError, ConnectSettings, Connecting, Dialing, KeptMessage, Proxy, ProxyDialogue,
    ProxyEnvironment, ProxyError, ReconnectError, RedirectError, Redirects, RefusalBody, Refused, Route,
    ServerUrl, SocksReply, Target, Tries, Unconfirmed,
};
pub use compression::{Compression, Compressors, Decompression};
pub use control_payload::ControlPayload;
pub use entropy::OsEntropy;
pub use error::{Error, Result, TrySendError};
#[cfg(feature = "tracing")]
pub use events::peer_span;
pub use head_buffer::{AwaitsHead, HeadBuffer, HeadError};
pub use incident::{Incident, Log};
pub use masked_frame::MaskedFrame;
pub use observer::{Counters, Observer, Traffic};
pub use opened::Opened;
pub use places::{AcceptFailure, Admission, Limits, Places, busy_response};
pub use received_request::ReceivedRequest;
#[cfg(feature = "rustls")]
pub use tls::{ClientTls, ClientTlsBuilder, ServerTls, TlsError};
pub use transport_error::is_gone;
pub use write_front::WriteFront;

/// The client of a driver, whose masking keys come from the operating system.
pub type Client = crate::Client<OsEntropy>;
