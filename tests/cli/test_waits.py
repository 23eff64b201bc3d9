"""`headway usage waits` and `headway usage estimates` as they look, and as scripts read them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.reporting import fill
from headway.cli.main import app

run = CliRunner().invoke


def asked(*words: str, ledger: Path, columns: int = 80) -> str:
    result = run(app, ["usage", *words, "--ledger", str(ledger)], env={"COLUMNS": str(columns)})
    assert result.exception is None, result.exception
    return result.stdout


@pytest.mark.parametrize("columns", [80, 140])
def test_waits_fit_and_say_what_for(tmp_path: Path, columns: int) -> None:
    page = asked("waits", ledger=fill(tmp_path / "l.db"), columns=columns)
    assert max(map(len, page.splitlines())) <= columns
    assert next(row for row in page.splitlines() if row.startswith("requests")).split()[-4:] == ["4.0s"] * 4
    assert "2 of 5 attempts waited" in page


@pytest.mark.parametrize("columns", [80, 140])
def test_estimates_fit(tmp_path: Path, columns: int) -> None:
    page = asked("estimates", ledger=fill(tmp_path / "l.db"), columns=columns)
    assert max(map(len, page.splitlines())) <= columns
    assert ("took  " in page) == (columns == 140)
    assert "input" in page
    assert "output" in page


def test_scripts_get_numbers(tmp_path: Path) -> None:
    ledger = fill(tmp_path / "l.db")
    waits = json.loads(asked("waits", "--by", "tenant", "--json", ledger=ledger))["waits"]
    assert (waits[0]["key"], waits[0]["total_ms"]) == ("bob", 4000)
    estimates = json.loads(asked("estimates", "--where", "tenant=bob", "--json", ledger=ledger))["estimates"]
    assert [(each["side"], each["took"]) for each in estimates] == [("input", 10), ("output", 3)]


def test_nothing_to_say_is_said(tmp_path: Path) -> None:
    assert "no attempts" in asked("waits", ledger=tmp_path / "none.db")
    assert "no estimates" in asked("estimates", ledger=tmp_path / "none.db")
