//! A connection that a tracker watches, as a server watches its own.

use std::{cell::RefCell, rc::Rc};

use fastrand::Rng;
use tokio::sync::Semaphore;
use ws_proto::Server;
use ws_tokio::{Tracked, Tracker, WebSocket};

use crate::{
    executor::{Executor, cut},
    pipe::End,
    side::{Done, wait_for},
};

/// The place of a watched connection. The tasks that use the connection hold it.
pub(crate) struct Watch {
    _tracked: Tracked,
    settled: RefCell<Option<Done>>,
}

impl Watch {
    /// Lets the tracker close the connection, if it does: all messages have come.
    pub(crate) fn settle(&self) {
        self.settled.take();
    }
}

/// Watches a connection by a task that waits for its end, and that closes it before if `closes`.
pub(crate) fn track(
    executor: &mut Executor,
    ws: WebSocket<Server, End>,
    closes: bool,
    mut rng: Rng,
) -> (WebSocket<Server, End>, Rc<Watch>) {
    let tracker = Tracker::new();
    let (ws, tracked) = tracker.track(ws);
    let settled = Rc::new(Semaphore::new(0));
    let watch = Watch { _tracked: tracked, settled: RefCell::new(Some(Done(Rc::clone(&settled)))) };
    executor.spawn("a tracker", async move {
        if closes {
            wait_for(1, &settled).await;
            tracker.close_all();
        }
        while cut(&mut rng, tracker.ended()).await.is_none() {}
    });
    (ws, Rc::new(watch))
}
