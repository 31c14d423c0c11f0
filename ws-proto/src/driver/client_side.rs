//! The parts of a client: URLs, proxies, redirects, addresses, further tries.

mod backoff;
mod connect_error;
mod connect_settings;
mod credentials;
mod dial_target;
mod dialing;
mod proxy;
mod reconnect_error;
mod redirect;
mod redirect_error;
mod refused;
mod route;
mod server_url;
mod transient;
mod tries;
mod unconfirmed;

pub use backoff::Backoff;
pub use connect_error::ConnectError;
pub use connect_settings::{Answered, ConnectSettings, Connecting};
pub use dial_target::Target;
pub use dialing::Dialing;
pub use proxy::{Proxy, ProxyDialogue, ProxyEnvironment, ProxyError, SocksReply};
pub use reconnect_error::ReconnectError;
pub use redirect::Redirects;
pub use redirect_error::RedirectError;
pub use refused::{RefusalBody, Refused};
pub use route::Route;
pub use server_url::ServerUrl;
pub use tries::Tries;
pub use unconfirmed::{KeptMessage, Unconfirmed};
