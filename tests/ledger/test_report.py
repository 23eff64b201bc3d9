"""What a report adds up, and from which files it can be read."""

from __future__ import annotations

import os
import random
import sqlite3
import statistics
from collections.abc import Callable
from contextlib import closing
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

import pytest

from headway.core.call import Class, Usage
from headway.core.ports import Entry, OpenEntry
from headway.errors import InputError, LedgerError
from headway.ledger.file import open_file
from headway.ledger.price import Prices
from headway.ledger.report import By, Line, Report, usage
from headway.ledger.sqlite import SqliteLedger

Open = Callable[..., OpenEntry]
End = Callable[..., Entry]
DAY = int(datetime(2026, 11, 20, tzinfo=UTC).timestamp()) * 10**9
HOUR = 3600 * 10**9


@pytest.fixture
def filled(path: Path, prices: Prices, opened: Open, ended: End) -> Path:
    """Alice: a refused and a good attempt of one call, and a cached one the day after. Bob: one without a price."""
    cached = Usage(
        input_tokens=10,
        cache_read_tokens=900,
        cache_write_5m_tokens=50,
        cache_write_1h_tokens=40,
        output_tokens=5,
    )
    with SqliteLedger(path, prices=prices) as ledger:
        ledger.open(opened("a1", call_id="c1", at_ns=DAY, queued_ms=10.0))
        ledger.close(ended("a1", outcome="rate_limited", status=429, usage=Usage()))
        ledger.open(opened("a2", call_id="c1", number=2, at_ns=DAY + HOUR, queued_ms=70.0))
        ledger.close(ended("a2"))  # 1100 estimated, 1000 true: 10 %
        ledger.open(opened("a3", call_id="c3", at_ns=DAY + 25 * HOUR, queued_ms=2000.0))
        ledger.close(ended("a3", outcome="cancelled", status=None, estimated=True, usage=cached))
        ledger.open(
            opened(
                "b1", call_id="c4", at_ns=DAY, tenant="bob", model="who-knows", class_=Class.STANDARD, job=""
            )
        )
        ledger.close(ended("b1", usage=Usage(output_tokens=7)))
    return path


def line(report: Report, key: str) -> Line:
    (found,) = (found for found in report.lines if found.key == key)
    return found


def test_a_line_adds_up_what_belongs_to_it(filled: Path) -> None:
    alice = line(usage(filled, "tenant"), "alice")
    cost = (1000 * 15_000 + 200 * 75_000) + (
        10 * 15_000 + 900 * 1_500 + 50 * 18_750 + 40 * 30_000 + 5 * 75_000
    )
    assert alice == Line(
        key="alice",
        calls=2,
        attempts=3,
        ok=1,
        rate_limited=1,
        input_tokens=1010,
        cache_read_tokens=900,
        cache_write_5m_tokens=50,
        cache_write_1h_tokens=40,
        output_tokens=205,
        thinking_tokens=0,
        web_searches=0,
        cost_nanousd=cost,
        unpriced=0,
        estimated=1,
        estimated_nanousd=cost - 30_000_000,
        estimate_error=pytest.approx(0.1),  # type: ignore[arg-type]  # equal enough
        queued_p50_ms=70.0,
        queued_max_ms=2000.0,
        queued_total_ms=2080,
    )


def test_an_attempt_without_a_price_is_counted_as_such(filled: Path) -> None:
    report = usage(filled, "tenant")
    assert (line(report, "bob").cost_nanousd, line(report, "bob").unpriced) == (0, 1)
    assert (report.total.unpriced, report.total.attempts, report.total.calls) == (1, 4, 3)


@pytest.mark.parametrize(
    ("by", "keys"),
    [
        ("model", ["claude-opus-4-20250514", "claude-opus-4", "who-knows"]),
        ("tenant", ["alice", "bob"]),
        ("session", ["s1"]),
        ("job", ["night", ""]),
        ("class", ["bulk", "standard"]),
        ("day", ["2026-11-20", "2026-11-21"]),
        ("hour", ["2026-11-20 00:00", "2026-11-20 01:00", "2026-11-21 01:00"]),
        ("status", ["ok", "cancelled", "rate_limited 429"]),
    ],
)
def test_lines_come_dearest_first_and_times_in_order(filled: Path, by: str, keys: list[str]) -> None:
    assert [found.key for found in usage(filled, by).lines] == keys


