// A client of RFC 8441 made of Node's HTTP/2 and `ws`: all that an echo server has to do, on one connection.
//
//   node h2_client.mjs http://127.0.0.1:PORT STATUS [--deflate]
//
// STATUS is that of the answer to a request for a page. With --deflate both sides compress.

import { deepStrictEqual, ok, strictEqual } from "node:assert";
import { once } from "node:events";
import { connect } from "node:http2";
import { Deflate, WebSocket } from "./websocket.mjs";

const [url, pageStatus, option] = process.argv.slice(2);
const session = connect(url);
const [settings] = await once(session, "remoteSettings");
strictEqual(settings.enableConnectProtocol, true);

const VERSION = { "sec-websocket-version": 13 };
const WEBSOCKET = { ":method": "CONNECT", ":protocol": "websocket", ":path": "/chat" };

async function request(headers) {
  const stream = session.request(headers, { endStream: false });
  const [response] = await once(stream, "response");
  return [stream, response];
}

async function open(headers = {}) {
  const deflate = option === "--deflate" ? new Deflate() : undefined;
  const offer = deflate && { "sec-websocket-extensions": deflate.header };
  const [stream, response] = await request({ ...WEBSOCKET, ...VERSION, ...offer, ...headers });
  strictEqual(response[":status"], 200);
  deflate?.agree(response["sec-websocket-extensions"]);
  return [new WebSocket(stream, { isServer: false, deflate }), response, deflate];
}

async function echoed(ws, message) {
  ws.send(message);
  deepStrictEqual(await ws.message(), message);
}

// The windows of HTTP/2 are 64 KiB: big messages need many updates, in both directions at once.
async function exchange(code, reason) {
  const [ws, , deflate] = await open();
  for (const text of ["", "hello", "Grüße, 世界 🦀".repeat(1_000)]) await echoed(ws, text);
  for (const length of [0, 1, 125, 126, 65_535, 65_536, 1 << 20]) {
    await echoed(ws, Buffer.from(Uint8Array.from({ length }, (_, i) => (i * 31) % 251)));
  }
  for (const [fin, byte] of [...Buffer.from("世界")].entries()) ws.send(Buffer.of(byte), { binary: false, fin: fin === 5 });
  strictEqual(await ws.message(), "世界");
  ws.ping(Buffer.from("are you there?"));
  deepStrictEqual((await once(ws, "pong"))[0], Buffer.from("are you there?"));
  ws.close(code, reason);
  strictEqual((await once(ws, "close"))[0], code ?? 1005);
  deepStrictEqual(await once(ws, "end"), [undefined]);
  if (deflate) ok(deflate.inflated >= 4, `${deflate.inflated} messages were compressed`);
}

await Promise.all([exchange(1000), exchange(4001, "bye – 再见"), exchange()]);
console.log("three at once: ok");

const [subprotocol, response] = await open({ "sec-websocket-protocol": "chat, echo" });
strictEqual(response["sec-websocket-protocol"], "echo");
subprotocol.send(Buffer.of(0xff), { binary: false });
strictEqual((await once(subprotocol, "close"))[0], 1007);
await once(subprotocol, "end");
const [tooBig] = await open();
tooBig.send(Buffer.alloc((1 << 20) + 1));
strictEqual((await once(tooBig, "close"))[0], 1009);
console.log("failures: ok");

for (const [headers, status] of [
  [{ ...WEBSOCKET }, 400],
  [{ ...WEBSOCKET, "sec-websocket-version": 12 }, 426],
  [{ ...WEBSOCKET, ...VERSION, origin: "http://elsewhere.example" }, 403],
  [{ ...WEBSOCKET, ...VERSION, ":protocol": "connect-udp" }, 501],
  [{ ":path": "/plain" }, Number(pageStatus)],
]) {
  const [stream, response] = await request(headers);
  strictEqual(response[":status"], status, JSON.stringify(headers));
  stream.close();
}
console.log("refusals: ok");

const [reset] = await open({ ":path": "/reset" });
await echoed(reset, "before");
// `close` would send END_STREAM first.
reset.stream.destroy(new Error("reset"));
await once(reset, "end");
const [ended] = await open({ ":path": "/ended" });
ended.stream.end();
await once(ended, "end");
await exchange(1000);
console.log("after a reset and an end without a Close: ok");
session.close();
