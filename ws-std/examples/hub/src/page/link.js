// A WebSocket that comes back: the pauses between attempts, the state for the user, the bytes.

// In milliseconds: the first pause before another attempt, the longest pause, and the least time of a good connection.
const FIRST_PAUSE = 250;
const LONGEST_PAUSE = 30_000;
const GOOD = 5_000;
// Close codes after which no other attempt is made: policy violation, message too big.
const FINAL = [1008, 1009];
// The close code of a server that restarts, and the longest pause after it, in milliseconds.
const RESTART = 1012;
const RESTART_PAUSE = 1_000;

export class Link {
  received = 0;
  sent = 0;
  #address;
  #show;
  #on;
  #socket;
  #failures = 0;
  #timer;
  #over = new AbortController();

  /** `address` returns the URL of the next attempt. `show` has `state(text)` and `entered(isEntered)`, `on` has `open()` and `message(data)`. */
  constructor(address, show, on) {
    [this.#address, this.#show, this.#on] = [address, show, on];
    const online = () => this.#socket?.readyState === WebSocket.CLOSED && this.connect();
    addEventListener("online", online, { signal: this.#over.signal });
    this.connect();
  }

  connect() {
    clearTimeout(this.#timer);
    this.#show.state("connecting …");
    let opened;
    this.#socket?.close();
    const socket = new WebSocket(this.#address());
    socket.binaryType = "arraybuffer";
    this.#socket = socket;
    socket.onopen = () => {
      opened = performance.now();
      this.#show.entered(true);
      this.#on.open();
    };
    socket.onmessage = (event) => {
      this.received += size(event.data);
      this.#on.message(event.data);
    };
    socket.onclose = (event) => {
      if (this.#over.signal.aborted || this.#socket !== socket) return;
      const why = opened ? `closed (${event.code}${event.reason ? ": " + event.reason : ""})` : "cannot connect";
      if (FINAL.includes(event.code)) {
        this.#over.abort();
        this.#show.state(why);
        this.#show.entered(false);
        return;
      }
      this.#failures = opened && performance.now() - opened > GOOD ? 0 : this.#failures + 1;
      // Random, so that the pages do not all come back at the same moment after the server was away.
      const longest = Math.min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** this.#failures);
      // A server that restarts sends all its clients away at once.
      const pause = event.code === RESTART ? RESTART_PAUSE * Math.random() : longest * (0.5 + Math.random() / 2);
      this.#show.state(`${why}; trying again in ${Math.ceil(pause / 1_000)} s`);
      this.#timer = setTimeout(() => this.connect(), pause);
    };
  }

  close() {
    this.#over.abort();
    clearTimeout(this.#timer);
    this.#socket?.close();
  }

  /** Sends a text or bytes. Without effect if the link is not open. */
  send(data) {
    if (this.#socket?.readyState === WebSocket.OPEN) {
      this.sent += size(data);
      this.#socket.send(data);
    }
  }
}

/** Returns an id that no other client has. Others see its first eight digits. */
export function newAuthor() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Returns the address of a socket: under the same prefix as the page, with TLS if the page has it. */
export function address(path, query) {
  const url = new URL(path, location.href);
  url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  url.hash = "";
  url.search = new URLSearchParams(query);
  return url;
}

function size(data) {
  return data.byteLength ?? new TextEncoder().encode(data).length;
}