@pytest.mark.parametrize("by", get_args(By))
def test_the_total_is_the_sum_of_the_lines(filled: Path, by: str) -> None:
    report = usage(filled, by)
    for field in fields(Line)[2:16]:
        assert getattr(report.total, field.name) == sum(getattr(found, field.name) for found in report.lines)


def test_since_leaves_out_what_was_before(filled: Path) -> None:
    assert usage(filled, "tenant", DAY + 1).total.attempts == 2
    late = usage(filled, "tenant", DAY + 1000 * HOUR)
    assert (late.lines, late.total.attempts, late.note) == ((), 0, "The ledger has no attempts in this time.")


def test_no_ledger_is_an_empty_one_and_said(path: Path) -> None:
    report = usage(path)
    assert (report.lines, report.total.cost_nanousd) == ((), 0)
    assert "There is no ledger at" in report.note
    assert not path.exists()


def test_an_empty_file_is_an_empty_ledger(path: Path) -> None:
    path.parent.mkdir()
    path.touch()
    assert usage(path).note == "The ledger has no attempts in this time."


def test_a_broken_file_is_an_error_in_words(filled: Path) -> None:
    data = bytearray(filled.read_bytes())
    data[100:] = os.urandom(len(data) - 100)
    filled.write_bytes(data)
    with pytest.raises(LedgerError):
        usage(filled)
    filled.write_bytes(b"x" * 100)
    with pytest.raises(LedgerError, match="not a database"):
        usage(filled)


def test_an_unknown_grouping_names_the_known_ones(path: Path) -> None:
    with pytest.raises(InputError) as caught:
        usage(path, "colour")
    assert "tenant" in caught.value.hint


def test_it_reads_while_others_write(path: Path, prices: Prices, opened: Open, ended: End) -> None:
    with SqliteLedger(path, prices=prices) as ledger:
        ledger.open(opened("done"))
        ledger.close(ended("done"))
        ledger.open(opened("under way"))
        ledger.flush()
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            report = usage(path)
    assert (report.total.attempts, report.under_way) == (1, 1)


def test_what_a_killed_process_left_is_shown_as_lost(path: Path, prices: Prices, opened: Open) -> None:
    with SqliteLedger(path, prices=prices) as ledger:
        ledger.open(opened())
    with closing(open_file(path)) as db:
        db.execute("UPDATE open_attempts SET owner_start = owner_start - 1")
    report = usage(path, "status")
    assert [(found.key, found.estimated) for found in report.lines] == [("lost", 1)]
    assert report.under_way == 0


def test_the_median_is_right_to_two_digits(path: Path, prices: Prices, opened: Open, ended: End) -> None:
    draw = random.Random(3)
    waits = [draw.lognormvariate(6, 2) for _ in range(501)]
    with SqliteLedger(path, prices=prices) as ledger:
        for number, wait in enumerate(waits):
            ledger.open(opened(f"a{number}", queued_ms=wait))
            ledger.close(ended(f"a{number}"))
    total = usage(path).total
    assert total.queued_p50_ms == pytest.approx(statistics.median(waits), rel=0.06)
    assert total.queued_max_ms == max(waits)


def test_huge_sums_stay_exact(path: Path, prices: Prices, opened: Open, ended: End) -> None:
    most: Any = Usage(output_tokens=10**10)
    with SqliteLedger(path, prices=prices) as ledger:
        for number in range(300):
            ledger.open(opened(f"a{number}"))
            ledger.close(ended(f"a{number}", usage=most))
    assert usage(path).total.output_tokens == 300 * 10**10
    assert usage(path).total.cost_nanousd == 300 * 10**10 * 75_000
