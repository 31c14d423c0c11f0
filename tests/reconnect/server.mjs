// A server that appends each message to a file before it reads on, so that it answers a Ping after all messages before it are kept.
// usage: node server.mjs PORT FILE

import { appendFileSync } from "node:fs";
import { createRequire } from "node:module";

const { WebSocketServer } = createRequire(new URL("../interop/node/", import.meta.url))("ws");

const [, , port, file] = process.argv;
let connections = 0;
const server = new WebSocketServer({ host: "127.0.0.1", port: Number(port) });
server.on("connection", (ws, request) => {
  const connection = `${process.pid}.${connections++}`;
  ws.on("message", (message) => appendFileSync(file, `${request.url} ${connection} ${message}\n`));
  ws.on("error", () => {});
});
