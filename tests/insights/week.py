"""A made-up week of traffic in a real ledger: several tenants by day and night, with a cache that behaves as the API's.

`clean` is a week in which nothing is wrong. The usage of each call comes from a small model of the provider's cache, which
shares nothing with the rules that are tested: what a mistake costs is the price of the week with it, less that without.
"""

from __future__ import annotations

import math
import random
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from pathlib import Path

from headway.core.call import Usage
from headway.core.fingerprint import Cut, pack
from headway.ledger.price import Prices
from headway.ledger.sqlite import SqliteLedger

MONDAY_S = 1_794_787_200  # 2026-11-16 00:00 UTC, so that all prices are those of one week
DAY_S = 86_400.0
BYTES = 4  # of JSON a token
OPUS, SONNET, HAIKU = "claude-opus-4-8", "claude-sonnet-5", "claude-haiku-4-5"
LEAST = {
    OPUS: 1024,
    SONNET: 1024,
    HAIKU: 4096,
    "claude-haiku-5-5": 1024,
    "claude-opus-5-5": 512,
    "gpt-5": 10**9,
}
POOLS = {
    OPUS: "anthropic/opus-4",
    SONNET: "anthropic/sonnet-5",
    HAIKU: "anthropic/haiku-4.5",
    "claude-haiku-5-5": "anthropic/haiku-5.5",
    "claude-opus-5-5": "anthropic/opus-5.5",
    "gpt-5": "openai/gpt-5",
}

Block = tuple[str, str, int]  # part, content, tokens


@dataclass(frozen=True, slots=True)
class Made:
    """One attempt. `blocks` are of the request; `marked` are the blocks with a breakpoint, -1 being the last."""

    at_s: float
    tenant: str
    model: str
    blocks: tuple[Block, ...]
    output: int
    marked: tuple[int, ...] = ()
    ttl_s: float = 300.0
    class_: str = "standard"
    session: str = ""
    job: str = ""
    label: str = ""
    max_tokens: int = 4096
    stop_reason: str = "end_turn"
    outcome: str = "ok"
    error_type: str = ""
    status: int | None = 200
    estimated: bool = False
    batch: bool = False
    queued_ms: float = 0.0
    waited_for: str = ""
    total_ms: float = 0.0
    number: int = 1
    call: str = ""
    fingerprinted: bool = True


@dataclass(slots=True)
class Cache:
    """The provider's prompt cache: an entry lives `ttl_s` from its last use; the longest within 20 blocks is read."""

    alive: dict[bytes, float] = field(default_factory=dict)

    def use(self, made: Made, names: list[bytes], ends: list[int]) -> tuple[int, int]:
        """Tokens read and written by one request."""
        marked = sorted(at % len(ends) for at in made.marked)
        marked = [at for at in marked if ends[at] >= LEAST[made.model]]
        if not marked:
            return 0, 0
        looked = {at for mark in marked for at in range(mark, max(mark - 20, -1), -1)}
        read = 0
        for at in sorted(looked, reverse=True):
            if self.alive.get(names[at], -1.0) >= made.at_s:
                read = ends[at]
                self.alive[names[at]] = made.at_s + made.ttl_s
                break
        for at in marked:
            self.alive[names[at]] = made.at_s + made.ttl_s
        return read, max(ends[marked[-1]] - read, 0)


def names_of(model: str, blocks: Iterable[Block]) -> list[bytes]:
    """The chained names of a request's cuts."""
    chain = blake2b(model.encode(), digest_size=8)
    names = []
    for part, content, _ in blocks:
        chain.update(f"\0{part}\0{content}".encode())
        names.append(chain.digest())
    return names


def fingerprint(made: Made, names: list[bytes], ends: list[int]) -> bytes:
    """As the engine makes it: the first 12 cuts and the last 20."""
    marked = {at % len(ends) for at in made.marked}
    places: dict[str, int] = {}
    cuts = []
    for at, (part, _, _) in enumerate(made.blocks):
        place = places.get(part, 0)
        places[part] = place + 1
        cuts.append(Cut(int.from_bytes(names[at], "little"), ends[at] * BYTES, place, part, at in marked))
    return pack(cuts if len(cuts) <= 32 else cuts[:12] + cuts[-20:])


