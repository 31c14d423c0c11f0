//! The guide: chapters of prose for programs that use the crate.
//!
//! | chapter | question |
//! |---|---|
//! | [`from_tokio_tungstenite`] | Which names and calls take the place of those of tokio-tungstenite? |
//! | [`back_pressure`] | What waits for whom, and how much memory does a connection hold? |
//! | [`upgraded`] | How does a connection begin in axum, hyper, or an HTTP/2 stack? |
//! | [`tls`] | How is `wss` spoken, and how does a client go through a proxy? |
//! | [`tunnels`] | How does a connection carry a stream of bytes? |
//! | [`shutdown`] | How do connections end, one by one and all together? |

// Links in the chapters are resolved in this scope.
use crate::*;

#[doc = include_str!("guide/from_tokio_tungstenite.md")]
pub mod from_tokio_tungstenite {}

#[doc = include_str!("guide/back_pressure.md")]
pub mod back_pressure {}

#[doc = include_str!("guide/upgraded.md")]
pub mod upgraded {}

#[cfg(feature = "rustls")]
#[doc = include_str!("guide/tls.md")]
pub mod tls {}

#[doc = include_str!("guide/tunnels.md")]
pub mod tunnels {}

#[doc = include_str!("guide/shutdown.md")]
pub mod shutdown {}
