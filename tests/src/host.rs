use ws_proto::{
    Client, Closed, Config, Control, Endpoint, Event, Instant, MessageBuffer, MessageKind, ReceiveError, Server,
    State, Transmit,
    connection::Storage,
    endpoint::{Negotiated, Trace},
    error::Fault,
    message::Data,
    role::Role,
};

use crate::{Keys, TestClient, Told, read, wire};

/// A host that drains the endpoint after every event and records all events and output.
#[derive(Debug)]
pub struct Host<R: Role, T: Trace = ()> {
    /// The endpoint itself.
    pub endpoint: Endpoint<R, T>,
    /// The present time.
    pub now: Instant,
    /// Received messages and control frames, in order.
    pub told: Vec<Told>,
    /// The received part of the message in progress.
    pub unfinished: Option<(MessageKind, Vec<u8>)>,
    /// The error with which `receive` has ended.
    pub error: Option<ReceiveError>,
    /// Bytes for the peer.
    pub output: Vec<u8>,
    /// Number of times that the endpoint has asked to half-close the transport.
    pub shutdowns: usize,
}

/// The results of receiving that must not depend on how the input was cut.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// Received messages and control frames.
    pub told: Vec<Told>,
    /// The received part of the message in progress. `None` after an error, which may come before that part is
    /// returned.
    pub unfinished: Option<(MessageKind, Vec<u8>)>,
    /// The error.
    pub error: Option<ReceiveError>,
    /// All bytes for the peer.
    pub output: Vec<u8>,
    /// Number of times that the endpoint has asked to half-close the transport.
    pub shutdowns: usize,
    /// The state at the end.
    pub state: State,
}

/// Returns a configuration without timeouts.
#[must_use]
pub fn bare_config() -> Config {
    let mut config = Config::default();
    config.handshake_timeout = None;
    config.idle_timeout = None;
    config.keepalive_interval = None;
    config.pong_timeout = None;
    config.close_timeout = None;
    config.drain_timeout = None;
    config.server_fin_timeout = None;
    config
}

/// Returns a server with this configuration, created at the epoch.
#[must_use]
pub fn server(config: &Config) -> Host<Server> {
    Host::new(Endpoint::new(Server, config, Negotiated::default(), Instant::ZERO))
}

/// Returns a client with this configuration, created at the epoch. Its masking key is that of the examples in RFC 6455.
#[must_use]
pub fn client(config: &Config) -> Host<TestClient> {
    Host::new(Endpoint::new(Client::new(Keys::Fixed), config, Negotiated::default(), Instant::ZERO))
}

/// Runs the same check for a client and for a server: `on_both(&config, check, check)`.
pub fn on_both(
    config: &Config,
    check_client: impl FnOnce(Host<TestClient>),
    check_server: impl FnOnce(Host<Server>),
) {
    check_client(client(config));
    check_server(server(config));
}

impl<R: Role, T: Trace> Host<R, T> {
    /// Creates a host at the epoch.
    pub fn new(endpoint: Endpoint<R, T>) -> Self {
        Self {
            endpoint,
            now: Instant::ZERO,
            told: Vec::new(),
            unfinished: None,
            error: None,
            output: Vec::new(),
            shutdowns: 0,
        }
    }

    /// Returns a frame as the peer of this host sends it.
    #[must_use]
    pub fn peer_frame(&self, first: u8, payload: &[u8]) -> Vec<u8> {
        wire::from_peer(R::SIDE, first, payload)
    }

    /// Receives a frame of the peer.
    pub fn receive_frame(&mut self, first: u8, payload: &[u8]) {
        self.receive(&self.peer_frame(first, payload));
    }

    /// Receives bytes by [`Endpoint::receive`], and checks its contract.
    ///
    /// # Panics
    ///
    /// The contract is broken.
    pub fn receive(&mut self, bytes: &[u8]) {
        self.receive_with(bytes, |host, data| {
            host.data(data);
            Ok(())
        });
    }

