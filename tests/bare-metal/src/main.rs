//! ws-proto on a Cortex-M4, without an operating system or a heap.
//!
//! `run` builds this image and starts it in QEMU. The client talks to a real server at the other end of the
//! board's UART; the server answers a recorded client. `run` also tells how much flash and RAM each role takes.
#![no_std]
#![no_main]

#[cfg(not(any(feature = "client", feature = "server")))]
mod baseline;
mod board;
#[cfg(feature = "client")]
mod client;
#[cfg(any(feature = "client", feature = "server"))]
mod connection;
mod failure;
#[cfg(feature = "server")]
mod server;

use cortex_m_rt::entry;

use board::{Uart, say, say_number};
use failure::Failure;

/// What is read or written at once. The client takes in longer messages, in parts.
const BUFFER_LEN: usize = 512;

#[entry]
fn main() -> ! {
    static mut INPUT: [u8; BUFFER_LEN] = [0; BUFFER_LEN];
    static mut OUTPUT: [u8; BUFFER_LEN] = [0; BUFFER_LEN];
    let result = steps(&mut Uart::start(), INPUT, OUTPUT);
    say(c"stack: ");
    say_number(board::stack_used());
    say(c" bytes\n");
    match result {
        Ok(()) => say(c"passed\n"),
        Err(Failure(reason)) => {
            say(c"failed: ");
            say(reason);
            say(c"\n");
        }
    }
    board::exit(result.is_ok())
}

fn steps(uart: &mut Uart, input: &mut [u8], output: &mut [u8]) -> Result<(), Failure> {
    let _ = (&uart, &output); // not every image uses them
    #[cfg(feature = "client")]
    client::run(uart, input, output)?;
    #[cfg(feature = "server")]
    server::run(input, output)?;
    #[cfg(not(any(feature = "client", feature = "server")))]
    baseline::run(uart, input)?;
    Ok(())
}
