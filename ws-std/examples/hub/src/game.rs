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
    io,
    sync::{Arc, Weak},
    thread,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};
use serde_json::json;
use ws_std::{Exchange, HandlerResult, Message, MessageKind, Writer, role::Server};

use crate::{
    client::{self, Pace},
    log::{self, Entry, Place, Position, now_millis},
    rooms::{Line, MOST_READ, Member, Output, Rooms, Shelf},
    text::{author_in, name_in, shown},
    world::{Change, World},
};

const TICK: Duration = Duration::from_millis(50);
/// Ticks from one snapshot to the next.
const SNAPSHOT: u64 = 20;
/// Time without a frame after which another process moves the world.
const LEASE: Duration = Duration::from_millis(400);
/// Milliseconds by which a client may be behind. A slower one skips the frames up to the next snapshot.
const MOST_BEHIND: u64 = 500;
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
    /// The process that has moved the world does so no more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    over: bool,
}

/// The rooms whose world this process follows.
pub(crate) type Games = Shelf<()>;

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

    /// Follows or moves the world until it has no client here, or the process ends.
    fn run(mut self, clients: &Weak<()>) {
        let (mut due, mut is_over) = (Instant::now(), false);
        while !is_over {
            is_over = clients.strong_count() == 0 || self.frames.is_over();
            self.follow();
            match self.duty {
                // It would be over before the next tick.
                Duty::Follow | Duty::Claim if !is_over && self.alive.elapsed() + TICK >= LEASE => {
                    self.term += 1;
                    self.duty = Duty::Claim;
                    self.alive = Instant::now();
                    self.append(0, Some(self.world.clone()), Change::default(), false);
                }
                Duty::Follow | Duty::Claim => {}
                Duty::Move(number) => {
                    let change = self.world.step();
                    let all = number.is_multiple_of(SNAPSHOT).then(|| self.world.clone());
                    self.duty = Duty::Move(number + 1);
                    self.append(number, all, change, is_over);
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
            let (term, Ok(frame)) = (entry.number >> TERM_BITS, serde_json::from_slice::<Frame>(&entry.payload))
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
                (entry.position.millis > oldest, serde_json::from_slice::<Steer>(&entry.payload))
            {
                self.world.steer(&entry.author, &steer.name, (!steer.gone).then_some([steer.x, steer.y]));
            }
        }
    }

    /// Appends a frame of this term. If the log can't be reached, the lease passes.
    fn append(&mut self, number: u64, all: Option<World>, change: Change, over: bool) {
        let frame = Frame { t: self.world.tick, own: self.own, all, change, over };
        if self.frames.append_json(AUTHOR, (self.term << TERM_BITS) + number, &frame).is_err() {
            self.duty = Duty::Follow;
        }
    }
}

/// Returns whether an entry has the whole world.
fn is_snapshot(entry: &Entry) -> bool {
    (entry.number % (1 << TERM_BITS)).is_multiple_of(SNAPSHOT)
}

/// Returns the entries after a place, without waiting, and moves the place to the last one.
fn entries_after(member: &Member, place: &mut Place) -> Vec<Entry> {
    let Ok(batch) = member.news(place, MOST_READ) else { return Vec::new() };
    *place = batch.end;
    batch.entries
}

/// Serves a client of a room until it leaves.
#[inline(never)]
pub(crate) fn serve(games: &Games, rooms: &Arc<Rooms>, room: &str, exchange: Exchange) -> HandlerResult {
    let name = name_in(exchange.query());
    let Some(you) = author_in(exchange.query()).as_deref().map(shown) else { return Ok(exchange.refuse(400)?) };
    let enter =
        |log| rooms.enter(&format!("{log}/{room}"), |entry| Some((MessageKind::Text, entry.payload.to_vec())));
    let (Some(frames), Some(input)) = (enter("game"), enter("input")) else { return Ok(exchange.refuse(503)?) };
    let _client = games.open(room, |clients| {
        let (host, clients) = (Host::new(frames.clone(), input.clone()), Arc::downgrade(clients));
        thread::Builder::new().name("game".into()).spawn(move || host.run(&clients)).map(drop)
    })?;
    let hello = json!({ "you": you }).to_string();
    let mut player = Player { input, you, name, number: 0 };
    let mut pace = Pace::new(40, TICK);
    let result = client::serve(
        exchange,
        |writer, waiter| {
            writer.queue(&*hello)?;
            frames.write(writer, waiter, Place::default(), &mut Frames)
        },
        |message, _| {
            let Steer { x, y, .. } = client::said(message, r#"a direction is {"x":X,"y":Y}"#)?;
            pace.wait();
            // A lost one is no loss: the client sends its direction again.
            let _ = player.send([x, y], false);
            Ok(())
        },
    );
    // If the log can't be reached, the player is removed after some silence.
    let _ = player.send([0.0; 2], true);
    result
}

/// A client that steers.
struct Player {
    input: Member,
    /// The name under which others see the player.
    you: String,
    name: String,
    /// The number of the last entry. Those of the next connection are greater.
    number: u64,
}

impl Player {
    fn send(&mut self, [x, y]: [f32; 2], gone: bool) -> log::Result<()> {
        self.number = now_millis().max(self.number + 1);
        let steer = Steer { x, y, name: self.name.clone(), gone };
        self.input.append_json(&self.you, self.number, &steer).map(drop)
    }
}

/// The newest frames for a client.
struct Frames;

impl Output for Frames {
    /// Sends the newest snapshot and the frames after it.
    fn catch_up(&mut self, member: &Member, writer: &mut Writer<Server>, place: &mut Place) -> ws_std::Result<()> {
        let batch = member.patiently(|| member.read(place, MOST_READ))?;
        let newest = batch.entries.iter().rposition(is_snapshot).unwrap_or(batch.entries.len());
        for entry in &batch.entries[newest..] {
            writer.queue(Message::new(MessageKind::Text, &entry.payload).map_err(io::Error::other)?)?;
        }
        *place = batch.end;
        Ok(())
    }

    /// A slow client continues with a snapshot that is new enough, or the next one.
    fn superfluous(&self, lines: &[Arc<Line>], end: Position) -> usize {
        let oldest = end.millis.saturating_sub(MOST_BEHIND);
        if lines[0].entry.position.millis >= oldest {
            return 0;
        }
        let is_new = |line: &Arc<Line>| line.entry.position.millis >= oldest && is_snapshot(&line.entry);
        lines.iter().position(is_new).unwrap_or(lines.len())
    }
}
