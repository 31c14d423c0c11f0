use ws_proto::{
    Client, Config, Endpoint, Instant, MessageKind, Part, SendError, Server, client,
    deflate::{Deflater, Inflater, Parameters, Settings, WindowBits},
    endpoint::Negotiated,
    error::Fault,
    role::{Role, Side},
    server::{self, OriginPolicy},
};

use crate::{Host, Keys, TestClient};

/// The bit that marks the first frame of a compressed message.
pub const RSV1: u8 = 0x40;

/// The field that names extensions.
const FIELD: &str = "sec-websocket-extensions";

/// Returns the parameters by which a server with these settings accepts `offers`, the values of
/// Sec-WebSocket-Extensions. `None`: it accepts none of them.
///
/// # Panics
///
/// An offer does not follow the grammar.
#[must_use]
pub fn answer_to(settings: &Settings, offers: &[&str]) -> Option<Parameters> {
    let fields = || {
        let fixed = [("sec-websocket-version", "13")];
        let offers = offers.iter().map(|offer| (FIELD, *offer));
        fixed.into_iter().chain(offers).map(|(name, value)| (name, value.as_bytes()))
    };
    let offer = server::negotiate_extended_connect("example.com", fields, OriginPolicy::AllowAny);
    offer.expect("extensions by the grammar").deflate(settings)
}

/// Returns the parameters that a client which has offered these settings takes from an answer's
/// Sec-WebSocket-Extensions. `None`: it fails the connection.
#[must_use]
pub fn understood(settings: &Settings, answers: &[&str]) -> Option<Negotiated> {
    let request = client::Request::new("example.com", "/").deflate(Some(*settings));
    let fields = || answers.iter().map(|answer| (FIELD, answer.as_bytes()));
    let offer = client::Offer::extended_connect(request).expect("nothing that can't be sent");
    let accepted = offer.check(client::HttpVersion::Other, 200, fields).ok()?;
    accepted.map(|acceptance| acceptance.negotiated())
}

/// Returns the parameters of the client and of the server after a connection between these two settings has been
/// opened.
///
/// # Panics
///
/// The two cannot agree.
#[must_use]
pub fn agreed(client: &Settings, server: &Settings) -> [Negotiated; 2] {
    let parameters = answer_to(server, &[&client.to_string()]).expect("the offer can be accepted");
    let understood = understood(client, &[&parameters.to_string()]).expect("the answer is within the offer");
    [understood, Negotiated::new().with_deflate(Some(parameters))]
}

/// Returns settings that compress everything, with the same window and context takeover in both directions. A client
/// demands them of the server.
///
/// # Panics
///
/// There is no window of `window_bits`.
#[must_use]
pub fn symmetric(window_bits: u8, takeover: bool) -> Settings {
    let mut settings = Settings::best_ratio();
    let bits = WindowBits::new(window_bits).expect("a window");
    (settings.server_max_window_bits, settings.client_max_window_bits) = (bits, bits);
    (settings.server_no_context_takeover, settings.client_no_context_takeover) = (!takeover, !takeover);
    settings.require_server_parameters = true;
    settings
}

/// Returns a server that takes compressed messages.
#[must_use]
pub fn deflating_server(config: &Config, settings: &Settings) -> Host<Server> {
    let [_, negotiated] = agreed(settings, settings);
    Host::new(Endpoint::new(Server, config, negotiated, Instant::ZERO))
}

/// Returns a client that takes compressed messages.
#[must_use]
pub fn deflating_client(config: &Config, settings: &Settings) -> Host<TestClient> {
    let [negotiated, _] = agreed(settings, settings);
    Host::new(Endpoint::new(Client::new(Keys::Counted(7)), config, negotiated, Instant::ZERO))
}

/// A compressor of messages as a peer's, which uses the public API alone.
#[derive(Debug)]
pub struct Compressor {
    host: Host<Server>,
    deflater: Deflater,
}

impl Compressor {
    /// Creates a compressor with these settings.
    #[must_use]
    pub fn new(settings: &Settings) -> Self {
        Self { host: deflating_server(&crate::bare_config(), settings), deflater: Deflater::new(*settings) }
    }

    /// Compresses a message in these parts, and returns the payloads of its frames.
    ///
    /// # Panics
    ///
    /// The parts do not form a message.
    pub fn frames(&mut self, kind: MessageKind, parts: &[&[u8]]) -> Vec<Vec<u8>> {
        for (index, payload) in parts.iter().enumerate() {
            let part = match (index == 0, index + 1 == parts.len()) {
                (true, true) => Part::Whole,
                (true, false) => Part::First,
                (false, false) => Part::Middle,
                (false, true) => Part::Last,
            };
            let (endpoint, out) = (&mut self.host.endpoint, &mut self.host.output);
            let sent = endpoint.write_part_deflated_to(kind, part, payload, &mut self.deflater, out);
            assert_eq!(sent, Ok::<(), SendError>(()));
        }
        self.host.sent().into_iter().map(|frame| frame.payload).collect()
    }

    /// Compresses a binary message, and returns its payload.
    pub fn payload(&mut self, message: &[u8]) -> Vec<u8> {
        self.frames(MessageKind::Binary, &[message]).concat()
    }
}

/// Inflates a whole payload, `room` bytes at a time.
///
/// # Errors
///
/// The payload is not valid compressed data.
pub fn inflated(inflater: &mut Inflater, alone: bool, mut payload: &[u8], room: usize) -> Result<Vec<u8>, Fault> {
    let (mut message, mut out) = (Vec::new(), vec![0; room]);
    inflater.begin(alone);
    loop {
        let len = inflater.inflate(&mut payload, &mut out)?;
        message.extend_from_slice(&out[..len]);
        if len < room {
            break;
        }
    }
    assert!(payload.is_empty(), "all is taken unless the room is filled");
    inflater.finish()?;
    Ok(message)
}

/// Returns whether this side compresses each message without reference to earlier ones.
#[must_use]
pub fn is_alone<R: Role>(host: &Host<R>, side: Side) -> bool {
    host.endpoint.deflate().expect("compression is on").no_context_takeover(side)
}
