// The page: forms and lists. Other files have the connections.

import { Chat } from "./chat.js";

// The most lines that are shown.
const MOST_LINES = 1_000;

const at = (id) => document.getElementById(id);
let chat;
let trip = "";

const show = {
  line(line) {
    const item = element("li", line.own ? "own" : "");
    item.append(element("b", "", line.name), line.text);
    // Before those that wait for an acknowledgement.
    at("lines").insertBefore(item, at("lines").querySelector(".pending"));
    if (at("lines").childElementCount > MOST_LINES) at("lines").firstElementChild.remove();
    item.scrollIntoView({ block: "nearest" });
  },
  pending(lines) {
    at("lines").querySelectorAll(".pending").forEach((item) => item.remove());
    at("lines").append(...lines.map((line) => element("li", "own pending", line.text)));
    at("lines").lastElementChild?.scrollIntoView({ block: "nearest" });
  },
  clear(news) {
    at("lines").replaceChildren(...(news ? [element("li", "news", news)] : []));
  },
  state(text) {
    at("state").textContent = text;
  },
  /** Shows the form for lines, or the one for a name. */
  entered(entered) {
    at("enter").hidden = entered;
    at("write").hidden = !entered;
    (entered ? at("line") : at("name")).focus();
  },
  ack(milliseconds) {
    trip = ` · acknowledged in ${milliseconds.toFixed(0)} ms`;
  },
};

function element(name, className, text = "") {
  return Object.assign(document.createElement(name), { className, textContent: text });
}

at("enter").addEventListener("submit", (event) => {
  event.preventDefault();
  chat = new Chat(at("name").value.trim() || "guest", at("room").value, show);
});

at("write").addEventListener("submit", (event) => {
  event.preventDefault();
  if (at("line").value) chat.say(at("line").value);
  at("line").value = "";
});

setInterval(() => {
  if (chat) at("traffic").textContent = `${amount(chat.link.received)} in · ${amount(chat.link.sent)} out${trip}`;
}, 500);

function amount(bytes) {
  return bytes < 10_000 ? `${bytes} B` : `${(bytes / 1_024).toFixed(0)} KiB`;
}
