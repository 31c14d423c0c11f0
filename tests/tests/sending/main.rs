//! Messages that may be sent and their encoding, and wrong calls, which change nothing.

mod encoding;
mod pongs;
mod refusals;

use ws_proto::{Client, Endpoint, Instant, MessageKind, Part::First, endpoint::Negotiated, role::Role};
use ws_tests::{Host, Keys, Say, TestClient, bare_config};

fn begin<R: Role>(host: &mut Host<R>, kind: MessageKind) {
    Say::Part(kind, First, b"be".to_vec()).by(host).unwrap();
    host.output.clear();
}

fn client_with(keys: Keys) -> Host<TestClient> {
    Host::new(Endpoint::new(Client::new(keys), &bare_config(), Negotiated::default(), Instant::ZERO))
}
