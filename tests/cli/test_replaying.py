"""`headway plan --from-ledger`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from headway.cli.main import app
from headway.errors import InputError
from planner.replays import a_ledger


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return a_ledger(tmp_path / "l", [{"at": 0.1 * number} for number in range(100)])


def run(*arguments: str) -> str:
    done = CliRunner().invoke(app, ["plan", *arguments], env={"HEADWAY_CONFIG": "none"})
    if done.exception is not None:
        raise done.exception
    return done.stdout


def test_it_says_what_would_have_waited_and_what_if(path: Path) -> None:
    text = run(
        "--from-ledger", "all", "--ledger", str(path), "--limits", "requests=60/min", "--what-if", "load=2x"
    )
    assert text.startswith("100 calls in 11.9s")
    assert "load=2x" in text


def test_machines_get_json(path: Path) -> None:
    values = json.loads(
        run("--from-ledger", "all", "--ledger", str(path), "--limits", "requests=60/min", "--json")
    )
    assert values["baseline"]["calls"] == 100
    assert values["what_ifs"] == []


def test_a_page_is_written_beside_the_answer(path: Path, tmp_path: Path) -> None:
    pytest.importorskip("jinja2")
    out = tmp_path / "page.html"
    text = run("--from-ledger", "all", "--ledger", str(path), "--html", str(out))
    assert f"page: {out}" in text.replace("\n", "")
    assert "Who waited" in out.read_text("utf-8")


def test_nothing_to_replay_is_said(path: Path) -> None:
    with pytest.raises(InputError, match="no calls in this time"):
        run("--from-ledger", "2100-01-01", "--ledger", str(path))
    with pytest.raises(InputError, match="no ledger is kept"):
        run("--from-ledger", "7d", "--ledger", "none")
