"""What a call leaves in the ledger is whole, whichever door it takes: what it waited for, its ceiling, why its reply ended,
and which beginnings its prompt has in common with others, without a word of it."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import anthropic
import anyio
import pytest

import headway
from gateway.serving import Serving
from headway.assemble import build
from headway.config import load
from headway.core.fingerprint import Cut, unpack
from headway.jobs.door import Door, Options
from headway.jobs.lines import Defaults
from headway.providers.anthropic import Anthropic
from headway.runtime import Engine
from headway.testing.emulated import Emulator
from transport.flavours import FLAVOURS, Flavour, done, everything, opened

FAST = "any/unlimited?ttft=5ms&speed=20000&output_mean=20"
PACED: dict[str, Any] = {
    "limits": "requests=240/min",
    "burst": "requests=1",
}  # whoever follows another waits a quarter of a second
MODEL = "claude-opus-4-8"
MARK = {"cache_control": {"type": "ephemeral"}}
SECRET = "the orchard behind the lighthouse"
TOOLS = [
    {"name": name, "description": f"Finds {name} in {SECRET}.", "input_schema": {"type": "object"}}
    for name in ("apples", "pears")
]
SYSTEM = f"You count what grows in {SECRET}. " * 800
QUESTION = f"How many apples are in {SECRET}?"

Request = dict[str, Any]
Doorway = Callable[[str, Path, list[Request]], None]


def asked(*messages: Request, stamp: str = "Today is Monday.", tools: list[Request] = TOOLS) -> Request:
    system = [
        {"type": "text", "text": SYSTEM},
        {"type": "text", "text": stamp},
        {"type": "text", "text": "Be short.", **MARK},
    ]
    return {"model": MODEL, "max_tokens": 77, "system": system, "tools": tools, "messages": list(messages)}


def said_of(role: str, content: Any) -> Request:
    return {"role": role, "content": content}


FIRST = asked(said_of("user", QUESTION))
SECOND = asked(
    said_of("user", [{"type": "text", "text": QUESTION}]),  # a breakpoint makes clients write it so
    said_of("assistant", "Seven."),
    said_of("user", [{"type": "text", "text": "And pears?", **MARK}]),
)
STAMPED = asked(said_of("user", QUESTION), stamp="Today is Tuesday.")
REORDERED = asked(said_of("user", QUESTION), tools=TOOLS[::-1])


def through_the_sdk(flavour: Flavour, *, stream: bool) -> Doorway:
    async def scene(url: str, ledger: Path, requests: list[Request]) -> None:
        with Engine(ledger=str(ledger), **PACED) as engine:
            async with opened(flavour.sdk(url, engine)) as sdk:
                await _ask(sdk, requests, stream=stream)

    return lambda url, ledger, requests: flavour.run(lambda: scene(url, ledger, requests))


async def _ask(sdk: Any, requests: list[Request], *, stream: bool) -> None:
    for request in requests:
        if not stream:
            await done(sdk.messages.create(**request))
            continue
        async with opened(sdk.messages.stream(**request)) as running:
            await everything(running.text_stream)


def through_the_gateway(*, stream: bool) -> Doorway:
    def play(url: str, ledger: Path, requests: list[Request]) -> None:
        serving = Serving(url, ledger, **PACED)
        try:
            with anthropic.Anthropic(base_url=serving.url, api_key="any") as sdk:
                anyio.run(lambda: _ask(sdk, requests, stream=stream))
        finally:
            serving.close()

    return play


def through_a_job(*, stream: bool) -> Doorway:
    def play(url: str, ledger: Path, requests: list[Request]) -> None:
        job = ledger.with_name("job.jsonl")
        lines = [{"custom_id": str(number), "params": request} for number, request in enumerate(requests)]
        job.write_text("".join(json.dumps(line) + "\n" for line in lines))
        options = Options(job, job.name, ledger.with_name("out.jsonl"), Defaults())
        settings = {"base_url": url, "ledger": str(ledger), "stream": stream, **PACED}
        door = Door(options, build(load({"ANTHROPIC_API_KEY": "any"}, **settings), time.time_ns))
        try:
            door.look()
            assert door.run(lambda _view: None, 1.0) is None
        finally:
            door.close()

    return play


DOORS: dict[str, Doorway] = {}
for streamed in (False, True):
    kind = "streamed" if streamed else "whole"
    for each in FLAVOURS:
        DOORS[f"sdk {each.name}, {kind}"] = through_the_sdk(each, stream=streamed)
    DOORS[f"gateway, {kind}"] = through_the_gateway(stream=streamed)
    DOORS[f"job, {kind}"] = through_a_job(stream=streamed)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with Emulator(FAST) as emulator:
        yield emulator.url


def recorded(ledger: Path) -> list[dict[str, Any]]:
    with closing(sqlite3.connect(ledger)) as db:
        db.row_factory = sqlite3.Row
        return [dict(row) for row in db.execute("SELECT * FROM attempts ORDER BY at_ns")]


def shared(one: list[Cut], other: list[Cut]) -> list[Cut]:
    """The cuts of `one` up to which `other` is the same."""
    names = {cut.name for cut in other}
    return [cut for cut in one if cut.name in names]


@pytest.mark.parametrize("name", DOORS)
def test_what_a_call_leaves_is_whole_and_tells_where_prompts_part(
    name: str, url: str, tmp_path: Path
) -> None:
    ledger = tmp_path / "calls.sqlite3"
    requests = [FIRST, SECOND, STAMPED, REORDERED]
    DOORS[name](url, ledger, requests)
    rows = recorded(ledger)
    if rows[0]["job"]:  # its lines may be run in another order
        rows.sort(key=lambda row: int(row["label"]))
    assert [row["outcome"] for row in rows] == ["ok"] * 4
    assert {row["stream"] for row in rows} == {int("streamed" in name)}
    assert {row["max_output_tokens"] for row in rows} == {77}
    assert {row["stop_reason"] for row in rows} <= {"end_turn", "max_tokens", "tool_use"}
    assert all(row["cacheable_tokens"] > 1024 for row in rows)
    waits = [(row["waited_for"], row["queued_ms"] >= 0.5) for row in rows]
    assert set(waits) <= {("", False), ("requests", True)}
    assert waits.count(("requests", True)) >= 2
    first, second, stamped, reordered = (unpack(row["fingerprint"]) for row in rows)
    assert [(cut.part, cut.place) for cut in first] == [
        ("tools", 0),
        ("tools", 1),
        ("system", 0),
        ("system", 1),
        ("system", 2),
        ("messages", 0),
    ]
    assert [cut.marked for cut in first] == [False] * 4 + [True, False]
    assert shared(first, second) == first
    assert [cut.marked for cut in second] == [False] * 4 + [True, False, False, True]
    assert shared(first, stamped) == first[:3]
    assert [cut.size for cut in first][:3] == [cut.size for cut in stamped][:3]
    assert shared(first, reordered) == []
    is_kept_from_others(ledger)


def is_kept_from_others(ledger: Path) -> None:
    """No word of the prompts is in any file of the ledger, and the key is there for its owner alone."""
    key = ledger.with_name(f"{ledger.name}.key")
    assert len(key.read_bytes()) == 32
    assert key.stat().st_mode & 0o777 == 0o600
    for file in ledger.parent.glob(f"{ledger.name}*"):
        content = file.read_bytes()
        assert not any(word in content for word in (b"orchard", b"apples", b"short", b"Seven"))
        assert file == key or key.read_bytes() not in content


def test_a_plain_call_leaves_as_much(url: str, tmp_path: Path) -> None:
    ledger = tmp_path / "calls.sqlite3"
    with Engine(base_url=url, api_key="any", ledger=str(ledger), **PACED) as engine:
        headway.send(QUESTION, model=MODEL, max_tokens=77, system=SYSTEM, engine=engine)
        then = [said_of("user", QUESTION), said_of("assistant", "Seven."), said_of("user", "And pears?")]
        headway.send(then, model=MODEL, max_tokens=77, system=SYSTEM, engine=engine)
    rows = recorded(ledger)
    assert [row["max_output_tokens"] for row in rows] == [77, 77]
    assert {row["stop_reason"] for row in rows} <= {"end_turn", "max_tokens"}
    assert rows[1]["waited_for"] == "requests"
    first, second = (unpack(row["fingerprint"]) for row in rows)
    assert [cut.part for cut in first] == ["system", "messages"]
    assert shared(first, second) == first
    is_kept_from_others(ledger)


def test_two_runs_and_two_doors_have_names_in_common(url: str, tmp_path: Path) -> None:
    ledger = tmp_path / "calls.sqlite3"
    for name in ("sdk sync, whole", "gateway, streamed", "job, whole"):
        DOORS[name](url, ledger, [FIRST])
    assert len({row["fingerprint"] for row in recorded(ledger)}) == 1


@pytest.mark.parametrize("mark", [{}, MARK], ids=["plain", "marked"])
@pytest.mark.parametrize("client", ["sdk", "gateway"])
def test_a_conversation_that_grows_is_known_again_and_has_the_names_it_would_have(
    client: str, mark: Request, url: str, tmp_path: Path
) -> None:
    """Requests as the SDK writes them."""
    said: list[Request] = []
    requests = []
    for turn in range(5):
        question = f"Question {turn}: {QUESTION} " * 30
        requests.append(asked(*said, said_of("user", [{"type": "text", "text": question, **mark}])))
        said += [
            said_of("user", [{"type": "text", "text": question}]),
            said_of("assistant", f"Answer {turn}."),
        ]
    ledger = tmp_path / "calls.sqlite3"
    serving = Serving(url, ledger)
    engine = serving.engine
    try:
        ours = {"base_url": serving.url} if client == "gateway" else {"base_url": url}
        http = None if client == "gateway" else headway.client(engine=engine)
        with anthropic.Anthropic(api_key="any", http_client=http, **ours) as sdk:
            anyio.run(lambda: _ask(sdk, requests, stream=False))
        known = [each.read.messages for alike in engine.provider._past._known.values() for each in alike]
    finally:
        serving.close()
    assert known == [8 if mark else 9]  # of nine; what a breakpoint is on may be written otherwise next time
    fresh = Anthropic(salt=ledger.with_name("calls.sqlite3.key").read_bytes(), fingerprints=True)
    rows = recorded(ledger)
    assert [row["fingerprint"] for row in rows] == [fresh.estimate(each).fingerprint for each in requests]


@pytest.mark.parametrize("name", ["sdk sync, whole", "job, streamed"])
def test_fingerprints_are_left_out_where_they_are_not_wanted(
    name: str, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(PACED, "fingerprints", "false")
    ledger = tmp_path / "calls.sqlite3"
    DOORS[name](url, ledger, [FIRST])
    assert [row["fingerprint"] for row in recorded(ledger)] == [None]
    assert not ledger.with_name("calls.sqlite3.key").exists()


@pytest.mark.parametrize("name", ["sdk sync, whole", "job, streamed"])
def test_without_a_key_calls_go_on_and_leave_no_fingerprints(name: str, url: str, tmp_path: Path) -> None:
    ledger = tmp_path / "calls.sqlite3"
    ledger.with_name("calls.sqlite3.key").write_bytes(b"something else")
    DOORS[name](url, ledger, [FIRST])
    rows = recorded(ledger)
    assert [(row["outcome"], row["fingerprint"]) for row in rows] == [("ok", None)]
    assert ledger.with_name("calls.sqlite3.key").read_bytes() == b"something else"
