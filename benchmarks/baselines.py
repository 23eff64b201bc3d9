"""What people run instead: the same job through the official SDK, a fixed-sleep loop, and a counting pacer.

    python benchmarks/baselines.py sdk-64|sdk-16|sleep-10|pacer URL JOB.jsonl

Each prints one JSON object: calls that succeeded and calls that were lost.

- `sdk-N`: `AsyncAnthropic` with N calls at once and its own two retries.
- `sleep-10`: 64 at once without the SDK's retries; after a 429 the task sleeps ten seconds and tries again, up to ten times.
- `pacer`: one loop that starts a call when its own count of requests and of tokens allows it. The count is refilled by the
  clock, holds at most a minute, starts empty-handed no earlier than now, and charges input plus `max_tokens` to one
  combined limit, as the parallel-request scripts do that were written for such limits. A 429 pauses it 15 s.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anthropic

TRIES, SLEEP_S = 10, 10.0
PACER_PAUSE_S, PACER_STEP_S, PACER_TRIES = 15.0, 0.001, 5
RPM, TPM = 1_200.0, 840_000.0

Ask = Callable[[dict[str, Any]], Awaitable[object]]


def asking(client: anthropic.AsyncAnthropic) -> Ask:
    """One call, streamed, to its end."""

    async def ask(params: dict[str, Any]) -> None:
        async with client.messages.stream(**params) as stream:
            message = await stream.get_final_message()
        if message.stop_reason is None:
            raise ConnectionError("the stream broke off")

    return ask


async def at_once(requests: list[dict[str, Any]], ask: Ask, width: int) -> Counter[str]:
    """So many tasks, each with one call after the other."""
    left, ends = deque(requests), Counter[str]()

    async def work() -> None:
        while left:
            params = left.popleft()
            try:
                await ask(params)
                ends["succeeded"] += 1
            except (anthropic.APIError, ConnectionError) as error:
                ends[f"lost: {type(error).__name__}"] += 1

    await asyncio.gather(*(work() for _ in range(width)))
    return ends


def with_sleep(ask: Ask) -> Ask:
    async def patient(params: dict[str, Any]) -> None:
        for tried in range(TRIES):
            try:
                await ask(params)
                return
            except anthropic.RateLimitError:
                if tried == TRIES - 1:
                    raise
                await asyncio.sleep(SLEEP_S)

    return patient


async def paced(requests: list[dict[str, Any]], ask: Ask) -> Counter[str]:
    """The counting loop."""
    ends = Counter[str]()
    waiting = deque((params, PACER_TRIES) for params in requests)
    paused_until, running = 0.0, set[asyncio.Task[None]]()
    room_calls, room_tokens, at = RPM, TPM, time.monotonic()

    async def one(params: dict[str, Any], tries: int) -> None:
        nonlocal paused_until
        try:
            await ask(params)
            ends["succeeded"] += 1
        except (anthropic.APIError, ConnectionError) as error:
            if isinstance(error, anthropic.RateLimitError):
                paused_until = time.monotonic() + PACER_PAUSE_S
            if tries > 1:
                waiting.append((params, tries - 1))
            else:
                ends[f"lost: {type(error).__name__}"] += 1

    while waiting or running:
        now = time.monotonic()
        room_calls = min(RPM, room_calls + RPM / 60 * (now - at))
        room_tokens = min(TPM, room_tokens + TPM / 60 * (now - at))
        at = now
        if waiting and now >= paused_until:
            params, tries = waiting[0]
            cost = len(params["messages"][0]["content"]) / 4 + params["max_tokens"]
            if room_calls >= 1 and room_tokens >= cost:
                room_calls, room_tokens = room_calls - 1, room_tokens - cost
                waiting.popleft()
                task = asyncio.create_task(one(params, tries))
                running.add(task)
                task.add_done_callback(running.discard)
        await asyncio.sleep(PACER_STEP_S)
    return ends


async def main(kind: str, url: str, requests: list[dict[str, Any]]) -> None:
    own_retries = 2 if kind.startswith("sdk") else 0
    async with anthropic.AsyncAnthropic(base_url=url, api_key="none", max_retries=own_retries) as client:
        ask = asking(client)
        if kind == "pacer":
            ends = await paced(requests, ask)
        elif kind == "sleep-10":
            ends = await at_once(requests, with_sleep(ask), 64)
        else:
            ends = await at_once(requests, ask, int(kind.removeprefix("sdk-")))
    lost = sum(ends.values()) - ends["succeeded"]
    print(json.dumps({"succeeded": ends["succeeded"], "lost": lost, "ends": dict(ends)}))


if __name__ == "__main__":
    with Path(sys.argv[3]).open(encoding="utf-8") as file:
        asked = [json.loads(line)["params"] for line in file]
    asyncio.run(main(sys.argv[1], sys.argv[2], asked))
