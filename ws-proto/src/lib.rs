//! RFC 6455 as a sans-IO state machine.
#![no_std]

#[cfg(feature = "alloc")]
extern crate alloc;
#[cfg(any(test, feature = "std"))]
extern crate std;

pub mod frame;
pub mod handshake;
pub mod mask;
pub mod utf8;

mod close;
mod closing;
mod config;
mod control;
mod endpoint;
mod error;
mod message;
mod message_buffer;
mod negotiated;
mod prepared;
mod receive;
mod role;
mod send;
mod storage;
mod time;
mod timer;
mod trace;

pub use close::{CloseCode, MAX_REASON_LEN};
pub use closing::{Cause, Closed, State};
pub use config::Config;
pub use control::{ControlFrame, Transmit};
pub use endpoint::{Endpoint, Event};
pub use error::{Fault, ReceiveError, ReceiveErrorKind, SendError};
pub use handshake::{HandshakeError, client, server};
pub use message::{Data, Message, MessageKind, Part};
pub use message_buffer::{Incoming, IncomingPart, MessageBuffer};
pub use negotiated::Negotiated;
pub use prepared::Prepared;
pub use role::{Client, Entropy, EntropyError, Role, Server, Side};
pub use storage::Storage;
pub use time::Instant;
pub use trace::Trace;
