"""Parts that the scripts of this folder share: built programs, frames of a client, and a count of claims."""

import json
import pathlib
import socket
import struct
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent
REQUEST = (
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
TEXT, BINARY, CLOSE, PING, PONG, FIN = 0x01, 0x02, 0x08, 0x09, 0x0A, 0x80


def examples(package, *names):
    """Builds examples of a package in release mode; returns their paths."""
    chosen = [argument for name in names for argument in ("--example", name)]
    subprocess.run(["cargo", "build", "--quiet", "--locked", "--release", "-p", package, *chosen], cwd=ROOT, check=True)
    return [target() / "release/examples" / name for name in names]


def target():
    """The folder that cargo builds to, which CARGO_TARGET_DIR or a configuration may have moved."""
    command = ["cargo", "metadata", "--format-version=1", "--no-deps", "--offline"]
    found = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE)
    return pathlib.Path(json.loads(found.stdout)["target_directory"])


def masked(opcode, payload):
    """A final frame as a client sends it, masked with a key of zeros."""
    return bytes([FIN | opcode]) + masked_length(len(payload)) + payload


def masked_length(length):
    """The rest of the header of a client's frame."""
    if length < 126:
        return bytes([0x80 | length]) + bytes(4)
    if length < 0x10000:
        return struct.pack("!BH", 0x80 | 126, length) + bytes(4)
    return struct.pack("!BQ", 0x80 | 127, length) + bytes(4)


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]
