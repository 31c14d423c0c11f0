"use strict";

// In milliseconds: the first pause before another attempt, the longest pause, and the least time of a good connection.
const FIRST_PAUSE = 500;
const LONGEST_PAUSE = 30_000;
const GOOD = 5_000;
// Close codes after which the page does not try again: policy violation, message too big.
const FINAL = [1008, 1009];

const at = (id) => document.getElementById(id);
let socket;
let own;
let failures = 0;
let timer;

function show(kind, name, text) {
  const item = document.createElement("li");
  item.className = kind;
  if (kind !== "news") {
    item.append(Object.assign(document.createElement("b"), { textContent: name }));
  }
  item.append(text);
  at("lines").append(item);
  item.scrollIntoView();
}

function tell(state) {
  at("state").textContent = state;
}

/** Shows the form for lines, or the one for a name. */
function setEntered(entered) {
  at("enter").hidden = entered;
  at("write").hidden = !entered;
  (entered ? at("line") : at("name")).focus();
}

/** Returns the address of the socket: under the same prefix as the page, with TLS if the page has it. */
function address() {
  const url = new URL("ws", location.href);
  url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  url.search = new URLSearchParams({ name: own });
  return url;
}

function connect() {
  clearTimeout(timer);
  tell("connecting …");
  if (socket) {
    // An earlier attempt may still be in progress.
    socket.onclose = null;
    socket.close();
  }
  let opened;
  socket = new WebSocket(address());
  socket.onopen = () => {
    opened = performance.now();
    at("send").disabled = false;
    setEntered(true);
    tell(`connected as ${own}`);
  };
  socket.onmessage = (event) => {
    const [kind, name, ...text] = event.data.split("\t");
    if (kind === "say") {
      show(name === own ? "own" : "", name, text.join("\t"));
    } else {
      show("news", name, kind === "join" ? `${name} has joined` : `${name} has left`);
    }
  };
  socket.onclose = (event) => {
    at("send").disabled = true;
    const why = opened ? `closed (${event.code}${event.reason ? ": " + event.reason : ""})` : "cannot connect";
    if (FINAL.includes(event.code)) {
      setEntered(false);
      tell(why);
      return;
    }
    failures = opened && performance.now() - opened > GOOD ? 0 : failures + 1;
    // Random, so that the pages do not all come back at the same moment after the server was away.
    const longest = Math.min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** failures);
    const pause = longest * (0.5 + Math.random() / 2);
    tell(`${why}; trying again in ${Math.ceil(pause / 1_000)} s`);
    timer = setTimeout(connect, pause);
  };
}

at("enter").addEventListener("submit", (event) => {
  event.preventDefault();
  own = at("name").value.trim() || "guest";
  failures = 0;
  connect();
});

at("write").addEventListener("submit", (event) => {
  event.preventDefault();
  if (at("line").value && socket.readyState === WebSocket.OPEN) {
    socket.send(at("line").value);
    at("line").value = "";
  }
});

addEventListener("online", () => {
  if (own && socket.readyState === WebSocket.CLOSED) {
    connect();
  }
});
