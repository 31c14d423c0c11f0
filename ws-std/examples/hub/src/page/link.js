// A WebSocket that comes back: the pauses between attempts, the state for the user, the bytes.

import { at } from "./dom.js";

// In milliseconds: the first pause before another attempt, the longest pause, and the least time of a good connection.
const FIRST_PAUSE = 250;
const LONGEST_PAUSE = 30_000;
const GOOD = 5_000;
// Close codes after which no other attempt is made: policy violation, message too big.
const FINAL = [1008, 1009];
// The close code of a server that restarts, and the longest pause after it, in milliseconds.
const RESTART = 1012;
const RESTART_PAUSE = 1_000;

/**
 * The base of all parts of the hub. A part has `address()`, the path and the query of the next attempt, `open()`, and
 * `message(message)` for an object that came as JSON, or for bytes.
 */
export class Link {
  received = 0;
  sent = 0;
  /** A text for the user beside the traffic. */
  detail = "";
  #entered;
  #socket;
  #failures = 0;
  #timer;
  #over = new AbortController();
  /** Ends what belongs to the link, such as listeners. */
  signal = this.#over.signal;

  /** `entered(isEntered)` is called when the link opens and when it ends for good. The part calls `connect()`. */
  constructor(entered, name, room) {
    [this.#entered, this.name, this.room] = [entered, name, room];
    const online = () => this.#socket?.readyState === WebSocket.CLOSED && this.connect();
    addEventListener("online", online, { signal: this.signal });
  }

  /** Is called twice a second. */
  check() {}

  connect() {
    clearTimeout(this.#timer);
    show("connecting …");
    this.#socket?.close();
    const socket = new WebSocket(url(...this.address()));
    socket.binaryType = "arraybuffer";
    this.#socket = socket;
    let opened;
    socket.onopen = () => {
      opened = performance.now();
      this.#entered(true);
      this.open();
    };
    socket.onmessage = ({ data }) => {
      this.received += size(data);
      this.message(typeof data === "string" ? JSON.parse(data) : new Uint8Array(data));
    };
    socket.onclose = (event) => {
      if (!this.signal.aborted && this.#socket === socket) this.#closed(event, opened);
    };
  }

  #closed({ code, reason }, opened) {
    const why = opened ? `closed (${code}${reason ? ": " + reason : ""})` : "cannot connect";
    if (FINAL.includes(code)) {
      this.#over.abort();
      show(why);
      this.#entered(false);
      return;
    }
    this.#failures = opened && performance.now() - opened > GOOD ? 0 : this.#failures + 1;
    // Random, so that the pages do not all come back at the same moment after the server was away.
    const longest = Math.min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** this.#failures);
    // A server that restarts sends all its clients away at once.
    const pause = code === RESTART ? RESTART_PAUSE * Math.random() : longest * (0.5 + Math.random() / 2);
    show(`${why}; trying again in ${Math.ceil(pause / 1_000)} s`);
    this.#timer = setTimeout(() => this.connect(), pause);
  }

  stop() {
    this.#over.abort();
    clearTimeout(this.#timer);
    this.#socket?.close();
  }

  /** Sends an object or bytes. Without effect if the link is not open. */
  send(message) {
    if (this.#socket?.readyState !== WebSocket.OPEN) return;
    const data = message instanceof Uint8Array ? message : JSON.stringify(message);
    this.sent += size(data);
    this.#socket.send(data);
  }
}

/** Shows the state of the link. */
export const show = (state) => (at("state").textContent = state);

/** Returns an id that no other client has. Others see a name that is made from it. */
export const newAuthor = () =>
  Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");

/** Returns the address of a socket: under the same prefix as the page, with TLS if the page has it. */
function url(path, query) {
  const address = new URL(path, location.href);
  address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  address.hash = "";
  address.search = new URLSearchParams(query);
  return address;
}

const size = (data) => data.byteLength ?? new TextEncoder().encode(data).length;
