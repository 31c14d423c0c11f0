//! The world of a game: players collect gems and keep away from drones. Nothing here knows of connections.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

const WIDTH: f32 = 1_600.0;
const HEIGHT: f32 = 900.0;
/// The least distance of anything from an edge.
const EDGE: f32 = 40.0;
const GEMS: usize = 24;
const DRONES: usize = 8;
/// The most players. More may watch.
const PLAYERS: usize = 100;
/// Distance at which a player takes a gem or is hit by a drone.
const TOUCH: f32 = 40.0;
/// Change of a player's speed in a tick, and the part of it that is left after one.
const PUSH: f32 = 2.4;
const GLIDE: f32 = 0.88;
/// Points that a hit costs.
const HIT: u32 = 3;
/// Ticks after which a player who has sent nothing is removed.
const SILENCE: u64 = 300;

#[derive(Clone, Default, Deserialize, Serialize)]
pub(crate) struct World {
    pub(crate) tick: u64,
    players: BTreeMap<String, Player>,
    gems: Vec<Point>,
    drones: Vec<(Point, Point)>,
}

#[derive(Clone, Default, Deserialize, Serialize)]
struct Player {
    name: String,
    at: Point,
    speed: Point,
    push: Point,
    score: u32,
    /// Tick at which the player has sent something.
    seen: u64,
}

type Point = [f32; 2];

/// The changes of a tick, in whole units.
#[derive(Default, Deserialize, Serialize)]
pub(crate) struct Change {
    /// Players that have moved: place and score.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    p: BTreeMap<String, (i32, i32, u32)>,
    /// Gems that lie elsewhere: number and place.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    g: Vec<(usize, i32, i32)>,
    /// All drones.
    #[serde(default)]
    d: Vec<(i32, i32)>,
    /// Players that have left.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    gone: Vec<String>,
}

impl World {
    pub(crate) fn new() -> Self {
        let drone = || (anywhere(), [fastrand::f32() * 12.0 - 6.0, fastrand::f32() * 12.0 - 6.0]);
        let (gems, drones) = ((0..GEMS).map(|_| anywhere()).collect(), (0..DRONES).map(|_| drone()).collect());
        Self { gems, drones, ..Self::default() }
    }

    /// Sets the direction in which a player accelerates. `None`: the player has left.
    pub(crate) fn steer(&mut self, id: &str, name: &str, push: Option<Point>) {
        let Some([x, y]) = push else {
            self.players.remove(id);
            return;
        };
        if self.players.contains_key(id) || self.players.len() < PLAYERS {
            let new = || Player { name: name.into(), at: anywhere(), ..Player::default() };
            let player = self.players.entry(id.into()).or_insert_with(new);
            let length = x.hypot(y).max(1.0);
            player.push = [x / length, y / length].map(|part| if part.is_finite() { part } else { 0.0 });
            player.seen = self.tick;
        }
    }

    /// Moves everything by a tick.
    pub(crate) fn step(&mut self) -> Change {
        self.tick += 1;
        let mut change = Change::default();
        let silent = |player: &Player| self.tick - player.seen > SILENCE;
        change.gone = self.players.iter().filter(|(_, player)| silent(player)).map(|(id, _)| id.clone()).collect();
        change.gone.iter().for_each(|id| _ = self.players.remove(id));
        for (at, speed) in &mut self.drones {
            move_by(at, speed, 1.0);
            change.d.push(whole(*at));
        }
        for (id, player) in &mut self.players {
            let before = (whole(player.at), player.score);
            for axis in 0..2 {
                player.speed[axis] = (player.speed[axis] + PUSH * player.push[axis]) * GLIDE;
            }
            move_by(&mut player.at, &mut player.speed, 0.5);
            for (number, gem) in self.gems.iter_mut().enumerate().filter(|(_, gem)| touches(player.at, **gem)) {
                player.score += 1;
                *gem = anywhere();
                let (x, y) = whole(*gem);
                change.g.push((number, x, y));
            }
            if self.drones.iter().any(|(drone, _)| touches(player.at, *drone)) {
                player.score = player.score.saturating_sub(HIT);
                player.at = anywhere();
            }
            let (x, y) = whole(player.at);
            if before != ((x, y), player.score) {
                change.p.insert(id.clone(), (x, y, player.score));
            }
        }
        change
    }

