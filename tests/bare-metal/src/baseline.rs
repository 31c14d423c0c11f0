//! The board without ws-proto, to compare the other images with: for a second, what arrives goes back.

use crate::{
    board::{self, Channel, Uart},
    failure::Failure,
};

const SECOND: u64 = 1_000_000_000;

pub fn run(uart: &mut Uart, input: &mut [u8]) -> Result<(), Failure> {
    while board::now_nanos() < SECOND {
        if let Some(len) = uart.read(input) {
            uart.write(input.get(..len).unwrap_or_default())?;
        }
    }
    Ok(())
}
