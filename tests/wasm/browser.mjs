// Runs the exchange in a page of a headless Chromium; argument 1 is the module's file, argument 2 the server.
//
// A page can't open a TCP connection. /pipe here is one: the body of the answer to a GET is what the server sends, the
// bodies of POSTs go to the server, a DELETE ends that direction. It knows nothing of what it carries: all of the
// WebSocket protocol runs in the page's module.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer } from "node:http";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";

// No sandbox, because it refuses to start as root; nothing but our page is loaded. The rest keeps the browser from
// asking the network.
const CHROMIUM = `--headless --no-sandbox --disable-gpu --disable-quic --disable-dev-shm-usage --no-first-run
  --disable-background-networking --disable-component-update --disable-sync`.split(/\s+/);
const TYPES = { html: "text/html", mjs: "text/javascript", wasm: "application/wasm" };
const LIMIT = 60_000;

const [file, host] = process.argv.slice(2);
const { hostname, port } = new URL(`tcp://${host}`);
let socket;
let finish;
const finished = new Promise((resolve) => (finish = resolve));

const routes = {
  async "GET /pipe"(_, response) {
    socket = connect({ host: hostname, port, allowHalfOpen: true });
    await once(socket, "connect");
    response.writeHead(200).flushHeaders();
    socket.pipe(response);
  },

  async "POST /pipe"(request, response) {
    request.pipe(socket, { end: false });
    await once(request, "end");
    response.writeHead(204).end();
  },

  "DELETE /pipe"(_, response) {
    socket.end();
    response.writeHead(204).end();
  },

  async "POST /report"(request, response) {
    const line = await text(request);
    console.log(`chromium: ${line}`);
    if (/^(passed|failed)/.test(line)) finish(line);
    response.writeHead(204).end();
  },
};

async function serveFile(name, response) {
  const path = name.endsWith(".wasm") ? file : new URL(name, import.meta.url);
  response.writeHead(200, { "Content-Type": TYPES[name.split(".").at(-1)] }).end(await readFile(path));
}

const server = createServer(async (request, response) => {
  const { pathname } = new URL(request.url, "http://page");
  try {
    const route = routes[`${request.method} ${pathname}`];
    await (route ? route(request, response) : serveFile(pathname.slice(1), response));
  } catch (error) {
    console.error(`${request.method} ${pathname}: ${error.message}`);
    response.writeHead(500).end();
  }
});
await once(server.listen(0, "127.0.0.1"), "listening");

const profile = await mkdtemp(join(tmpdir(), "chromium-"));
const chromium = spawn(
  "chromium",
  [...CHROMIUM, `--user-data-dir=${profile}`, `http://127.0.0.1:${server.address().port}/page.html?host=${host}`],
  { stdio: ["ignore", "ignore", "pipe"], env: { ...process.env, HOME: profile, TMPDIR: profile } },
);
const complaints = text(chromium.stderr);
const ended = once(chromium, "exit");
setTimeout(finish, LIMIT, `failed: nothing after ${LIMIT / 1000} s`).unref();
const outcome = await Promise.race([finished, ended.then(() => "failed: chromium has ended")]);
chromium.kill();
await ended;
await rm(profile, { recursive: true, force: true, maxRetries: 5 });
if (outcome !== "passed") console.error(`${outcome}\n${(await complaints).slice(-2_000)}`);
process.exit(outcome === "passed" ? 0 : 1);
