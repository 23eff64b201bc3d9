"""`headway usage` as it looks, and as scripts read it."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path

import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner

from headway.cli.usage import dollars, humane, picture, since_ns, usage
from headway.core.call import Class, Usage
from headway.core.ports import Entry, OpenEntry
from headway.errors import InputError
from headway.ledger.report import Line, Report
from headway.ledger.sqlite import SqliteLedger

NOW = int(datetime(2026, 11, 24, 12, tzinfo=UTC).timestamp()) * 10**9
app = typer.Typer()
app.command()(usage)
run = CliRunner().invoke

LINE = Line(
    key="claude-opus-4-20250514",
    calls=123_456,
    attempts=130_000,
    ok=123_000,
    rate_limited=456,
    input_tokens=10**9,
    cache_read_tokens=10**9,
    cache_write_5m_tokens=10**6,
    cache_write_1h_tokens=0,
    output_tokens=45_600_000,
    thinking_tokens=7,
    web_searches=0,
    cost_nanousd=1_234_567_890_123,
    unpriced=0,
    estimated=0,
    estimated_nanousd=0,
    estimate_error=0.083,
    queued_p50_ms=1250.0,
    queued_max_ms=754_000.0,
)


def drawn(report: Report, width: int) -> str:
    page = StringIO()
    Console(file=page, width=width, color_system=None).print(picture(report, width))
    return page.getvalue()


def report_of(*lines: Line, total: Line | None = None) -> Report:
    return Report("model", 0, lines, replace(total or lines[0], key="total"), 0)


def test_a_model_name_has_room_at_80_columns() -> None:
    page = drawn(report_of(LINE), 80)
    assert max(map(len, page.splitlines())) <= 80
    assert "claude-opus-4-20250514" in page
    assert "$1,234.57" in page
    assert "…" not in page
    assert "1.2s" in page or "1.3s" in page


def test_numbers_stand_right_under_each_other() -> None:
    page = drawn(report_of(LINE, replace(LINE, key="small", calls=5, cost_nanousd=123_456)), 80).splitlines()
    ends = [row.index("$") + len(row[row.index("$") :].split()[0]) for row in page if "$" in row]
    assert len(ends) == 3
    assert len(set(ends)) == 1


def test_a_wide_terminal_shows_more_and_empty_columns_are_left_out() -> None:
    assert "tries" not in drawn(report_of(LINE), 80)
    assert "tries" in drawn(report_of(LINE), 130)
    assert "429s" not in drawn(report_of(replace(LINE, rate_limited=0)), 130)


@pytest.mark.parametrize("width", [40, 80, 200])
def test_long_and_wild_names_stay_on_their_line(width: int) -> None:
    wild = replace(LINE, key="\x1b[31m[red]名前" + "x" * 300)
    page = drawn(report_of(wild, replace(LINE, key="")), width)
    assert "\x1b" not in page
    assert "(none)" in page
    assert max(map(len, page.splitlines())) <= width
    assert width == 40 or "[red]" in page


def test_what_is_unknown_is_not_shown_as_nothing() -> None:
    some = replace(LINE, unpriced=3)
    nothing_known = replace(LINE, key="new", unpriced=130_000, cost_nanousd=0)
    page = drawn(report_of(some, nothing_known, total=some), 100)
    assert "$1,234.57+?" in page
    assert " ? " in next(row for row in page.splitlines() if row.startswith("new"))
    assert "3 attempts have no known price" in page


def test_many_lines_are_cut_for_eyes_and_that_is_said() -> None:
    page = drawn(report_of(*(replace(LINE, key=f"s{number}") for number in range(80))), 80)
    assert len(page.splitlines()) < 65
    assert "30 more lines" in page


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0"),
        (999, "999"),
        (1000, "1.00k"),
        (9_994, "9.99k"),
        (99_949, "99.9k"),
        (999_500, "1.00M"),
        (45_600_000, "45.6M"),
    ],
)
def test_counts_are_humane(count: int, text: str) -> None:
    assert humane(count) == text


@pytest.mark.parametrize(
    ("nanousd", "text"),
    [
        (0, "$0"),
        (1, "<$0.00001"),
        (123_456, "$0.00012"),
        (12_345_678, "$0.0123"),
        (999_000_000, "$1.00"),
        (10**12, "$1,000.00"),
    ],
)
def test_dollars_have_sensible_digits(nanousd: int, text: str) -> None:
    assert dollars(nanousd) == text


@pytest.mark.parametrize(
    ("text", "hours_ago"),
    [("7d", 168), ("24h", 24), ("30m", 0.5), ("2w", 336), ("2026-11-23", 36), ("2026-11-24T10:00", 2)],
)
def test_since_is_an_age_or_a_date(text: str, hours_ago: float) -> None:
    assert NOW - since_ns(text, NOW) == int(hours_ago * 3600) * 10**9


def test_since_all_is_everything_and_anything_else_an_error() -> None:
    assert since_ns("all", NOW) == 0
    assert since_ns("999999w", NOW) == 0
    for text in ("yesterday", "", "7", "-3d", "2026-13-01"):
        with pytest.raises(InputError, match="--since"):
            since_ns(text, NOW)


def fill(path: Path) -> None:
    with SqliteLedger(path) as ledger:
        ledger.open(
            OpenEntry(
                "a",
                "c",
                1,
                NOW,
                "anthropic",
                "p",
                "claude-opus-4",
                "alice",
                Class.BULK,
                "s",
                "j",
                "l",
                3,
                1,
                0.0,
                False,
            )
        )
        took = Usage(input_tokens=3, output_tokens=1, model="claude-opus-4")
        ledger.close(Entry("a", "ok", 200, "", None, took, False, None, 1.0))


def test_scripts_read_exact_integers(tmp_path: Path) -> None:
    path = tmp_path / "l.db"
    fill(path)
    result = run(app, ["--json", "--since", "all", "--by", "tenant", "--ledger", str(path)])
    answer = json.loads(result.stdout)
    assert result.exit_code == 0
    assert answer["total"]["cost_nanousd"] == 3 * 15_000 + 75_000
    assert [line["key"] for line in answer["lines"]] == ["alice"]
    assert answer["ledger"] == str(path)


def test_eyes_get_a_table_and_the_ledger_may_come_from_the_environment(tmp_path: Path) -> None:
    path = tmp_path / "l.db"
    fill(path)
    result = run(app, ["--since", "2020-01-01"], env={"HEADWAY_LEDGER": str(path), "COLUMNS": "80"})
    assert result.exit_code == 0
    assert "claude-opus-4" in result.stdout
    assert "$0.00012" in result.stdout


def test_no_ledger_is_said_kindly(tmp_path: Path) -> None:
    result = run(app, ["--ledger", str(tmp_path / "none.db")])
    assert result.exit_code == 0
    assert "There is no ledger at" in result.stdout


def test_the_help_has_examples() -> None:
    result = run(app, ["--help"], env={"COLUMNS": "80"})
    assert "headway usage --by tenant --since 24h" in result.stdout


def test_the_ledger_that_a_file_names_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "headway.toml").write_text('ledger = "mine.db"')
    (tmp_path / "inside").mkdir()
    SqliteLedger(tmp_path / "mine.db").stop()
    monkeypatch.chdir(tmp_path / "inside")
    monkeypatch.delenv("HEADWAY_CONFIG")
    result = run(app, ["--json"])
    assert json.loads(result.stdout)["ledger"] == str(tmp_path / "mine.db")


def test_a_ledger_that_is_not_kept_is_an_error_that_says_who_wants_that() -> None:
    result = run(app, [], env={"HEADWAY_LEDGER": "none"})
    assert isinstance(result.exception, InputError)
    assert "HEADWAY_LEDGER" in str(result.exception)
