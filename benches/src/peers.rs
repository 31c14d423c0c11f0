//! The other crates, each behind a feature of its own.

use ws_proto::role::Side;

use crate::{
    cells::{Decoders, Encoders, Handshakes, Masks, Openings, Texts},
    deflate::Echoes,
};

#[cfg(feature = "actix-http")]
mod actix_http;
#[cfg(feature = "embedded-websocket")]
mod embedded_websocket;
#[cfg(feature = "fastwebsockets")]
mod fastwebsockets;
#[cfg(feature = "nago-wss")]
mod nago_wss;
#[cfg(feature = "ratchet")]
mod ratchet;
#[cfg(feature = "shiguredo")]
mod shiguredo;
#[cfg(feature = "sockudo")]
mod sockudo;
#[cfg(feature = "soketto")]
mod soketto;
#[cfg(feature = "tokio-websockets")]
mod tokio_websockets;
#[cfg(feature = "tungstenite")]
mod tungstenite;
#[cfg(feature = "web-socket")]
mod web_socket;
#[cfg(feature = "websocket-sans-io")]
mod websocket_sans_io;
#[cfg(feature = "websocketz")]
mod websocketz;
#[cfg(feature = "ws-framer")]
mod ws_framer;
#[cfg(feature = "wtx")]
mod wtx;
#[cfg(feature = "yawc")]
mod yawc;

/// Lets every peer that is built in decode. Some leave UTF-8 to their user.
pub fn enter_decoders(cell: &mut Decoders) {
    #[cfg(feature = "tungstenite")]
    cell.enter::<tungstenite::Connection>("tungstenite");
    #[cfg(feature = "fastwebsockets")]
    cell.enter::<fastwebsockets::Reader>("fastwebsockets");
    #[cfg(feature = "tokio-websockets")]
    cell.enter::<tokio_websockets::Connection>("tokio-websockets");
    #[cfg(feature = "soketto")]
    cell.enter_unvalidated::<soketto::Connection>("soketto");
    #[cfg(feature = "web-socket")]
    cell.enter_unvalidated::<web_socket::Connection>("web-socket");
    #[cfg(feature = "sockudo")]
    cell.enter::<sockudo::Connection>("sockudo-ws");
    #[cfg(feature = "yawc")]
    cell.enter::<yawc::Connection>("yawc");
    #[cfg(feature = "wtx")]
    cell.enter::<wtx::Reader>("wtx");
    #[cfg(feature = "nago-wss")]
    cell.enter::<nago_wss::Reader>("nago-wss");
    #[cfg(feature = "ratchet")]
    cell.enter_unvalidated::<ratchet::Connection>("ratchet");
    #[cfg(feature = "websocket-sans-io")]
    cell.enter_unvalidated::<websocket_sans_io::Reader>("websocket-sans-io");
    #[cfg(feature = "websocketz")]
    cell.enter::<websocketz::Reader>("websocketz");
    #[cfg(feature = "embedded-websocket")]
    cell.enter_whole_unvalidated::<embedded_websocket::Connection>(
        "embedded-websocket",
        // Its `read_frame` forgets a frame that came in pieces only if that was the message's last.
        "a fragment cut by a read never ends if another follows",
    );
    #[cfg(feature = "actix-http")]
    cell.enter_unvalidated::<actix_http::Connection>("actix-http");
    #[cfg(feature = "shiguredo")]
    {
        cell.enter::<shiguredo::Connection>("shiguredo");
        // Each frame moves what has been read after it: short reads are better.
        cell.enter_reading::<shiguredo::Connection>("shiguredo, 4 KiB reads", 4 << 10);
    }
    #[cfg(feature = "ws-framer")]
    {
        cell.enter::<ws_framer::Reader>("ws-framer");
        // As shiguredo's.
        cell.enter_reading::<ws_framer::Reader>("ws-framer, 4 KiB reads", 4 << 10);
    }
    let _ = cell;
}

/// Lets every peer that is built in encode.
pub fn enter_encoders(cell: &mut Encoders) {
    #[cfg(feature = "tungstenite")]
    cell.enter::<tungstenite::Connection>("tungstenite");
    #[cfg(feature = "fastwebsockets")]
    cell.enter::<fastwebsockets::Writer>("fastwebsockets");
    #[cfg(feature = "tokio-websockets")]
    cell.enter::<tokio_websockets::Connection>("tokio-websockets");
    #[cfg(feature = "soketto")]
    cell.enter::<soketto::Connection>("soketto");
    #[cfg(feature = "web-socket")]
    cell.enter::<web_socket::Connection>("web-socket");
    #[cfg(feature = "sockudo")]
    cell.enter::<sockudo::Connection>("sockudo-ws");
    #[cfg(feature = "yawc")]
    cell.enter::<yawc::Connection>("yawc");
    #[cfg(feature = "wtx")]
    match cell.side() {
        Side::Server => cell.enter::<wtx::Writer<false>>("wtx"),
        Side::Client => cell.enter::<wtx::Writer<true>>("wtx"),
    }
    #[cfg(feature = "nago-wss")]
    cell.enter_sourceless::<nago_wss::Writer>("nago-wss");
    #[cfg(feature = "ratchet")]
    cell.enter::<ratchet::Connection>("ratchet");
    #[cfg(feature = "websocket-sans-io")]
    cell.enter_sourceless::<websocket_sans_io::Writer>("websocket-sans-io");
    #[cfg(feature = "websocketz")]
    cell.enter_sourceless::<websocketz::Writer>("websocketz");
    #[cfg(feature = "embedded-websocket")]
    if cell.side() == Side::Server {
        cell.enter::<embedded_websocket::Connection>("embedded-websocket");
    }
    #[cfg(feature = "actix-http")]
    cell.enter::<actix_http::Connection>("actix-http");
    #[cfg(feature = "shiguredo")]
    if cell.side() == Side::Server {
        cell.enter::<shiguredo::Connection>("shiguredo");
    }
    #[cfg(feature = "ws-framer")]
    cell.enter::<ws_framer::Writer>("ws-framer");
    let _ = (cell, Side::Server);
}

