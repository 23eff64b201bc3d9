"""A gateway's day, in virtual time: recorded traffic through the real engine into a ledger, to try reports on.

    python benchmarks/gateway_day.py LEDGER.sqlite3 [--day 2026-11-23] [--share 1.0] [--seed 1]

Two chat services send the recorded hour of `../shared/data/azure2023_conv.csv` four times each; coding agents of six teams
play `../shared/data/claude_code_sessions_dev.jsonl`, begun over the working day, with caches as recorded; a nightly job
sends 10,000 lines in bulk. Everything draws on published limits of tier-2. Without the data there is nothing to do.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import json
import random
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import Any

import msgspec

from headway.core.call import Call, Class, Estimate, Identity, Usage
from headway.core.engine import Engine
from headway.core.fingerprint import Cut, pack
from headway.core.limit import Limit, Unit
from headway.core.ports import Entry, OpenEntry
from headway.core.steps import Reply, Ticket
from headway.drivers.virtual import Done, Event, Headed, Produced, VirtualDriver
from headway.ledger.sqlite import SqliteLedger
from headway.providers.catalog import Catalog
from headway.stores.memory import MemoryStore

DATA = Path(__file__).resolve().parent.parent.parent / "shared" / "data"
TIER = "tier-2"
CHAT_HOURS, NIGHT, MORNING, EVENING = (9, 11, 14, 16), 2 * 3600.0, 8 * 3600.0, 19 * 3600.0
CHAT_MODEL, AGENT_MODEL, NIGHT_MODEL = "claude-sonnet-4-5", "claude-opus-4-5", "claude-haiku-4-5"
NIGHT_LINES = 10_000
TEAMS = ("checkout", "data", "mobile", "platform", "research", "search")
SYSTEM_TOKENS = 12_000  # of a coding agent: its tools and instructions
BYTES_A_TOKEN = 4
_PIECE_TOKENS = 100


@dataclass(frozen=True, slots=True)
class Asked:
    """A call of the day: when it arrives at the earliest (s), what it is, what it really takes and how long that takes.

    `thought_s` is None for a call that does not wait for the one before it in its session.
    """

    at: float
    call: Call
    usage: Usage
    total_s: float
    stop: str
    thought_s: float | None = None


class Replayed:
    """The provider: answers every call as recorded. `truths` is by call id."""

    def __init__(self, seed: int) -> None:
        self.truths: dict[str, Asked] = {}
        self._random = random.Random(seed)

    def delay(self, _ticket: Ticket) -> float:
        return 0.02

    def arrive(self, ticket: Ticket, _now: float) -> Sequence[tuple[float, Event]]:
        asked = self.truths[ticket.call.id]
        first = min(asked.total_s, self._random.lognormvariate(-0.2, 0.4))
        events: list[tuple[float, Event]] = [(first, Headed((), True))]
        pieces = asked.usage.output_tokens // _PIECE_TOKENS
        events += [
            (first + (asked.total_s - first) * n / (pieces + 1), Produced(n * float(_PIECE_TOKENS)))
            for n in range(1, pieces + 1)
        ]
        reply = Reply(200, {}, {}, asked.usage, None, first, asked.total_s)
        return [*events, (asked.total_s, Done(reply))]


def azure() -> list[tuple[float, int, int]]:
    """Seconds from the start, tokens in, tokens out."""
    with (DATA / "azure2023_conv.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    times = [datetime.fromisoformat(row["TIMESTAMP"][:26]).replace(tzinfo=UTC).timestamp() for row in rows]
    return [
        (at - times[0], int(row["ContextTokens"]), max(int(row["GeneratedTokens"]), 1))
        for at, row in zip(times, rows, strict=True)
    ]


def chat(draws: random.Random) -> Iterator[Asked]:
    hour = azure()
    for service in ("chat-eu", "chat-us"):
        for start in CHAT_HOURS:
            for number, (at, taken, given) in enumerate(hour):
                if draws.random() < 0.5:  # half of the hour for each service
                    yield _asked(
                        f"{service}-{start}-{number}",
                        start * 3600.0 + at,
                        CHAT_MODEL,
                        Usage(input_tokens=taken, output_tokens=given, model=CHAT_MODEL),
                        tenant=service,
                        class_=Class.INTERACTIVE,
                        total_s=0.7 + given / 60.0,
                    )


def night(draws: random.Random) -> Iterator[Asked]:
    sizes = azure()
    for number in range(NIGHT_LINES):
        _, taken, given = draws.choice(sizes)
        yield _asked(
            f"nightly-{number}",
            NIGHT,
            NIGHT_MODEL,
            Usage(input_tokens=taken, output_tokens=given, model=NIGHT_MODEL),
            tenant="reports",
            class_=Class.BULK,
            job="nightly",
            label=f"line-{number}",
            total_s=0.5 + given / 120.0,
        )


def agents(draws: random.Random) -> Iterator[list[Asked]]:
    """Each session of the recording as a list: one call after the other."""
    sessions: dict[str, list[dict[str, Any]]] = {}
    with (DATA / "claude_code_sessions_dev.jsonl").open(encoding="utf-8") as file:
        for row in map(json.loads, file):
            sessions.setdefault(f"{row['session']}/{row['agent']}", []).append(row)
    for name, rows in sessions.items():
        start = draws.uniform(MORNING, EVENING)
        team = TEAMS[int.from_bytes(blake2b(name.encode(), digest_size=2).digest()) % len(TEAMS)]
        yield [_turn(name, number, row, start, team) for number, row in enumerate(rows)]


def _turn(name: str, number: int, row: dict[str, Any], start: float, team: str) -> Asked:
    total, cached = max(row["input_tokens"], 1), min(row["cached_prefix_tokens"] or 0, row["input_tokens"])
    fresh = 3
    usage = Usage(
        input_tokens=min(fresh, total),
        cache_read_tokens=max(cached - fresh, 0),
        cache_write_5m_tokens=max(total - max(cached, fresh), 0),
        output_tokens=max(row["output_tokens"], 1),
        model=AGENT_MODEL,
    )
    return _asked(
        f"{name}-{number}",
        start,
        AGENT_MODEL,
        usage,
        tenant=team,
        session=name,
        total_s=max(row["api_time_s"] or 1.0, 0.5),
        stop=row["stop"] or "",
        thought_s=max(row["think_time_s"] or 0.0, 0.0),
        cache=(total - fresh, f"{team}", f"{name}/{number - 1}", f"{name}/{number}", cached),
    )


def _asked(
    name: str,
    at: float,
    model: str,
    usage: Usage,
    *,
    total_s: float,
    stop: str = "end_turn",
    thought_s: float | None = None,
    cache: tuple[int, str, str, str, int] | None = None,
    **who: Any,
) -> Asked:
    """`cache`: tokens up to the last breakpoint, names of what is shared, was written before, is written now; tokens read."""
    facts = Catalog.load().model(model)
    assert facts is not None
    total = usage.input_tokens + usage.cache_read_tokens + usage.cache_write_5m_tokens
    off = 1.0 + 0.08 * (int.from_bytes(blake2b(name.encode(), digest_size=2).digest()) / 32768.0 - 1.0)
    estimate = Estimate(total * off, facts.max_output_tokens, error=0.08)
    if cache is not None:
        cacheable, shared, before, now, read = cache
        estimate = msgspec.structs.replace(
            estimate,
            cacheable_tokens=max(cacheable, 0) * off,
            prefix=shared,
            written=(now,),
            readable=((before, read * off), (shared, min(SYSTEM_TOKENS, total) * off)),
        )
    call = Call(name, "/v1/messages", b"", Identity(facts.pool, model), estimate, stream=True, **who)
    return Asked(at, call, usage, total_s, stop, thought_s)


def fingerprint(asked: Asked) -> bytes:
    """As a real request would leave it: tools and instructions that a team's agents share, then a conversation that grows."""
    call, total = asked.call, int(asked.call.estimate.input_tokens)
    if not call.session:
        return pack([Cut(_name(call.id), total * BYTES_A_TOKEN, 0, "messages", False)])
    shared = min(SYSTEM_TOKENS, total)
    turn = int(call.id.rpartition("-")[2])
    cuts = [Cut(_name(call.tenant), shared * BYTES_A_TOKEN, 0, "system", True)]
    first = max(0, turn - 9)
    for back in range(first, turn + 1):
        size = shared + (total - shared) * (back + 1) // (turn + 1)
        name = _name(f"{call.session}/{back}")
        cuts.append(Cut(name, size * BYTES_A_TOKEN, 2 * back, "messages", back == turn))
    return pack(cuts)


