"""A WebSocket peer made of a headless Chromium. README.md beside this folder defines the roles.

Serves page.html, opens it in a browser of its own, and passes on what the page reports. In the role `open`, a server of WebSockets
serves it, and gets the reports."""

import os
import pathlib
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PAGE = pathlib.Path(__file__).with_name("page.html").read_bytes()
# The first ends the browser when this process is killed. No sandbox, because it refuses to start
# as root; nothing but our page is loaded. The rest keeps the browser from asking the network.
CHROMIUM = """setpriv --pdeathsig KILL chromium --headless --no-sandbox --disable-gpu --disable-quic
    --disable-dev-shm-usage --no-first-run --disable-background-networking --disable-component-update
    --disable-sync""".split()

reports = queue.Queue()


def trust(root, home):
    """Makes `root` an authority of the browser, which looks for the user's own in a database of NSS."""
    database = pathlib.Path(home, ".pki/nssdb")
    database.mkdir(parents=True)
    for command in [["-N", "--empty-password"], ["-A", "-t", "C,,", "-n", "root of a test", "-i", root]]:
        subprocess.run(["certutil", "-d", f"sql:{database}", *command], check=True)


class Pages(BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer(PAGE if self.path.startswith("/?") else b"")

    def do_POST(self):
        reports.put(self.rfile.read(int(self.headers["Content-Length"])).decode())
        self.answer(b"")

    def answer(self, body):
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


if sys.argv[1:2] not in (["visit"], ["visit-compressed"], ["await-close"], ["open"]):
    sys.exit("usage: peer.py visit URL | visit-compressed URL | await-close URL CODE | open PAGE")
if not shutil.which("chromium"):
    sys.exit("no chromium")

server = ThreadingHTTPServer(("127.0.0.1", 0), Pages)
threading.Thread(target=server.serve_forever, daemon=True).start()
query = urllib.parse.urlencode([("argument", argument) for argument in sys.argv[1:]])
page = [f"http://127.0.0.1:{server.server_port}/?{query}"]
if sys.argv[1] == "open":
    page = ["--ignore-certificate-errors", sys.argv[2]]
# Ends the browser, and removes its profile.
signal.signal(signal.SIGTERM, lambda *_: sys.exit())
# Errors are ignored, because the browser's helpers may still write while they end.
with tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True) as profile:
    if "SSL_CERT_FILE" in os.environ:
        trust(os.environ["SSL_CERT_FILE"], profile)
    chromium = subprocess.Popen(
        [*CHROMIUM, f"--user-data-dir={profile}", *page],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"HOME": profile, "TMPDIR": profile},
    )
    try:
        while (report := reports.get(timeout=60)) == "open":
            print(report, flush=True)
    finally:
        chromium.terminate()
        chromium.wait()
sys.exit(0 if report == "passed" else report)