/// Lets every peer that is built in and blocks send, as ws-std does.
pub fn enter_calls(cell: &mut Encoders) {
    #[cfg(feature = "tungstenite")]
    cell.enter::<tungstenite::Connection>("tungstenite");
    let _ = cell;
}

/// Lets every peer that is built in and exposes its masking mask.
pub fn enter_masks(cell: &mut Masks) {
    #[cfg(feature = "fastwebsockets")]
    cell.enter::<fastwebsockets::Unmask>("fastwebsockets");
    #[cfg(feature = "soketto")]
    cell.enter::<soketto::ApplyMask>("soketto");
    #[cfg(feature = "sockudo")]
    cell.enter::<sockudo::ApplyMask>("sockudo-ws");
    #[cfg(feature = "yawc")]
    cell.enter::<yawc::ApplyMask>("yawc");
    #[cfg(feature = "nago-wss")]
    cell.enter::<nago_wss::Apply>("nago-wss");
    let _ = cell;
}

/// Lets every peer that is built in and exposes a validator of its own validate.
pub fn enter_texts(cell: &mut Texts) {
    #[cfg(feature = "sockudo")]
    cell.enter::<sockudo::Stream>("sockudo-ws");
    let _ = cell;
}

/// Lets every peer that is built in and compresses echo.
pub fn enter_echoes(cell: &mut Echoes) {
    #[cfg(feature = "yawc")]
    cell.enter::<yawc::Deflating>("yawc");
    #[cfg(feature = "sockudo")]
    cell.enter::<sockudo::Deflating>("sockudo-ws");
    #[cfg(feature = "ratchet-deflate")]
    cell.enter_unvalidated::<ratchet::Deflating>("ratchet");
    let _ = cell;
}

/// Lets every peer that is built in and has a handshake of its own answer a request.
pub fn enter_handshakes(cell: &mut Handshakes) {
    #[cfg(feature = "tungstenite")]
    cell.enter::<tungstenite::Accept>("tungstenite");
    #[cfg(feature = "tokio-websockets")]
    cell.enter::<tokio_websockets::Accept>("tokio-websockets");
    #[cfg(feature = "soketto")]
    cell.enter::<soketto::Accept>("soketto");
    #[cfg(feature = "sockudo")]
    cell.enter::<sockudo::Accept>("sockudo-ws");
    #[cfg(feature = "wtx")]
    cell.enter::<wtx::Accept>("wtx");
    #[cfg(feature = "nago-wss")]
    cell.enter::<nago_wss::Accept>("nago-wss");
    #[cfg(feature = "ratchet")]
    cell.enter::<ratchet::Accept>("ratchet");
    #[cfg(feature = "shiguredo")]
    cell.enter::<shiguredo::Accept>("shiguredo");
    #[cfg(feature = "websocketz")]
    cell.enter::<websocketz::Accept>("websocketz");
    let _ = cell;
}

/// Lets every peer that is built in and has a client's handshake of its own open connections.
pub fn enter_openings(cell: &mut Openings) {
    #[cfg(feature = "tungstenite")]
    cell.enter::<tungstenite::Opener>("tungstenite");
    #[cfg(feature = "tokio-websockets")]
    cell.enter::<tokio_websockets::Opener>("tokio-websockets");
    #[cfg(feature = "soketto")]
    cell.enter::<soketto::Opener>("soketto");
    #[cfg(feature = "sockudo")]
    cell.enter::<sockudo::Opener>("sockudo-ws");
    #[cfg(feature = "wtx")]
    cell.enter::<wtx::Opener>("wtx");
    #[cfg(feature = "nago-wss")]
    cell.enter::<nago_wss::Opener>("nago-wss");
    #[cfg(feature = "ratchet")]
    cell.enter::<ratchet::Opener>("ratchet");
    #[cfg(feature = "shiguredo")]
    cell.enter::<shiguredo::Opener>("shiguredo");
    #[cfg(feature = "websocketz")]
    cell.enter::<websocketz::Opener>("websocketz");
    let _ = cell;
}
