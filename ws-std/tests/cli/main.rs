//! The program `ws`: pipes, failures, servers, figures and the terminal.

mod bench;
#[path = "../../../tests/src/certificates.rs"]
#[allow(dead_code, reason = "other tests need the rest")]
#[allow(unreachable_pub, reason = "it is the library of other tests")]
mod certificates;
mod client;
mod failures;
mod listen;
mod program;
#[cfg(unix)]
mod terminal;
#[path = "../../../tests/src/watchdog.rs"]
#[allow(unreachable_pub, reason = "it is the library of other tests")]
mod watchdog;
