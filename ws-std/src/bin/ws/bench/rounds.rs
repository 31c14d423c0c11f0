//! Connections that one thread loads together.

use std::time::Instant;

use ws_std::{CloseCode, WebSocket, role::Client};

use super::lane::{Lane, Tally, Window};
use crate::failure::Failure;

/// Sends a batch on each connection and then reads all echoes, round after round until the end of `window`; calls `measured`, and
/// closes the connections.
pub(super) fn run(mut lanes: Vec<(Lane, WebSocket<Client>)>, window: Window, measured: impl FnOnce()) -> Tally {
    let mut total = Tally::default();
    while !lanes.is_empty() && Instant::now() < window.until {
        lanes = each(lanes, &mut total, |lane, ws| lane.send_batch(ws));
        lanes = each(lanes, &mut total, |lane, ws| lane.read_batch(ws, window));
    }
    measured();
    // All of them wait for their servers at the same time.
    for (_, ws) in &mut lanes {
        let _ = ws.send_close(CloseCode::NORMAL, "");
    }
    for (lane, mut ws) in lanes {
        let _ = ws.close(CloseCode::NORMAL, "");
        total.add(lane.tally());
    }
    total
}

/// Does a step of each connection, and returns those that have not failed.
fn each(
    lanes: Vec<(Lane, WebSocket<Client>)>,
    total: &mut Tally,
    mut step: impl FnMut(&mut Lane, &mut WebSocket<Client>) -> Result<(), Failure>,
) -> Vec<(Lane, WebSocket<Client>)> {
    let mut left = Vec::with_capacity(lanes.len());
    for (mut lane, mut ws) in lanes {
        match step(&mut lane, &mut ws) {
            Ok(()) => left.push((lane, ws)),
            Err(failure) => total.add(lane.lost(failure)),
        }
    }
    left
}
