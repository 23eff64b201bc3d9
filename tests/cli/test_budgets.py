"""What is left of budgets, how fast it goes, and when it is used up."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cli.reporting import HOUR, NOW, WILD, fill
from headway.cli.burn import Burning
from headway.cli.main import app
from headway.ledger.file import open_file
from headway.ledger.retention import prune_file
from ledger.test_rollup import Attempt, write

run = CliRunner().invoke


def keys(path: Path, **budgets: list[str]) -> Path:
    made = [
        {"name": f"k{number}", "tenant": tenant, "budgets": texts}
        for number, (tenant, texts) in enumerate(budgets.items())
    ]
    path.write_text(json.dumps({"version": 1, "keys": made}))
    path.chmod(0o600)
    return path


def asked(ledger: Path, file: Path | None, *words: str, columns: int = 80) -> str:
    chosen = [] if file is None else ["--keys", str(file)]
    result = run(
        app, ["usage", "budgets", *chosen, "--ledger", str(ledger), *words], env={"COLUMNS": str(columns)}
    )
    assert result.exception is None, result.exception
    return result.stdout


def found(ledger: Path, file: Path | None) -> dict[str, dict[str, Any]]:
    return {each["budget"]: each for each in json.loads(asked(ledger, file, "--json"))["budgets"]}


def test_spent_left_and_rates_are_exact(tmp_path: Path) -> None:
    ledger = fill(tmp_path / "l.db")
    file = keys(
        tmp_path / "keys.json", alice=["10usd", "2usd per session", "1000 requests/24h rolling"], bob=["1usd"]
    )
    budgets = found(ledger, file)
    alice = budgets["tenant alice, in all"]
    assert (alice["spent"], alice["left"], alice["amount"]) == (3 * 10**9, 7 * 10**9, 10 * 10**9)
    assert (alice["last_hour"], alice["last_day"]) == (0, 10**9)
    assert alice["lasts_s"] == {"last_hour": None, "last_day": pytest.approx(7 * 86_400)}
    session = budgets["tenant alice, session s1, in all"]
    assert (session["left"], session["lasts_s"]["last_day"]) == (-(10**9), 0.0)
    rolling = budgets["tenant alice, last 24h"]
    assert (rolling["unit"], rolling["spent"], rolling["lasts_s"]["last_day"]) == ("requests", 1, None)
    bob = budgets["tenant bob, in all"]
    assert (bob["spent"], bob["last_hour"], bob["lasts_s"]["last_hour"]) == (
        5 * 10**8,
        5 * 10**8,
        pytest.approx(3600),
    )


def test_the_fullest_comes_first_and_the_least_of_two_counts(tmp_path: Path) -> None:
    ledger = fill(tmp_path / "l.db")
    file = keys(tmp_path / "keys.json", alice=["100usd", "4usd"], bob=["100usd"])
    budgets = found(ledger, file)
    assert [(each["budget"], each["amount"]) for each in budgets.values()] == [
        ("tenant alice, in all", 4 * 10**9),
        ("tenant bob, in all", 100 * 10**9),
    ]


def test_those_of_the_settings_are_of_each_session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = fill(tmp_path / "l.db")
    settings = tmp_path / "headway.toml"
    settings.write_text('max_cost = "5usd"\n[session]\nbudget = "2usd"\n')
    monkeypatch.setenv("HEADWAY_CONFIG", str(settings))
    budgets = found(ledger, keys(tmp_path / "none.json"))
    assert budgets["tenant alice, session s1, in all"]["left"] == -(10**9)
    assert budgets["tenant alice, session s1, in all"]["source"].endswith("headway.toml:3")


def test_max_cost_is_of_each_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(open_file(tmp_path / "l.db")) as db:
        write(
            db,
            [Attempt("j", 1, NOW, "alice", cost=10**9, job="night"), Attempt("k", 1, NOW, "alice", cost=5)],
        )
    monkeypatch.setenv("HEADWAY_MAX_COST", "5usd")
    budgets = found(tmp_path / "l.db", keys(tmp_path / "none.json"))
    assert {name: each["left"] for name, each in budgets.items()} == {
        "tenant alice, job night, in all": 4 * 10**9
    }
    assert budgets["tenant alice, job night, in all"]["source"] == "HEADWAY_MAX_COST"


def test_what_was_removed_is_spent(tmp_path: Path) -> None:
    ledger = fill(tmp_path / "l.db")
    file = keys(tmp_path / "keys.json", alice=["10usd", "9usd/month"])
    before = found(ledger, file)
    with closing(open_file(ledger)) as db:
        assert prune_file(db, NOW // (24 * HOUR) * 24 * HOUR) >= 1
    assert found(ledger, file) == {name: each | {} for name, each in before.items()}


def test_it_looks_well_and_wild_names_do_no_harm(tmp_path: Path) -> None:
    ledger = fill(tmp_path / "l.db")
    budgets = {"alice": ["3.1usd", "2usd per session"], WILD: ["1m tokens/day"]}
    file = keys(tmp_path / "keys.json", **budgets)
    for columns in (80, 140):
        page = asked(ledger, file, columns=columns)
        assert "\x1b" not in page
        assert max(map(len, page.splitlines())) <= columns
        assert "used up" in page
        assert "-$1.00" in page
        assert "…" not in "".join(row.rpartition("  ")[2] for row in page.splitlines())


def test_no_budgets_and_no_ledger_are_said(tmp_path: Path) -> None:
    empty = keys(tmp_path / "keys.json")
    assert "No budget is set" in asked(tmp_path / "none.db", empty)
    file = keys(tmp_path / "keys.json", alice=["10usd"])
    (budget,) = found(tmp_path / "none.db", file).values()
    assert (budget["spent"], budget["left"]) == (0, 10**10)


@pytest.mark.parametrize(
    ("spent", "window_s", "rate", "lasts"),
    [
        (40, None, 1.0, 60.0),
        (100, None, 1.0, 0.0),
        (140, None, 0.0, 0.0),
        (40, None, 0.0, None),
        (40, 60, 1.0, None),
        (40, 200, 1.0, 60.0),
    ],
)
def test_how_long_it_lasts(spent: int, window_s: int | None, rate: float, lasts: float | None) -> None:
    """Of 100; one that rolls over 60 s never holds more than 60 at one a second."""
    budget = Burning("b", "key k", "tokens", 100, spent, 0, 0, False, window_s, None)
    assert budget.lasts_s(rate) == lasts
