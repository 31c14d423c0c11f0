// Game: sends a direction, and shows the world a moment late, so that it moves evenly from one frame to the next.

import { Link, address, newAuthor } from "./link.js";

const [WIDTH, HEIGHT] = [1_600, 900];
// In milliseconds: how late the world is shown, and how often a direction is sent that has not changed.
const LATE = 120;
const AGAIN = 1_000;
const KEYS = {
  ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1], a: [-1, 0], d: [1, 0], w: [0, -1], s: [0, 1],
};

export class Game {
  #author = newAuthor();
  #own;
  #keys = new Set();
  /** The direction to a finger or a mouse button that is held. */
  #pointer;
  #sent = "";
  #sentAt = 0;
  #names = new Map();
  /** What is to be shown: for each thing its last two places, with their times. */
  #tracks = new Map();
  #scores = new Map();
  #frames = 0;
  #gap = 0;
  #last = 0;
  #canvas;
  #scoreList;
  #isOver = false;

  constructor(name, room, show, { canvas, scores }) {
    this.#canvas = canvas;
    this.#scoreList = scores;
    this.link = new Link(() => address(`game/${room}`, { author: this.#author, name }), show, {
      open: () => {
        show.state(`playing as ${name}`);
        this.#sent = "";
      },
      message: (text) => this.#message(JSON.parse(text)),
    });
    this.#listen();
    requestAnimationFrame(() => this.#draw());
  }

  stop() {
    this.#isOver = true;
    this.#listeners.abort();
    this.link.close();
  }

  get detail() {
    return this.#frames ? ` · longest gap ${this.#gap.toFixed(0)} ms` : "";
  }

  #listeners = new AbortController();

  #listen() {
    const options = { signal: this.#listeners.signal };
    addEventListener("keydown", (event) => this.#key(event, true), options);
    addEventListener("keyup", (event) => this.#key(event, false), options);
    addEventListener("blur", () => this.#keys.clear(), options);
    const point = (event) => {
      if (event.type !== "pointerdown" && !this.#pointer) return;
      this.#canvas.setPointerCapture(event.pointerId);
      const box = this.#canvas.getBoundingClientRect();
      const own = this.#place(`p${this.#own}`, performance.now()) ?? [WIDTH / 2, HEIGHT / 2];
      const at = [((event.clientX - box.left) * WIDTH) / box.width, ((event.clientY - box.top) * HEIGHT) / box.height];
      const [x, y] = [at[0] - own[0], at[1] - own[1]];
      const length = Math.max(Math.hypot(x, y), 60);
      this.#pointer = [x / length, y / length];
    };
    for (const type of ["pointerdown", "pointermove"]) this.#canvas.addEventListener(type, point, options);
    for (const type of ["pointerup", "pointercancel"]) {
      this.#canvas.addEventListener(type, () => (this.#pointer = undefined), options);
    }
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
    const text = JSON.stringify({ x, y });
    const isDue = text === this.#sent ? now - this.#sentAt > AGAIN : now - this.#sentAt > 60;
    if (!isDue) return;
    [this.#sent, this.#sentAt] = [text, now];
    this.link.send(text);
  }

  #message(frame) {
    if (frame.you) {
      this.#own = frame.you;
      return;
    }
    const now = performance.now();
    if (this.#frames++) this.#gap = Math.max(this.#gap * 0.995, now - this.#last);
    this.#last = now;
    const { all } = frame;
    if (all) {
      const ids = Object.keys(all.players);
      this.#names = new Map(ids.map((id) => [id, all.players[id].name]));
      this.#scores = new Map(ids.map((id) => [id, all.players[id].score]));
      ids.forEach((id) => this.#move(`p${id}`, all.players[id].at, now));
      all.gems.forEach((at, gem) => this.#move(`g${gem}`, at, now, true));
      all.drones.forEach(([at], drone) => this.#move(`d${drone}`, at, now));
      for (const key of this.#tracks.keys()) {
        if (key[0] === "p" && !this.#names.has(key.slice(1))) this.#tracks.delete(key);
      }
      this.#showScores();
    }
    for (const [id, [x, y, score]] of Object.entries(frame.p ?? {})) {
      this.#move(`p${id}`, [x, y], now);
      this.#scores.set(id, score);
    }
    for (const [gem, x, y] of frame.g ?? []) this.#move(`g${gem}`, [x, y], now, true);
    frame.d.forEach((at, drone) => this.#move(`d${drone}`, at, now));
  }

  /** Notes where a thing is. One that jumps, such as a gem that was taken, does not glide. */
  #move(key, at, now, jumps = false) {
    const before = this.#tracks.get(key)?.to ?? at;
    const isFar = jumps || Math.hypot(at[0] - before[0], at[1] - before[1]) > 120;
    this.#tracks.set(key, { from: isFar ? at : this.#place(key, now) ?? before, since: now, to: at });
  }

  /** Returns where a thing is shown. */
  #place(key, now) {
    const track = this.#tracks.get(key);
    if (!track) return undefined;
    const part = Math.min((now - track.since) / LATE, 1);
    return [0, 1].map((axis) => track.from[axis] + (track.to[axis] - track.from[axis]) * part);
  }

  #showScores() {
    const best = [...this.#scores].filter(([id]) => this.#names.has(id)).sort((one, two) => two[1] - one[1]).slice(0, 8);
    const items = best.map(([id, score]) => {
      const item = document.createElement("li");
      item.className = id === this.#own ? "me" : "";
      item.textContent = `${this.#names.get(id)} ${score}`;
      return item;
    });
    this.#scoreList.replaceChildren(...items);
  }

  #draw() {
    if (this.#isOver) return;
    requestAnimationFrame(() => this.#draw());
    const now = performance.now();
    this.#steer(now);
    const canvas = this.#canvas;
    const width = Math.round(canvas.clientWidth * devicePixelRatio);
    if (canvas.width !== width) [canvas.width, canvas.height] = [width, Math.round((width * HEIGHT) / WIDTH)];
    const pen = canvas.getContext("2d");
    const style = getComputedStyle(canvas);
    pen.setTransform(width / WIDTH, 0, 0, width / WIDTH, 0, 0);
    pen.clearRect(0, 0, WIDTH, HEIGHT);
    pen.textAlign = "center";
    pen.font = "26px system-ui";
    const disc = ([x, y], radius, color) => {
      pen.fillStyle = color;
      pen.beginPath();
      pen.arc(x, y, radius, 0, 7);
      pen.fill();
    };
    for (const key of this.#tracks.keys()) {
      const at = this.#place(key, now);
      const id = key.slice(1);
      if (key[0] === "g") disc(at, 10, "#eab308");
      if (key[0] === "d") disc(at, 22, "#dc2626");
      if (key[0] !== "p") continue;
      disc(at, 20, id === this.#own ? style.getPropertyValue("--own") : `hsl(${parseInt(id.slice(0, 6), 16) % 360} 55% 50%)`);
      pen.fillStyle = style.getPropertyValue("--text");
      pen.fillText(this.#names.get(id) ?? "", at[0], at[1] - 30);
    }
  }
}
