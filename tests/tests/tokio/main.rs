//! Behaviour of ws-tokio through its public API.

mod byte_stream;
mod calls;
mod closing;
mod dialing;
mod messages;
mod opening;
mod peer;
mod reconnecting;
mod server;
mod split;
mod waits;
