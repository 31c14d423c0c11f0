// Ticker: the newest prices, a tile for some of them, and a plot of the last minute of one.

import { at, easel, element } from "./dom.js";
import { Link, show } from "./link.js";

const TILES = 24;
// In milliseconds: the time that the plot shows, and the time between two points of it.
const SHOWN = 60_000;
const STEP = 250;

const SYMBOLS = Array.from({ length: TILES }, (_, symbol) => symbol);

export class Ticks extends Link {
  #prices = new Map();
  /** For each tile: the price at each step of the time that is shown. */
  #history = new Map();
  #chosen = 0;

  constructor(entered) {
    super(entered);
    at("tiles").replaceChildren(...SYMBOLS.map((symbol) => this.#tile(symbol)));
    this.#choose(0);
    const timer = setInterval(() => this.#step(), STEP);
    this.signal.addEventListener("abort", () => clearInterval(timer));
    this.connect();
  }

  /** The other symbols are not asked for. */
  address() {
    return ["ticks", { symbols: SYMBOLS }];
  }

  open() {
    show("connected");
  }

  message(message) {
    this.detail = ` · change ${message.seq.toLocaleString()}, ${Math.max(0, Date.now() - message.at).toFixed(0)} ms old`;
    for (const [symbol, cents] of message.prices) {
      const tile = at("tiles").children[symbol];
      const before = this.#prices.get(symbol);
      this.#prices.set(symbol, cents);
      tile.lastElementChild.textContent = money(cents);
      tile.dataset.trend = cents < before ? "down" : "up";
    }
  }

  #tile(symbol) {
    const tile = element("button", "", { onclick: () => this.#choose(symbol) });
    tile.append(element("b", nameOf(symbol)), element("span"));
    return tile;
  }

  #choose(symbol) {
    this.#chosen = symbol;
    [...at("tiles").children].forEach((tile, index) => tile.setAttribute("aria-pressed", index === symbol));
    this.#draw();
  }

  /** Adds the newest prices to the history. */
  #step() {
    for (const [symbol, cents] of this.#prices) {
      const history = this.#history.get(symbol) ?? [];
      history.push(cents);
      if (history.length > SHOWN / STEP) history.shift();
      this.#history.set(symbol, history);
    }
    this.#draw();
  }

  #draw() {
    const history = this.#history.get(this.#chosen);
    if (!history) return;
    at("chosen").textContent = `${nameOf(this.#chosen)}  ${money(history.at(-1))}`;
    const plot = at("plot");
    const [pen, color] = easel(plot);
    const [width, height] = [plot.clientWidth, plot.clientHeight];
    const [low, high] = [Math.min(...history), Math.max(...history)];
    const room = Math.max(high - low, 10);
    const y = (cents) => 12 + (height - 24) * (1 - (cents - low) / room);
    pen.font = "12px system-ui";
    pen.fillStyle = pen.strokeStyle = color("--dim");
    pen.globalAlpha = 0.8;
    for (const cents of [low, low + room / 2, low + room]) {
      pen.fillText(money(cents), 4, y(cents) - 3);
      pen.fillRect(0, y(cents), width, 0.5);
    }
    pen.globalAlpha = 1;
    pen.strokeStyle = color("--own");
    pen.lineWidth = 2;
    pen.beginPath();
    // The newest price is at the right edge.
    const x = (index) => width - ((history.length - 1 - index) * STEP * width) / SHOWN;
    history.forEach((cents, index) => pen.lineTo(x(index), y(cents)));
    pen.stroke();
  }
}

/** Returns the name of a symbol: four letters, for each another four. */
function nameOf(symbol) {
  const number = (symbol * 48_611 + 123_457) % 26 ** 4;
  return [1, 26, 26 ** 2, 26 ** 3].map((unit) => String.fromCharCode(65 + (Math.floor(number / unit) % 26))).join("");
}

function money(cents) {
  return (cents / 100).toLocaleString(undefined, { minimumFractionDigits: 2, maximumFractionDigits: 2 });
}