def _name(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little")


class Day:
    """Plays the day and writes it down."""

    def __init__(self, ledger: SqliteLedger, starts_at_ns: int, seed: int) -> None:
        catalog = Catalog.load()
        self.world = Replayed(seed)
        engine = Engine(
            MemoryStore(), limits=partial(_limits, catalog), cache_is_free=catalog.prefix_cache_free
        )
        self.driver = VirtualDriver(engine, self.world, seed=seed, record=self._record)
        self.rows = 0
        self._ledger, self._starts_at_ns = ledger, starts_at_ns
        self._next: dict[str, Asked] = {}

    def play(self, single: list[Asked], sessions: list[list[Asked]]) -> None:
        for asked in single:
            self._begin(asked, asked.at)
        for turns in sessions:
            for before, after in itertools.pairwise(turns):
                self._next[before.call.id] = after
            self._begin(turns[0], turns[0].at)
        self.driver.run(iter(()), until=86_400.0)

    def _begin(self, asked: Asked, at: float) -> None:
        self.world.truths[asked.call.id] = asked
        self.driver.start(asked.call, at)

    def _record(self, entry: OpenEntry | Entry) -> None:
        match entry:
            case OpenEntry():
                asked = self.world.truths[entry.call_id]
                self._ledger.open(
                    msgspec.structs.replace(
                        entry,
                        provider="anthropic",
                        at_ns=self._starts_at_ns + entry.at_ns,
                        max_output_tokens=asked.call.estimate.max_output_tokens,
                        cacheable_tokens=round(asked.call.estimate.cacheable_tokens),
                        fingerprint=fingerprint(asked),
                    )
                )
            case Entry():
                call_id = entry.attempt_id.rpartition("-")[0]
                asked = self.world.truths.pop(call_id)
                self._ledger.close(msgspec.structs.replace(entry, stop_reason=asked.stop))
                after = self._next.pop(call_id, None)
                if after is not None:
                    self._begin(after, self.driver.now + (after.thought_s or 0.0))
                self._count()

    def _count(self) -> None:
        self.rows += 1
        if self.rows % 5_000 == 0:  # faster than any traffic: let the file keep up
            self._ledger.flush()
            print(f"{self.rows:,} rows, {self.driver.now / 3600:.1f} h", file=sys.stderr)


def _limits(catalog: Catalog, pool: str) -> Sequence[Limit]:
    found = catalog.tier(pool, TIER)
    if found is None:
        return ()
    amounts = (
        (Unit.REQUESTS, found.requests),
        (Unit.INPUT_TOKENS, found.input_tokens),
        (Unit.OUTPUT_TOKENS, found.output_tokens),
    )
    return [Limit(unit, amount, burst=amount / 12) for unit, amount in amounts if amount]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("ledger", type=Path)
    parser.add_argument("--day", default="2026-11-23")
    parser.add_argument("--share", type=float, default=1.0, help="of the calls and sessions, drawn at random")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    if not DATA.exists():
        sys.exit(f"there is no recorded traffic at {DATA}")
    draws = random.Random(arguments.seed)
    began = time.monotonic()
    starts_at = datetime.fromisoformat(arguments.day).replace(tzinfo=UTC).timestamp()
    with SqliteLedger(arguments.ledger) as ledger:
        day = Day(ledger, int(starts_at) * 10**9, arguments.seed)
        single = [asked for asked in (*chat(draws), *night(draws)) if draws.random() < arguments.share]
        day.play(single, [session for session in agents(draws) if draws.random() < arguments.share])
        ledger.flush()
    print(json.dumps({"rows": day.rows, "seconds": round(time.monotonic() - began, 1)}))


if __name__ == "__main__":
    main()
