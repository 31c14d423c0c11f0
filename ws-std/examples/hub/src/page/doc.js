// Document: a text that many edit at once, by Yjs, with the cursors of the others.

import { Awareness, Y, awareness, decoding, encoding, sync } from "./yjs.js";
import { at, element } from "./dom.js";
import { Link, show } from "./link.js";

// Types of messages of y-protocols.
const SYNC = 0;
const AWARENESS = 1;

// A text area, and behind it a copy of its text with the cursors of the others.
const [editor, carets] = [at("editor"), at("carets")];

export class Doc extends Link {
  #doc = new Y.Doc();
  #text = this.#doc.getText("text");
  #awareness = new Awareness(this.#doc);
  /** Updates that the hub has not sent back yet, with the time at which they were made. */
  #pending = [];
  #trip = "";

  constructor(entered, name, room) {
    super(entered, name, room);
    editor.value = "";
    this.#awareness.setLocalState({ user: { name, color: `hsl(${this.#doc.clientID % 360} 60% 38%)` }, cursor: null });
    this.#doc.on("update", (update, origin) => origin !== this && this.#write(update));
    this.#text.observe((event) => event.transaction.origin !== editor && this.#change(event.delta));
    this.#awareness.on("update", ({ added, updated, removed }, origin) => {
      // Another connection of this client has ended: it is still here.
      if (origin !== this || removed.includes(this.#doc.clientID)) this.#tell([...added, ...updated, ...removed]);
    });
    this.#awareness.on("change", () => this.#draw());
    const { signal } = this;
    editor.addEventListener("input", () => this.#edit(), { signal });
    editor.addEventListener("scroll", () => (carets.scrollTop = editor.scrollTop), { signal });
    document.addEventListener("selectionchange", () => this.#point(), { signal });
    addEventListener("pagehide", () => this.#awareness.setLocalState(null), { signal });
    this.connect();
  }

  address() {
    return [`doc/${this.room}`, {}];
  }

  open() {
    show(`editing as ${this.name}`);
    this.#send(SYNC, (to) => sync.writeSyncStep1(to, this.#doc));
    this.#tell([this.#doc.clientID]);
  }

  stop() {
    this.#awareness.setLocalState(null);
    super.stop();
    this.#awareness.destroy();
    this.#doc.destroy();
  }

  check() {
    this.detail = this.#pending.length ? " · saving …" : this.#trip;
  }

  #send(type, write) {
    const to = encoding.createEncoder();
    encoding.writeVarUint(to, type);
    write(to);
    const bytes = encoding.toUint8Array(to);
    this.send(bytes);
    return bytes;
  }

  #write(update) {
    const bytes = this.#send(SYNC, (to) => sync.writeUpdate(to, update));
    this.#pending.push({ bytes, made: performance.now() });
  }

  #tell(clients) {
    const update = awareness.encodeAwarenessUpdate(this.#awareness, clients);
    this.#send(AWARENESS, (to) => encoding.writeVarUint8Array(to, update));
  }

  message(bytes) {
    const from = decoding.createDecoder(bytes);
    const type = decoding.readVarUint(from);
    if (type === AWARENESS) {
      awareness.applyAwarenessUpdate(this.#awareness, decoding.readVarUint8Array(from), this);
    } else if (type === SYNC) {
      const index = this.#pending.findIndex((update) => String(update.bytes) === String(bytes));
      if (index >= 0) {
        this.#trip = ` · saved in ${(performance.now() - this.#pending[index].made).toFixed(0)} ms`;
        this.#pending.splice(0, index + 1);
      }
      const answer = encoding.createEncoder();
      encoding.writeVarUint(answer, SYNC);
      sync.readSyncMessage(from, answer, this.#doc, this);
      if (encoding.length(answer) > 1) {
        // The hub has asked for all that it misses.
        this.send(encoding.toUint8Array(answer));
        this.#pending = [];
      }
    }
  }

  /** Makes an edit of what has changed in the text area. */
  #edit() {
    const [before, after] = [this.#text.toString(), editor.value];
    const most = Math.min(before.length, after.length);
    let [start, end] = [0, 0];
    // The end first, up to the cursor: of equal letters the one at the cursor is new.
    const behind = after.length - editor.selectionEnd;
    while (end < Math.min(most, behind) && before.at(-1 - end) === after.at(-1 - end)) end += 1;
    while (start < most - end && before[start] === after[start]) start += 1;
    while (end < most - start && before.at(-1 - end) === after.at(-1 - end)) end += 1;
    // A character of two units is changed as a whole.
    if (isUnit(0xd800, before.charCodeAt(start - 1))) start -= 1;
    if (isUnit(0xdc00, before.charCodeAt(before.length - end))) end -= 1;
    this.#doc.transact(() => {
      this.#text.delete(start, before.length - start - end);
      this.#text.insert(start, after.slice(start, after.length - end));
    }, editor);
    this.#draw();
  }

  /** Shows what others have changed, and leaves the selection where it is in the text. */
  #change(delta) {
    let { selectionStart: from, selectionEnd: to, scrollTop } = editor;
    let done = 0;
    const moved = (place, step) => (place > done ? Math.max(done, place + step) : place);
    for (const { retain, insert, delete: count } of delta) {
      const step = insert?.length ?? -(count ?? 0);
      if (!retain) [from, to] = [moved(from, step), moved(to, step)];
      done += retain ?? insert?.length ?? 0;
    }
    editor.value = this.#text.toString();
    editor.setSelectionRange(from, to);
    editor.scrollTop = scrollTop;
    this.#draw();
  }