    /// Changes the world as another process has.
    pub(crate) fn apply(&mut self, tick: u64, change: &Change) {
        self.tick = tick;
        change.gone.iter().for_each(|id| _ = self.players.remove(id));
        for (id, (x, y, score)) in &change.p {
            if let Some(player) = self.players.get_mut(id) {
                (player.at, player.score, player.seen) = (point(*x, *y), *score, tick);
            }
        }
        for (number, x, y) in &change.g {
            if let Some(gem) = self.gems.get_mut(*number) {
                *gem = point(*x, *y);
            }
        }
        for ((at, _), (x, y)) in self.drones.iter_mut().zip(&change.d) {
            *at = point(*x, *y);
        }
    }
}

/// Moves a point, which the edges throw back. `bounce` is the part of its speed that is left then.
fn move_by(at: &mut Point, speed: &mut Point, bounce: f32) {
    for (axis, most) in [WIDTH, HEIGHT].into_iter().enumerate() {
        at[axis] += speed[axis];
        if !(EDGE..=most - EDGE).contains(&at[axis]) {
            at[axis] = at[axis].clamp(EDGE, most - EDGE);
            speed[axis] *= -bounce;
        }
    }
}

fn touches(one: Point, two: Point) -> bool {
    (one[0] - two[0]).hypot(one[1] - two[1]) < TOUCH
}

fn anywhere() -> Point {
    [WIDTH, HEIGHT].map(|most| EDGE + fastrand::f32() * (most - 2.0 * EDGE))
}

#[allow(clippy::cast_possible_truncation, reason = "places are within the world")]
fn whole([x, y]: Point) -> (i32, i32) {
    (x.round() as i32, y.round() as i32)
}

#[allow(clippy::cast_precision_loss, reason = "places are within the world")]
fn point(x: i32, y: i32) -> Point {
    [x as f32, y as f32]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_player_moves_in_the_direction_and_stays_within_the_edges() {
        let mut world = World { drones: Vec::new(), ..World::new() };
        world.steer("a", "Ada", Some([7.0, 0.0]));
        let start = world.players["a"].at;
        for _ in 0..SILENCE - 1 {
            world.step();
        }
        let player = &world.players["a"];
        assert!(player.at[0] > start[0] && player.at[0] <= WIDTH && player.at[1] == start[1]);
        world.steer("a", "Ada", Some([f32::NAN, f32::INFINITY]));
        world.step();
        assert!(world.players["a"].at.iter().all(|part| part.is_finite()));
    }

    #[test]
    fn gems_are_taken_and_drones_cost_points() {
        let mut world = World { drones: Vec::new(), gems: vec![[100.0, 100.0]], ..World::default() };
        world.steer("a", "Ada", Some([0.0, 0.0]));
        world.players.get_mut("a").unwrap().at = [100.0, 100.0];
        let change = world.step();
        assert_eq!((world.players["a"].score, change.g.len()), (1, 1));
        let at = world.players["a"].at;
        world.drones = vec![(at, [0.0; 2])];
        assert_eq!(world.step().p["a"].2, 0);
    }

    #[test]
    fn a_world_that_follows_is_the_same_and_the_silent_are_removed() {
        let mut world = World::new();
        world.steer("a", "Ada", Some([0.5, -1.0]));
        let mut other = world.clone();
        for _ in 0..SILENCE {
            let change = world.step();
            other.apply(world.tick, &change);
            assert_eq!(other.players["a"].score, world.players["a"].score);
            assert_eq!(whole(other.players["a"].at), whole(world.players["a"].at));
            assert!(other.gems.iter().zip(&world.gems).all(|(one, two)| whole(*one) == whole(*two)));
        }
        let change = world.step();
        assert_eq!(change.gone, ["a"]);
        other.apply(world.tick, &change);
        assert!(other.players.is_empty() && world.players.is_empty());
    }
}
