"""A WebSocket peer made of Tornado, with compression. README.md beside this file defines its role."""

import asyncio
import sys

import tornado.httpserver
import tornado.netutil
import tornado.web
import tornado.websocket

JSON = '{"name": "Ada", "says": "Grüße, 世界! 🦀"}, ' * 2_000
BINARY = bytes(i * 31 % 251 for i in range(1 << 20))
MESSAGES = ["hello", "", JSON, BINARY, JSON[::-1]] * 2


class Driver(tornado.websocket.WebSocketHandler):
    def get_compression_options(self):
        return {}

    async def open(self):
        self.left = list(MESSAGES)
        await self.next()

    async def next(self):
        if self.left:
            await self.write_message(self.left[0], binary=isinstance(self.left[0], bytes))
        else:
            self.close(1000)

    async def on_message(self, message):
        if message != self.left.pop(0):
            end("another echo than expected")
        await self.next()

    def on_close(self):
        end(None if not self.left and self.close_code == 1000 else f"closed with {self.close_code}, {len(self.left)} echoes left")


def end(failure):
    if not done.done():
        done.set_result(failure)


async def main():
    global done
    done = asyncio.get_running_loop().create_future()
    application = tornado.web.Application([("/", Driver)], websocket_max_message_size=2 << 20)
    sockets = tornado.netutil.bind_sockets(0, "127.0.0.1")
    tornado.httpserver.HTTPServer(application).add_sockets(sockets)
    print(f"listening on ws://127.0.0.1:{sockets[0].getsockname()[1]}/", flush=True)
    return await done


if sys.argv[1:] != ["drive"]:
    sys.exit("usage: tornado_peer.py drive")
sys.exit(asyncio.run(main()))
