//! Behaviour of ws-tokio through its public API.

mod messages;
