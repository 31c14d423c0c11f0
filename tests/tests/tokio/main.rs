//! Behaviour of ws-tokio through its public API.

mod closing;
mod messages;
mod peer;
mod server;
mod split;
mod waits;
