// A WebSocket client on any pair of byte streams: the protocol is the module of src/lib.rs, this moves its bytes.
// The same in Node and in a page.

const FOUND = [undefined, "open", "text", "binary", "ping", "pong", "close", "failure"];
const WHOLE = 0b11;

const now = () => performance.now();

export class Endpoint {
  #wasm;
  #connection;
  #reader;
  #writer;
  #read; // the read under way
  #unread = new Uint8Array(); // what a read has brought beyond the endpoint's room

  // `transport` has a `readable` and a `writable` stream of bytes; `module` is a WebAssembly.Module.
  static async connect(module, { readable, writable }, host) {
    const endpoint = new Endpoint();
    const fill_random = (at, length) =>
      crypto.getRandomValues(new Uint8Array(endpoint.#wasm.memory.buffer, at, length));
    endpoint.#wasm = (await WebAssembly.instantiate(module, { host: { fill_random } })).exports;
    endpoint.#reader = readable.getReader();
    endpoint.#writer = writable.getWriter();
    const name = endpoint.#copy(new TextEncoder().encode(host)); // which the connection keeps
    endpoint.#connection = endpoint.#wasm.connect(name, now());
    if (endpoint.#connection === 0) throw new Error(`not a host: ${host}`);
    await endpoint.#write();
    const { type } = await endpoint.next();
    if (type !== "open") throw new Error(`the opening handshake has failed: ${type}`);
    return endpoint;
  }

  // The next message or control frame, { type, payload }, or { type: "closed", code }.
  async next() {
    for (;;) {
      const type = FOUND[this.#wasm.next(this.#connection)];
      const payload = this.#view(this.#wasm.payload(this.#connection)).slice();
      await this.#write();
      if (type !== undefined) return { type, payload };
      const code = this.#wasm.closed(this.#connection);
      if (code !== 0) return { type: "closed", code };
      if (this.#unread.length === 0) await this.#wait();
      this.#fill();
    }
  }

  // Sends a string as text, bytes as binary.
  send(message) {
    const text = typeof message === "string";
    return this.sendPart(text, WHOLE, text ? new TextEncoder().encode(message) : message);
  }

  // Sends bytes as a part of a message: bit 0 of `part` is its beginning, bit 1 its end.
  sendPart(text, part, payload) {
    return this.#sent(this.#lend(payload, (bytes) => this.#wasm.send(this.#connection, text, part, bytes)));
  }

  ping(payload) {
    return this.#sent(this.#lend(payload, (bytes) => this.#wasm.ping(this.#connection, bytes)));
  }

  close(code) {
    return this.#sent(this.#wasm.close(this.#connection, code, now()));
  }

  #sent(admitted) {
    if (!admitted) throw new Error("this can't be sent now");
    return this.#write();
  }

  async #write() {
    const output = this.#view(this.#wasm.output(this.#connection)).slice();
    const last = this.#wasm.output_written(this.#connection, now());
    if (output.length > 0) await this.#writer.write(output);
    if (last) await this.#writer.close();
  }

  // Waits for bytes, but no longer than the endpoint does.
  async #wait() {
    const wait = this.#wasm.timeout(this.#connection) - now();
    let timer;
    const timeout = new Promise((resolve) => (timer = wait < Infinity ? setTimeout(resolve, wait) : undefined));
    const read = await Promise.race([(this.#read ??= this.#reader.read()), timeout]);
    clearTimeout(timer);
    if (read === undefined) return this.#wasm.handle_timeout(this.#connection, now());
    this.#read = undefined;
    if (read.done) this.#wasm.received(this.#connection, 0, now());
    else this.#unread = read.value;
  }

  #fill() {
    if (this.#unread.length === 0) return;
    const room = this.#view(this.#wasm.room(this.#connection));
    const length = Math.min(room.length, this.#unread.length);
    room.set(this.#unread.subarray(0, length));
    this.#unread = this.#unread.subarray(length);
    this.#wasm.received(this.#connection, length, now());
  }

  // Runs `use` with the address of a copy of `bytes`.
  #lend(bytes, use) {
    const copy = this.#copy(bytes);
    const result = use(copy);
    this.#wasm.bytes_free(copy);
    return result;
  }

  #copy(bytes) {
    const copy = this.#wasm.bytes(bytes.length);
    this.#view(this.#wasm.bytes_view(copy)).set(bytes);
    return copy;
  }

  // A slice of the module's memory, until that grows: an address, and a length from bit 32 on.
  #view(slice) {
    const [at, length] = [slice & 0xffff_ffffn, BigInt.asUintN(64, slice) >> 32n];
    return new Uint8Array(this.#wasm.memory.buffer, Number(at), Number(length));
  }
}