def write(path: Path, calls: Iterable[Made], named: str = "") -> int:
    """Put them into a ledger, by time, their ids beginning with `named`. Returns what all of them cost, nanodollars."""
    SqliteLedger(path).stop()
    prices, cache, total, rows = Prices(), Cache(), 0, []
    for number, made in enumerate(sorted(calls, key=lambda made: made.at_s)):
        row, cost = _row(f"{named}-{number}", made, cache, prices)
        rows.append(row)
        total += cost
    with closing(sqlite3.connect(path)) as db:
        holes = ", ".join("?" * len(_COLUMNS))
        db.executemany(f"INSERT INTO attempts ({', '.join(_COLUMNS)}) VALUES ({holes})", rows)
        db.commit()
    return total


_COLUMNS = [
    "attempt_id",
    "call_id",
    "number",
    "at_ns",
    "provider",
    "pool",
    "model_asked",
    "model_served",
    "tenant",
    "class",
    "session",
    "job",
    "label",
    "outcome",
    "status",
    "error_type",
    "stream",
    "queued_ms",
    "total_ms",
    "estimated_input_tokens",
    "estimated_output_tokens",
    "input_tokens",
    "cache_read_tokens",
    "cache_write_5m_tokens",
    "cache_write_1h_tokens",
    "output_tokens",
    "thinking_tokens",
    "web_searches",
    "cost_nanousd",
    "price_variant",
    "estimated",
    "max_output_tokens",
    "waited_for",
    "stop_reason",
    "fingerprint",
]


def _row(number: str, made: Made, cache: Cache, prices: Prices) -> tuple[tuple[object, ...], int]:
    names, ends, so_far = names_of(made.model, made.blocks), [], 0
    for _, _, size in made.blocks:
        so_far += size
        ends.append(so_far)
    billed = made.outcome == "ok" or made.estimated
    read, wrote = cache.use(made, names, ends) if made.outcome == "ok" and ends else (0, 0)
    at_ns = int((MONDAY_S + made.at_s) * 1e9)
    usage = Usage(
        input_tokens=so_far - read - wrote if billed else 0,
        cache_read_tokens=read,
        cache_write_5m_tokens=wrote if made.ttl_s <= 300 else 0,
        cache_write_1h_tokens=0 if made.ttl_s <= 300 else wrote,
        output_tokens=made.output if billed else 0,
        model=made.model,
    )
    cost = prices.cost(made.model, usage, at_ns, batch=made.batch)
    assert cost.nanousd is not None
    provider = POOLS[made.model].split("/")[0]
    mark = fingerprint(made, names, ends) if made.fingerprinted and ends else None
    row = (
        *(f"a{number}", made.call or f"c{number}", made.number, at_ns, provider, POOLS[made.model]),
        *(made.model, made.model, made.tenant, made.class_, made.session, made.job, made.label),
        *(made.outcome, made.status, made.error_type, 0, made.queued_ms),
        *(made.total_ms or 500.0 + 20 * made.output, so_far, made.output),
        *(usage.input_tokens, read, usage.cache_write_5m_tokens, usage.cache_write_1h_tokens),
        *(usage.output_tokens, 0, 0, cost.nanousd, cost.variant, int(made.estimated), made.max_tokens),
        *(made.waited_for, made.stop_reason if made.outcome == "ok" else "", mark),
    )
    return row, cost.nanousd


def moments(draw: random.Random, a_day: float, *, days: int = 7, night: bool = False) -> list[float]:
    """Times of the week: mostly in working hours, fewer at the weekend; or all over the night."""
    times = []
    for day in range(days):
        count = a_day * (0.4 if day >= 5 else 1.0)
        for _ in range(round(count * draw.uniform(0.8, 1.2))):
            hour = draw.uniform(0.0, 5.0) if night else min(max(draw.gauss(13.5, 3.0), 0.0), 23.5)
            times.append(day * DAY_S + hour * 3600.0)
    return times


def talk(
    draw: random.Random,
    start_s: float,
    tenant: str,
    model: str,
    session: str,
    *,
    turns: int,
    system: tuple[Block, ...],
    said: tuple[int, int],
    answered: tuple[int, int],
    pause_s: float,
    long_pauses: float = 0.02,
    **more: object,
) -> list[Made]:
    """A conversation whose caches are kept well: breakpoints after the system prompt and on the last message."""
    blocks, at_s, calls = list(system), start_s, []
    for turn in range(turns):
        blocks.append(("messages", f"{session} says {turn}", draw.randint(*said)))
        output = draw.randint(*answered)
        call = Made(at_s, tenant, model, tuple(blocks), output, (len(system) - 1, -1), session=session)
        calls.append(replace(call, **more))  # type: ignore[arg-type]  # fields of the dataclass, by name
        blocks.append(("messages", f"{session} hears {turn}", output))
        longer = draw.random() < long_pauses
        at_s += draw.uniform(400, 3000) if longer else min(pause_s * math.exp(draw.gauss(0, 0.6)), 240.0)
    return calls


