// Ticker: the newest prices, a tile for some of them, and a plot of the last minute of one.

import { Link, address } from "./link.js";

const TILES = 24;
// In milliseconds: the time that the plot shows, and the time between two points of it.
const SHOWN = 60_000;
const STEP = 250;

export class Ticks {
  #prices = new Map();
  /** For each tile: the price at each step of the time that is shown. */
  #history = new Map();
  #chosen = 0;
  #delay = 0;
  #seq = 0;

  /** `parts` are the elements `title`, `plot` and `tiles`. */
  constructor(show, parts) {
    this.parts = parts;
    const tiles = Array.from({ length: TILES }, (_, symbol) => symbol);
    // The others are not asked for.
    this.link = new Link(() => address("ticks", { symbols: tiles }), show, {
      open: () => show.state("connected"),
      message: (text) => this.#message(JSON.parse(text)),
    });
    this.#makeTiles();
    this.#timer = setInterval(() => this.#step(), STEP);
  }

  #timer;

  stop() {
    clearInterval(this.#timer);
    this.link.close();
  }

  get detail() {
    return this.#seq ? ` · change ${this.#seq.toLocaleString()}, ${this.#delay.toFixed(0)} ms old` : "";
  }

  #message(message) {
    this.#seq = message.seq;
    this.#delay = Math.max(0, Date.now() - message.at);
    for (const [symbol, cents] of message.prices) {
      const tile = this.parts.tiles.children[symbol];
      const before = this.#prices.get(symbol);
      this.#prices.set(symbol, cents);
      if (!tile) continue;
      tile.lastElementChild.textContent = money(cents);
      tile.dataset.trend = cents < before ? "down" : "up";
    }
  }

  #makeTiles() {
    const tiles = Array.from({ length: TILES }, (_, symbol) => {
      const tile = document.createElement("button");
      tile.append(Object.assign(document.createElement("b"), { textContent: nameOf(symbol) }), document.createElement("span"));
      tile.onclick = () => this.#choose(symbol);
      return tile;
    });
    this.parts.tiles.replaceChildren(...tiles);
    this.#choose(this.#chosen);
  }

  #choose(symbol) {
    this.#chosen = symbol;
    [...this.parts.tiles.children].forEach((tile, index) => tile.setAttribute("aria-pressed", index === symbol));
    this.#draw();
  }

  /** Adds the newest prices to the history. */
  #step() {
    for (let symbol = 0; symbol < TILES; symbol += 1) {
      if (!this.#prices.has(symbol)) continue;
      const history = this.#history.get(symbol) ?? [];
      history.push(this.#prices.get(symbol));
      if (history.length > SHOWN / STEP) history.shift();
      this.#history.set(symbol, history);
    }
    this.#draw();
  }

  #draw() {
    const history = this.#history.get(this.#chosen);
    const { title, plot } = this.parts;
    if (!history) return;
    title.textContent = `${nameOf(this.#chosen)}  ${money(history.at(-1))}`;
    const [width, height] = [plot.clientWidth, plot.clientHeight];
    const scale = devicePixelRatio;
    [plot.width, plot.height] = [width * scale, height * scale];
    const canvas = plot.getContext("2d");
    canvas.scale(scale, scale);
    const style = getComputedStyle(plot);
    const [low, high] = [Math.min(...history), Math.max(...history)];
    const room = Math.max(high - low, 10);
    const y = (cents) => 12 + (height - 24) * (1 - (cents - low) / room);
    canvas.font = "12px system-ui";
    canvas.fillStyle = canvas.strokeStyle = style.getPropertyValue("--dim");
    canvas.globalAlpha = 0.8;
    for (const cents of [low, low + room / 2, low + room]) {
      canvas.fillText(money(cents), 4, y(cents) - 3);
      canvas.fillRect(0, y(cents), width, 0.5);
    }
    canvas.globalAlpha = 1;
    canvas.strokeStyle = style.getPropertyValue("--own");
    canvas.lineWidth = 2;
    canvas.beginPath();
    // The newest price is at the right edge.
    const x = (index) => width - ((history.length - 1 - index) * STEP * width) / SHOWN;
    history.forEach((cents, index) => canvas.lineTo(x(index), y(cents)));
    canvas.stroke();
  }
}

/** Returns the name of a symbol: four letters, for each another four. */
function nameOf(symbol) {
  let rest = (symbol * 48_611 + 123_457) % 26 ** 4;
  return Array.from({ length: 4 }, () => {
    const letter = String.fromCharCode(65 + (rest % 26));
    rest = Math.floor(rest / 26);
    return letter;
  }).join("");
}

function money(cents) {
  return (cents / 100).toLocaleString(undefined, { minimumFractionDigits: 2, maximumFractionDigits: 2 });
}
