//! Game: one process per room moves everything, 20 times a second; clients of every process steer and watch.
//!
//! A client opens `/game/ROOM?author=ID&name=NAME` and sends `{"x":X,"y":Y}`, the direction in which it accelerates, each from
//! -1 to 1. It gets `{"you":PLAYER}` first, `{"t":TICK,"all":WORLD}` once a second, and in between `{"t":TICK,"p":{ID:[X,Y,SCORE],...},"g":[[GEM,X,Y],...],
//! "d":[[X,Y],...]}`: the players that have moved, the gems that lie elsewhere, and all drones.
//!
//! All goes through two logs. What clients send is appended to `input/ROOM`, and what they get to `game/ROOM`. Frames of
//! `game/ROOM` have one author, and their numbers begin with that of the *term*: the log refuses what a process appends after
//! another has begun a new term. The process of the newest term is the one that moves the world. If no frame has come for
//! the time of the *lease*, another process begins the next term with the world that it has seen.

use std::{
    collections::HashMap,
    io,
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};
use serde_json::json;
use ws_std::{CloseCode, Exchange, HandlerResult, Reader, Writer, role::Server};

use crate::{
    duplex, lock,
    log::{Entry, LogError, Place, now_millis},
    pace::Pace,
    room::Next,
    rooms::{MOST_READ, Member, Rooms},
    text::{is_key, name_in, shown, value_of},
    watched::Leave,
    world::{Change, World},
};

const TICK: Duration = Duration::from_millis(50);
/// Ticks from one snapshot to the next.
const SNAPSHOT: u64 = 20;
/// Time without a frame after which another process moves the world.
const LEASE: Duration = Duration::from_millis(400);
/// The number of frames after which a slow client continues with the newest snapshot.
const MOST_BEHIND: usize = 10;
/// Frames in a term, as a power of two: nine days.
const TERM_BITS: u32 = 24;
/// The author of all frames.
const AUTHOR: &str = "game";

/// A message of a client.
#[derive(Deserialize, Serialize)]
pub(crate) struct Steer {
    x: f32,
    y: f32,
    #[serde(default)]
    name: String,
    /// The client has left.
    #[serde(default)]
    gone: bool,
}

/// The payload of an entry of `game/ROOM`.
#[derive(Deserialize, Serialize)]
struct Frame {
    t: u64,
    /// The process that has made it.
    own: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    all: Option<World>,
    #[serde(flatten)]
    change: Change,
    /// The process that has moved the world ends.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    over: bool,
}

/// The rooms whose world this process follows, with the numbers of their clients.
#[derive(Default)]
pub(crate) struct Games {
    clients: Mutex<HashMap<String, usize>>,
}

/// A client of a room, until it is dropped.
struct Client<'g> {
    games: &'g Games,
    room: &'g str,
}

impl Drop for Client<'_> {
    fn drop(&mut self) {
        if let Some(clients) = lock(&self.games.clients).get_mut(self.room) {
            *clients -= 1;
        }
    }
}

impl Games {
    /// Adds a client. If it is the first one of its room, starts to follow the room.
    fn enter<'g>(self: &'g Arc<Self>, rooms: &Arc<Rooms>, room: &'g str) -> io::Result<Option<Client<'g>>> {
        let mut clients = lock(&self.clients);
        let count = clients.get(room).copied();
        if count.is_none() {
            let (Some(frames), Some(input)) =
                (rooms.enter(&format!("game/{room}")), rooms.enter(&format!("input/{room}")))
            else {
                return Ok(None);
            };
            let (games, room) = (Arc::clone(self), room.to_owned());
            thread::Builder::new()
                .name("game".into())
                .spawn(move || Host::new(frames, input).run(&games, &room))?;
        }
        clients.insert(room.to_owned(), count.unwrap_or_default() + 1);
        Ok(Some(Client { games: self, room }))
    }

    /// Returns whether a room has no client any more, and forgets it then.
    fn is_left(&self, room: &str) -> bool {
        let mut clients = lock(&self.clients);
        let is_left = clients.get(room).is_none_or(|clients| *clients == 0);
        if is_left {
            clients.remove(room);
        }
        is_left
    }
}