    /// Receives bytes like [`receive`](Self::receive), and passes payload to `take`.
    ///
    /// # Panics
    ///
    /// The contract is broken.
    pub fn receive_with(&mut self, bytes: &[u8], mut take: impl FnMut(&mut Self, &Data<'_>) -> Result<(), Fault>) {
        let mut bytes = bytes.to_vec();
        let mut input = &mut bytes[..];
        loop {
            match self.endpoint.receive(self.now, &mut input) {
                Ok(Some(Event::Data(data))) => {
                    assert_eq!(
                        data.as_bytes().as_ptr_range().end,
                        input.as_ptr().cast(),
                        "payload ends at the rest"
                    );
                    if let Err(fault) = take(self, &data) {
                        let error = self.endpoint.fail(self.now, fault);
                        self.fail(error);
                    }
                }
                Ok(Some(Event::Control(control))) => self.control(control),
                Ok(None) => break,
                Err(error) => {
                    self.fail(error);
                    break;
                }
            }
            self.transmit();
        }
        assert!(input.is_empty(), "all input is taken when `receive` has nothing more to tell");
        self.transmit();
    }

    /// Receives bytes through a [`MessageBuffer`] that reads into its own storage.
    ///
    /// # Panics
    ///
    /// The contract is broken.
    pub fn receive_buffered<S: Storage>(&mut self, buffer: &mut MessageBuffer<S>, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            bytes = read(buffer, &self.endpoint, bytes);
            loop {
                let found = buffer
                    .next(&mut self.endpoint, self.now)
                    .map(|found| found.map(|event| event.map(Told::from)));
                if let (Ok(Some(Event::Data(told))), message) = (&found, buffer.message()) {
                    let again = message.map(|message| Told::message(message.kind(), message.as_bytes().into()));
                    assert_eq!(again.as_ref(), Some(told), "the message can be asked for again");
                }
                if !self.incoming(found) {
                    break;
                }
            }
            assert!(buffer.unread().is_empty(), "`None` means that all was taken");
        }
    }

