"""The official SDK against an emulated provider that enforces limits: no 429s to see, and books that agree with its own."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import anthropic
import anyio
import pytest

import headway
from headway.runtime import Engine
from headway.testing.emulated import Emulator
from transport.flavours import FLAVOURS, Flavour, done, everything, hello, opened

LIMITED = "claude-opus-4/tier-1?ttft=5ms&speed=20000&output_mean=20&time_scale=120"
TROUBLED = "any/unlimited?ttft=5ms&speed=20000&output_mean=20&overloaded=0.1&reset=0.05&seed=3"
FAST = "any/unlimited?ttft=5ms&speed=20000&output_mean=20"
Talk = Callable[[Any, int], Any]


async def whole(sdk: Any, number: int) -> None:
    await done(sdk.messages.create(**hello(f"Hello {number}")))


async def streamed(sdk: Any, number: int) -> None:
    async with opened(sdk.messages.stream(**hello(f"Hello {number}"))) as running:
        await everything(running.text_stream)
        assert (await done(running.get_final_message())).stop_reason


async def counted(sdk: Any, number: int) -> None:
    messages = hello(f"Hello {number}")["messages"]
    await done(sdk.messages.count_tokens(model="claude-opus-4-5", messages=messages))


def play(flavour: Flavour, url: str, engine: Engine, count: int, *talks: Talk) -> None:
    """Have many conversations at the same time, one after another where there are no tasks."""

    async def scene() -> None:
        async with opened(flavour.sdk(url, engine)) as sdk, anyio.create_task_group() as group:
            for number in range(count):
                group.start_soon(talks[number % len(talks)], sdk, number)

    flavour.run(scene)


def recorded(path: Path) -> list[dict[str, Any]]:
    with closing(sqlite3.connect(path)) as db:
        db.row_factory = sqlite3.Row
        assert db.execute("SELECT count(*) FROM open_attempts").fetchone()[0] == 0
        return [dict(row) for row in db.execute("SELECT * FROM attempts ORDER BY at_ns")]


@pytest.fixture(params=FLAVOURS, ids=lambda flavour: flavour.name)
def flavour(request: pytest.FixtureRequest) -> Flavour:
    chosen: Flavour = request.param
    return chosen


def agree(engine: Engine, emulator: Emulator, rows: list[dict[str, Any]]) -> None:
    """Ledger, live totals and the provider's own books say the same of all that came to its end."""
    theirs = emulator.stats()["tokens_by_outcome"]["completed"]
    totals = engine.usage()
    assert sum(total.in_flight for total in totals) == 0
    for name in ("input_tokens", "output_tokens"):
        told = [row[name] for row in rows if row["outcome"] == "ok"]
        assert sum(told) == theirs[name]
        assert sum(getattr(total, name) for total in totals) == sum(row[name] for row in rows)
    assert sum(total.nanousd for total in totals) == sum(row["cost_nanousd"] or 0 for row in rows)


def test_all_calls_get_there_and_the_books_agree(flavour: Flavour, tmp_path: Path) -> None:
    with Emulator(FAST) as emulator, Engine(ledger=str(tmp_path / "ledger")) as engine:
        play(flavour, emulator.url, engine, 30, whole, streamed, counted)
        engine.flush()
        rows = recorded(tmp_path / "ledger")
        agree(engine, emulator, rows)
        assert [row["outcome"] for row in rows] == ["ok"] * 30
        assert {row["pool"] for row in rows} == {"anthropic/opus-4", "anthropic/count_tokens"}


def test_limits_are_learnt_from_the_first_reply_and_kept(tmp_path: Path) -> None:
    with Emulator(LIMITED) as emulator, Engine(ledger=str(tmp_path / "ledger")) as engine:
        play(FLAVOURS[1], emulator.url, engine, 60, whole, streamed)
        engine.flush()
        agree(engine, emulator, recorded(tmp_path / "ledger"))
        assert sum(emulator.stats()["rate_limited"].values()) <= 2
        units = {level.limit.unit.value for levels in engine.levels().values() for level in levels}
        assert {"requests", "input_tokens", "output_tokens"} <= units


def test_trouble_is_met_by_us_and_the_sdk_sees_none(tmp_path: Path) -> None:
    with Emulator(TROUBLED) as emulator, Engine(ledger=str(tmp_path / "ledger")) as engine:
        play(FLAVOURS[2], emulator.url, engine, 40, whole, streamed)
        engine.flush()
        rows = recorded(tmp_path / "ledger")
        assert len([row for row in rows if row["outcome"] == "ok"]) == 40
        assert len(rows) > 40
        assert len({row["call_id"] for row in rows}) == 40


def test_sessions_of_many_callers_are_counted_apart(tmp_path: Path) -> None:
    with Emulator(FAST) as emulator, Engine(ledger="none") as engine:
        client = headway.client(engine=engine)
        with anthropic.Anthropic(base_url=emulator.url, api_key="any", http_client=client) as sdk:
            for number in range(6):
                with headway.session(f"s{number % 2}"):
                    sdk.messages.create(**hello())
        assert {(total.session, total.calls) for total in engine.usage()} == {("s0", 3), ("s1", 3)}
