// Game: sends a direction, and shows the world a moment late, so that it moves evenly from one frame to the next.

import { at, easel, element } from "./dom.js";
import { Link, newAuthor, show } from "./link.js";

const [WIDTH, HEIGHT] = [1_600, 900];
// In milliseconds: how late the world is shown, how often a direction is sent that has not changed, and one that has.
const LATE = 120;
const AGAIN = 1_000;
const SOON = 60;
const KEYS = {
  ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1], a: [-1, 0], d: [1, 0], w: [0, -1], s: [0, 1],
};

const canvas = at("world");

export class Game extends Link {
  #author = newAuthor();
  #own;
  #keys = new Set();
  /** The direction to a finger or a mouse button that is held. */
  #pointer;
  #sent = "";
  #sentAt = 0;
  /** The players that the last whole world had. */
  #players = new Map();
  /** The things that are shown: for each its last two places, with their times. */
  #tracks = new Map();
  #gap = 0;
  #last;

  constructor(entered, name, room) {
    super(entered, name, room);
    this.#listen();
    this.connect();
    requestAnimationFrame(() => this.#draw());
  }

  address() {
    return [`game/${this.room}`, { author: this.#author, name: this.name }];
  }

  open() {
    show(`playing as ${this.name}`);
    this.#sent = "";
  }

  #listen() {
    const options = { signal: this.signal };
    addEventListener("keydown", (event) => this.#key(event, true), options);
    addEventListener("keyup", (event) => this.#key(event, false), options);
    addEventListener("blur", () => this.#keys.clear(), options);
    const point = (event) => {
      if (event.type !== "pointerdown" && !this.#pointer) return;
      canvas.setPointerCapture(event.pointerId);
      const box = canvas.getBoundingClientRect();
      const own = this.#place(`p${this.#own}`, performance.now()) ?? [WIDTH / 2, HEIGHT / 2];
      const x = ((event.clientX - box.left) * WIDTH) / box.width - own[0];
      const y = ((event.clientY - box.top) * HEIGHT) / box.height - own[1];
      const length = Math.max(Math.hypot(x, y), 60);
      this.#pointer = [x / length, y / length];
    };
    canvas.onpointerdown = canvas.onpointermove = point;
    canvas.onpointerup = canvas.onpointercancel = () => (this.#pointer = undefined);
  }

  #key(event, isDown) {
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if (!(key in KEYS) || event.target instanceof HTMLInputElement) return;
    event.preventDefault();
    isDown ? this.#keys.add(key) : this.#keys.delete(key);
  }

  /** Sends the direction if it has changed, and now and then, so that the hub knows that the player is there. */
  #steer(now) {
    const sum = [...this.#keys].reduce(([x, y], key) => [x + KEYS[key][0], y + KEYS[key][1]], [0, 0]);
    const [x, y] = (this.#pointer ?? sum).map((part) => Math.round(part * 10) / 10);
    const direction = `${x} ${y}`;
    if (now - this.#sentAt <= (direction === this.#sent ? AGAIN : SOON)) return;
    [this.#sent, this.#sentAt] = [direction, now];
    this.send({ x, y });
  }

  message(frame) {
    if (frame.you) {
      this.#own = frame.you;
      return;
    }
    const now = performance.now();
    this.#gap = Math.max(this.#gap * 0.995, now - (this.#last ?? now));
    this.#last = now;
    this.detail = ` · longest gap ${this.#gap.toFixed(0)} ms`;
    const { all } = frame;
    if (all) {
      this.#players = new Map(Object.entries(all.players));
      this.#players.forEach((player, id) => this.#move(`p${id}`, player.at, now));
      all.gems.forEach((place, gem) => this.#move(`g${gem}`, place, now, true));
      all.drones.forEach(([place], drone) => this.#move(`d${drone}`, place, now));
      for (const key of this.#tracks.keys()) {
        if (key[0] === "p" && !this.#players.has(key.slice(1))) this.#tracks.delete(key);
      }
      this.#showScores();
    }
    for (const [id, [x, y, score]] of Object.entries(frame.p ?? {})) {
      this.#move(`p${id}`, [x, y], now);
      if (this.#players.has(id)) this.#players.get(id).score = score;
    }
    for (const [gem, x, y] of frame.g ?? []) this.#move(`g${gem}`, [x, y], now, true);
    frame.d.forEach((place, drone) => this.#move(`d${drone}`, place, now));
  }

  /** Notes where a thing is. One that jumps, such as a gem that was taken, does not glide. */
  #move(key, to, now, jumps = false) {
    const before = this.#tracks.get(key)?.to ?? to;
    const isFar = jumps || Math.hypot(to[0] - before[0], to[1] - before[1]) > 120;
    this.#tracks.set(key, { from: isFar ? to : this.#place(key, now) ?? before, since: now, to });
  }

  /** Returns where a thing is shown. */
  #place(key, now) {
    const track = this.#tracks.get(key);
    if (!track) return undefined;
    const part = Math.min((now - track.since) / LATE, 1);
    return [0, 1].map((axis) => track.from[axis] + (track.to[axis] - track.from[axis]) * part);
  }

  #showScores() {
    const best = [...this.#players].sort(([, one], [, two]) => two.score - one.score).slice(0, 8);
    const item = ([id, { name, score }]) => element("li", `${name} ${score}`, { className: id === this.#own ? "own" : "" });
    at("scores").replaceChildren(...best.map(item));
  }

  #draw() {
    if (this.signal.aborted) return;
    requestAnimationFrame(() => this.#draw());
    const now = performance.now();
    this.#steer(now);
    const [pen, color] = easel(canvas, WIDTH, HEIGHT);
    pen.textAlign = "center";
    pen.font = "26px system-ui";
    const disc = ([x, y], radius, fill) => {
      pen.fillStyle = fill;
      pen.beginPath();
      pen.arc(x, y, radius, 0, 7);
      pen.fill();
    };
    for (const key of this.#tracks.keys()) {
      const place = this.#place(key, now);
      const id = key.slice(1);
      if (key[0] === "g") disc(place, 10, "#eab308");
      if (key[0] === "d") disc(place, 22, "#dc2626");
      if (key[0] !== "p") continue;
      disc(place, 20, id === this.#own ? color("--own") : `hsl(${parseInt(id.slice(0, 6), 16) % 360} 55% 50%)`);
      pen.fillStyle = color("--text");
      pen.fillText(this.#players.get(id)?.name ?? "", place[0], place[1] - 30);
    }
  }
}
