// The page: tabs, forms and lists. Other files have the connections.

import { Chat } from "./chat.js";
import { Doc } from "./doc.js";
import { Game } from "./game.js";
import { Ticks } from "./ticks.js";

// The most lines that are shown.
const MOST_LINES = 1_000;

const at = (id) => document.getElementById(id);
/** The part that is shown, and its connection if it has one. */
let part;
let connection;

const show = {
  line(line) {
    const item = element("li", line.own ? "own" : "");
    item.append(element("b", "", line.name), line.text);
    // Before those that wait for an acknowledgement.
    at("lines").insertBefore(item, at("lines").querySelector(".pending"));
    if (at("lines").childElementCount > MOST_LINES) at("lines").firstElementChild.remove();
    toEnd();
  },
  pending(lines) {
    at("lines").querySelectorAll(".pending").forEach((item) => item.remove());
    at("lines").append(...lines.map((line) => element("li", "own pending", line.text)));
    toEnd();
  },
  clear(news) {
    at("lines").replaceChildren(...(news ? [element("li", "news", news)] : []));
  },
  state(text) {
    at("state").textContent = text;
  },
  /** Shows the form for a name, or what comes after it. */
  entered(entered) {
    at("enter").hidden = entered || part === "ticks";
    at("write").hidden = at("paper").hidden = !entered;
    const field = entered ? { chat: "line", doc: "editor" }[part] : "name";
    if (field) at(field).focus();
    else document.activeElement.blur();
  },
};

let isAtEnd = true;
let frame;
at("lines").addEventListener("scroll", () => {
  const { scrollTop, scrollHeight, clientHeight } = at("lines");
  isAtEnd = scrollHeight - scrollTop - clientHeight < 40;
});

/** Shows the last line, unless the user reads older ones. */
function toEnd() {
  if (!isAtEnd) return;
  cancelAnimationFrame(frame);
  frame = requestAnimationFrame(() => at("lines").scrollTo(0, at("lines").scrollHeight));
}

function element(name, className, text = "") {
  return Object.assign(document.createElement(name), { className, textContent: text });
}

/** Shows the part that the address names. The connection of the last one ends. */
function turn() {
  const wanted = location.hash.slice(1).split("/")[0];
  const next = ["chat", "game", "doc", "ticks"].includes(wanted) ? wanted : "chat";
  if (next === part) return;
  connection?.stop();
  connection = undefined;
  part = next;
  for (const section of document.querySelectorAll("section")) section.hidden = section.id !== part;
  for (const link of document.querySelectorAll("nav a")) {
    link.ariaCurrent = link.hash === `#${part}` ? "page" : null;
  }
  at("traffic").textContent = "";
  show.clear();
  at("people").replaceChildren();
  show.state("not connected");
  show.entered(false);
  if (part === "ticks") connection = new Ticks(show, { title: at("chosen"), plot: at("plot"), tiles: at("tiles") });
}

at("enter").addEventListener("submit", (event) => {
  event.preventDefault();
  connection?.stop();
  const [name, room] = [at("name").value.trim() || "guest", at("room").value];
  if (part === "chat") connection = new Chat(name, room, show);
  if (part === "game") connection = new Game(name, room, show, { canvas: at("world"), scores: at("scores") });
  if (part === "doc") {
    connection = new Doc(name, room, show, { editor: at("editor"), carets: at("carets"), people: at("people") });
  }
});

at("write").addEventListener("submit", (event) => {
  event.preventDefault();
  if (at("line").value) connection.say(at("line").value);
  at("line").value = "";
});

addEventListener("hashchange", turn);
// A page that comes back from the browser's memory has lost its connection.
addEventListener("pageshow", (event) => event.persisted && location.reload());
turn();

setInterval(() => {
  if (!connection) return;
  connection.check?.();
  const { received, sent } = connection.link;
  at("traffic").textContent = `${amount(received)} in · ${amount(sent)} out${connection.detail}`;
}, 500);

function amount(bytes) {
  return bytes < 10_000 ? `${bytes} B` : `${(bytes / 1_024).toFixed(0)} KiB`;
}
