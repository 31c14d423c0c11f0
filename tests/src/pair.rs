use std::time::Duration;

use ws_proto::{Client, Config, Endpoint, Instant, Server, State, endpoint::Negotiated, role::Role};

use crate::{Host, Keys, TestClient};

/// A client and a server with a transport between them, on one simulated clock.
#[derive(Debug)]
pub struct Pair {
    /// The client's side.
    pub client: Host<TestClient>,
    /// The server's side.
    pub server: Host<Server>,
    /// The most bytes that one read takes.
    pub read_len: usize,
}

impl Pair {
    /// Creates two endpoints with the same configuration.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let role = Client::new(Keys::Counted(1));
        Self {
            client: Host::new(Endpoint::new(role, config, Negotiated::default(), Instant::ZERO)),
            server: crate::server(config),
            read_len: usize::MAX,
        }
    }

    /// Moves output and ends of the transport in both directions, until none is left.
    pub fn deliver(&mut self) {
        while deliver_to(&mut self.client, &mut self.server, self.read_len)
            | deliver_to(&mut self.server, &mut self.client, self.read_len)
        {}
    }

    /// Returns the present time.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.client.now
    }

    /// Moves the clock forward.
    pub fn advance(&mut self, by: Duration) {
        self.set_clock(self.now().saturating_add(by));
    }

    /// Moves the clock to the earliest deadline of both sides, handles it and delivers. Returns false if there is none.
    pub fn step_clock(&mut self) -> bool {
        let deadlines = [self.client.endpoint.poll_timeout(), self.server.endpoint.poll_timeout()];
        let Some(next) = deadlines.into_iter().flatten().min() else {
            return false;
        };
        self.set_clock(self.now().max(next));
        self.client.handle_timeout();
        self.server.handle_timeout();
        self.deliver();
        true
    }

    fn set_clock(&mut self, now: Instant) {
        self.client.now = now;
        self.server.now = now;
    }

    /// Returns the states of the client and of the server.
    #[must_use]
    pub fn states(&self) -> [State; 2] {
        [self.client.endpoint.state(), self.server.endpoint.state()]
    }
}

/// Moves the output of one host to the other, and then the end of the transport. Returns whether there was any.
fn deliver_to<F: Role, T: Role>(from: &mut Host<F>, to: &mut Host<T>, read_len: usize) -> bool {
    let output = std::mem::take(&mut from.output);
    for piece in output.chunks(read_len) {
        to.receive(piece);
    }
    // A host half-closes the transport when the endpoint asks for it, and drops it when the endpoint is closed.
    let ended = from.shutdowns > 0 || matches!(from.endpoint.state(), State::Closed(_));
    let news = ended && !matches!(to.endpoint.state(), State::Closed(_));
    if news {
        to.receive_eof();
    }
    !output.is_empty() || news && matches!(to.endpoint.state(), State::Closed(_))
}
