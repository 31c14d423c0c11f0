//! The end of a connection that the application has dropped.

use core::time::Duration;
use std::io;

use ws_proto::{State, role::Side};

use crate::{
    clock,
    outgoing::flush_before_read,
    output::Core,
    role::Role,
    shared::{Link, Shared},
    transport::Transport,
};

/// Completes the end of the connection, which the application learned as soon as it was certain.
///
/// A server ends its direction of the transport after its Close, then discards the peer's remaining input, within the
/// endpoint's bounds: a socket that is closed with unread input is reset, and then the peer may lose our Close. A
/// client writes its last frames and does not wait: it has received the peer's Close, so no frame can be lost any more.
impl<R: Role, T: Transport> Drop for Shared<R, T> {
    fn drop(&mut self) {
        if self.has_transport() && !std::thread::panicking() {
            linger(&mut &mut *self);
        }
    }
}

/// The longest wait of a dropped connection for the peer to end the transport, if the endpoint has no limit for that.
const LINGER: Duration = Duration::from_secs(1);

/// Writes output and discards input until the endpoint has closed, if the connection is [ending](Core::is_lingering).
fn linger<L: Link>(link: &mut L) {
    let clock = link.shared().clock;
    let mut bin = [0; 4096];
    while link.core().is_lingering() {
        let Ok(pause) = flush_before_read(link) else { return };
        let now = clock::now();
        let patient = L::Role::SIDE == Side::Server || pause.is_some();
        let timeout = link.core().endpoint.poll_timeout().and_then(|at| clock.to_system(at));
        // Dropping a connection takes a limited time, even if the application has turned the endpoint's timeouts off.
        let timeout = timeout.or_else(|| now.checked_add(LINGER));
        let retry = pause.and_then(|pause| now.checked_add(pause));
        let deadline = [timeout, retry, Some(now).filter(|_| !patient)].into_iter().flatten().min();
        match link.read(&mut bin, deadline) {
            Ok(0) => link.core().endpoint.receive_eof(),
            Ok(len) => {
                let mut input = bin.get_mut(..len).unwrap_or_default();
                // The endpoint discards the input; an error is no news after the end.
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
    /// Returns whether the connection has ended but the transport still has to carry the end to the peer.
    fn is_lingering(&self) -> bool {
        self.endpoint.state() == State::Closing && self.endpoint.closed().is_some() && self.can_write()
    }
}
