use ws_proto::{Client, Endpoint, Instant, Server, config::CloseReply, endpoint::Negotiated, role::Role};

use super::{
    choices::{Choices, Keys},
    host::Host,
    reference::Reference,
};

/// A server whose peer and whose host do anything at any time.
pub fn endpoint_server(data: &[u8]) {
    let (choices, wire) = Choices::split(data);
    run(|_| Server, choices, wire);
}

/// A client whose peer and whose host do anything at any time, and whose masking keys may run out.
pub fn endpoint_client(data: &[u8]) {
    let (choices, wire) = Choices::split(data);
    run(|keys| Client::new(Keys::new(keys)), choices, wire);
}

fn run<R: Role>(role: impl FnOnce(u8) -> R, mut choices: Choices<'_>, wire: &[u8]) {
    let config = choices.config();
    // A few keys at most if they are to run out at all.
    let keys = choices.take();
    let keys = if keys & 0x80 == 0 { 0 } else { keys & 3 };
    let start = Instant::from_millis(1);
    let endpoint = Endpoint::new(role(keys), &config, Negotiated::default(), start);
    let mut host = Host::new(endpoint, start, keys == 0, config.close_reply);
    let mut input = wire;
    while !choices.are_used_up() {
        let (action, detail) = (choices.take(), choices.take());
        host.act(action, detail, &mut input);
        host.check_state();
    }
    host.receive(input);
    host.check_state();
    let timeouts = [config.keepalive_interval, config.pong_timeout, config.close_timeout];
    let lingers = [config.drain_timeout, config.server_fin_timeout];
    // A half-closed connection may stay so for as long as an idle one.
    let may_wait = config.close_reply == CloseReply::HalfClose && config.idle_timeout.is_none();
    if !may_wait && timeouts.iter().chain(&lingers).all(Option::is_some) {
        host.wait_until_closed();
    } else {
        host.end_of_input();
    }
    host.check_end(&Reference::receive(R::SIDE, &config, wire));
}
