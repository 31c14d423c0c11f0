// The page: tabs and forms. Other files have the parts and their connections.

import { Chat } from "./chat.js";
import { Doc } from "./doc.js";
import { at } from "./dom.js";
import { Game } from "./game.js";
import { show } from "./link.js";
import { Ticks } from "./ticks.js";

const PARTS = { chat: Chat, game: Game, doc: Doc, ticks: Ticks };
/** The name of the part that is shown, and its connection if it has one. */
let part;
let connection;

/** Shows the form for a name, or what comes after it. */
function entered(isEntered) {
  at("enter").hidden = isEntered || part === "ticks";
  at("write").hidden = at("paper").hidden = !isEntered;
  const field = isEntered ? { chat: "line", doc: "editor" }[part] : "name";
  if (field) at(field).focus();
  else document.activeElement.blur();
}

/** Connects to the part that is shown. */
function connect(name, room) {
  connection?.stop();
  connection = new PARTS[part](entered, name, room);
}

/** Shows the part that the address names. The connection of the last one ends. */
function turn() {
  const wanted = location.hash.slice(1).split("/")[0];
  const next = Object.hasOwn(PARTS, wanted) ? wanted : "chat";
  if (next === part) return;
  connection?.stop();
  connection = undefined;
  part = next;
  for (const section of document.querySelectorAll("section")) section.hidden = section.id !== part;
  for (const link of document.querySelectorAll("nav a")) link.ariaCurrent = link.hash === `#${part}` ? "page" : null;
  for (const id of ["traffic", "lines", "people"]) at(id).replaceChildren();
  show("not connected");
  entered(false);
  if (part === "ticks") connect();
}

at("enter").addEventListener("submit", (event) => {
  event.preventDefault();
  connect(at("name").value.trim() || "guest", at("room").value);
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

const amount = (bytes) => (bytes < 10_000 ? `${bytes} B` : `${(bytes / 1_024).toFixed(0)} KiB`);

setInterval(() => {
  if (!connection) return;
  connection.check();
  const { received, sent, detail } = connection;
  at("traffic").textContent = `${amount(received)} in · ${amount(sent)} out${detail}`;
}, 500);

