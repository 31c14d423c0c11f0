// An echo server of RFC 8441 made of Node's HTTP/2 and `ws`.
//
// It begins with a Ping, and says what became of each WebSocket; /reset resets the stream at the first message,
// /refused is refused, /closed is closed with 4002, and /chosen names a subprotocol that nobody has offered.

import { once } from "node:events";
import { createServer } from "node:http2";
import { WebSocket } from "./websocket.mjs";

const server = createServer({ settings: { enableConnectProtocol: true } });

server.on("stream", async (stream, headers) => {
  const path = headers[":path"];
  if (headers[":method"] !== "CONNECT" || headers[":protocol"] !== "websocket") {
    stream.respond({ ":status": 501 }, { endStream: true });
    return;
  }
  if (path === "/refused") {
    stream.on("error", () => {});
    stream.respond({ ":status": 403 }, { endStream: true });
    return;
  }
  stream.respond({ ":status": 200, ...(path === "/chosen" && { "sec-websocket-protocol": "chat" }) });
  const ws = new WebSocket(stream, { isServer: true });
  let pong = "no pong";
  ws.on("pong", (payload) => (pong = `pong ${payload}`));
  ws.on("message", (message) => {
    // `close` would send END_STREAM first.
    if (path === "/reset") stream.destroy(new Error("reset"));
    else ws.send(message);
  });
  let closed = "no close";
  ws.on("close", (code, reason) => (closed = `close ${code} ${reason}`));
  ws.ping(Buffer.from("31"));
  if (path === "/closed") ws.close(4002, "over");
  const [error] = await once(ws, "end");
  console.log(`${path}: ${pong}, ${closed}, ${error?.code ?? `code ${stream.rstCode}`}`);
});

server.listen(0, "127.0.0.1");
await once(server, "listening");
console.log(`listening on http://127.0.0.1:${server.address().port}/`);
