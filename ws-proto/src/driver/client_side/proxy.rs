//! The way through a proxy: its URL, the choice of one by the environment, and the dialogue that opens the tunnel.

mod address;
mod bypass;
mod connect_head;
mod dialogue;
mod environment;
mod error;
mod socks;
mod tunnel_target;

pub use address::Proxy;
pub use dialogue::ProxyDialogue;
pub use environment::ProxyEnvironment;
pub use error::{ProxyError, SocksReply};
