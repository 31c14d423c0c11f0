#!/usr/bin/env -S node --experimental-websocket
// Uses the chat of the example hub in headless Chromium, in two tabs at a time.
//
// usage: tests/field/chat.mjs HUB SECONDS [NAME=URL]...
//
// HUB is the path of the program, built: its page is used directly, under a prefix, and while the server is away. Each URL is one
// of a room that runs already, through the proxy of that name: two tabs see each other's lines, are left alone for SECONDS, and
// still do. Prints a line for each claim and exits with 1 if one does not hold.

import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import http from "node:http";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

const PATIENCE = 30_000;
const [hub, seconds, ...rooms] = process.argv.slice(2);
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

async function startHub(address) {
  const child = start(hub, address);
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

const LOADED = 'document.readyState === "complete" && document.getElementById("enter") !== null';

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
    return this.until(contains(text));
  }

  /** Whether the first connection is still there. */
  isFirst() {
    return this.evaluate('!document.getElementById("state").textContent.includes("connection")');
  }

  submit(form, input, text) {
    return this.evaluate(`document.getElementById("${input}").value = ${JSON.stringify(text)};
      document.getElementById("${form}").requestSubmit();`);
  }

  async join(name) {
    await this.until(LOADED);
    await this.submit("enter", "name", name);
    return this.state(`connected as ${name}`);
  }
}

function contains(text) {
  return `document.getElementById("lines").innerText.includes(${JSON.stringify(text)})`;
}

async function run() {
  let [room, port] = await startHub("127.0.0.1:0");
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
  await proxied.submit("write", "line", "hello");
  claim(await direct.shows("hello"), "a line is shown");
  await direct.submit("write", "line", "hello, Bob");
  claim(await direct.until('document.querySelector("li.own:not(.pending)") !== null'), "a line is acknowledged");
  const styled = await direct.until('getComputedStyle(document.querySelector("main")).display === "flex"');
  claim(styled, "the policy admits the page's own style");
  const inline = 'document.body.append(Object.assign(document.createElement("script"), { textContent: "window.inline = 1" })); window.inline';
  claim((await direct.evaluate(inline)) === undefined, "and no other script");

  await plays(proxied);
  await tickers(proxied);
  await edits(proxied, await Tab.open(devtools, `http://127.0.0.1:${port}/`));

  room.kill("SIGINT");
  claim((await ended(room)) === 0, "the room closes");
  claim(await direct.state("cannot connect; trying again"), "the page says that it cannot connect");
  [room, port] = await startHub(`127.0.0.1:${port}`);
  claim(await direct.state("connected as Ada · connection 2"), "and connects when the room is there again");
  claim(await direct.shows("starts anew"), "which has lost its lines, as the page says");
  proxy.close();
  await throughProxies(devtools);
}

async function plays(tab) {
  await tab.evaluate('location.hash = "#game"');
  await tab.submit("enter", "name", "Bob");
  claim(await tab.state("playing as Bob"), "the game begins");
  const scores = await tab.until('document.getElementById("scores").textContent === "Bob 0"');
  claim(scores, "the player is in the world");
  const picture = 'document.getElementById("world").toDataURL()';
  const before = JSON.stringify(await tab.evaluate(picture));
  claim(await tab.until(`${picture} !== ${before}`), "which moves");
}

/** Two tabs write in one document. */
async function edits(one, two) {
  await two.until(LOADED);
  for (const tab of [one, two]) await tab.evaluate('location.hash = "#doc"');
  await one.submit("enter", "name", "Bob");
  await two.submit("enter", "name", "Cleo");
  claim((await one.state("editing as Bob")) && (await two.state("editing as Cleo")), "two tabs open a document");
  const people = (tab) => tab.until('document.getElementById("people").children.length === 2');
  claim((await people(one)) && (await people(two)), "each sees the other");
  const write = (tab, at, text) => tab.evaluate(`(() => {
    const editor = document.getElementById("editor");
    editor.focus();
    editor.setRangeText(${JSON.stringify(text)}, ${at}, ${at}, "end");
    editor.dispatchEvent(new InputEvent("input"));
    document.dispatchEvent(new Event("selectionchange"));
  })()`);
  const reads = (tab, text) => tab.until(`document.getElementById("editor").value === ${JSON.stringify(text)}`);
  await write(one, 0, "hello from Bob\n");
  claim(await reads(two, "hello from Bob\n"), "an edit reaches the other tab");
  await write(two, 5, ", 🦀");
  claim((await reads(one, "hello, 🦀 from Bob\n")) && (await reads(two, "hello, 🦀 from Bob\n")), "and one in the middle comes back");
  await write(one, 0, "1 ");
  const caret = 'document.querySelector("#carets i")?.previousSibling?.data === "1 hello, 🦀"';
  claim(await one.until(caret), "the cursor of the other one stays in its place");
  claim(await one.until('document.getElementById("traffic").textContent.includes("saved in")'), "an edit is saved");
}

async function tickers(tab) {
  await tab.evaluate('location.hash = "#ticks"');
  const prices = '[...document.querySelectorAll("#tiles span")].map((tile) => tile.textContent).join()';
  claim(await tab.until(`${prices}.split(",").length === 24 && !${prices}.includes(",,")`), "the ticker has prices");
  const before = JSON.stringify(await tab.evaluate(prices));
  claim(await tab.until(`${prices} !== ${before}`), "which change");
  const title = await tab.evaluate('document.querySelectorAll("#tiles b")[5].textContent');
  await tab.evaluate('document.querySelectorAll("#tiles button")[5].click()');
  claim(await tab.until(`document.getElementById("chosen").textContent.startsWith(${JSON.stringify(title)})`), "one of them is plotted");
}

/** Two tabs for each room; the idle time is that of all of them together. */
async function throughProxies(devtools) {
  const pairs = [];
  for (const room of rooms) {
    const [name, url] = room.split(/=(.*)/);
    const tabs = [await Tab.open(devtools, url), await Tab.open(devtools, url)];
    const joined = (await tabs[0].join(`Ada at ${name}`)) && (await tabs[1].join(`Bob at ${name}`));
    claim(joined, `${name}: the page connects`);
    claim(joined && (await converse(tabs, `hello at ${name}`)), `${name}: two tabs see each other's lines`);
    if (joined) pairs.push([name, tabs]);
  }
  if (Number(seconds) === 0) return;
  await new Promise((done) => setTimeout(done, seconds * 1_000));
  for (const [name, tabs] of pairs) {
    const both = await converse(tabs, `still at ${name}`);
    const stayed = (await tabs[0].isFirst()) && (await tabs[1].isFirst());
    claim(both && stayed, `${name}: the same connections do so after ${seconds} s without a line`);
  }
}

async function converse([one, two], text) {
  await one.submit("write", "line", `${text}, says one`);
  if (!(await two.shows(`${text}, says one`))) return false;
  await two.submit("write", "line", `${text}, says two`);
  return one.shows(`${text}, says two`);
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
