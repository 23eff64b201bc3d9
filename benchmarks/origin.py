"""The API server that headway is measured against: POST /v1/messages with limits of its own, GET /stats with its books.

Independent of headway and of its emulator (see `quota`). Light, so that it is not what is measured: a bare asyncio
protocol, uvloop where it is there, one clock tick for all streams, SSE events of a stream put together every 150 ms.

What a call takes is in its prompt: `out=123` is the length of the reply, and the input is counted from the text by a
tokenizer of our own, which no estimate fits exactly.

    python benchmarks/origin.py --burst 5 --admit fit --output produced
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import random
import re
import resource
import sys
import time
import zlib
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, cast

from prompt_cache import PromptCache, is_in_blocks, last_text
from quota import UNITS, Bucket, Quota, Refusal, Run
from replies import Stream, message, next_events, opening, whole

TICK_S, BATCH_S = 0.05, 0.15
REFUSAL_S = 0.02
_OUT = re.compile(rb"\bout=(\d+)")
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.I)
_NAMES = {"requests": "requests", "input_tokens": "input-tokens", "output_tokens": "output-tokens"}


@dataclass(slots=True)
class Settings:
    """How this server behaves. Shares are of all requests."""

    quota: Quota
    first_token_s: float = 0.5
    tokens_per_s: float = 60.0
    head: str = "first"
    overloaded: float = 0.0
    resets: float = 0.0
    cuts: float = 0.0
    cache_life_s: float = 300.0
    cache_least: int = 1024
    random: random.Random = field(default_factory=lambda: random.Random(1))


def input_tokens(text: str) -> int:
    """A tokenizer of our own: words of up to seven letters are one token, and each text has a grain of its own (8 %)."""
    count = sum(-(-len(word) // 7) for word in text.split())
    grain = random.Random(zlib.crc32(text.encode())).gauss(0.0, 0.08)
    return 8 + max(1, round(count * math.exp(grain)))


def takes(body: dict[str, Any]) -> tuple[int, int, int]:
    """Input tokens, output tokens and `max_tokens` of a request."""
    text = "".join(message["content"] for message in body["messages"])
    most = int(body["max_tokens"])
    match = _OUT.search(text.encode())
    return input_tokens(text), min(most, int(match[1]) if match else 100), most


@lru_cache(maxsize=100_000)
def block_tokens(text: str) -> int:
    """Tokens of one block of a conversation, whose blocks come again and again."""
    return input_tokens(text)


class Api(asyncio.Protocol):
    """One connection."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.data = b""
        self.key = 0
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def connection_lost(self, _error: Exception | None) -> None:
        self.server.drop(self)

    def data_received(self, data: bytes) -> None:
        self.data = data = self.data + data if self.data else data
        head = data.find(b"\r\n\r\n")
        if head < 0:
            return
        match = _LENGTH.search(data, 0, head + 2)
        end = head + 4 + (int(match[1]) if match else 0)
        if len(data) < end:
            return
        self.data = data[end:]
        if data.startswith(b"GET /stats"):
            self.write(whole(200, json.dumps(self.server.books()).encode()))
        elif data.startswith(b"POST /v1/messages"):
            self.server.take(self, json.loads(data[head + 4 : end]))
        else:
            self.write(
                whole(404, b'{"type":"error","error":{"type":"not_found_error","message":"no such path"}}')
            )

    def write(self, data: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(data)

    def abort(self) -> None:
        self.transport.abort()


class Server:
    """Admits, keeps the clock, and writes what is due."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.quota = settings.quota
        self.cache = PromptCache(block_tokens, settings.cache_life_s, settings.cache_least)
        self.streams: dict[int, Stream] = {}
        self.serial = 0
        self.faults = {"overloaded": 0, "reset": 0, "cut": 0}
        self.requests = 0

    def take(self, api: Api, body: dict[str, Any]) -> None:
        """Decide on a request."""
        now, settings, draw = time.monotonic(), self.settings, self.settings.random.random()
        self.quota.begin(now)
        self.requests += 1
        self.serial += 1
        request_id = f"request-id: req_{self.serial:08d}\r\n"
        if draw < settings.overloaded:
            self.faults["overloaded"] += 1
            self._error(api, 529, "overloaded_error", "Overloaded", request_id)
            return
        if draw < settings.overloaded + settings.resets:
            self.faults["reset"] += 1
            api.abort()
            return
        first_s = settings.first_token_s * settings.random.lognormvariate(0.0, 0.35)
        speed = settings.tokens_per_s * settings.random.uniform(0.85, 1.15)
        run = self._run(body, now, now + first_s, speed)
        refusal = self.quota.let_in(self.serial, run, now)
        headers = request_id + self._limits()
        if refusal is not None:
            self._refuse(api, refusal, body, headers)
            return
        cut_at = math.inf
        if draw > 1.0 - settings.cuts:
            self.faults["cut"] += 1
            cut_at = run.output * 0.6
        api.key = self.serial
        stream = Stream(api, api.key, run, headers, body["model"], bool(body.get("stream")), cut_at)
        self.streams[api.key] = stream
        if stream.is_sse and settings.head == "admit":
            self._begin(stream)

    def _run(self, body: dict[str, Any], now: float, first_at: float, speed: float) -> Run:
        """What the request takes. Cache reads are free of the input limit."""
        if not is_in_blocks(body):
            return Run(*takes(body), first_at, speed)
        share = self.cache.share(body, now)
        match, most = _OUT.search(last_text(body).encode()), int(body["max_tokens"])
        out = min(most, int(match[1]) if match else 100)
        return Run(share.fresh + share.written, out, most, first_at, speed, share=share)

    def tick(self) -> None:
        """Move every running reply on."""
        now = time.monotonic()
        self.quota.advance(now)
        for stream in list(self.streams.values()):
            if now < stream.run.first_at:
                continue
            if stream.run.share is not None and not stream.cached:
                stream.cached = True
                self.cache.begun(stream.run.share, now)
            done = stream.run.produced >= stream.run.output
            if stream.run.produced >= stream.cut_at:
                self._finish(stream, now, broken=True)
            elif done or now >= stream.next_at:
                stream.next_at = now + BATCH_S
                if stream.is_sse:
                    if not stream.began:
                        self._begin(stream)
                    stream.api.write(next_events(stream, done=done))
                if done:
                    self._finish(stream, now)

    def drop(self, api: Api) -> None:
        """The client is gone: it stops producing."""
        if self.streams.pop(api.key, None) is not None:
            self.quota.end(api.key, time.monotonic(), broken=True)

    def books(self) -> dict[str, Any]:
        used = resource.getrusage(resource.RUSAGE_SELF)
        own = {
            "requests": self.requests,
            "faults": self.faults,
            "origin_cpu_s": round(used.ru_utime + used.ru_stime, 2),
        }
        return self.quota.books() | own

    def _finish(self, stream: Stream, now: float, *, broken: bool = False) -> None:
        del self.streams[stream.key]
        self.quota.end(stream.key, now, broken=broken)
        if broken:
            stream.api.abort()
        elif not stream.is_sse:
            stream.api.write(whole(200, json.dumps(message(stream)).encode(), stream.head))

    def _begin(self, stream: Stream) -> None:
        stream.began = True
        stream.api.write(opening(stream))

    def _refuse(self, api: Api, refusal: Refusal, body: dict[str, Any], headers: str) -> None:
        amount = self.quota.buckets[refusal.unit].amount
        text = (
            f"This request would exceed your organization's rate limit of {amount:,.0f} "
            f"{refusal.unit.replace('_', ' ')} per minute (org: 00000000-0000-0000-0000-000000000000, "
            f"model: {body['model']})."
        )
        extra = f"retry-after: {refusal.retry_after}\r\nx-should-retry: true\r\n"
        self._error(api, 429, "rate_limit_error", text, headers + extra)

    def _error(self, api: Api, status: int, kind: str, text: str, headers: str) -> None:
        body = json.dumps({"type": "error", "error": {"type": kind, "message": text}}).encode()
        asyncio.get_running_loop().call_later(REFUSAL_S, api.write, whole(status, body, headers))

    def _limits(self) -> str:
        lines, at = [], datetime.now(UTC)
        total, left, latest = 0.0, 0, at
        for unit in UNITS:
            bucket, name = self.quota.buckets[unit], f"anthropic-ratelimit-{_NAMES[unit]}"
            remaining = self.quota.remaining(unit)
            full_at = at + timedelta(seconds=(bucket.size - bucket.level) / bucket.rate)
            lines.append(f"{name}-limit: {bucket.amount:.0f}\r\n{name}-remaining: {remaining}\r\n")
            lines.append(f"{name}-reset: {full_at:%Y-%m-%dT%H:%M:%SZ}\r\n")
            if unit != "requests":
                total, left, latest = total + bucket.amount, left + remaining, max(latest, full_at)
        name = "anthropic-ratelimit-tokens"
        lines.append(f"{name}-limit: {total:.0f}\r\n{name}-remaining: {left}\r\n")
        lines.append(f"{name}-reset: {latest:%Y-%m-%dT%H:%M:%SZ}\r\n")
        return "".join(lines)


async def serve(settings: Settings) -> None:
    """Serve until standard input closes."""
    server, loop = Server(settings), asyncio.get_running_loop()
    listener = await loop.create_server(lambda: Api(server), "127.0.0.1", 0, backlog=1024)
    print(listener.sockets[0].getsockname()[1], flush=True)
    gone = asyncio.Event()
    loop.add_reader(sys.stdin.fileno(), gone.set)
    ticks = 0
    while not gone.is_set():
        await asyncio.sleep(TICK_S)
        server.tick()
        ticks += 1
        if not ticks % 20:
            server.quota.sample(time.monotonic())


def settings_of(arguments: argparse.Namespace) -> Settings:
    amounts = dict(zip(UNITS, (arguments.rpm, arguments.itpm, arguments.otpm), strict=True))
    buckets = {
        unit: Bucket(amount, max(1.0, amount / 60 * arguments.burst)) for unit, amount in amounts.items()
    }
    return Settings(
        Quota(buckets, arguments.admit, arguments.output, arguments.overstate),
        first_token_s=arguments.first_token,
        head=arguments.head,
        overloaded=arguments.overloaded,
        resets=arguments.resets,
        cuts=arguments.cuts,
        cache_life_s=arguments.cache_life,
        cache_least=arguments.cache_least,
        tokens_per_s=arguments.speed,
        random=random.Random(arguments.seed),
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rpm", type=float, default=1_200)
    parser.add_argument("--itpm", type=float, default=600_000)
    parser.add_argument("--otpm", type=float, default=240_000)
    parser.add_argument("--burst", type=float, default=5.0, help="seconds of refill that a full bucket holds")
    parser.add_argument("--admit", choices=("fit", "debt"), default="fit")
    parser.add_argument("--output", choices=("produced", "end", "start", "reserved"), default="produced")
    parser.add_argument("--head", choices=("first", "admit"), default="first", help="when headers are sent")
    parser.add_argument(
        "--first-token", type=float, default=0.5, help="seconds until a reply begins, in the median"
    )
    parser.add_argument("--overstate", action="store_true", help="`remaining` as if buckets held a minute")
    parser.add_argument("--overloaded", type=float, default=0.0)
    parser.add_argument("--resets", type=float, default=0.0)
    parser.add_argument("--cuts", type=float, default=0.0)
    parser.add_argument("--speed", type=float, default=60.0, help="output tokens a second")
    parser.add_argument("--cache-life", type=float, default=300.0, help="seconds a prompt cache entry lives")
    parser.add_argument(
        "--cache-least", type=int, default=1024, help="tokens that a cache entry has at least"
    )
    parser.add_argument("--seed", type=int, default=1)
    settings = settings_of(parser.parse_args())
    try:
        import uvloop
    except ImportError:
        asyncio.run(serve(settings))
    else:
        uvloop.run(serve(settings))


if __name__ == "__main__":
    main()
