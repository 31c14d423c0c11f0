// A WebSocket of Node's `ws` library on any duplex stream: its receiver and its sender without its handshake.

import { EventEmitter, once } from "node:events";
import { createRequire } from "node:module";

const require = createRequire(new URL("../../interop/node/", import.meta.url));
const { Receiver, Sender } = require("ws");
// Files that the package exports to itself only.
const { format, parse } = require("./node_modules/ws/lib/extension.js");
const PerMessageDeflate = require("./node_modules/ws/lib/permessage-deflate.js");

const MAX_PAYLOAD = 64 << 20;

// Compression of a client's connection, which counts the messages, or their fragments, that have been inflated.
export class Deflate extends PerMessageDeflate {
  inflated = 0;

  constructor() {
    super({ threshold: 0, maxPayload: MAX_PAYLOAD });
  }

  get header() {
    return format({ [PerMessageDeflate.extensionName]: this.offer() });
  }

  agree(header) {
    this.accept(parse(header)[PerMessageDeflate.extensionName]);
  }

  decompress(...args) {
    this.inflated++;
    super.decompress(...args);
  }
}

export class WebSocket extends EventEmitter {
  #sender;
  #masked;
  #closeSent = false;
  #compress;

  // Emits `message`, `pong`, `close` with what the peer's Close has, and `end` with its error if it was reset.
  constructor(stream, { isServer, deflate }) {
    super();
    this.stream = stream;
    this.#masked = !isServer;
    this.#compress = deflate !== undefined;
    const extensions = deflate ? { [PerMessageDeflate.extensionName]: deflate } : {};
    this.#sender = new Sender(stream, extensions);
    const receiver = new Receiver({ isServer, extensions, maxPayload: MAX_PAYLOAD });
    receiver.on("message", (data, isBinary) => this.emit("message", isBinary ? data : data.toString()));
    receiver.on("ping", (data) => this.#sender.pong(data, this.#masked));
    receiver.on("pong", (data) => this.emit("pong", data));
    receiver.on("conclude", (code, reason) => {
      this.close(code === 1005 ? undefined : code, reason);
      // The server is the first to end the stream.
      if (isServer) stream.end();
      this.emit("close", code, reason.toString());
    });
    receiver.on("error", (error) => stream.destroy(error));
    stream.on("error", (error) => (this.error = error));
    stream.on("end", () => stream.end());
    stream.on("close", () => this.emit("end", this.error));
    stream.pipe(receiver);
  }

  send(data, { fin = true, binary = typeof data !== "string" } = {}) {
    this.#sender.send(data, { binary, fin, mask: this.#masked, compress: this.#compress });
  }

  ping(data) {
    this.#sender.ping(data, this.#masked);
  }

  close(code, reason) {
    if (!this.#closeSent) this.#sender.close(code, reason, this.#masked);
    this.#closeSent = true;
  }

  async message() {
    return (await once(this, "message"))[0];
  }
}
