//! The way through a proxy: its URL, and the dialogue that opens the tunnel.

mod address;
mod connect_head;
mod dialogue;
mod error;
mod socks;
mod target;

pub use address::Proxy;
pub use dialogue::ProxyDialogue;
pub use error::{ProxyError, SocksReply};
