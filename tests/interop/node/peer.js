// A WebSocket peer made of the `ws` library. README.md beside this folder defines the roles.

import { deepStrictEqual } from "node:assert";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer } from "node:https";
import WebSocket, { WebSocketServer } from "ws";

const MULTILINGUAL = "Grüße, 世界! Привет, мир. שלום עולם 🦀👩‍👩‍👧‍👦 \0 \uffff";
const TEXTS = ["", "hello", MULTILINGUAL, MULTILINGUAL.repeat(1_000)];
const BINARY_LENGTHS = [0, 1, 125, 126, 127, 65_535, 65_536, 1 << 20];
const CLOSES = [[1000, ""], [4001, "bye – 再见"]];

// Every way to compress: windows, with and without context takeover.
const COMPRESSIONS = [9, 10, 11, 12, 13, 14, 15].flatMap((bits) =>
  [false, true].map((alone) => ({
    threshold: 0,
    serverMaxWindowBits: bits,
    clientMaxWindowBits: bits,
    // `false` would forbid it.
    serverNoContextTakeover: alone || undefined,
    clientNoContextTakeover: alone || undefined,
  })),
);
// Messages that resemble each other, and some that can't be compressed.
const RESEMBLING = [...TEXTS.slice(0, 3), ...TEXTS.slice(0, 3), Array.from({ length: 500 }, (_, i) => `{"id": ${i}, "ok": true}`).join()];

const noise = (length) => Buffer.from(Uint8Array.from({ length }, (_, i) => (Math.imul(i + 1, 0x9e3779b1) >>> 13) ^ (i * i)));

const binary = (length) => Buffer.from(Uint8Array.from({ length }, (_, i) => (i * 31) % 251));

// Every message of `ws` in order, kept while nobody waits for it.
function incoming(ws) {
  const arrived = [];
  const waiting = [];
  ws.on("message", (data, isBinary) => {
    const message = isBinary ? data : data.toString();
    if (waiting.length > 0) waiting.shift()(message);
    else arrived.push(message);
  });
  return () =>
    arrived.length > 0 ? Promise.resolve(arrived.shift()) : new Promise((resolve) => waiting.push(resolve));
}

// Sends every kind of message to an echoing peer and compares what comes back.
async function exchange(ws, receive) {
  for (const message of [...TEXTS, ...BINARY_LENGTHS.map(binary)]) {
    ws.send(message);
    deepStrictEqual(await receive(), message);
  }
  // Bytes, so that the cuts may fall inside a character.
  const bytes = Buffer.from(MULTILINGUAL);
  for (const [isBinary, whole] of [[false, MULTILINGUAL], [true, bytes]]) {
    ws.send("", { binary: isBinary, fin: false });
    for (const byte of bytes) ws.send(Buffer.of(byte), { binary: isBinary, fin: false });
    ws.send("", { binary: isBinary, fin: true });
    deepStrictEqual(await receive(), whole);
  }

  const burst = Array.from({ length: 1_000 }, (_, i) => `message ${i}`);
  for (const message of burst) ws.send(message);
  for (const message of burst) deepStrictEqual(await receive(), message);

  for (const payload of [Buffer.alloc(0), Buffer.from("are you there?"), Buffer.alloc(125)]) {
    ws.ping(payload);
    deepStrictEqual((await once(ws, "pong"))[0], payload);
  }
}

// Sends what compression may stumble on to an echoing peer and compares what comes back.
async function exchangeCompressed(ws, receive) {
  deepStrictEqual(ws.extensions.startsWith("permessage-deflate"), true);
  for (const message of [...RESEMBLING, noise(20_000), binary(70_000), noise(20_000), ...RESEMBLING]) {
    ws.send(message);
    deepStrictEqual(await receive(), message);
  }
  const bytes = Buffer.from(MULTILINGUAL);
  for (const byte of bytes) ws.send(Buffer.of(byte), { binary: false, fin: false });
  ws.send("", { binary: false, fin: true });
  deepStrictEqual(await receive(), MULTILINGUAL);
  ws.send("secret", { compress: false });
  deepStrictEqual(await receive(), "secret");
}

async function close(ws, code, reason) {
  ws.close(code, reason);
  deepStrictEqual((await once(ws, "close"))[0], code);
}

async function listen(perMessageDeflate = false) {
  const server = new WebSocketServer({ host: "127.0.0.1", port: 0, perMessageDeflate });
  await once(server, "listening");
  console.log(`listening on ws://127.0.0.1:${server.address().port}/`);
  return server;
}

function echo(server) {
  server.on("connection", (ws) => ws.on("message", (data, isBinary) => ws.send(data, { binary: isBinary })));
}

const roles = {
  async serve() {
    echo(await listen());
  },

  async "serve-tls"(chain, key) {
    const https = createServer({ cert: readFileSync(chain), key: readFileSync(key) });
    echo(new WebSocketServer({ server: https }));
    await once(https.listen(0, "127.0.0.1"), "listening");
    console.log(`listening on wss://localhost:${https.address().port}/`);
  },

  async drive(code, reason) {
    const server = await listen();
    const [ws] = await once(server, "connection");
    server.close();
    await exchange(ws, incoming(ws));
    await close(ws, Number(code), reason);
  },

  async visit(url) {
    for (const [code, reason] of CLOSES) {
      const ws = new WebSocket(url);
      const receive = incoming(ws);
      await once(ws, "open");
      await exchange(ws, receive);
      await close(ws, code, reason);
    }
  },

  async "drive-compressed"() {
    for (const compression of COMPRESSIONS) {
      const server = await listen(compression);
      const [ws] = await once(server, "connection");
      server.close();
      await exchangeCompressed(ws, incoming(ws));
      await close(ws, 1000, "");
    }
  },

  async "visit-compressed"(url) {
    for (const perMessageDeflate of COMPRESSIONS) {
      const ws = new WebSocket(url, { perMessageDeflate });
      const receive = incoming(ws);
      await once(ws, "open");
      await exchangeCompressed(ws, receive);
      await close(ws, 1000, "");
    }
  },

  async "await-close"(url, code) {
    const ws = new WebSocket(url);
    await once(ws, "open");
    console.log("open");
    deepStrictEqual((await once(ws, "close"))[0], Number(code));
  },
};

// When a connection ends while its echo is awaited, nothing is left to do and node stops with code 13.
const [role, ...args] = process.argv.slice(2);
await roles[role](...args);
