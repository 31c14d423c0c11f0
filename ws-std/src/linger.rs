//! The end of a connection that the application has dropped.

use core::time::Duration;
use std::{io, time::Instant};

use ws_proto::{State, role::Side};

use crate::{
    outgoing::flush_before_read,
    output::Core,
    role::Role,
    shared::{Link, Shared},
    transport::Transport,
};

/// The end is told to the application as soon as it is certain; what is left of it happens here.
///
/// A server ends the transport after its Close, then takes what the peer still sends, within the endpoint's bounds: a socket that is closed with
/// input unread is reset, which may take our Close from the peer. A client's last words are written, but its peer is not waited
/// for: with the peer's Close received there is nothing left to lose.
impl<R: Role, T: Transport> Drop for Shared<R, T> {
    fn drop(&mut self) {
        if self.has_transport() && !std::thread::panicking() {
            linger(&mut &mut *self);
        }
    }
}

/// How long a dropped connection waits for the peer's end of the transport if the endpoint has no limit for that.
const LINGER: Duration = Duration::from_secs(1);

/// Writes and drains until the endpoint has closed, if it has begun to end by itself.
fn linger<L: Link>(link: &mut L) {
    let clock = link.shared().clock;
    let mut bin = [0; 4096];
    while link.core().is_lingering() {
        let Ok(pause) = flush_before_read(link) else { return };
        let now = Instant::now();
        let patient = <L::Role as ws_proto::role::Role>::SIDE == Side::Server || pause.is_some();
        let timeout = link.core().endpoint.poll_timeout().and_then(|at| clock.to_system(at));
        // Dropping a connection never takes for ever, whatever the application has chosen for its reads.
        let timeout = timeout.or_else(|| now.checked_add(LINGER));
        let retry = pause.and_then(|pause| now.checked_add(pause));
        let deadline = [timeout, retry, Some(now).filter(|_| !patient)].into_iter().flatten().min();
        match link.shared().transport().read(&mut bin, deadline) {
            Ok(0) => link.core().endpoint.receive_eof(),
            Ok(len) => {
                let mut input = bin.get_mut(..len).unwrap_or_default();
                // All of it is discarded.
                let _ = link.core().endpoint.receive(clock.now(), &mut input);
            }
            Err(error) if error.kind() == io::ErrorKind::TimedOut && patient => {
                let mut core = link.core();
                core.endpoint.handle_timeout(clock.now());
                if core.endpoint.poll_timeout().is_none() && retry.is_none() {
                    return;
                }
            }
            Err(_) => return,
        }
    }
}

impl<R: Role> Core<R> {
    /// Whether the connection has ended in a way that the peer has to learn, and the transport has not.
    fn is_lingering(&self) -> bool {
        self.endpoint.state() == State::Closing && self.endpoint.closed().is_some() && self.can_write()
    }
}
