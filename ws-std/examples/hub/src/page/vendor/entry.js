export * as Y from "yjs";
export { Awareness } from "y-protocols/awareness";
export * as awareness from "y-protocols/awareness";
export * as sync from "y-protocols/sync";
export * as encoding from "lib0/encoding";
export * as decoding from "lib0/decoding";
