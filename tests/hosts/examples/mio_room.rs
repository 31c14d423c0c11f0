//! A room of tens of thousands of members on one thread and one epoll, on `mio`: what one member says goes to all.
//!
//! A message is encoded once, into a ring of the last messages, and a member is a place in that ring. So a broadcast is one
//! encoding and a write from the ring to each socket. A socket that takes only part of a message has the rest of this one
//! copied; the messages after it wait in the ring until the socket takes output again. Memory is bounded: the ring, and the
//! rest of one message for each member that is slow.
//!
//! A member that is so slow that the ring has lost a message that it has not been sent is closed with 1013, "try again
//! later". It has broken no rule, which 1008 would say; it has missed messages, and may come back for the newest. Skipping
//! them instead would not be noticed by the peer.
//!
//! ```sh
//! cargo run --release -p ws-hosts --example mio_room 127.0.0.1:9001
//! ```

mod mio_loop;

use std::{collections::VecDeque, error::Error, io::Write};

use mio::net::TcpStream;
use mio_loop::{Host, Peer, main_loop};
use ws_proto::{
    CloseCode, Config, Connection, Instant, Message, Next, SendError, Server, connection::Reading,
    endpoint::Prepared, host::Pool, host::Turns, server::Accept,
};

/// The messages that the ring holds.
const RING_LEN: usize = 256;
/// The longest message, in bytes.
const MAX_LEN: u64 = 16 << 10;

/// The last messages of the room.
#[derive(Default)]
struct Ring {
    messages: VecDeque<Prepared<Vec<u8>>>,
    /// The number of messages that have left the ring.
    lost: u64,
}

/// The number of messages of the room that a member has been sent or came too late for; `None` before it is a member.
type Place = Option<u64>;

#[derive(Default)]
struct Room {
    ring: Ring,
    /// The messages that one member has said in its turn.
    said: Vec<Prepared<Vec<u8>>>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9001".into());
    let mut config = Config::default();
    config.max_message_len = MAX_LEN;
    let mut room = Room::default();
    main_loop(&address, Pool::new(&config), &config, |host, id, now, ended| room.run(host, id, now, ended))
}

impl Room {
    /// Takes what a member says and sends it to all, and to this member what it has not been sent.
    fn run(&mut self, host: &mut Host<Place>, id: usize, now: Instant, ended: bool) {
        host.turn(id, now, ended, |place, reading| self.read(place, reading));
        let peer = host.peers.get_mut(id);
        if peer.is_some_and(|peer| !self.ring.deliver(&mut host.turns, id, peer, now)) {
            host.peers.remove(id);
        }
        for message in self.said.drain(..) {
            self.ring.push(message);
            host.peers.retain(|id, peer| self.ring.deliver(&mut host.turns, id, peer, now));
        }
    }

    fn read(&mut self, place: &mut Place, reading: &mut Reading<'_, '_, Server>) {
        while let Some(next) = reading.each_message(|message, _| self.said.push(prepare(message))) {
            if let Next::Opening(mut request) = next {
                request.accept(&Accept::new().any_subprotocol()).expect("there is no other field");
                *place = Some(self.ring.end());
            }
        }
    }
}

/// Returns a message that one plain write sends.
fn prepare(message: Message<'_>) -> Prepared<Vec<u8>> {
    let prepared = Prepared::new(message.kind(), message.as_bytes());
    prepared.expect("a text that has been received is UTF-8").joined()
}

impl Ring {
    /// Returns the number of messages that there have been.
    fn end(&self) -> u64 {
        self.lost + self.messages.len() as u64
    }

    fn push(&mut self, message: Prepared<Vec<u8>>) {
        if self.messages.len() == RING_LEN {
            self.messages.pop_front();
            self.lost += 1;
        }
        self.messages.push_back(message);
    }

    /// Sends a member what it has not been sent, as far as its socket takes it. Returns `false` if the member is to be dropped.
    fn deliver(&self, turns: &mut Turns<TcpStream>, id: usize, peer: &mut Peer<Place>, now: Instant) -> bool {
        let Peer { stream, connection, state } = peer;
        let Some(place) = state.as_mut() else { return true };
        let is_late = *place < self.lost;
        if *place == self.end() || !is_late && connection.pending().is_some() {
            return true;
        }
        let mut is_member = !is_late;
        let turn = turns.turn(id, now).send(stream, connection, |stream, connection| {
            // Both are refused once the connection is closing.
            if is_late {
                let _ = connection.close(now, CloseCode::TRY_AGAIN_LATER, "too slow");
            } else {
                is_member = self.send(stream, connection, place, now).is_ok();
            }
        });
        if !is_member {
            *state = None;
        }
        turn.is_continue()
    }

    fn send(
        &self,
        stream: &mut TcpStream,
        connection: &mut Connection<'_, Server>,
        place: &mut u64,
        now: Instant,
    ) -> Result<(), SendError> {
        while let Some(message) = self.get(*place) {
            if connection.pending().is_some() {
                break;
            }
            // An error is found again by the next read or write.
            connection.send_prepared(now, message, |[_, frame]| stream.write(frame).unwrap_or(0))?;
            *place += 1;
        }
        Ok(())
    }

    fn get(&self, place: u64) -> Option<&Prepared<Vec<u8>>> {
        self.messages.get(usize::try_from(place - self.lost).ok()?)
    }
}