def agent_system(name: str, tools: int = 8) -> tuple[Block, ...]:
    """Tools and instructions of a coding agent: about 9,000 tokens."""
    parts = [("tools", f"{name} tool {n}", 420 + 37 * n) for n in range(tools)]
    return (*parts, ("system", f"{name} rules", 3900), ("system", f"{name} style", 700))


def clean(seed: int, scale: float = 1.0) -> list[Made]:
    """A week in which nothing is wrong. `scale`: how much of everything."""
    draw = random.Random(seed)
    calls: list[Made] = []
    for n, at_s in enumerate(moments(draw, 8 * scale)):
        turns, system = draw.randint(8, 32), agent_system("coder")
        calls += talk(
            *(draw, at_s, "coding", OPUS, f"agent-{n}"),
            turns=turns,
            system=system,
            said=(200, 2600),
            answered=(60, 700),
            pause_s=25.0,
        )
    for n, at_s in enumerate(moments(draw, 40 * scale)):
        system = (("system", "support rules", 2600),)
        calls += talk(
            *(draw, at_s, "support", SONNET, f"chat-{n}"),
            turns=draw.randint(3, 7),
            system=system,
            said=(40, 250),
            answered=(80, 400),
            pause_s=40.0,
            class_="interactive",
        )
    for n, at_s in enumerate(moments(draw, 150 * scale)):
        calls.append(once(draw, at_s, "search", HAIKU, f"query {n}", (250, 900), (4, 40), label="rank"))
    for n, at_s in enumerate(moments(draw, 60 * scale)):
        calls.append(
            once(draw, at_s, "docs", SONNET, f"page {n}", (3000, 20_000), (150, 900), label="summary")
        )
    for n, at_s in enumerate(moments(draw, 60 * scale, night=True)):
        line = once(draw, at_s, "default", OPUS, f"line {n}", (800, 4000), (100, 900), label=f"line-{n}")
        calls.append(replace(line, job="nightly", class_="bulk", batch=True))
    for n, at_s in enumerate(moments(draw, 9 * scale, night=True)):
        line = once(draw, at_s, "default", SONNET, f"row {n}", (500, 1500), (100, 300), label=f"row-{n}")
        calls.append(
            replace(line, job="small", class_="bulk", queued_ms=draw.uniform(0, 9000), waited_for="requests")
        )
    for at_s in moments(draw, 24 * scale):
        calls.append(once(draw, at_s, "ops", HAIKU, "ping", (12, 12), (4, 4), label="ping"))
    return [attempt for call in calls for attempt in _tried(draw, call)]


def once(
    draw: random.Random,
    at_s: float,
    tenant: str,
    model: str,
    content: str,
    prompt: tuple[int, int],
    answered: tuple[int, int],
    *,
    system: tuple[Block, ...] = (),
    label: str = "",
) -> Made:
    """A call that stands alone, with a prompt of its own."""
    blocks = (*system, ("messages", f"{tenant} {content}", draw.randint(*prompt)))
    return Made(at_s, tenant, model, blocks, draw.randint(*answered), label=label)


def _tried(draw: random.Random, call: Made) -> list[Made]:
    """The attempts of a call: now and then the first is refused, dropped by its caller, cut short, or waits a little."""
    chance = draw.random()
    if chance < 0.004:
        fault = draw.choice(
            [("rate_limited", 429, "rate_limit_error"), ("overloaded", 529, "overloaded_error")]
        )
        name = f"again-{call.tenant}-{call.at_s}"
        refused = replace(call, outcome=fault[0], status=fault[1], error_type=fault[2], output=0, call=name)
        return [refused, replace(call, at_s=call.at_s + 3.0, number=2, call=name)]
    if chance < 0.005:
        return [
            replace(
                call, outcome="cancelled", status=None, estimated=True, total_ms=draw.uniform(500, 90_000)
            )
        ]
    if chance < 0.008:
        return [replace(call, stop_reason="max_tokens")]
    if chance < 0.014:
        return [replace(call, queued_ms=draw.uniform(1000, 4000), waited_for="output_tokens")]
    return [call]
