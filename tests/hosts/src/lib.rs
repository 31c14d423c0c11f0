//! ws-proto embedded into other runtimes. Each host is a program in `examples/`, to be copied; what several hosts on
//! `tokio`, or several event loops, share is here.

pub mod deadlines;
pub mod tokio_opening;
pub mod tokio_websocket;
