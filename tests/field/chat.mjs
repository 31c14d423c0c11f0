#!/usr/bin/env -S node --experimental-websocket
// Uses the page of the example chat in a headless Chromium: directly and under a prefix, while the server is away, and through nginx.
//
// usage: tests/interop/browser/chat.mjs CHAT [NGINX]
//
// CHAT is the path of the example, built, NGINX that of the server; without it nginx is left out. Prints a line for each claim
// and exits with 1 if one does not hold.

import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import http from "node:http";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

const PATIENCE = 30_000;
const [chat, nginx] = process.argv.slice(2);
const profile = mkdtempSync(join(tmpdir(), "chat-page-"));
const children = [];
let failed = 0;

function claim(holds, line) {
  console.log(`${holds ? "   " : "NOT"} ${line}`);
  failed += !holds;
}

function start(command, ...args) {
  const child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, HOME: profile } });
  children.push(child);
  return child;
}

/** What the first line of a stream with `pattern` has in its group. */
async function find(stream, pattern) {
  for await (const line of createInterface({ input: stream })) {
    const found = pattern.exec(line);
    if (found) return found[1];
  }
  throw new Error(`nothing like ${pattern}`);
}

async function startChat(address, ...options) {
  const child = start(chat, address, ...options);
  return [child, Number(await find(child.stdout, /:(\d+)\//))];
}

function ended(child) {
  return new Promise((done) => child.on("exit", done));
}

/** A proxy that serves the room under /room/, and leaves the prefix in the path. */
async function startProxy(port) {
  const proxy = http.createServer((request, response) => {
    const { method, url: path, headers } = request;
    http.request({ host: "127.0.0.1", port, method, path, headers }, (answer) => {
      response.writeHead(answer.statusCode, answer.headers);
      answer.pipe(response);
    }).end();
  });
  proxy.on("upgrade", (request, socket) => {
    const upstream = net.connect(port, "127.0.0.1");
    const fields = Object.entries(request.headers).map(([name, value]) => `${name}: ${value}\r\n`);
    upstream.write(`GET ${request.url} HTTP/1.1\r\n${fields.join("")}\r\n`);
    upstream.pipe(socket).pipe(upstream);
    for (const end of [upstream, socket]) end.on("error", () => {});
  });
  await new Promise((done) => proxy.listen(0, "127.0.0.1", done));
  return proxy;
}

async function freePort() {
  const listener = net.createServer();
  await new Promise((done) => listener.listen(0, "127.0.0.1", done));
  const { port } = listener.address();
  await new Promise((done) => listener.close(done));
  return port;
}

/** Starts nginx with TLS before the room: at / with the four lines of the README, under /room/ without the prefix. */
async function startNginx(port, room) {
  const pem = join(profile, "nginx.pem");
  execFileSync("openssl", ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
    "-subj", "/CN=localhost", "-keyout", pem, "-out", `${pem}.crt`], { stdio: "ignore" });
  const upgrade = 'proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection "upgrade";';
  const folders = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((name) => `${name}_temp_path ${profile}/${name};`);
  const configuration = join(profile, "nginx.conf");
  writeFileSync(configuration, `daemon off; master_process off; pid ${profile}/nginx.pid; error_log stderr; events {}
    http { access_log off; ${folders.join(" ")} server { listen 127.0.0.1:${port} ssl;
      ssl_certificate ${pem}.crt; ssl_certificate_key ${pem};
      location / { proxy_pass http://127.0.0.1:${room}; ${upgrade} }
      location /room/ { proxy_pass http://127.0.0.1:${room}/; ${upgrade} } } }`);
  const child = start(nginx, "-p", profile, "-c", configuration, "-e", "stderr");
  child.stderr.resume();
  const connects = () => new Promise((done) => {
    const socket = net.connect(port, "127.0.0.1", () => done(true)).on("error", () => done(false));
    socket.on("connect", () => socket.destroy());
  });
  while (!(await connects())) {
    if (child.exitCode !== null) throw new Error("nginx does not start");
    await new Promise((done) => setTimeout(done, 50));
  }
}

/** One tab of a browser, by the Chrome DevTools protocol. */
class Tab {
  static async open(devtools, url) {
    const { webSocketDebuggerUrl } = await (await fetch(`http://${devtools}/json/new?${url}`, { method: "PUT" })).json();
    const tab = new Tab();
    tab.socket = new WebSocket(webSocketDebuggerUrl);
    tab.waiting = new Map();
    tab.socket.onmessage = ({ data }) => {
      const { id, result } = JSON.parse(data);
      tab.waiting.get(id)?.(result);
    };
    await new Promise((done) => (tab.socket.onopen = done));
    return tab;
  }

  async evaluate(expression) {
    const id = this.waiting.size + 1;
    const answer = new Promise((done) => this.waiting.set(id, done));
    this.socket.send(JSON.stringify({ id, method: "Runtime.evaluate", params: { expression } }));
    return (await answer)?.result?.value;
  }

  /** Waits until an expression is true. */
  async until(expression) {
    const until = Date.now() + PATIENCE;
    while (Date.now() < until) {
      if (await this.evaluate(expression)) return true;
      await new Promise((done) => setTimeout(done, 50));
    }
    console.log(await this.evaluate("document.body.innerText"));
    return false;
  }

  state(text) {
    return this.until(`document.getElementById("state")?.textContent.includes(${JSON.stringify(text)})`);
  }

  shows(text) {
    return this.until(`document.getElementById("lines").innerText.includes(${JSON.stringify(text)})`);
  }

  submit(form, input, text) {
    return this.evaluate(`document.getElementById("${input}").value = ${JSON.stringify(text)};
      document.getElementById("${form}").requestSubmit();`);
  }

  async join(name) {
    await this.until('document.readyState === "complete" && document.getElementById("enter") !== null');
    await this.submit("enter", "name", name);
    return this.state(`connected as ${name}`);
  }
}

async function run() {
  let [room, port] = await startChat("127.0.0.1:0");
  const proxy = await startProxy(port);
  // No sandbox, because it refuses to start as root; nothing but our page is loaded.
  const browser = start("chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--remote-debugging-port=0",
    "--ignore-certificate-errors", `--user-data-dir=${profile}`, "about:blank");
  const devtools = await find(browser.stderr, /DevTools listening on ws:\/\/([^/]+)\//);

  const direct = await Tab.open(devtools, `http://127.0.0.1:${port}/`);
  claim(await direct.join("Ada"), "the page connects");
  const proxied = await Tab.open(devtools, `http://127.0.0.1:${proxy.address().port}/room/`);
  claim(await proxied.join("Bob"), "the page connects under a prefix");
  claim(await direct.shows("Bob has joined"), "who has joined is shown");
  await proxied.submit("write", "line", "hello");
  claim(await direct.shows("hello"), "a line is shown");
  const styled = await direct.until('getComputedStyle(document.querySelector("main")).display === "flex"');
  claim(styled, "the policy admits the page's own style");
  const inline = 'document.body.append(Object.assign(document.createElement("script"), { textContent: "window.inline = 1" })); window.inline';
  claim((await direct.evaluate(inline)) === undefined, "and no other script");

  room.kill("SIGINT");
  claim((await ended(room)) === 0, "the room closes");
  claim(await direct.state("cannot connect; trying again"), "the page says that it cannot connect");
  [room, port] = await startChat(`127.0.0.1:${port}`);
  claim(await direct.state("connected as Ada"), "and connects when the room is there again");
  proxy.close();
  if (nginx) await throughNginx(devtools);
}

async function throughNginx(devtools) {
  const front = await freePort();
  const [, room] = await startChat("127.0.0.1:0", "--origin", `https://127.0.0.1:${front}`);
  await startNginx(front, room);
  for (const path of ["/", "/room/"]) {
    const tab = await Tab.open(devtools, `https://127.0.0.1:${front}${path}`);
    claim(await tab.join("Eve"), `the page connects through nginx and TLS at ${path}`);
    await tab.submit("write", "line", `hello from ${path}`);
    claim(await tab.shows(`hello from ${path}`), "and a line comes back");
  }
}

try {
  await run();
} finally {
  const gone = children.filter((child) => child.exitCode === null && child.signalCode === null).map((child) => {
    child.kill();
    return ended(child);
  });
  await Promise.all(gone);
  rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
}
process.exit(failed ? 1 : 0);
