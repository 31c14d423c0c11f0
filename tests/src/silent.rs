//! A server that does not answer.

use std::net::SocketAddr;

use socket2::{Domain, Socket, Type};

/// An address on which this machine listens and takes no connection, because its queue is full. Other systems than Linux
/// refuse connections then.
#[derive(Debug)]
pub struct SilentAddress {
    /// The address.
    pub address: SocketAddr,
    _listener: Socket,
    _queue: Vec<Socket>,
}

impl SilentAddress {
    /// Binds an address and fills its queue.
    ///
    /// # Panics
    ///
    /// Panics if the system has no socket left.
    #[must_use]
    pub fn new() -> Self {
        let socket = || Socket::new(Domain::IPV4, Type::STREAM, None).expect("the system has sockets");
        let listener = socket();
        let address = SocketAddr::from(([127, 0, 0, 1], 0)).into();
        listener.bind(&address).and_then(|()| listener.listen(0)).expect("the system has ports");
        let address = listener.local_addr().expect("it is bound");
        // The queue takes one of them, the rest is not answered.
        let connecting = || {
            let socket = socket();
            let _ = socket.set_nonblocking(true).and_then(|()| socket.connect(&address));
            socket
        };
        let queue = (0..4).map(|_| connecting()).collect();
        let address = address.as_socket().expect("it is an address of IPv4");
        Self { address, _listener: listener, _queue: queue }
    }
}

impl Default for SilentAddress {
    fn default() -> Self {
        Self::new()
    }
}
