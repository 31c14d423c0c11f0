//! ws-proto embedded into other runtimes. Each host is a program in `examples/`, to be copied; what those on `tokio`
//! share is here.

pub mod tokio_opening;
pub mod tokio_websocket;
