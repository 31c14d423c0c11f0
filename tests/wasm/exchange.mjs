// What is said to an echoing server, the same in Node and in a page.

import { Endpoint } from "./endpoint.mjs";

const TEXT = "Grüße aus WebAssembly 🦀";
const FIRST = 0b01;
const MIDDLE = 0b00;
const LAST = 0b10;

const pattern = (length) => Uint8Array.from({ length }, (_, i) => (i * 31) % 251);
const encode = (text) => new TextEncoder().encode(text);
const equal = (a, b) => a.length === b.length && a.every((byte, i) => byte === b[i]);

async function expect(endpoint, type, payload) {
  const got = await endpoint.next();
  if (got.type !== type) throw new Error(`expected ${type}, got ${got.type} ${got.code ?? ""}`);
  if (!equal(got.payload, payload)) throw new Error(`${type} of ${payload.length} bytes came back changed`);
}

export async function exchange(module, transport, host, say) {
  const endpoint = await Endpoint.connect(module, transport, host);
  await say("open");

  await endpoint.send(TEXT);
  await expect(endpoint, "text", encode(TEXT));
  await say("text came back");

  await endpoint.send(pattern(1 << 20));
  await expect(endpoint, "binary", pattern(1 << 20));
  await say("binary of 1 MiB came back");

  // Cut inside the four bytes of the crab.
  const bytes = encode(TEXT);
  const cut = bytes.length - 2;
  await endpoint.sendPart(true, FIRST, bytes.subarray(0, cut));
  await endpoint.ping(encode("still there?"));
  await endpoint.sendPart(true, MIDDLE, new Uint8Array());
  await endpoint.sendPart(true, LAST, bytes.subarray(cut));
  await expect(endpoint, "pong", encode("still there?"));
  await expect(endpoint, "text", bytes);
  await say("three fragments with a Ping between them: Pong, and the text came back");

  await endpoint.close(1000);
  await expect(endpoint, "close", Uint8Array.of(1000 >> 8, 1000 & 0xff));
  const { type, code } = await endpoint.next();
  if (type !== "closed" || code !== 1000) throw new Error(`expected to be closed with 1000, got ${type} ${code}`);
  await say("closed with 1000");
}