    /// Receives bytes through a [`MessageBuffer`] that returns messages part by part.
    ///
    /// # Panics
    ///
    /// The contract is broken.
    pub fn receive_in_parts<S: Storage>(&mut self, buffer: &mut MessageBuffer<S>, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            bytes = read(buffer, &self.endpoint, bytes);
            loop {
                match buffer.next_part(&mut self.endpoint, self.now) {
                    Ok(Some(Event::Data(()))) => {
                        let seen = buffer.part().map(|(kind, part, payload)| (kind, part, payload.to_vec()));
                        let data = buffer.take_part().expect("a part was told");
                        assert_eq!(seen, Some((data.kind(), data.part(), data.as_bytes().to_vec())));
                        self.data(&data);
                        assert!(buffer.part().is_none() && buffer.take_part().is_none(), "a part is taken once");
                    }
                    Ok(Some(Event::Control(control))) => self.control(control),
                    Ok(None) => break,
                    Err(error) => {
                        self.fail(error);
                        break;
                    }
                }
                self.transmit();
            }
            self.transmit();
        }
    }

    /// Receives bytes through a [`MessageBuffer`] from a buffer that is shared among connections.
    ///
    /// # Panics
    ///
    /// The contract is broken.
    pub fn receive_shared<S: Storage>(&mut self, buffer: &mut MessageBuffer<S>, bytes: &[u8]) {
        let mut bytes = bytes.to_vec();
        let mut input = &mut bytes[..];
        loop {
            let found = buffer.next_in(&mut self.endpoint, self.now, &mut input);
            if !self.incoming(found.map(|found| found.map(|event| event.map(Told::from)))) {
                break;
            }
        }
        assert!(input.is_empty(), "`None` means that all was taken");
    }

    /// Records a result of receiving, and returns whether there may be more.
    fn incoming(&mut self, found: Result<Option<Event<Told>>, ReceiveError>) -> bool {
        let go_on = matches!(found, Ok(Some(_)));
        match found {
            Ok(Some(Event::Data(told))) => self.told.push(told),
            Ok(Some(Event::Control(control))) => self.control(control),
            Ok(None) => {}
            Err(error) => self.fail(error),
        }
        self.transmit();
        go_on
    }

    fn data(&mut self, data: &Data<'_>) {
        let (kind, part) = (data.kind(), data.part());
        assert_eq!(self.unfinished.is_none(), part.is_first(), "parts come in order");
        assert_eq!(data.as_str().is_some(), kind == MessageKind::Text && part == ws_proto::Part::Whole);
        let (begun, mut payload) = self.unfinished.take().unwrap_or((kind, Vec::new()));
        assert_eq!(begun, kind);
        payload.extend(data.as_bytes());
        if part.is_last() {
            self.told.push(Told::message(kind, payload));
        } else {
            self.unfinished = Some((kind, payload));
        }
    }

    fn control(&mut self, control: Control) {
        let payload = self.endpoint.control_payload().into();
        self.told.push(match control {
            Control::Ping => Told::Ping(payload),
            Control::Pong => Told::Pong(payload),
            Control::Close => {
                let (code, reason) = self.endpoint.close_frame().expect("a Close was told");
                Told::Close(code.get(), reason.into())
            }
        });
    }

    fn fail(&mut self, error: ReceiveError) {
        let earlier = self.error.replace(error);
        assert!(earlier.is_none_or(|earlier| earlier == error), "the error stays the same");
    }

    /// Takes the frames that the protocol owes into the output, and counts half-closes.
    pub fn transmit(&mut self) {
        while let Some(transmit) = self.endpoint.poll_transmit() {
            match transmit {
                Transmit::Control(frame) => {
                    assert_eq!(self.shutdowns, 0, "nothing is sent after the shutdown");
                    self.output.extend(frame.as_bytes());
                }
                Transmit::Shutdown => self.shutdowns += 1,
            }
        }
    }

    /// Receives the end of the transport.
    pub fn receive_eof(&mut self) {
        self.endpoint.receive_eof();
        self.transmit();
    }

    /// Moves the clock to the next deadline and handles it. Returns false if there is none.
    ///
    /// # Panics
    ///
    /// The deadline is still there after it has been handled twice.
    pub fn step_clock(&mut self) -> bool {
        let Some(deadline) = self.endpoint.poll_timeout() else {
            return false;
        };
        self.now = self.now.max(deadline);
        self.handle_timeout();
        if self.endpoint.poll_timeout().is_some_and(|next| next <= self.now) {
            self.handle_timeout();
            assert!(self.endpoint.poll_timeout().is_none_or(|next| next > self.now), "a deadline is not met");
        }
        true
    }

    /// Runs the timers at the present time.
    pub fn handle_timeout(&mut self) {
        self.endpoint.handle_timeout(self.now);
        self.transmit();
    }

    /// Takes the output, as frames.
    pub fn sent(&mut self) -> Vec<wire::RawFrame> {
        wire::parse(&std::mem::take(&mut self.output))
    }

    /// Takes the output, as frames' first bytes and unmasked payloads.
    pub fn sent_plain(&mut self) -> Vec<(u8, Vec<u8>)> {
        self.sent().into_iter().map(|frame| (frame.first, frame.payload)).collect()
    }

    /// Returns how the connection ended.
    ///
    /// # Panics
    ///
    /// The connection has not ended.
    #[must_use]
    pub fn closed(&self) -> Closed {
        match self.endpoint.state() {
            State::Closed(closed) => closed,
            state => panic!("{state:?}, not closed"),
        }
    }

    /// Returns the results so far.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        Outcome {
            told: self.told.clone(),
            unfinished: if self.error.is_none() { self.unfinished.clone() } else { None },
            error: self.error,
            output: self.output.clone(),
            shutdowns: self.shutdowns,
            state: self.endpoint.state(),
        }
    }
}
