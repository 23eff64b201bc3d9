"""Sessions of a coding agent with the prompt cache, through the async SDK: the input limit binds, cache reads are free of it.

Recorded sessions (`../shared/data/claude_code_sessions_dev.jsonl`; skipped where it is absent) are played again with
tokens divided by 8 and time by 10: 256 at once, each sends its next request when the last one was answered and its
thinking time is over (cut at 60 s of the recording, so that no cache entry dies of age). Each request carries the whole
conversation, with breakpoints on the system prompt and on the last two turns (`--marks 1`: on the last turn only). The
API server's cache is its own reading of the documentation; only what is fresh or written counts against its limit.

    python benchmarks/sessions.py [--ways door bare bare10] [--seconds 150] [--marks 2] [--itpm 600000]

`used` is the share of the input limit that was used from `SETTLED_S` (when all have begun) to the end: charged by the
server's books, divided by what the limit refilled. Prints JSON lines.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import json
import random
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anthropic
import httpx2
from pacing import HERE, machine
from sdk_client import LOSSES, cpu_s, said_by
from work import MODEL, WORDS

import headway

DATA = HERE.parent.parent / "shared" / "data" / "claude_code_sessions_dev.jsonl"
TOKENS, TIME = 8, 10.0  # what recorded tokens and seconds are divided by
LONGEST_THOUGHT_S = 60.0  # as recorded
AT_ONCE, SETTLED_S = 256, 60.0
LARGEST_START = 40_000  # tokens as recorded: half of the contexts begin with more, as resumed ones do
LEAST_USED = 0.9
RPM, OTPM = 4_000, 400_000  # far away


@dataclass(frozen=True, slots=True)
class Turn:
    """One request: tokens that are new in it, tokens of its reply, seconds of thought before it (all as played)."""

    new: int
    output: int
    thought_s: float
    fresh_start: bool


def recorded(path: Path) -> list[list[Turn]]:
    """The contexts of the recording that begin afresh (of a session's main agent or one of its others), in their order."""
    contexts: dict[tuple[str, str], list[dict[str, Any]]] = {}
    with path.open(encoding="utf-8") as file:
        for row in map(json.loads, file):
            contexts.setdefault((row["session"], row["agent"]), []).append(row)
    fresh = (rows for rows in contexts.values() if rows[0]["input_tokens"] <= LARGEST_START)
    return [list(_turns(rows)) for rows in fresh]


def _turns(rows: list[dict[str, Any]]) -> Iterator[Turn]:
    before = 0
    for row in rows:
        total, cached = row["input_tokens"], row["cached_prefix_tokens"]
        again = cached < 0.5 * before or before == 0
        new = total if again else max(total - min(cached, before), 1)
        thought = min(row["think_time_s"] or 0.0, LONGEST_THOUGHT_S)
        yield Turn(max(new // TOKENS, 8), max(row["output_tokens"] // TOKENS, 4), thought / TIME, again)
        before = total


class Conversation:
    """What is sent: it grows by a reply and a turn each time. `marks` of the last turns have breakpoints."""

    def __init__(self, random_: random.Random, marks: int) -> None:
        self._random, self._marks = random_, marks
        self._system = ""
        self._said: list[dict[str, Any]] = []

    def ask(self, turn: Turn) -> dict[str, Any]:
        """The next request."""
        words = turn.new
        if turn.fresh_start or not self._said:
            self._said = []
            self._system, words = self._text(round(0.8 * words)), round(0.2 * words)
        self._said.append(
            {"role": "user", "text": f"out={turn.output} {self._text(max(words - turn.output, 4))}"}
        )
        users = [at for at, each in enumerate(self._said) if each["role"] == "user"][-self._marks :]
        messages = [
            {"role": each["role"], "content": [_block(each["text"], marked=at in users)]}
            for at, each in enumerate(self._said)
        ]
        system = [_block(self._system, marked=True)]
        return {"model": MODEL, "max_tokens": 8_192, "system": system, "messages": messages}

    def heard(self, text: str) -> None:
        self._said.append({"role": "assistant", "text": text or "-"})

    def _text(self, words: int) -> str:
        return " ".join(self._random.choices(WORDS, k=max(words, 1)))


def _block(text: str, *, marked: bool) -> dict[str, Any]:
    block: dict[str, Any] = {"type": "text", "text": text}
    return block | {"cache_control": {"type": "ephemeral"}} if marked else block


class Play:
    """All sessions of one run."""

    def __init__(self, client: anthropic.AsyncAnthropic, seed: int, marks: int, until: float) -> None:
        self._client, self._marks, self._until = client, marks, until
        self._random = random.Random(seed)
        contexts = recorded(DATA)
        self._random.shuffle(contexts)
        self._contexts = itertools.cycle(contexts)
        self.ends = Counter[str]()
        self.sessions = 0

    async def one_after_the_other(self) -> None:
        while time.monotonic() < self._until:
            self.sessions += 1
            with headway.session(f"session {self.sessions}"):
                await self._session(next(self._contexts), Conversation(self._random, self._marks))

    async def _session(self, turns: list[Turn], conversation: Conversation) -> None:
        await asyncio.sleep(20.0 * self._random.random())  # not all at the same moment
        for turn in turns:
            await asyncio.sleep(turn.thought_s)
            if time.monotonic() > self._until:
                return
            try:
                async with self._client.messages.stream(**conversation.ask(turn)) as stream:
                    conversation.heard(await stream.get_final_text())
                self.ends["succeeded"] += 1
            except LOSSES as error:  # the session ends there, as an agent's does
                self.ends[f"lost: {type(error).__name__}"] += 1
                return


@contextlib.contextmanager
def origin(itpm: int, seed: int) -> Iterator[str]:
    """The API server, as fast as the recording is played."""
    amounts = [f"--rpm={RPM}", f"--itpm={itpm}", f"--otpm={OTPM}", "--burst=5", "--admit=fit"]
    speeds = ["--first-token=0.15", f"--speed={45 * TIME / TOKENS}", f"--seed={seed}"]
    command = [sys.executable, str(HERE / "origin.py"), *amounts, *speeds]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.communicate(timeout=10)


def books_of(url: str) -> dict[str, Any]:
    with urllib.request.urlopen(f"{url}/stats") as answer:
        books: dict[str, Any] = json.load(answer)
    return books


@contextlib.asynccontextmanager
async def client_of(way: str, url: str, told: str) -> AsyncIterator[tuple[anthropic.AsyncAnthropic, Any]]:
    """The SDK, and headway's engine if it is used."""
    sdk: dict[str, Any] = {"base_url": url, "api_key": "none"}
    if way != "door":
        retries = 10 if way == "bare10" else 2
        wide = httpx2.Limits(max_connections=1000)
        async with anthropic.AsyncAnthropic(
            **sdk, max_retries=retries, http_client=anthropic.DefaultAsyncHttpxClient(limits=wide)
        ) as client:
            yield client, None
        return
    settings: dict[str, Any] = {"limits": told} if told else {}
    with headway.Engine(base_url=url, ledger="none", **settings) as engine:
        async with anthropic.AsyncAnthropic(**sdk, http_client=headway.async_client(engine=engine)) as client:
            yield client, engine


async def play(way: str, url: str, arguments: argparse.Namespace) -> dict[str, Any]:
    limits = f"requests={RPM}/min,input_tokens={arguments.itpm}/min,output_tokens={OTPM}/min"
    told = limits if arguments.known else ""
    async with client_of(way, url, told) as (client, engine):
        began, cpu = time.monotonic(), cpu_s()
        until = began + arguments.seconds
        played = Play(client, arguments.seed, arguments.marks, until)
        began = time.monotonic()
        tasks = [asyncio.create_task(played.one_after_the_other()) for _ in range(AT_ONCE)]
        await asyncio.sleep(SETTLED_S)
        early, at_early = await asyncio.to_thread(books_of, url), time.monotonic()
        await asyncio.sleep(until - time.monotonic())
        late, at_late = await asyncio.to_thread(books_of, url), time.monotonic()
        await asyncio.gather(*tasks)
        spent = cpu_s() - cpu
        books = await asyncio.to_thread(books_of, url)
        row = _row(way, arguments, early, late, books, at_late - at_early)
        row |= {"ends": played.ends, "sessions": played.sessions}
        row["client_cpu_ms_a_call"] = round(spent * 1e3 / max(sum(played.ends.values()), 1), 2)
        return row | (_agreement(engine, books) if engine else {})


def _row(
    way: str,
    arguments: argparse.Namespace,
    early: dict[str, Any],
    late: dict[str, Any],
    books: dict[str, Any],
    seconds: float,
) -> dict[str, Any]:
    refilled = arguments.itpm / 60 * seconds
    charged = late["need"]["input_tokens"] - early["need"]["input_tokens"]
    read = late["cache_read"] - early["cache_read"]
    refused = sum(books["refused"].values())
    return {
        "row": f"sessions, {way}",
        "marks": arguments.marks,
        "limits": "known" if arguments.known else "learnt",
        "itpm": arguments.itpm,
        "seconds": arguments.seconds,
        "used": round(charged / refilled, 3),
        "read_share": round(read / max(read + charged, 1), 3),
        "calls": books["admitted"],
        "refused_429": refused,
        "refused_by": books["refused"],
        "attempts": books["requests"],
        "spilt_s": books["spilt_s"]["input_tokens"],
        "most_live": books["most_live"],
        "origin_cpu_s": books["origin_cpu_s"],
        "course": books["course"],
        "log": books["log"][:20],
    }


def _agreement(engine: Any, books: dict[str, Any]) -> dict[str, Any]:
    """What headway charged, beside what the server did."""
    said = said_by(engine)["engine"]
    charged = sum(pool.used.get("input_tokens", 0.0) for pool in engine.core.pools.values())
    pairs = {
        "input charged to the limit": (charged, books["need"]["input_tokens"]),
        "cache reads": (said["cache_read_tokens"], books["cache_read"]),
        "cache writes": (said["cache_write_tokens"], books["cache_written"]),
        "output": (said["output_tokens"], books["need"]["output_tokens"]),
    }
    return {"ours and theirs": pairs, "agree": all(ours == theirs for ours, theirs in pairs.values())}


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--ways", nargs="+", default=["door", "bare", "bare10"])
    parser.add_argument("--seconds", type=float, default=150.0)
    parser.add_argument("--itpm", type=int, default=600_000)
    parser.add_argument("--marks", type=int, default=2)
    parser.add_argument("--known", action="store_true", help="tell headway the limits")
    parser.add_argument("--seed", type=int, default=11)
    arguments = parser.parse_args()
    if not DATA.exists():
        print("sessions: skipped, no recorded sessions beside the repository", file=sys.stderr)
        return 0
    reached = True
    for way in arguments.ways:
        with origin(arguments.itpm, arguments.seed) as url:
            row = asyncio.run(play(way, url, arguments))
        if way == "door":
            reached = row["used"] >= LEAST_USED and not row["refused_429"] and row["agree"]
            row |= {"to_reach": LEAST_USED, "reached": reached}
        print(json.dumps(row | machine()), flush=True)
    return 0 if reached else 1


if __name__ == "__main__":
    sys.exit(main())
