"""A WebSocket peer made of the `websockets` library. README.md beside this folder defines the roles."""

import asyncio
import contextlib
import random
import ssl
import sys

from websockets.asyncio.client import connect
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory, ServerPerMessageDeflateFactory

MULTILINGUAL = "Grüße, 世界! Привет, мир. שלום עולם 🦀👩‍👩‍👧‍👦 \0 \uffff"
TEXTS = ["", "hello", MULTILINGUAL, MULTILINGUAL * 1_000]
BINARY_LENGTHS = [0, 1, 125, 126, 127, 65_535, 65_536, 1 << 20]
TEXT_FRAGMENTS = ["", "Grüße, ", "", "世界", "! 🦀", ""]
BINARY_FRAGMENTS = [b"", bytes(70_000), b"\x00\xff", b""]
CLOSES = [(1000, ""), (4001, "bye – 再见")]

# Every way to compress: windows, with and without context takeover.
COMPRESSIONS = [
    dict(
        server_no_context_takeover=alone,
        client_no_context_takeover=alone,
        server_max_window_bits=bits,
        client_max_window_bits=bits,
    )
    for bits in range(9, 16)
    for alone in (False, True)
]
# Messages that resemble each other, and some that can't be compressed.
RESEMBLING = [*TEXTS[:3], *TEXTS[:3], ",".join(f'{{"id": {i}, "ok": true}}' for i in range(500))]
NOISE = random.Random(7692).randbytes(20_000)


def binary(length):
    return bytes(i * 31 % 251 for i in range(length))


def expect(what, got, wanted):
    if got != wanted:
        raise AssertionError(f"{what}: got {show(got)}, expected {show(wanted)}")


def show(value):
    text = repr(value)
    return text if len(text) <= 100 else f"{text[:100]}… ({len(text)} characters)"


async def exchange(ws):
    """Sends every kind of message to an echoing peer and compares what comes back."""
    for message in TEXTS + [binary(length) for length in BINARY_LENGTHS]:
        await ws.send(message)
        expect(f"echo of {type(message).__name__} of {len(message)}", await ws.recv(), message)
    for fragments in TEXT_FRAGMENTS, BINARY_FRAGMENTS:
        await ws.send(fragments)
        expect("echo of a fragmented message", await ws.recv(), type(fragments[0])().join(fragments))

    burst = [f"message {i}" for i in range(1_000)]
    sending = asyncio.create_task(send_all(ws, burst))
    expect("echoes of a burst", [await ws.recv() for _ in burst], burst)
    await sending

    for payload in b"", b"are you there?", bytes(125):
        await (await ws.ping(payload))


async def exchange_compressed(ws):
    """Sends what compression may stumble on to an echoing peer and compares what comes back."""
    expect("extensions", [extension.name for extension in ws.protocol.extensions], ["permessage-deflate"])
    for message in [*RESEMBLING, NOISE, binary(70_000), NOISE, *RESEMBLING]:
        await ws.send(message)
        expect(f"echo of {type(message).__name__} of {len(message)}", await ws.recv(), message)
    for fragments in TEXT_FRAGMENTS, BINARY_FRAGMENTS:
        await ws.send(fragments)
        expect("echo of a fragmented message", await ws.recv(), type(fragments[0])().join(fragments))


async def send_all(ws, messages):
    for message in messages:
        await ws.send(message)


async def close(ws, code, reason):
    await ws.close(code, reason)
    expect("code of the answering Close", ws.close_code, code)


async def echo(ws):
    with contextlib.suppress(ConnectionClosed):
        async for message in ws:
            await ws.send(message)


def choose_subprotocol(_, offered):
    return "echo" if "echo" in offered else None


def listening(server, origin="ws://127.0.0.1"):
    print(f"listening on {origin}:{server.sockets[0].getsockname()[1]}/", flush=True)


async def serve_echo():
    async with serve(echo, "127.0.0.1", 0, select_subprotocol=choose_subprotocol) as server:
        listening(server)
        await server.serve_forever()


async def serve_echo_tls(chain, key):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(chain, key)
    async with serve(echo, "127.0.0.1", 0, ssl=context) as server:
        listening(server, "wss://localhost")
        await server.serve_forever()


async def drive(code, reason, exchange=exchange, **options):
    """Serves one connection, which has to echo."""
    outcome = asyncio.get_running_loop().create_future()

    async def script(ws):
        try:
            await exchange(ws)
            await close(ws, code, reason)
            outcome.set_result(None)
        except Exception as error:
            outcome.set_exception(error)

    async with serve(script, "127.0.0.1", 0, **options) as server, asyncio.timeout(60):
        listening(server)
        await outcome


async def visit(url):
    for code, reason in CLOSES:
        async with asyncio.timeout(60), connect(url) as ws:
            await exchange(ws)
            await close(ws, code, reason)


async def drive_compressed():
    for compression in COMPRESSIONS:
        factory = ServerPerMessageDeflateFactory(**compression)
        await drive(1000, "", exchange_compressed, extensions=[factory], compression=None)


async def visit_compressed(url):
    for compression in COMPRESSIONS:
        factory = ClientPerMessageDeflateFactory(**compression)
        async with asyncio.timeout(60), connect(url, extensions=[factory], compression=None) as ws:
            await exchange_compressed(ws)
            await close(ws, 1000, "")


async def await_close(url, code):
    async with asyncio.timeout(60), connect(url) as ws:
        print("open", flush=True)
        try:
            expect("a message instead of the Close", await ws.recv(), None)
        except ConnectionClosed as closed:
            expect("Close received", closed.rcvd and closed.rcvd.code, code)


match sys.argv[1:]:
    case ["serve"]:
        asyncio.run(serve_echo())
    case ["serve-tls", chain, key]:
        asyncio.run(serve_echo_tls(chain, key))
    case ["drive", code, reason]:
        asyncio.run(drive(int(code), reason))
    case ["visit", url]:
        asyncio.run(visit(url))
    case ["drive-compressed"]:
        asyncio.run(drive_compressed())
    case ["visit-compressed", url]:
        asyncio.run(visit_compressed(url))
    case ["await-close", url, code]:
        asyncio.run(await_close(url, int(code)))
    case _:
        sys.exit("usage: peer.py serve | serve-tls CHAIN KEY | drive CODE REASON | drive-compressed | visit URL | visit-compressed URL | await-close URL CODE")
