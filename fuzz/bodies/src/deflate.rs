//! permessage-deflate: negotiation, inflating, and both sides together.

mod inflate;
mod negotiation;
mod plain_inflate;
mod round_trip;

pub use inflate::{Watch, inflate, inflate_watched};
pub use negotiation::deflate_negotiation;
pub use round_trip::deflate_round_trip;

use ws_proto::{
    Instant, Message,
    deflate::{Parameters, Settings, WindowBits},
    endpoint::Negotiated,
    server::{self, OriginPolicy},
};

use crate::{choices::Choices, reference::Told};

use negotiation::check_answer;

const NOW: Instant = Instant::ZERO;
const FIELD: &str = "Sec-WebSocket-Extensions";

/// Settings of any kind.
fn settings(choices: &mut Choices<'_>) -> Settings {
    let mut settings = Settings::small();
    let flags = choices.take();
    settings.server_no_context_takeover = flags & 1 != 0;
    settings.client_no_context_takeover = flags & 2 != 0;
    settings.threshold = [0, 1, 32, 128][usize::from(flags >> 2 & 3)];
    settings.require_server_parameters = flags & 0x10 != 0;
    let bits = choices.take();
    settings.server_max_window_bits = window_bits(bits & 7);
    settings.client_max_window_bits = window_bits(bits >> 3 & 7);
    let level = choices.take();
    settings.level = level % 11;
    settings.memory_level = level / 11 % 11;
    settings
}

fn window_bits(less: u8) -> WindowBits {
    WindowBits::new(15 - less).expect("8 to 15")
}

fn answer(client: &Settings, server: &Settings) -> Option<Parameters> {
    let offer = client.to_string();
    let fields = || {
        [("sec-websocket-version", "13"), (FIELD, &offer)]
            .into_iter()
            .map(|(name, value)| (name, value.as_bytes()))
    };
    let offer = server::negotiate_extended_connect("example.com", fields, OriginPolicy::AllowAny);
    offer.expect("our own offer").deflate(server)
}

/// The parameters that a client and a server have agreed on, as each of them knows them.
fn agreed(client: &Settings, server: &Settings) -> [Negotiated; 2] {
    let parameters = answer(client, server).expect("a window that a compressor can keep to");
    let answer = parameters.to_string();
    let near = check_answer(client, || [(FIELD, answer.as_bytes())].into_iter()).expect("our own answer");
    [near, Negotiated::new().with_deflate(Some(parameters))]
}

fn owned(message: Message<'_>) -> Told {
    Told::Message(message.kind(), message.as_bytes().to_vec())
}