  /** Tells others where the cursor is. */
  #point() {
    if (document.activeElement !== editor) return;
    const place = (index) => Y.relativePositionToJSON(Y.createRelativePositionFromTypeIndex(this.#text, index));
    const cursor = { anchor: place(editor.selectionStart), head: place(editor.selectionEnd) };
    const before = this.#awareness.getLocalState()?.cursor;
    if (JSON.stringify(cursor) !== JSON.stringify(before)) this.#awareness.setLocalStateField("cursor", cursor);
  }

  /** Returns where a cursor is in the text. Other clients may say anything. */
  #indexOf(cursor) {
    try {
      return Y.createAbsolutePositionFromRelativePosition(Y.createRelativePositionFromJSON(cursor.head), this.#doc)?.index;
    } catch {
      return undefined;
    }
  }

  /** Shows who is there, and their cursors. */
  #draw() {
    const others = [...this.#awareness.getStates()].filter(([client, { user }]) => client !== this.#doc.clientID && user);
    const cursors = others.map(([, { user, cursor }]) => ({ user, index: this.#indexOf(cursor) }))
      .filter(({ index }) => index !== undefined).sort((one, two) => one.index - two.index);
    const text = this.#text.toString();
    const end = (number) => cursors[number]?.index ?? 0;
    const parts = cursors.flatMap(({ user, index }, number) => [text.slice(end(number - 1), index), caret(user)]);
    // A text area has room for another line after the last one.
    carets.replaceChildren(...parts, text.slice(end(cursors.length - 1)) + "\n");
    carets.scrollTop = editor.scrollTop;
    const states = [this.#awareness.getLocalState(), ...others.map(([, state]) => state)].filter((state) => state);
    at("people").replaceChildren(...states.map(({ user }) => named("li", user)));
  }
}

/** Returns whether a unit of UTF-16 is the first (0xd800) or second (0xdc00) one of a character. */
function isUnit(kind, unit) {
  return (unit & 0xfc00) === kind;
}

function caret(user) {
  const item = named("i", user);
  item.replaceChildren(named("b", user));
  return item;
}

function named(kind, { name, color }) {
  const item = element(kind, String(name ?? "guest").slice(0, 32));
  item.style.setProperty("--color", CSS.supports("color", color) ? color : "gray");
  return item;
}
