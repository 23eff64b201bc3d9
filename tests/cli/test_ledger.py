"""`headway ledger`: what is in it, and letting go of what is old."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.reporting import fill
from headway.cli.main import app
from headway.errors import HeadwayError, InputError, LedgerError

run = CliRunner().invoke


def asked(*words: str) -> str:
    result = run(app, ["ledger", *words])
    assert result.exception is None, result.exception
    return result.stdout


def failed(*words: str) -> BaseException | None:
    result = run(app, ["ledger", *words])
    assert isinstance(result.exception, HeadwayError)
    return result.exception


def test_old_attempts_go_and_their_sums_stay(tmp_path: Path) -> None:
    path = str(fill(tmp_path / "l.db"))
    before = run(app, ["usage", "--json", "--since", "all", "--ledger", path]).stdout
    removed = json.loads(asked("prune", "--keep", "1d", "--ledger", path, "--json"))["removed"]
    assert removed == 1
    assert run(app, ["usage", "--json", "--since", "all", "--ledger", path]).stdout == before
    info = json.loads(asked("info", "--ledger", path, "--json"))
    assert (info["attempts"], info["removed"]) == (4, 1)
    assert "removed    1, from before" in asked("info", "--ledger", path)


def test_how_long_is_a_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = str(fill(tmp_path / "l.db"))
    assert isinstance(failed("prune", "--ledger", path), InputError)
    monkeypatch.setenv("HEADWAY_LEDGER_KEEP", "1d")
    assert asked("prune", "--ledger", path).startswith("Removed 1 attempts. headway ledger vacuum")
    assert asked("vacuum", "--ledger", path).startswith("Gave back")


def test_what_cannot_be_is_said(tmp_path: Path) -> None:
    missing = str(tmp_path / "none.db")
    for command in ("info", "vacuum"):
        assert isinstance(failed(command, "--ledger", missing), LedgerError)
    assert isinstance(failed("prune", "--keep", "90d", "--ledger", missing), LedgerError)
    assert isinstance(failed("prune", "--keep", "1h", "--ledger", str(fill(tmp_path / "l.db"))), InputError)
    assert not Path(missing).exists()
