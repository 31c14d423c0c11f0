//! The bodies of the fuzz targets: each compares `ws-proto`, through its public API, with a slow, obvious twin.
//!
//! An input begins with the length, one byte, of its choices; the choices follow, then what comes off the
//! wire. How the wire is cut and what the host does in between is thus free to change without the wire
//! changing, and `00` in front of any bytes is an input.

mod choices;
#[cfg(feature = "deflate")]
mod deflate;
mod endpoint;
mod handshake;
mod host;
mod pure;
mod reference;
mod round_trip;
mod split;

#[cfg(feature = "deflate")]
pub use deflate::{Watch, deflate_negotiation, deflate_round_trip, inflate, inflate_watched};
pub use endpoint::{endpoint_client, endpoint_server};
pub use handshake::{request_head, response_head};
pub use pure::{frame_header, utf8_mask};
pub use round_trip::round_trip;
pub use split::split_equivalence;
