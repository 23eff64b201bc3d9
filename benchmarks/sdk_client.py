"""A program of the official SDK that makes all calls of a job, 64 at once, through headway's door or without it.

    python benchmarks/sdk_client.py WAY URL JOB.jsonl [--whole] [--limits TEXT] [--burst TEXT] [--ledger FILE]

WAY is two words with a hyphen: `tasks` (AsyncAnthropic) or `threads` (Anthropic), and `door`, `bare` (the SDK's own two
retries) or `bare10` (`max_retries=10`). Prints one JSON object: what succeeded, what was lost, CPU seconds.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

import anthropic
import httpx2

import headway
from headway.errors import HeadwayError

AT_ONCE = 64
Params = dict[str, Any]
Ends = Counter[str]
LOSSES = (anthropic.APIError, httpx2.HTTPError, HeadwayError, ConnectionError)


async def by_tasks(client: anthropic.AsyncAnthropic, asked: list[Params], *, stream: bool) -> Ends:
    left, ends = deque(asked), Ends()

    async def ask(params: Params) -> anthropic.types.Message:
        if not stream:
            return await client.messages.create(**params)
        async with client.messages.stream(**params) as events:
            return await events.get_final_message()

    async def work() -> None:
        while left:
            params = left.popleft()
            try:
                ends[_end_of(await ask(params))] += 1
            except LOSSES as error:
                ends[f"lost: {type(error).__name__}"] += 1

    await asyncio.gather(*(work() for _ in range(AT_ONCE)))
    return ends


def by_threads(client: anthropic.Anthropic, asked: list[Params], *, stream: bool) -> Ends:
    left, ended = deque(asked), list[str]()

    def ask(params: Params) -> anthropic.types.Message:
        if not stream:
            return client.messages.create(**params)
        with client.messages.stream(**params) as events:
            return events.get_final_message()

    def work() -> None:
        while True:
            try:
                params = left.popleft()
            except IndexError:
                return
            try:
                ended.append(_end_of(ask(params)))
            except LOSSES as error:
                ended.append(f"lost: {type(error).__name__}")

    workers = [Thread(target=work) for _ in range(AT_ONCE)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return Ends(ended)


def _end_of(message: anthropic.types.Message) -> str:
    return "succeeded" if message.stop_reason else "lost: the stream broke off"


@contextmanager
def engine_of(arguments: argparse.Namespace) -> Iterator[headway.Engine]:
    """What the settings say; without limits they are learnt."""
    said = {name: getattr(arguments, name) for name in ("limits", "burst")}
    given = {name: value for name, value in said.items() if value}
    with headway.Engine(base_url=arguments.url, ledger=arguments.ledger, **given) as engine:
        yield engine


def run(arguments: argparse.Namespace, asked: list[Params]) -> dict[str, Any]:
    kind, _, way = arguments.way.partition("-")
    stream, sdk = not arguments.whole, {"base_url": arguments.url, "api_key": "none"}
    retries = 10 if way == "bare10" else 2
    if way != "door":
        return {"ends": _bare(kind, asked, stream, sdk | {"max_retries": retries})}
    with engine_of(arguments) as engine:
        if kind == "tasks":
            ends = asyncio.run(_tasks_through(engine, asked, stream, sdk))
        else:
            with anthropic.Anthropic(http_client=headway.client(engine=engine), **sdk) as client:
                ends = by_threads(client, asked, stream=stream)
        engine.flush()
        return {"ends": ends, **said_by(engine)}


async def _tasks_through(
    engine: headway.Engine, asked: list[Params], stream: bool, sdk: dict[str, Any]
) -> Ends:
    async with anthropic.AsyncAnthropic(http_client=headway.async_client(engine=engine), **sdk) as client:
        return await by_tasks(client, asked, stream=stream)


def _bare(kind: str, asked: list[Params], stream: bool, sdk: dict[str, Any]) -> Ends:
    if kind == "threads":
        with anthropic.Anthropic(**sdk) as client:
            return by_threads(client, asked, stream=stream)

    async def work() -> Ends:
        async with anthropic.AsyncAnthropic(**sdk) as client:
            return await by_tasks(client, asked, stream=stream)

    return asyncio.run(work())


def said_by(engine: headway.Engine) -> dict[str, Any]:
    """What the engine has counted: to be compared with the server's books."""
    totals = engine.usage()
    fields = (
        "calls",
        "attempts",
        "refused",
        "in_flight",
        "input_tokens",
        "cache_read_tokens",
        "cache_write_tokens",
        "output_tokens",
    )
    return {"engine": {name: sum(getattr(total, name) for total in totals) for name in fields}}


def cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def timed(act: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """With CPU seconds (all threads, start-up left out) and wall seconds."""
    cpu, wall = cpu_s(), time.monotonic()
    result = act()
    return result | {"cpu_s": round(cpu_s() - cpu, 2), "wall_s": round(time.monotonic() - wall, 2)}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("way")
    parser.add_argument("url")
    parser.add_argument("job", type=Path)
    parser.add_argument("--whole", action="store_true", help="no streaming")
    parser.add_argument("--limits")
    parser.add_argument("--burst")
    parser.add_argument("--ledger", default="none")
    arguments = parser.parse_args()
    with arguments.job.open(encoding="utf-8") as file:
        asked = [json.loads(line)["params"] for line in file]
    result = timed(lambda: run(arguments, asked))
    ends = result["ends"]
    print(json.dumps(result | {"lost": sum(ends.values()) - ends["succeeded"]}))


if __name__ == "__main__":
    main()
