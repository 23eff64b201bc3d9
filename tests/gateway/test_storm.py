"""Whatever provider and clients do at once, nothing is left over and nothing is lost from the books."""

from __future__ import annotations

import asyncio
from random import Random

import httpx2
import pytest

from gateway.conftest import Serve
from gateway.serving import BODY, STREAM
from headway.testing.emulated import Emulator
from transport.provider import wait_until

CALLS, AT_ONCE = 250, 40
FAULTS = "overloaded=0.05&error=0.05&reset=0.05&cut=0.05&short=0.05&stream_error=0.05"
PROFILE = f"claude-opus-4/tier-4?ttft=20ms&speed=3000&output_mean=60&{FAULTS}&seed="


async def storm(url: str, random: Random) -> dict[str, int]:
    """Many calls, of which some hang up at some moment. How they ended, as their clients saw it."""
    ended = {"ok": 0, "error": 0, "broken": 0, "left": 0}
    gate = asyncio.Semaphore(AT_ONCE)

    async def call(client: httpx2.AsyncClient, body: bytes) -> str:
        try:
            reply = await client.post("/v1/messages", content=body)
        except httpx2.TransportError:
            return "broken"
        is_whole = reply.content.endswith((b"}", b'"message_stop"}\n\n'))
        return "ok" if reply.status_code == 200 and is_whole else "error"

    async def one(client: httpx2.AsyncClient) -> None:
        body, patience_s = (
            random.choice([BODY, STREAM]),
            random.choice([None, None, random.uniform(0.0, 0.1)]),
        )
        async with gate:
            try:
                async with asyncio.timeout(patience_s):
                    ended[await call(client, body)] += 1
            except TimeoutError:
                ended["left"] += 1

    async with httpx2.AsyncClient(base_url=url, timeout=60.0) as client:
        await asyncio.gather(*(one(client) for _ in range(CALLS)))
    return ended


@pytest.mark.parametrize("seed", [1, 2])
def test_after_a_storm_everything_is_given_back_and_on_the_books(start: Serve, seed: int) -> None:
    with Emulator(f"{PROFILE}{seed}") as emulator:
        serving = start(emulator.url, concurrency=30)
        ended = asyncio.run(storm(serving.url, Random(seed)))
        assert sum(ended.values()) == CALLS
        assert ended["ok"] > CALLS / 3
        wait_until(lambda: not serving.connections() and not serving.gateway.state().calls)
        rows = serving.rows()
        stats = emulator.stats()
        assert serving.client.open_connections == serving.client.idle_connections
        assert serving.engine.core.in_flight == 0
        assert len(rows) >= stats["admitted"]
        paid = [row for row in rows if row["outcome"] == "ok"]
        assert len(paid) >= ended["ok"]
        assert all(row["cost_nanousd"] > 0 and not row["estimated"] for row in paid)
        assert all(row["estimated"] for row in rows if row["outcome"] == "cancelled" and row["output_tokens"])
