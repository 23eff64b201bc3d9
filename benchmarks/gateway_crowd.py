"""Many callers of the gateway, as tenants with rates of their own: each call on a connection of its own, streamed."""

from __future__ import annotations

import asyncio
import json
import random
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import work
from gateway_proxies import secret_of

_QUEUED = re.compile(rb"headway-queued-ms: (\d+)")
_OUT = re.compile(rb'"output_tokens": ?(\d+)')
_CONTENT = b"content_block_delta"


@dataclass(frozen=True, slots=True)
class Tenant:
    """`rate` is calls a second; each waits at most `max_wait_s`. `leaves`: the share that hangs up at the first content."""

    name: str
    class_: str
    rate: float
    max_wait_s: float
    kind: str = "mixed"
    leaves: float = 0.0

    def key(self) -> dict[str, object]:
        """The key of this tenant, for a file of keys."""
        return {"name": self.name, "class": self.class_, "budgets": ["100000usd/day"]}


@dataclass(slots=True)
class Ended:
    """How one call ended: `status` 0 is a broken connection. Seconds on one clock."""

    tenant: str
    status: int
    begun_at: float
    ended_at: float
    queued_s: float = 0.0
    output: int = 0
    is_whole: bool = False
    left: bool = False


@dataclass(slots=True)
class Crowd:
    """Calls from now on, for so many seconds, and whatever came of them."""

    port: int
    tenants: Sequence[Tenant]
    seed: int = 1
    ended: list[Ended] = field(default_factory=list)
    offered: int = 0
    _running: set[asyncio.Task[None]] = field(default_factory=set)

    async def run(self, seconds: float, patience_s: float) -> None:
        """Offer for `seconds`, then let calls end, for at most `patience_s`."""
        until = time.monotonic() + seconds
        await asyncio.gather(*(self._offer(tenant, until) for tenant in self.tenants))
        if self._running:
            await asyncio.wait(tuple(self._running), timeout=patience_s)
        for task in tuple(self._running):
            task.cancel()

    async def _offer(self, tenant: Tenant, until: float) -> None:
        draw = random.Random(f"{self.seed} {tenant.name}")
        at = time.monotonic()
        while (at := at + draw.expovariate(tenant.rate)) < until:
            await asyncio.sleep(max(0.0, at - time.monotonic()))
            words, out, most = work.KINDS[tenant.kind](draw, 0.0)
            leaves = out >= 100 and draw.random() < tenant.leaves
            task = asyncio.create_task(self._call(tenant, self._request(tenant, words, out, most), leaves))
            self._running.add(task)
            task.add_done_callback(self._running.discard)
            self.offered += 1

    def _request(self, tenant: Tenant, words: int, out: int, most: int) -> bytes:
        text = f"Note {self.offered}, out={out}: " + " ".join(random.choices(work.WORDS, k=words))
        asked = {"model": work.MODEL, "max_tokens": most, "stream": True}
        body = json.dumps(asked | {"messages": [{"role": "user", "content": text}]}).encode()
        lines = [
            "POST /v1/messages HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close",
            f"content-type: application/json\r\ncontent-length: {len(body)}\r\nanthropic-version: 2023-06-01",
            f"x-api-key: {secret_of(tenant.name)}\r\nheadway-max-wait: {tenant.max_wait_s:g}s\r\n\r\n",
        ]
        return "\r\n".join(lines).encode() + body

    async def _call(self, tenant: Tenant, request: bytes, leaves: bool) -> None:
        ended = Ended(tenant.name, 0, time.monotonic(), 0.0)
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            ended.status = int(head[9:12])
            if found := _QUEUED.search(head):
                ended.queued_s = int(found[1]) / 1e3
            body = b""
            while part := await reader.read(65536):
                body += part
                if leaves and _CONTENT in body:
                    ended.left = True
                    break
            ended.is_whole = b"message_stop" in body
            ended.output = int(found[-1]) if (found := _OUT.findall(body)) else 0
            writer.transport.abort()
        except (OSError, EOFError):
            pass
        ended.ended_at = time.monotonic()
        self.ended.append(ended)
