"""`headway usage` as it looks, and as scripts read it."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path

import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner

from cli.reporting import WILD
from cli.reporting import fill as fill_more
from headway.cli.main import app as headway
from headway.cli.usage import dollars, humane, picture, since_ns, usage
from headway.core.call import Class, Usage
from headway.core.ports import Entry, OpenEntry
from headway.errors import InputError, OutputError
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


@pytest.fixture
def more(tmp_path: Path) -> Path:
    return fill_more(tmp_path / "more.db")


def asked(*words: str, ledger: Path, columns: int = 80) -> str:
    """What the whole command says."""
    result = run(headway, ["usage", *words, "--ledger", str(ledger)], env={"COLUMNS": str(columns)})
    assert result.exception is None, result.exception
    return result.stdout


def failed(*words: str) -> InputError:
    result = run(headway, ["usage", *words])
    assert isinstance(result.exception, InputError), result.stdout
    return result.exception


def test_two_words_are_grouped_by_the_first(more: Path) -> None:
    page = asked("--by", "tenant,status", "--since", "all", ledger=more).splitlines()
    assert page[0].split()[:2] == ["tenant", "status"]
    first = next(number for number, row in enumerate(page) if row.startswith("bob"))
    assert page[first].split()[1] == "ok"
    assert page[first + 1].split()[:2] == ["rate_limited", "429"]


def test_times_stand_beside_each_other_where_there_is_room(more: Path) -> None:
    wide = asked("--by", "tenant, day", "--since", "all", ledger=more, columns=140)
    narrow = asked("--by", "tenant,day", "--since", "all", ledger=more, columns=80)
    assert "trend" in wide
    assert "trend" not in narrow
    assert "█" in wide
    assert wide.count("alice") == narrow.count("alice") == 1
    assert max(map(len, wide.splitlines())) <= 140
    assert max(map(len, narrow.splitlines())) <= 80


def test_only_the_first_with_the_total_of_all(more: Path) -> None:
    answer = json.loads(asked("--by", "tenant", "--top", "1", "--sort", "waiting", "--json", ledger=more))
    assert [line["key"] for line in answer["lines"]] == ["bob"]
    assert answer["total"]["calls"] == 4
    assert answer["total"]["attempts"] == 5


def test_what_is_asked_for_is_in_the_answer(more: Path) -> None:
    words = (
        "--by",
        "tenant,day",
        "--where",
        "tenant=alice",
        "--where",
        "tenant=b*",
        "--until",
        "1h",
        "--json",
    )
    answer = json.loads(asked(*words, ledger=more))
    assert answer["by"] == "tenant,day"
    assert answer["where"] == ["tenant=alice", "tenant=b*"]
    assert answer["until_ns"] > answer["since_ns"]
    assert {line["key"] for line in answer["lines"]} == {"alice"}
    assert all(line["second"].startswith("20") for line in answer["lines"])


def test_one_word_has_no_second(more: Path) -> None:
    answer = json.loads(asked("--json", ledger=more))
    assert "second" not in answer["lines"][0]
    assert "second" not in answer["total"]


def test_running_totals_of_each_session(more: Path) -> None:
    words = ("--by", "session", "--cumulative", "--since", "all")
    answer = json.loads(asked(*words, "--json", ledger=more))
    mine = [line for line in answer["lines"] if line["key"] == "s1"]
    assert [line["running_cost_nanousd"] for line in mine] == [2 * 10**9, 3 * 10**9]
    page = asked(*words, ledger=more)
    assert "cost so far" in page
    assert "$3.00" in page
    assert max(map(len, page.splitlines())) <= 80


def test_tables_for_other_programs(more: Path, tmp_path: Path) -> None:
    said = asked("--by", "tenant,day", "--since", "all", "--format", "csv", ledger=more)
    rows = list(csv.DictReader(StringIO(said)))
    assert list(rows[0])[:3] == ["tenant", "day", "calls"]
    assert sum(int(row["cost_nanousd"]) for row in rows) == 3_500_000_000
    target = tmp_path / "report.csv"
    assert asked("--by", "tenant,day", "--since", "all", "--output", str(target), ledger=more) == ""
    assert target.read_text("utf-8") == said
    assert target.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.glob("*.new")) == []


def test_parquet_holds_exact_integers(more: Path, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    asked("--rows", "--since", "all", "--output", str(tmp_path / "rows.parquet"), ledger=more)
    rows = parquet.read_table(tmp_path / "rows.parquet").to_pylist()
    assert [row["cost_nanousd"] for row in rows] == [2 * 10**9, 10**9, 0, 5 * 10**8, None]
    assert rows[-1]["tenant"] == WILD
    asked("--by", "tenant", "--since", "all", "--output", str(tmp_path / "lines.parquet"), ledger=more)
    assert parquet.read_table(tmp_path / "lines.parquet").num_rows == 3


def test_rows_are_json_one_a_line(more: Path, tmp_path: Path) -> None:
    target = tmp_path / "rows.jsonl"
    asked("--rows", "--since", "all", "--where", "session=s1", "--output", str(target), ledger=more)
    found = [json.loads(line) for line in target.read_text("utf-8").splitlines()]
    assert [each["attempt_id"] for each in found] == ["a-1", "b-1"]


def test_a_file_that_cannot_be_written_is_said(more: Path, tmp_path: Path) -> None:
    target = tmp_path / "nowhere" / "x.csv"
    result = run(headway, ["usage", "--ledger", str(more), "--format", "csv", "--output", str(target)])
    assert isinstance(result.exception, OutputError)
    assert str(target) in str(result.exception)


def test_a_reader_that_goes_away_is_no_mistake(more: Path) -> None:
    command = (
        f"{Path(sys.executable).parent / 'headway'} usage --rows --since all --format csv --ledger {more}"
    )
    done = subprocess.run(
        ["bash", "-c", f"{command} | head -n 1"], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.startswith("id,attempt_id")
    assert "rror" not in done.stderr


def test_names_may_not_drive_the_terminal(more: Path) -> None:
    for words in (
        ("--by", "tenant,day", "--since", "all"),
        ("--by", "model,tenant", "--since", "all", "--cumulative", "--by", "tenant"),
        ("waits",),
        ("estimates", "--by", "tenant"),
        ("session", WILD),
    ):
        for columns in (80, 140):
            assert "\x1b" not in asked(*words, ledger=more, columns=columns)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--by", "colour"), "colour"),
        (("--by", "cause"), "cause"),
        (("--by", "tenant,model,day"), "tenant,model,day"),
        (("--by", "tenant,tenant"), "tenant,tenant"),
        (("--where", "tenant"), "--where"),
        (("--where", "colour=red"), "colour"),
        (("--since", "1h", "--until", "2h"), "--until"),
        (("--until", "yesterday"), "--until"),
        (("--json", "--format", "csv"), "--json"),
        (("--output", "report.doc"), "report.doc"),
        (("--rows",), "rows"),
        (("--rows", "--top", "3", "--format", "csv"), "--top"),
        (("--format", "parquet"), "Parquet"),
        (("--cumulative", "--by", "tenant,model"), "no time"),
        (("--by", "tenant", "waits"), "--by"),
    ],
)
def test_what_does_not_go_together_is_said(words: tuple[str, ...], said: str) -> None:
    error = failed(*words)
    assert said in str(error)
    assert error.hint


def test_without_pyarrow_it_is_said_what_to_install(
    more: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    result = run(headway, ["usage", "--ledger", str(more), "--output", str(tmp_path / "x.parquet")])
    assert isinstance(result.exception, InputError)
    assert 'pip install "headway[parquet]"' in result.exception.hint


def test_times_without_attempts_have_their_place(more: Path) -> None:
    page = asked("--by", "tenant,day", "--since", "all", "--where", "tenant=alice", ledger=more, columns=140)
    alice = next(row for row in page.splitlines() if row.startswith("alice"))
    assert re.search(r"█·+▅", alice)


@pytest.mark.parametrize("columns", [120, 140, 200])
def test_hours_beside_each_other_fit(more: Path, columns: int) -> None:
    page = asked("--by", "tenant,hour", "--since", "all", ledger=more, columns=columns)
    assert max(map(len, page.splitlines())) <= columns
    assert "…" not in page
