//! Embedding beyond the endpoint: the opening handshake with its buffer, output that is written piece by piece, one
//! buffer for many connections.

mod buffers;
mod connections;
mod deferred;
mod opening;
mod output;

use ws_proto::{
    Connection, Endpoint, Message, MessageBuffer, ReceiveError, SendError, Server, client,
    connection::{Memory, Outgoing, Output},
    endpoint::{Negotiated, Prepared},
    handshake::HandshakeError,
    host::Pool,
    server,
};
use ws_tests::TestClient;

#[test]
fn what_a_host_holds_may_move_between_threads() {
    fn is_send_and_sync<T: Send + Sync>() {}
    is_send_and_sync::<Endpoint<Server>>();
    is_send_and_sync::<Endpoint<TestClient>>();
    is_send_and_sync::<MessageBuffer<Vec<u8>>>();
    is_send_and_sync::<MessageBuffer<&mut [u8]>>();
    is_send_and_sync::<Output>();
    is_send_and_sync::<Prepared<std::sync::Arc<[u8]>>>();
    is_send_and_sync::<Message<'_>>();
    is_send_and_sync::<Negotiated>();
    is_send_and_sync::<server::Handshake>();
    is_send_and_sync::<server::Request<'_>>();
    is_send_and_sync::<Connection<'_, Server>>();
    is_send_and_sync::<Connection<'_, TestClient>>();
    is_send_and_sync::<Connection<'_, Server, &mut [u8]>>();
    is_send_and_sync::<Memory>();
    is_send_and_sync::<Outgoing<Server>>();
    is_send_and_sync::<Pool>();
    is_send_and_sync::<client::Handshake<'_>>();
    is_send_and_sync::<(ReceiveError, SendError, HandshakeError)>();
}
