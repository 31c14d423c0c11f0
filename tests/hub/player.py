"""A player of a game, with Python's `websockets`; see run.

usage: player.py URL SECONDS

Prints each frame as [TIME, TICK].
"""

import asyncio
import json
import random
import sys
import time

import websockets


async def main():
    url, seconds = sys.argv[1:]
    until = time.time() + float(seconds)
    author = f"{random.getrandbits(64):016x}"
    while time.time() < until:
        try:
            async with websockets.connect(f"{url}?author={author}&name=player", open_timeout=3) as ws:
                await ws.recv()  # The player's name in the world.
                while (left := until - time.time()) > 0:
                    frame = json.loads(await asyncio.wait_for(ws.recv(), left))
                    print(json.dumps([time.time(), frame["t"]]), flush=True)
                    if frame["t"] % 10 == 0:
                        await ws.send(json.dumps({"x": random.uniform(-1, 1), "y": random.uniform(-1, 1)}))
        except (OSError, asyncio.TimeoutError, websockets.WebSocketException):
            await asyncio.sleep(0.1)


asyncio.run(main())
