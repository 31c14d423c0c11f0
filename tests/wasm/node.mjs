// Runs the exchange in Node, on a TCP connection to the server at argument 2; argument 1 is the module's file.

import { webcrypto } from "node:crypto";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { connect } from "node:net";
import { Duplex } from "node:stream";
import { exchange } from "./exchange.mjs";

globalThis.crypto ??= webcrypto; // before Node 19

const [file, host] = process.argv.slice(2);
const { hostname, port } = new URL(`tcp://${host}`);
const socket = connect({ host: hostname, port, allowHalfOpen: true });
await once(socket, "connect");
const module = await WebAssembly.compile(await readFile(file));
await exchange(module, Duplex.toWeb(socket), host, (line) => console.log(`node: ${line}`));
