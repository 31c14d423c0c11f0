// Members of a chat room, with Node's `ws`; see run.
//
// usage: members.mjs URL PREFIX COUNT SECONDS CUTS

import { createRequire } from "node:module";

const WebSocket = createRequire(new URL("../interop/node/", import.meta.url))("ws");

// In milliseconds, as in members.py.
const PATIENCE = 30_000, INTERVAL = 250, CALM = 5_000;

const [url, prefix, count, seconds, cuts] = process.argv.slice(2);
const until = Date.now() + Number(seconds) * 1_000;

/** Says numbered lines for a time, sends those again that were not acknowledged, and keeps what it is told. */
class Member {
  said = 0;
  pending = [];
  acknowledged = [];
  /** When each pending line was said, and the times of those that were acknowledged, in seconds. */
  saidAt = new Map();
  trips = [];
  /** It gets the lines of those that come before it too. */
  epoch = "none";
  at = "";
  log = [];
  resets = 0;
  gaps = [];
  closedAt = 0;
  lastNews = Date.now();

  constructor(identity) {
    this.identity = identity;
  }

  isDone() {
    return Date.now() > until && this.pending.length === 0 && Date.now() - this.lastNews > CALM;
  }

  async run() {
    while (Date.now() < until + PATIENCE && !this.isDone()) {
      await this.connect();
      this.closedAt ||= Date.now();
      await sleep(50 + Math.random() * 250);
    }
  }

  connect() {
    const query = new URLSearchParams({ author: this.identity, name: this.identity, epoch: this.epoch, at: this.at });
    const ws = new WebSocket(`${url}?${query}`, { handshakeTimeout: 3_000 });
    let timer;
    const speak = () => {
      if (this.isDone()) {
        ws.close();
      } else if (Date.now() < until) {
        this.said += 1;
        this.pending.push(this.said);
        this.saidAt.set(this.said, Date.now() / 1_000);
        this.send(ws, this.said);
        if (Math.random() < (cuts * INTERVAL) / 1_000) ws.terminate();
      }
      timer = setTimeout(speak, (0.5 + Math.random()) * INTERVAL);
    };
    ws.on("open", () => {
      this.pending.forEach((number) => this.send(ws, number));
      timer = setTimeout(speak, Math.random() * INTERVAL);
    });
    ws.on("message", (data) => this.hear(JSON.parse(data)));
    ws.on("error", () => {});
    return new Promise((done) =>
      ws.on("close", () => {
        clearTimeout(timer);
        done();
      }),
    );
  }

  send(ws, number) {
    ws.send(JSON.stringify({ n: number, text: `line ${number}` }), () => {});
  }

  hear(message) {
    if ("epoch" in message) {
      if (this.at && message.reset) {
        this.resets += 1;
        this.log = [];
        this.at = "";
      }
      this.epoch = message.epoch;
    } else if ("ack" in message) {
      if (this.pending.includes(message.ack)) {
        this.acknowledged.push(message.ack);
        this.trips.push([this.saidAt.get(message.ack), Date.now() / 1_000]);
      }
      this.pending = this.pending.filter((number) => number > message.ack);
    } else if ("live" in message) {
      if (this.closedAt) this.gaps.push([this.closedAt / 1_000, Date.now() / 1_000]);
      this.closedAt = 0;
    } else {
      this.at = message.at;
      this.log.push([message.at, message.name, message.n]);
      this.lastNews = Date.now();
    }
  }

  report() {
    const { identity: member, said, acknowledged, log, resets, gaps, trips } = this;
    return { member, said, acknowledged, log, resets, gaps, trips };
  }
}

function sleep(milliseconds) {
  return new Promise((done) => setTimeout(done, milliseconds));
}

const members = Array.from({ length: Number(count) }, (_, index) => new Member(`${prefix}-${index}`));
await Promise.all(members.map((member) => member.run()));
for (const member of members) console.log(JSON.stringify(member.report()));