/// Follows the world of a room, and moves it if no other process does.
struct Host {
    frames: Member,
    input: Member,
    frames_place: Place,
    input_place: Place,
    world: World,
    /// The name of this process in this room.
    own: u32,
    term: u64,
    duty: Duty,
    /// Time of the last frame of another process.
    alive: Instant,
}

/// The part of a process in the newest term it knows.
enum Duty {
    Follow,
    /// It has appended the first frame of the term, and waits for the log to say whose came first.
    Claim,
    /// It moves the world. The next frame has this number in its term.
    Move(u64),
}

impl Host {
    fn new(frames: Member, input: Member) -> Self {
        let (frames_place, input_place) = Default::default();
        let (world, own, alive) = (World::new(), fastrand::u32(..), Instant::now());
        Self { frames, input, frames_place, input_place, world, own, term: 0, duty: Duty::Follow, alive }
    }

    fn run(mut self, games: &Games, room: &str) {
        let mut due = Instant::now();
        while !games.is_left(room) {
            self.follow();
            match self.duty {
                // It would be over before the next tick.
                Duty::Follow | Duty::Claim if self.alive.elapsed() + TICK >= LEASE => {
                    self.term += 1;
                    self.duty = Duty::Claim;
                    self.alive = Instant::now();
                    self.append(0, Some(self.world.clone()), Change::default(), false);
                }
                Duty::Follow | Duty::Claim => {}
                Duty::Move(number) => {
                    let change = self.world.step();
                    let all = number.is_multiple_of(SNAPSHOT).then(|| self.world.clone());
                    let over = self.frames.is_over();
                    self.duty = Duty::Move(number + 1);
                    self.append(number, all, change, over);
                    if over {
                        return;
                    }
                }
            }
            let now = Instant::now();
            due = match self.duty {
                Duty::Move(_) => (due + TICK).max(now),
                // Not later than the lease ends.
                Duty::Follow | Duty::Claim => (self.alive + LEASE - TICK).clamp(now + TICK / 10, now + TICK),
            };
            thread::sleep(due - now);
        }
    }

    /// Takes what has come: frames, and what clients have sent.
    fn follow(&mut self) {
        for entry in entries_after(&self.frames, &mut self.frames_place) {
            let (term, Ok(frame)) = (entry.number >> TERM_BITS, serde_json::from_str::<Frame>(&entry.payload))
            else {
                continue;
            };
            if frame.own == self.own && term == self.term {
                if matches!(self.duty, Duty::Claim) {
                    self.duty = Duty::Move(1);
                }
            } else if term >= self.term {
                (self.term, self.duty) = (term, Duty::Follow);
                // When a process ends, another begins the next term at once.
                self.alive = Instant::now();
                if frame.over {
                    self.alive -= LEASE;
                }
                match frame.all {
                    Some(world) => self.world = world,
                    None => self.world.apply(frame.t, &frame.change),
                }
            }
        }
        let oldest = now_millis().saturating_sub(15_000);
        for entry in entries_after(&self.input, &mut self.input_place) {
            if let (true, Ok(steer)) =
                (entry.position.millis > oldest, serde_json::from_str::<Steer>(&entry.payload))
            {
                self.world.steer(&entry.author, &steer.name, (!steer.gone).then_some([steer.x, steer.y]));
            }
        }
    }

    /// Appends a frame of this term. If the log can't be reached, the lease passes.
    fn append(&mut self, number: u64, all: Option<World>, change: Change, over: bool) {
        let frame = Frame { t: self.world.tick, own: self.own, all, change, over };
        let Ok(payload) = serde_json::to_string(&frame) else { return };
        if self.frames.append(AUTHOR, (self.term << TERM_BITS) + number, &payload).is_err() {
            self.duty = Duty::Follow;
        }
    }
}

/// Returns whether the frame with this number has the whole world.
fn is_snapshot(number: u64) -> bool {
    (number % (1 << TERM_BITS)).is_multiple_of(SNAPSHOT)
}

