"""Members of a chat room, with Python's `websockets`; see run.

usage: members.py URL PREFIX COUNT SECONDS CUTS SEED
"""

import asyncio
import json
import random
import sys
import time
from urllib.parse import urlencode

import websockets

PATIENCE = 30
# Between the lines of a member, in seconds.
INTERVAL = 0.25
# After the last line is acknowledged: time in which those of the others come.
CALM = 5


class Member:
    """Says numbered lines for a time, sends those again that were not acknowledged, and keeps what it is told."""

    def __init__(self, url, identity, until, cuts, chance):
        self.url, self.identity, self.until, self.cuts, self.chance = url, identity, until, cuts, chance
        self.said = 0
        self.pending, self.acknowledged = [], []
        # When each pending line was said, and the times of those that were acknowledged.
        self.said_at, self.trips = {}, []
        # It gets the lines of those that come before it too.
        self.epoch, self.at = "none", ""
        self.log, self.resets, self.gaps = [], 0, []
        self.closed_at = None
        self.last_news = time.time()

    async def run(self):
        end = self.until + PATIENCE
        while time.time() < end and not self.is_done():
            query = urlencode({"author": self.identity, "name": self.identity, "epoch": self.epoch, "at": self.at})
            try:
                async with websockets.connect(f"{self.url}?{query}", open_timeout=3, close_timeout=1, ping_interval=None) as ws:
                    await self.talk(ws)
            except (OSError, asyncio.TimeoutError, websockets.WebSocketException):
                pass
            self.closed_at = self.closed_at or time.time()
            await asyncio.sleep(self.chance.uniform(0.05, 0.3))

    def is_done(self):
        return time.time() > self.until and not self.pending and time.time() - self.last_news > CALM

    async def talk(self, ws):
        for number in self.pending:
            await self.send(ws, number)
        speaking = asyncio.create_task(self.speak(ws))
        try:
            async for message in ws:
                self.hear(json.loads(message))
        finally:
            speaking.cancel()

    async def speak(self, ws):
        while time.time() < self.until:
            await asyncio.sleep(self.chance.uniform(0.5, 1.5) * INTERVAL)
            self.said += 1
            self.pending.append(self.said)
            self.said_at[self.said] = time.time()
            await self.send(ws, self.said)
            if self.chance.random() < self.cuts * INTERVAL:
                ws.transport.abort()
                return
        while not self.is_done():
            await asyncio.sleep(INTERVAL)
        await ws.close()

    async def send(self, ws, number):
        await ws.send(json.dumps({"n": number, "text": f"line {number}"}))

    def hear(self, message):
        if "epoch" in message:
            if self.at and message["reset"]:
                self.resets += 1
                self.log, self.at = [], ""
            self.epoch = message["epoch"]
        elif "ack" in message:
            if message["ack"] in self.pending:
                self.acknowledged.append(message["ack"])
                self.trips.append([self.said_at.pop(message["ack"]), time.time()])
            self.pending = [number for number in self.pending if number > message["ack"]]
        elif "live" in message:
            if self.closed_at:
                self.gaps.append([self.closed_at, time.time()])
            self.closed_at = None
        else:
            self.at = message["at"]
            self.log.append([message["at"], message["name"], message["n"]])
            self.last_news = time.time()

    def report(self):
        return {
            "member": self.identity, "said": self.said, "acknowledged": self.acknowledged, "log": self.log,
            "resets": self.resets, "gaps": self.gaps, "trips": self.trips,
        }


async def main():
    url, prefix, count, seconds, cuts, seed = sys.argv[1:]
    until = time.time() + float(seconds)
    members = [
        Member(url, f"{prefix}-{index}", until, float(cuts), random.Random(f"{seed} {prefix} {index}"))
        for index in range(int(count))
    ]
    await asyncio.gather(*(member.run() for member in members))
    for member in members:
        print(json.dumps(member.report()))


asyncio.run(main())
