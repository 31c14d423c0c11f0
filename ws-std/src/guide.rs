//! The guide: chapters of prose for programs that use the crate.
//!
//! | chapter | question |
//! |---|---|
//! | [`proxies`] | How does a server run after nginx or haproxy? |
//! | [`tls`] | How does a program speak `wss`, and what is verified? |
//! | [`compression`] | When is compression worth it, and what does it cost? |
//! | [`shutdown`] | How do connections end, one by one and all together? |
//! | [`limits`] | What is accepted by default, and what happens beyond it? |

// Links in the chapters are resolved in this scope.
use crate::*;

#[doc = include_str!("guide/proxies.md")]
pub mod proxies {}

#[doc = include_str!("guide/tls.md")]
pub mod tls {}

#[doc = include_str!("guide/compression.md")]
pub mod compression {}

#[doc = include_str!("guide/shutdown.md")]
pub mod shutdown {}

#[doc = include_str!("guide/limits.md")]
pub mod limits {}
