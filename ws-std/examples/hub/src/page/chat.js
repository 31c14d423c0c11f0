// Chat: lines are numbered and kept until they are acknowledged, and shown in the order of the log.

import { Link, address, newAuthor } from "./link.js";

// In milliseconds: how long an acknowledgement may take.
const LONGEST_WAIT = 10_000;

export class Chat {
  #author = newAuthor();
  /** The name under which others see this author. */
  #own;
  #name;
  #room;
  #number = 0;
  /** Lines that have not been acknowledged: number, text, time of the last attempt. */
  #pending = [];
  /** The place in the log: the next connection continues there. */
  #epoch = "";
  #at = "";
  #opened = 0;
  /** How long the last acknowledgement took, for the user. */
  #trip = "";
  #show;

  /** `show` has `line(line)`, `pending(lines)`, `clear(news)`, `state(text)` and `entered(isEntered)`. */
  constructor(name, room, show) {
    [this.#name, this.#room, this.#show] = [name, room, show];
    this.link = new Link(() => this.#address(), show, {
      open: () => this.#open(),
      message: (text) => this.#message(JSON.parse(text)),
    });
  }

  get detail() {
    return this.#trip;
  }

  stop() {
    this.link.close();
  }

  /** Connects anew if nothing has been acknowledged for long: the network may have gone without a word. */
  check() {
    if (this.#pending.length > 0 && performance.now() - this.#pending[0].at > LONGEST_WAIT) {
      this.#pending.forEach((line) => (line.at = performance.now()));
      this.link.connect();
    }
  }

  say(text) {
    this.#number += 1;
    const line = { n: this.#number, text, at: performance.now() };
    this.#pending.push(line);
    this.#show.pending(this.#pending);
    this.link.send(JSON.stringify({ n: line.n, text: text.toWellFormed() }));
  }

  #address() {
    return address(`chat/${this.#room}`, { author: this.#author, name: this.#name, epoch: this.#epoch, at: this.#at });
  }

  /** Sends again what has not been acknowledged: the log appends a number once. */
  #open() {
    this.#opened += 1;
    for (const line of this.#pending) {
      line.at = performance.now();
      this.link.send(JSON.stringify({ n: line.n, text: line.text.toWellFormed() }));
    }
  }

  #message(message) {
    if ("epoch" in message) {
      this.#epoch = message.epoch;
      this.#own = message.you;
      if (message.reset) {
        // The first lines of all are those of others.
        this.#show.clear(this.#at ? "The room starts anew: the hub no longer has the lines from before." : "");
        this.#at = "";
        this.#show.pending(this.#pending);
      }
    } else if ("ack" in message) {
      const acknowledged = this.#pending.find((line) => line.n === message.ack);
      if (acknowledged) this.#trip = ` · acknowledged in ${(performance.now() - acknowledged.at).toFixed(0)} ms`;
      this.#forget(message.ack);
    } else if (message.live) {
      const again = this.#opened > 1 ? ` · ${ordinal(this.#opened)} connection` : "";
      this.#show.state(`connected as ${this.#name}${again}`);
    } else {
      this.#at = message.at;
      this.#show.line({ ...message, own: message.by === this.#own });
    }
  }

  #forget(number) {
    this.#pending = this.#pending.filter((line) => line.n > number);
    this.#show.pending(this.#pending);
  }
}

function ordinal(number) {
  const endings = { one: "st", two: "nd", few: "rd", other: "th" };
  return number + endings[new Intl.PluralRules("en", { type: "ordinal" }).select(number)];
}
