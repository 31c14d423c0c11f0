// Chat: lines are numbered and kept until they are acknowledged, and shown in the order of the log.

import { at, element } from "./dom.js";
import { Link, newAuthor, show } from "./link.js";

// In milliseconds: how long an acknowledgement may take.
const LONGEST_WAIT = 10_000;
// The most lines that are shown.
const MOST_LINES = 1_000;

const list = at("lines");
let isAtEnd = true;
let frame;
list.addEventListener("scroll", () => (isAtEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 40));

export class Chat extends Link {
  #author = newAuthor();
  /** The name under which others see this author. */
  #own;
  #number = 0;
  /** Lines that have not been acknowledged: number, text, time of the last attempt. */
  #pending = [];
  /** The place in the log: the next connection continues there. */
  #epoch = "";
  #at = "";
  #opened = 0;

  constructor(entered, name, room) {
    super(entered, name, room);
    this.connect();
  }

  address() {
    return [`chat/${this.room}`, { author: this.#author, name: this.name, epoch: this.#epoch, at: this.#at }];
  }

  /** Sends again what has not been acknowledged: the log appends a number once. */
  open() {
    this.#opened += 1;
    this.#pending.forEach((line) => this.#send(line));
  }

  say(text) {
    this.#number += 1;
    const line = { n: this.#number, text: text.toWellFormed() };
    this.#pending.push(line);
    this.#showPending();
    this.#send(line);
  }

  #send(line) {
    line.at = performance.now();
    this.send({ n: line.n, text: line.text });
  }

  /** Connects anew if nothing has been acknowledged for long: the network may have gone without a word. */
  check() {
    if (this.#pending.length > 0 && performance.now() - this.#pending[0].at > LONGEST_WAIT) {
      this.#pending.forEach((line) => (line.at = performance.now()));
      this.connect();
    }
  }

  message(message) {
    if ("epoch" in message) {
      this.#epoch = message.epoch;
      this.#own = message.you;
      if (message.reset) this.#startAnew();
    } else if ("ack" in message) {
      const acknowledged = this.#pending.find((line) => line.n === message.ack);
      if (acknowledged) this.detail = ` · acknowledged in ${(performance.now() - acknowledged.at).toFixed(0)} ms`;
      this.#pending = this.#pending.filter((line) => line.n > message.ack);
      this.#showPending();
    } else if (message.live) {
      show(`connected as ${this.name}${this.#opened > 1 ? ` · connection ${this.#opened}` : ""}`);
    } else {
      this.#at = message.at;
      this.#showLine(message);
    }
  }

  #startAnew() {
    // The first lines of all are those of others.
    const news = this.#at ? [element("li", "The room starts anew: the hub no longer has the lines from before.", { className: "news" })] : [];
    list.replaceChildren(...news);
    this.#at = "";
    this.#showPending();
  }

  #showLine({ by, name, text }) {
    const item = element("li", "", { className: by === this.#own ? "own" : "" });
    item.append(element("b", name), text);
    // Before those that wait for an acknowledgement.
    list.insertBefore(item, list.querySelector(".pending"));
    if (list.childElementCount > MOST_LINES) list.firstElementChild.remove();
    toEnd();
  }

  #showPending() {
    list.querySelectorAll(".pending").forEach((item) => item.remove());
    list.append(...this.#pending.map((line) => element("li", line.text, { className: "own pending" })));
    toEnd();
  }
}

/** Shows the last line, unless the user reads older ones. */
function toEnd() {
  if (!isAtEnd) return;
  cancelAnimationFrame(frame);
  frame = requestAnimationFrame(() => list.scrollTo(0, list.scrollHeight));
}
