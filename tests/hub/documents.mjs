// Clients of a document: `y-websocket` as it comes; see run.
//
// usage: documents.mjs URL ROOM PREFIX COUNT SECONDS CUTS

import { createHash } from "node:crypto";
import { createRequire } from "node:module";

const require = createRequire(new URL("../interop/node/", import.meta.url));
const [WebSocket, Y, { WebsocketProvider }] = ["ws", "yjs", "y-websocket"].map((name) => require(name));

// In milliseconds, as in members.py.
const PATIENCE = 30_000, INTERVAL = 500, CALM = 3_000;
// The number of its tokens that a client leaves in the text; older ones it deletes.
const KEPT = 10;

const [url, room, prefix, count, seconds, cuts] = process.argv.slice(2);
// The provider of each client waits for the end of the process.
process.setMaxListeners(0);
const until = Date.now() + Number(seconds) * 1_000;

/** Writes tokens between those of the others, and deletes its own old ones. */
class Editor {
  said = 0;
  lastNews = Date.now();
  gaps = [];
  closedAt = 0;

  constructor(identity) {
    this.identity = identity;
    this.doc = new Y.Doc();
    this.text = this.doc.getText("text");
    this.text.observe(() => (this.lastNews = Date.now()));
    this.provider = new WebsocketProvider(url, room, this.doc, { WebSocketPolyfill: WebSocket, disableBc: true });
    this.provider.awareness.setLocalState({ user: { name: identity } });
    this.provider.on("sync", (isSynced) => {
      if (!isSynced) return;
      if (this.closedAt) this.gaps.push([this.closedAt / 1_000, Date.now() / 1_000]);
      this.closedAt = 0;
    });
    this.provider.on("connection-close", () => (this.closedAt ||= Date.now()));
  }

  async run() {
    while (Date.now() < until) {
      await sleep((0.5 + Math.random()) * INTERVAL);
      this.write();
      if (Math.random() < (cuts * INTERVAL) / 1_000) this.provider.ws?.terminate();
    }
    while (Date.now() < until + PATIENCE && !this.isDone()) await sleep(50);
  }

  isDone() {
    return this.provider.synced && Date.now() - this.lastNews > CALM;
  }

  write() {
    this.said += 1;
    const before = this.text.toString();
    const ends = [0, ...Array.from(before.matchAll(/;/g), (found) => found.index + 1)];
    this.text.insert(ends[Math.floor(Math.random() * ends.length)], `${this.identity}:${this.said};`);
    const old = `${this.identity}:${this.said - KEPT};`;
    const at = `;${this.text}`.indexOf(`;${old}`);
    if (this.said > KEPT && at >= 0) this.text.delete(at, old.length);
  }

  report() {
    const text = this.text.toString();
    const state = createHash("sha256").update(Y.encodeStateVector(this.doc)).digest("hex");
    const seen = this.provider.awareness.getStates().size;
    return { member: this.identity, said: this.said, kept: KEPT, text, state, seen, gaps: this.gaps };
  }
}

function sleep(milliseconds) {
  return new Promise((done) => setTimeout(done, milliseconds));
}

const editors = Array.from({ length: Number(count) }, (_, index) => new Editor(`${prefix}-${index}`));
await Promise.all(editors.map((editor) => editor.run()));
const reports = editors.map((editor) => JSON.stringify(editor.report()) + "\n");
process.stdout.write(reports.join(""), () => process.exit(0));