/// Returns the entries after a place, without waiting, and moves the place to the last one.
fn entries_after(member: &Member, place: &mut Place) -> Vec<Entry> {
    let Ok(batch) = member.news(place, MOST_READ) else { return Vec::new() };
    *place = Place { epoch: batch.epoch, position: batch.end };
    batch.entries
}

/// Serves a client of a room until it leaves.
pub(crate) fn serve(games: &Arc<Games>, rooms: &Arc<Rooms>, room: &str, exchange: Exchange) -> HandlerResult {
    let (author, name) = (value_of(exchange.query(), "author").unwrap_or_default(), name_in(exchange.query()));
    if !is_key(&author) || !is_key(room) {
        return Ok(exchange.refuse(400)?);
    }
    let you = shown(&author);
    let entered = (
        games.enter(rooms, room)?,
        rooms.enter(&format!("game/{room}")),
        rooms.enter(&format!("input/{room}")),
    );
    let (Some(_client), Some(frames), Some(input)) = entered else {
        return Ok(exchange.refuse(503)?);
    };
    duplex::serve(
        exchange,
        |writer, leave| {
            writer.queue(&*json!({ "you": you }).to_string())?;
            write(&frames, writer, leave)
        },
        |reader, _| {
            let mut player = Player { input: &input, you: &you, name: &name, number: 0 };
            let result = player.read(reader);
            // If the log can't be reached, the player is removed after some silence.
            let _ = player.send([0.0; 2], true);
            result
        },
    )
}

/// A client that steers.
struct Player<'c> {
    input: &'c Member,
    /// The name under which others see the player.
    you: &'c str,
    name: &'c str,
    /// The number of the last entry. Those of the next connection are greater.
    number: u64,
}

impl Player<'_> {
    fn read(&mut self, mut reader: Reader<Server>) -> ws_std::Result<()> {
        let mut pace = Pace::new(40, TICK);
        while let Some(steer) = duplex::read::<Steer>(&mut reader, r#"a direction is {"x":X,"y":Y}"#)? {
            thread::sleep(pace.line(Instant::now()));
            // A lost one is no loss: the client sends its direction again.
            let _ = self.send([steer.x, steer.y], false);
        }
        Ok(())
    }

    fn send(&mut self, [x, y]: [f32; 2], gone: bool) -> Result<(), LogError> {
        self.number = now_millis().max(self.number + 1);
        let steer = Steer { x, y, name: self.name.into(), gone };
        let payload = serde_json::to_string(&steer).map_err(|error| LogError(error.into()))?;
        self.input.append(self.you, self.number, &payload).map(drop)
    }
}

/// Writes the newest frames to a client.
fn write(frames: &Member, writer: &mut Writer<Server>, leave: &Leave) -> ws_std::Result<()> {
    let mut place = Place::default();
    loop {
        match frames.room.next(&place, None, Some(leave)) {
            Some(Next::Lines(lines)) => {
                // A slow client continues with the newest snapshot.
                let newest = lines.iter().rposition(|line| is_snapshot(line.entry.number));
                let skipped = if lines.len() > MOST_BEHIND { newest.unwrap_or_default() } else { 0 };
                for line in &lines[skipped..] {
                    line.message.queue(writer)?;
                    place.position = line.entry.position;
                }
            }
            Some(Next::Read) => {
                let batch = frames.catch_up(&place, MOST_READ).map_err(io::Error::other)?;
                let newest = batch.entries.iter().rposition(|entry| is_snapshot(entry.number));
                for entry in newest.map_or(&[][..], |newest| &batch.entries[newest..]) {
                    writer.queue(&*entry.payload)?;
                }
                place = Place { epoch: batch.epoch, position: batch.end };
            }
            Some(Next::End) => return writer.send_close(CloseCode::SERVICE_RESTART, "the server restarts"),
            Some(Next::AtEnd) => {}
            None => return Ok(()),
        }
        writer.flush()?;
    }
}
