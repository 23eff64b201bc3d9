"""One session call by call, and what was left of its budget."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from cli.reporting import fill
from cli.test_budgets import keys
from headway.cli.main import app
from headway.cli.session import lefts
from headway.gateway.period import parse_plan, span_at
from headway.ledger.session import Step

run = CliRunner().invoke
HOUR = 3600 * 10**9
NOON = 1_795_521_600 * 10**9  # 2026-11-24 12:00 UTC


def asked(ledger: Path, *words: str, columns: int = 80) -> str:
    result = run(app, ["usage", "session", *words, "--ledger", str(ledger)], env={"COLUMNS": str(columns)})
    assert result.exception is None, result.exception
    return result.stdout


def test_each_attempt_says_what_was_used_and_left(tmp_path: Path) -> None:
    answer = json.loads(asked(fill(tmp_path / "l.db"), "s1", "--budget", "5usd", "--json"))
    assert answer["budget"] == {"unit": "usd", "amount": 5 * 10**9}
    assert [(each["nanousd_sofar"], each["left"]) for each in answer["attempts"]] == [
        (2 * 10**9, 3 * 10**9),
        (3 * 10**9, 2 * 10**9),
    ]


@pytest.mark.parametrize("columns", [80, 140])
def test_it_fits(tmp_path: Path, columns: int) -> None:
    page = asked(fill(tmp_path / "l.db"), "s2", "--budget", "0.4usd", columns=columns)
    assert max(map(len, page.splitlines())) <= columns
    assert "-$0.1" in page
    assert "tokens used" in page


def test_the_budget_is_that_of_its_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = keys(tmp_path / "keys.json", alice=["4usd per session", "9usd"], bob=["1usd per session"])
    monkeypatch.setenv("HEADWAY_KEYS", str(file))
    answer = json.loads(asked(fill(tmp_path / "l.db"), "s1", "--json"))
    assert answer["budget"] == {"unit": "usd", "amount": 4 * 10**9}


def test_no_budget_and_nobody(tmp_path: Path) -> None:
    assert "No budget of sessions is known" in asked(fill(tmp_path / "l.db"), "s1")
    assert "no attempts of this session" in asked(tmp_path / "l.db", "who?")


def step(hour: int, nanousd: int, sofar: int) -> Step:
    tokens = (nanousd, 0, 0, nanousd, True, 0.0, "", False, sofar, sofar, 0)
    return Step(NOON + hour * HOUR, "a", "m", "ok", 200, *tokens)


@given(
    st.lists(st.tuples(st.integers(0, 60), st.integers(0, 9)), max_size=30),
    st.sampled_from(["day", "24h rolling", ""]),
)
def test_what_is_left_is_what_its_period_has_not_used(drawn: list[tuple[int, int]], period: str) -> None:
    """Against arithmetic of its own."""
    plan = parse_plan(f"1usd/{period}" if period else "1usd")
    steps, sofar = [], 0
    for hour, nanousd in sorted(drawn):
        sofar += nanousd
        steps.append(step(hour, nanousd, sofar))
    for place, left in enumerate(lefts(steps, plan)):
        now = steps[place].at_ns
        begin = now - 24 * HOUR + 1 if "rolling" in period else span_at(plan.period, now).start_ns
        used = sum(each.cost_nanousd or 0 for each in steps[: place + 1] if each.at_ns >= begin)
        assert left == 10**9 - used
