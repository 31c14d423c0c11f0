"""Parts that the scripts of this folder share: built programs, frames of a client, certificates, running programs, a count of claims."""

import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
REQUEST = (
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
TEXT, BINARY, CLOSE, PING, PONG, FIN = 0x01, 0x02, 0x08, 0x09, 0x0A, 0x80
PATIENCE = 60
# The server of the guide's configuration of nginx.
NGINX_ADDRESS = "http://127.0.0.1:9001"
OPENSSL_SETTINGS = """
[req]
distinguished_name = name
[name]
[root]
basicConstraints = critical, CA:TRUE
[server]
basicConstraints = critical, CA:FALSE
subjectAltName = DNS:localhost, IP:127.0.0.1, IP:::1
"""

counts = {"passed": 0, "failed": 0, "skipped": 0}


def examples(package, *names):
    """Builds examples of a package in release mode; returns their paths."""
    chosen = [argument for name in names for argument in ("--example", name)]
    subprocess.run(["cargo", "build", "--quiet", "--locked", "--release", "-p", package, *chosen], cwd=ROOT, check=True)
    return [target() / "release/examples" / name for name in names]


def built(package):
    """Builds the program of a package in release mode, with its examples; returns its path."""
    subprocess.run(["cargo", "build", "--quiet", "--locked", "--release", "-p", package, "--bins", "--examples"], cwd=ROOT, check=True)
    return target() / "release" / package


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


def claim(holds, line):
    counts["passed" if holds else "failed"] += 1
    print(("   " if holds else "NOT") + " " + line, flush=True)


def skip(line, parts):
    """Reports a step that is skipped, and the parts of `tests/install` that have what it needs."""
    counts["skipped"] += 1
    print(f"skipped: {line}: run `tests/install {parts}`", flush=True)


def summary():
    """Prints the numbers of claims; returns the exit code."""
    print(", ".join(f"{count} {name}" for name, count in counts.items()))
    return 1 if counts["failed"] else 0


def program(name):
    """The path of a program, some of which only root finds; None if it is missing."""
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")


def works(*command):
    return subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False).returncode == 0


def openssl(folder, *arguments):
    done = subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def make_certificates(folder):
    """Makes root.pem, and server.pem with a certificate for localhost that the root has signed, and its key."""
    (folder / "openssl.cnf").write_text(OPENSSL_SETTINGS)
    request = ["req", "-x509", "-config", "openssl.cnf", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    request += ["-nodes", "-days", "2"]
    openssl(folder, *request, "-extensions", "root", "-subj", "/CN=root of a test", "-keyout", "root.key", "-out", "root.pem")
    signed = ["-CA", "root.pem", "-CAkey", "root.key", "-extensions", "server", "-subj", "/CN=localhost"]
    openssl(folder, *request, *signed, "-keyout", "server.key", "-out", "server.crt")
    (folder / "server.pem").write_text((folder / "server.crt").read_text() + (folder / "server.key").read_text())


class Running(contextlib.ExitStack):
    """The programs that run, with their logs in a folder; they end with it."""

    def __init__(self):
        super().__init__()
        folder = tempfile.TemporaryDirectory(prefix="ws-tests-", ignore_cleanup_errors=True)
        self.folder = pathlib.Path(self.enter_context(folder))

    def start(self, *command, stdout=None):
        log = self.enter_context(tempfile.TemporaryFile(dir=self.folder))
        pipes = {"stdin": subprocess.DEVNULL, "stdout": stdout or log, "stderr": log}
        process = subprocess.Popen(command, cwd=self.folder, start_new_session=True, **pipes)
        process.log = log
        self.callback(end, process)
        return process

    def serve(self, *command):
        """Starts a server that prints its address first; returns it with its port."""
        process = self.start(*command, stdout=subprocess.PIPE)
        line = process.stdout.readline()
        found = re.search(rb":(\d+)/", line)
        if not found:
            raise RuntimeError(f"{command} does not listen: {log_of(process)}")
        return process, int(found[1])


def end(process):
    """Kills a program with its children, unless it has ended."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def log_of(process):
    process.log.seek(0)
    return process.log.read().decode(errors="replace").strip()


def nginx_lines():
    """The configuration of nginx in the guide of ws-std."""
    return re.search(r"```nginx\n(.*?)```", (ROOT / "ws-std/src/guide/proxies.md").read_text(), re.DOTALL)[1]


def failed(processes):
    """Awaits the ends of programs, which are given with their names; returns a text for each that fails."""
    failures = []
    for process, name in processes.items():
        try:
            status = process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            status = "no end"
        if status != 0:
            failures.append(f"{name} ends with {status}: {log_of(process)}")
    return failures


def await_port(process, port, host="127.0.0.1"):
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection((host, port)):
            return
        time.sleep(0.05)
    raise RuntimeError(f"{process.args} does not listen: {log_of(process)}")
