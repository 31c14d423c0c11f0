// Document: a text that many edit at once, by Yjs, with the cursors of the others.

import { Awareness, Y, awareness, decoding, encoding, sync } from "./yjs.js";
import { Link, address } from "./link.js";

// Types of messages of y-protocols.
const SYNC = 0;
const AWARENESS = 1;

export class Doc {
  #doc = new Y.Doc();
  #text = this.#doc.getText("text");
  #awareness = new Awareness(this.#doc);
  #editor;
  #carets;
  #people;
  /** Updates that the hub has not sent back yet, with the time at which they were made. */
  #pending = [];
  #trip = "";
  #listeners = new AbortController();

  /** `editor` is a text area, `carets` lies behind it and has the same text, `people` is a list. */
  constructor(name, room, show, { editor, carets, people }) {
    [this.#editor, this.#carets, this.#people] = [editor, carets, people];
    editor.value = "";
    this.#awareness.setLocalState({ user: { name, color: `hsl(${this.#doc.clientID % 360} 60% 38%)` }, cursor: null });
    this.#doc.on("update", (update, origin) => origin !== this.link && this.#write(update));
    this.#text.observe((event) => event.transaction.origin !== editor && this.#change(event.delta));
    this.#awareness.on("update", ({ added, updated, removed }, origin) => {
      // Another connection of this client has ended: it is still here.
      if (origin !== this.link || removed.includes(this.#doc.clientID)) this.#tell([...added, ...updated, ...removed]);
    });
    this.#awareness.on("change", () => this.#draw());
    const options = { signal: this.#listeners.signal };
    editor.addEventListener("input", () => this.#edit(), options);
    editor.addEventListener("scroll", () => (carets.scrollTop = editor.scrollTop), options);
    document.addEventListener("selectionchange", () => this.#point(), options);
    addEventListener("pagehide", () => this.#awareness.setLocalState(null), options);
    this.link = new Link(() => address(`doc/${room}`, {}), show, {
      open: () => {
        show.state(`editing as ${name}`);
        this.#send(SYNC, (to) => sync.writeSyncStep1(to, this.#doc));
        this.#tell([this.#doc.clientID]);
      },
      message: (data) => this.#message(new Uint8Array(data)),
    });
  }

  stop() {
    this.#awareness.setLocalState(null);
    this.#listeners.abort();
    this.link.close();
    this.#awareness.destroy();
    this.#doc.destroy();
  }

  get detail() {
    return this.#pending.length ? " · saving …" : this.#trip;
  }

  #send(type, write) {
    const to = encoding.createEncoder();
    encoding.writeVarUint(to, type);
    write(to);
    const bytes = encoding.toUint8Array(to);
    this.link?.send(bytes);
    return bytes;
  }

  #write(update) {
    const bytes = this.#send(SYNC, (to) => sync.writeUpdate(to, update));
    this.#pending.push({ bytes, at: performance.now() });
  }

  #tell(clients) {
    const update = awareness.encodeAwarenessUpdate(this.#awareness, clients);
    this.#send(AWARENESS, (to) => encoding.writeVarUint8Array(to, update));
  }

  #message(bytes) {
    const from = decoding.createDecoder(bytes);
    const type = decoding.readVarUint(from);
    if (type === AWARENESS) {
      awareness.applyAwarenessUpdate(this.#awareness, decoding.readVarUint8Array(from), this.link);
    } else if (type === SYNC) {
      const index = this.#pending.findIndex((update) => String(update.bytes) === String(bytes));
      if (index >= 0) {
        this.#trip = ` · saved in ${(performance.now() - this.#pending[index].at).toFixed(0)} ms`;
        this.#pending.splice(0, index + 1);
      }
      const answer = encoding.createEncoder();
      encoding.writeVarUint(answer, SYNC);
      sync.readSyncMessage(from, answer, this.#doc, this.link);
      if (encoding.length(answer) > 1) {
        // The hub has asked for all that it misses.
        this.link.send(encoding.toUint8Array(answer));
        this.#pending = [];
      }
    }
  }

  /** Makes an edit of what has changed in the text area. */
  #edit() {
    const [before, after] = [this.#text.toString(), this.#editor.value];
    const most = Math.min(before.length, after.length);
    let [start, end] = [0, 0];
    // The end first, up to the cursor: of equal letters the one at the cursor is new.
    const behind = after.length - this.#editor.selectionEnd;
    while (end < Math.min(most, behind) && before.at(-1 - end) === after.at(-1 - end)) end += 1;
    while (start < most - end && before[start] === after[start]) start += 1;
    while (end < most - start && before.at(-1 - end) === after.at(-1 - end)) end += 1;
    // A character of two units is changed as a whole.
    if (isUnit(0xd800, before.charCodeAt(start - 1))) start -= 1;
    if (isUnit(0xdc00, before.charCodeAt(before.length - end))) end -= 1;
    this.#doc.transact(() => {
      this.#text.delete(start, before.length - start - end);
      this.#text.insert(start, after.slice(start, after.length - end));
    }, this.#editor);
    this.#draw();
  }

  /** Shows what others have changed, and leaves the selection where it is in the text. */
  #change(delta) {
    let { selectionStart: from, selectionEnd: to, scrollTop } = this.#editor;
    let at = 0;
    const moved = (place, step) => (place > at ? Math.max(at, place + step) : place);
    for (const { retain, insert, delete: count } of delta) {
      const step = insert?.length ?? -(count ?? 0);
      if (!retain) [from, to] = [moved(from, step), moved(to, step)];
      at += retain ?? insert?.length ?? 0;
    }
    this.#editor.value = this.#text.toString();
    this.#editor.setSelectionRange(from, to);
    this.#editor.scrollTop = scrollTop;
    this.#draw();
  }

  /** Tells others where the cursor is. */
  #point() {
    if (document.activeElement !== this.#editor) return;
    const place = (index) => Y.relativePositionToJSON(Y.createRelativePositionFromTypeIndex(this.#text, index));
    const cursor = { anchor: place(this.#editor.selectionStart), head: place(this.#editor.selectionEnd) };
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
    const places = others.flatMap(([, { user, cursor }]) => {
      const index = this.#indexOf(cursor);
      return index === undefined ? [] : [{ user, index }];
    });
    const text = this.#text.toString();
    let at = 0;
    const parts = places.sort((one, two) => one.index - two.index).flatMap(({ user, index }) => {
      const before = text.slice(at, index);
      at = index;
      const caret = named("i", user);
      caret.replaceChildren(named("b", user));
      return [before, caret];
    });
    // A text area has room for another line after the last one.
    this.#carets.replaceChildren(...parts, text.slice(at) + "\n");
    this.#carets.scrollTop = this.#editor.scrollTop;
    this.#people.replaceChildren(...[this.#awareness.getLocalState(), ...others.map(([, state]) => state)].flatMap(
      (state) => (state ? [named("li", state.user)] : []),
    ));
  }
}

/** Returns whether a unit of UTF-16 is the first (0xd800) or second (0xdc00) one of a character. */
function isUnit(kind, unit) {
  return (unit & 0xfc00) === kind;
}

function named(element, { name, color }) {
  const item = Object.assign(document.createElement(element), { textContent: String(name ?? "guest").slice(0, 32) });
  item.style.setProperty("--color", CSS.supports("color", color) ? color : "gray");
  return item;
}
