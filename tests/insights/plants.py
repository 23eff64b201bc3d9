"""Mistakes to plant in a clean week: each as the calls that it makes, and as they would be without it."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace

from insights.week import DAY_S, HAIKU, OPUS, SONNET, Made, agent_system, moments, once, talk


@dataclass(frozen=True, slots=True)
class Plant:
    """`rule` must find it, at `tenant` or pool. `better` are the same calls, put right: the difference is the saving.

    None: it is no money that is saved. `within`: how far the saving may be from the truth, as a part of it.
    """

    name: str
    rule: str
    key: str
    calls: Callable[[random.Random], list[Made]]
    better: Callable[[list[Made]], list[Made]] | None
    within: float = 0.05
    certainty: tuple[str, ...] = ("sure", "likely")


def _shared_system(draw: random.Random) -> list[Made]:
    system = (("system", "review guide", 7800), ("system", "examples", 1500))
    times = [day * DAY_S + 36_000 + n * draw.uniform(20, 80) for day in range(5) for n in range(90)]
    return [
        once(draw, at_s, "review", OPUS, f"diff {n}", (300, 2500), (50, 500), system=system)
        for n, at_s in enumerate(times)
    ]


def _marked(*places: int) -> Callable[[list[Made]], list[Made]]:
    return lambda calls: [replace(call, marked=places) for call in calls]


def _document(draw: random.Random) -> list[Made]:
    """Eight questions to each of 60 long documents, the document first."""
    calls = []
    for n, at_s in enumerate(moments(draw, 10)):
        document = ("messages", f"report {n}", draw.randint(15_000, 40_000))
        calls += [
            Made(
                at_s + 20.0 * q,
                "lawyers",
                OPUS,
                (document, ("messages", f"q {n} {q}", 60)),
                draw.randint(50, 300),
            )
            for q in range(8)
        ]
    return calls


def _bare_talk(draw: random.Random) -> list[Made]:
    calls = []
    for n, at_s in enumerate(moments(draw, 8)):
        calls += talk(
            *(draw, at_s, "tutor", OPUS, f"lesson-{n}"),
            turns=draw.randint(12, 25),
            system=(("system", "tutor rules", 500),),
            said=(200, 900),
            answered=(200, 700),
            pause_s=40.0,
            long_pauses=0.0,
        )
    return [replace(call, marked=()) for call in calls]


def _unread(draw: random.Random) -> list[Made]:
    return [
        replace(once(draw, at_s, "extract", OPUS, f"invoice {n}", (3000, 12_000), (100, 300)), marked=(-1,))
        for n, at_s in enumerate(moments(draw, 60))
    ]


def _slow_talk(draw: random.Random, tenant: str, pause_s: tuple[float, float], ttl_s: float) -> list[Made]:
    calls: list[Made] = []
    for n in range(30):
        session = talk(
            *(draw, 0.0, tenant, OPUS, f"{tenant}-{n}"),
            turns=draw.randint(8, 14),
            system=agent_system(tenant),
            said=(200, 900),
            answered=(100, 500),
            pause_s=1.0,
        )
        at_s = draw.uniform(0, 6) * DAY_S
        for call in session:
            calls.append(replace(call, at_s=at_s, ttl_s=ttl_s))
            at_s += draw.uniform(*pause_s)
    return calls


def _clock(draw: random.Random) -> list[Made]:
    """Agents whose system prompt begins with the time."""
    calls = []
    for n, at_s in enumerate(moments(draw, 8)):
        system = (*agent_system("clock")[:8], ("system", "clock rules", 400), ("system", "more rules", 3900))
        calls += talk(
            *(draw, at_s, "clock", OPUS, f"clock-{n}"),
            turns=draw.randint(8, 20),
            system=system,
            said=(200, 2000),
            answered=(60, 700),
            pause_s=25.0,
        )
    return [replace(call, blocks=_with_time(call)) for call in calls]


def _with_time(call: Made) -> tuple[tuple[str, str, int], ...]:
    return tuple(
        (part, f"{content} at {call.at_s:.0f}" if content == "clock rules" else content, size)
        for part, content, size in call.blocks
    )


def _without_time(calls: list[Made]) -> list[Made]:
    return [
        replace(
            call, blocks=tuple((part, content.split(" at ")[0], size) for part, content, size in call.blocks)
        )
        for call in calls
    ]


def _shuffled(draw: random.Random) -> list[Made]:
    calls = []
    for n, at_s in enumerate(moments(draw, 8)):
        calls += talk(
            *(draw, at_s, "shuffle", OPUS, f"shuffle-{n}"),
            turns=draw.randint(8, 20),
            system=agent_system("shuffle"),
            said=(200, 2000),
            answered=(60, 700),
            pause_s=25.0,
        )
    return [replace(call, blocks=(*draw.sample(call.blocks[:8], 8), *call.blocks[8:])) for call in calls]


def _in_order(calls: list[Made]) -> list[Made]:
    return [replace(call, blocks=(*sorted(call.blocks[:8]), *call.blocks[8:])) for call in calls]


def _unmarked_talk(draw: random.Random) -> list[Made]:
    """The growing conversation of a ledger without fingerprints."""
    return [replace(call, fingerprinted=False, tenant="old") for call in _bare_talk(draw)]


def _bulk(draw: random.Random) -> list[Made]:
    lines = (
        once(draw, at_s, "default", OPUS, f"label {n}", (800, 4000), (100, 900), label=f"label-{n}")
        for n, at_s in enumerate(moments(draw, 80, night=True))
    )
    return [replace(line, class_="bulk", job="labels") for line in lines]


def _as_batch(calls: list[Made]) -> list[Made]:
    return [replace(call, batch=True) for call in calls]


def _impatient(draw: random.Random) -> list[Made]:
    """A third of the calls is cancelled after 30 seconds and tried again."""
    calls = []
    for n, at_s in enumerate(moments(draw, 40)):
        call = once(draw, at_s, "impatient", OPUS, f"essay {n}", (500, 3000), (900, 2000))
        if draw.random() < 0.33:
            late = draw.uniform(29_990, 30_100)
            calls.append(replace(call, outcome="cancelled", status=None, estimated=True, total_ms=late))
        calls.append(replace(call, at_s=at_s + 31.0))
    return calls


def _without_cancelled(calls: list[Made]) -> list[Made]:
    return [call for call in calls if call.outcome == "ok"]


def _failing(draw: random.Random) -> list[Made]:
    made = (
        once(draw, at_s, "legacy", OPUS, f"old {n}", (500, 900), (0, 0), label="legacy-report")
        for n, at_s in enumerate(moments(draw, 12))
    )
    wrong = {"outcome": "rejected", "status": 400, "error_type": "invalid_request_error"}
    return [replace(call, **wrong) for call in made]  # type: ignore[arg-type]  # fields by name


def _waiting(what: str, model: str = "claude-haiku-5-5") -> Callable[[random.Random], list[Made]]:
    def calls(draw: random.Random) -> list[Made]:
        made = []
        for day in range(5):
            for n in range(240):
                at_s = day * DAY_S + 32_400 + n * 15.0
                call = once(draw, at_s, "queue", model, f"{day} {n}", (800, 5000), (100, 900))
                busy = n > 60
                wait = draw.uniform(4000, 40_000) if busy else 0.0
                made.append(replace(call, queued_ms=wait, waited_for=what if busy else ""))
        return made

    return calls


def _terse(draw: random.Random) -> list[Made]:
    return [
        once(draw, at_s, "triage", OPUS, f"ticket {n}", (300, 1800), (3, 12), label="triage")
        for n, at_s in enumerate(moments(draw, 90))
    ]


def _by_haiku(calls: list[Made]) -> list[Made]:
    return [replace(call, model=SONNET) for call in calls]


def _cut(draw: random.Random) -> list[Made]:
    calls = []
    for n, at_s in enumerate(moments(draw, 30)):
        call = once(draw, at_s, "writer", OPUS, f"chapter {n}", (2000, 6000), (1100, 1900), label="chapter")
        if draw.random() < 0.4:
            calls.append(replace(call, output=1024, max_tokens=1024, stop_reason="max_tokens"))
            at_s += draw.uniform(20, 200)
        calls.append(replace(call, at_s=at_s))
    return calls


def _without_cut(calls: list[Made]) -> list[Made]:
    return [call for call in calls if call.stop_reason != "max_tokens"]


def _repeated(draw: random.Random) -> list[Made]:
    """Every third question had been asked within hours."""
    calls: list[Made] = []
    for day in range(6):
        fresh = [
            once(draw, day * DAY_S + 30_000 + 200.0 * n, "faq", OPUS, f"{day} {n}", (1500, 6000), (100, 500))
            for n in range(60)
        ]
        calls += fresh
        calls += [
            replace(call, at_s=call.at_s + 7200, output=draw.randint(100, 500), session="twice")
            for call in fresh[::3]
        ]
    return calls


def _asked_once(calls: list[Made]) -> list[Made]:
    return [call for call in calls if not call.session]


def _over_the_step(draw: random.Random) -> list[Made]:
    return [
        once(draw, at_s, "books", "claude-haiku-5-5", f"book {n}", (100_500, 112_000), (300, 900))
        for n, at_s in enumerate(moments(draw, 50))
    ]


def _trimmed(calls: list[Made]) -> list[Made]:
    return [
        replace(call, blocks=tuple((part, text, 100_000) for part, text, _ in call.blocks)) for call in calls
    ]


def _generous(draw: random.Random) -> list[Made]:
    return [
        replace(once(draw, at_s, "gpt", "gpt-5", f"ask {n}", (500, 2000), (150, 600)), max_tokens=32_000)
        for n, at_s in enumerate(moments(draw, 60))
    ]


def _longer_lived(calls: list[Made]) -> list[Made]:
    return [replace(call, ttl_s=3600.0) for call in calls]


def _shorter_lived(calls: list[Made]) -> list[Made]:
    return [replace(call, ttl_s=300.0) for call in calls]


PLANTS = (
    Plant("system uncached", "uncached-prefix", "review", _shared_system, _marked(1)),
    Plant("document uncached", "uncached-prefix", "lawyers", _document, _marked(0)),
    Plant("talk uncached", "uncached-prefix", "tutor", _bare_talk, _marked(0, -1)),
    Plant("never read", "unread-cache", "extract", _unread, _marked()),
    Plant(
        "dies early",
        "cache-lifetime",
        "slow",
        lambda d: _slow_talk(d, "slow", (400, 1500), 300.0),
        _longer_lived,
        0.1,
    ),
    Plant(
        "lives long",
        "cache-lifetime",
        "quick",
        lambda d: _slow_talk(d, "quick", (15, 120), 3600.0),
        _shorter_lived,
        0.1,
    ),
    Plant("time in front", "broken-prefix", "clock", _clock, _without_time, 0.1),
    Plant("tools shuffled", "broken-prefix", "shuffle", _shuffled, _in_order, 0.1),
    Plant("history", "growing-history", "old", _unmarked_talk, _marked(0, -1), 0.15),
    Plant("bulk", "batch", "default", _bulk, _as_batch, 0.001),
    Plant("over the step", "price-step", "books", _over_the_step, _trimmed, 0.02),
    Plant("terse", "model-choice", "triage", _terse, _by_haiku, 0.4, ("question",)),
    Plant("repeated", "repeated-requests", "faq", _repeated, _asked_once, 0.01),
    Plant("cut", "cut-replies", "writer", _cut, _without_cut, 0.01),
    Plant("impatient", "paid-failures", "impatient", _impatient, _without_cancelled, 0.001),
    Plant("failing", "always-failing", "legacy", _failing, None),
    Plant("bound", "binding-limit", "anthropic/haiku-5.5", _waiting("input_tokens"), None),
    Plant("idle", "idle-quota", "anthropic/haiku-5.5", _waiting("in_flight"), None),
    Plant(
        "idle of a known limit",
        "idle-quota",
        "anthropic/haiku-4.5",
        _waiting("budget tenant queue", HAIKU),
        None,
    ),
    Plant(
        "bound, cause unknown", "binding-limit", "anthropic/opus-5.5", _waiting("", "claude-opus-5-5"), None
    ),
    Plant("reserved", "reserved-output", "gpt", _generous, None),
)
