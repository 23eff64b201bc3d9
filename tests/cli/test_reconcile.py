"""`headway reconcile` as it looks, and as scripts read it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from headway.cli.reconcile import reconcile
from headway.core.call import Usage
from headway.errors import InputError, LedgerError
from reconcile.conftest import DAY, OPUS, Fill, csv_line, csv_of, fill

__all__ = ["fill"]  # the fixture
app = typer.Typer()
app.command()(reconcile)


@pytest.fixture
def ledger(fill: Fill) -> Path:
    return fill([(DAY, OPUS, Usage(input_tokens=1000, output_tokens=100, model=OPUS), False)])


def export(tmp_path: Path, *lines: str) -> str:
    file = tmp_path / "usage.csv"
    file.write_bytes(csv_of(*lines))
    return str(file)


def test_agreement_is_one_green_line_and_exit_code_0(ledger: Path, tmp_path: Path) -> None:
    file = export(tmp_path, csv_line("2026-11-20", OPUS, 1000, 100))
    result = CliRunner().invoke(app, [file, "--ledger", str(ledger)])
    assert result.exit_code == 0, result.output
    assert "no difference" in result.output


def test_what_is_open_is_exit_code_1_and_named(ledger: Path, tmp_path: Path) -> None:
    file = export(tmp_path, csv_line("2026-11-20", OPUS, 1500, 100))
    result = CliRunner().invoke(app, [file, "--ledger", str(ledger)], env={"COLUMNS": "80"})
    assert result.exit_code == 1
    assert "+500" in result.output
    assert "calls that do not go through headway" in " ".join(result.output.split())
    assert max(map(len, result.output.splitlines())) <= 80


def test_lines_of_other_keys_can_be_left_out(ledger: Path, tmp_path: Path) -> None:
    lines = csv_line("2026-11-20", OPUS, 1000, 100), csv_line("2026-11-20", OPUS, 77, 1, key="other")
    file = export(tmp_path, *lines)
    result = CliRunner().invoke(app, [file, "--ledger", str(ledger), "--key", "main", "--json"])
    found = json.loads(result.output)
    assert found["agrees"] is True
    assert [total["theirs"] for total in found["totals"]] == [1000, 100]


def test_scripts_get_every_difference_with_its_causes(ledger: Path, tmp_path: Path) -> None:
    file = export(tmp_path, csv_line("2026-11-20", OPUS, 1500, 100))
    found = json.loads(CliRunner().invoke(app, [file, "--ledger", str(ledger), "--json"]).output)
    assert found["agrees"] is False
    (difference,) = found["differences"]
    assert (difference["ours"], difference["theirs"], difference["reasons"][0]["amount"]) == (1000, 1500, 500)


def test_a_filter_that_leaves_nothing_says_what_there_is(ledger: Path, tmp_path: Path) -> None:
    file = export(tmp_path, csv_line("2026-11-20", OPUS, 1, 1))
    result = CliRunner().invoke(app, [file, "--ledger", str(ledger), "--workspace", "Nope"])
    assert isinstance(result.exception, InputError)
    assert "Default" in (result.exception.hint or "")


def test_files_that_are_not_there_are_said(ledger: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(app, [str(tmp_path / "none.csv"), "--ledger", str(ledger)])
    assert isinstance(result.exception, InputError)
    file = export(tmp_path, csv_line("2026-11-20", OPUS, 1, 1))
    result = CliRunner().invoke(app, [file, "--ledger", str(tmp_path / "none.sqlite3")])
    assert isinstance(result.exception, LedgerError)


def test_nothing_of_the_file_drives_the_terminal(ledger: Path, tmp_path: Path) -> None:
    file = export(tmp_path, csv_line("2026-11-20", "evil\x1b[2J[red]", 1, 1))
    result = CliRunner().invoke(app, [file, "--ledger", str(ledger)])
    assert "\x1b[2J" not in result.output
    assert result.output.count("[red]") == 2  # in the table, and where the cause is said


@pytest.mark.parametrize("columns", ["60", "80", "140"])
def test_no_figure_is_ever_cut(fill: Fill, tmp_path: Path, columns: str) -> None:
    usage = Usage(
        input_tokens=9_999_999_999, cache_read_tokens=2_993_081_426, output_tokens=117_799_892, model=OPUS
    )
    ledger = fill([(DAY, OPUS, usage, False)])
    file = export(tmp_path, csv_line("2026-11-20", OPUS, 1, 1))
    result = CliRunner().invoke(app, [file, "--ledger", str(ledger)], env={"COLUMNS": columns})
    assert "…" not in result.output
    assert max(map(len, result.output.splitlines())) <= int(columns)


def test_a_rest_below_the_tolerance_is_not_called_all(ledger: Path, tmp_path: Path, fill: Fill) -> None:
    ledger.unlink()
    ledger = fill([(DAY, OPUS, Usage(input_tokens=1_000_000, model=OPUS), False)])
    file = export(tmp_path, csv_line("2026-11-20", OPUS, 1_000_100, 0))
    result = CliRunner().invoke(app, [file, "--ledger", str(ledger)])
    assert result.exit_code == 0
    assert "all but less than 0.1%" in result.output
