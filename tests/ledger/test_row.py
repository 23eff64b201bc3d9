"""What gets into the file: sums, cleaned texts, no secrets, nothing that SQLite would refuse."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headway.core.call import Usage
from headway.core.ports import Entry, OpenEntry
from headway.ledger.file import open_file
from headway.ledger.owner import this_process
from headway.ledger.price import Prices
from headway.ledger.row import OPEN, SETTLED, open_row, settled_row
from headway.ledger.sweep import settle_sql

NOW = 1_795_000_000 * 10**9
Open = Callable[..., OpenEntry]
End = Callable[..., Entry]


def as_dict(row: tuple[Any, ...]) -> dict[str, Any]:
    return dict(zip(SETTLED.split(), row, strict=True))


def test_iterations_count_as_tokens_of_the_attempt(opened: Open, ended: End, prices: Prices) -> None:
    used = Usage(
        input_tokens=10, output_tokens=1, parts=(Usage(input_tokens=5, output_tokens=2, web_searches=1),)
    )
    row = as_dict(settled_row(opened(), ended(usage=used), prices, NOW))
    assert (row["input_tokens"], row["output_tokens"], row["web_searches"]) == (15, 3, 1)
    assert row["cost_nanousd"] == 15 * 15_000 + 3 * 75_000 + 10_000_000


def test_what_was_asked_and_what_answered_are_both_kept(opened: Open, ended: End, prices: Prices) -> None:
    row = as_dict(settled_row(opened(), ended(), prices, NOW))
    assert (row["model_asked"], row["model_served"]) == ("claude-opus-4", "claude-opus-4-20250514")
    assert row["usage_json"] == '{"input_tokens":1000,"output_tokens":200}'
    assert row["price_variant"] == "claude-opus-4-0 std"


def test_a_refused_attempt_costs_nothing_whatever_its_model(opened: Open, ended: End, prices: Prices) -> None:
    refused = ended(outcome="rate_limited", status=429, usage=Usage())
    row = as_dict(settled_row(opened(model="who-knows"), refused, prices, NOW))
    assert (row["cost_nanousd"], row["price_variant"]) == (0, "nothing used")


def test_an_unknown_model_that_answered_has_no_cost(opened: Open, ended: End, prices: Prices) -> None:
    row = as_dict(settled_row(opened(model="who-knows"), ended(usage=Usage(output_tokens=1)), prices, NOW))
    assert row["cost_nanousd"] is None


def test_the_time_is_the_ledgers_own_where_none_was_given(opened: Open, ended: End, prices: Prices) -> None:
    assert as_dict(settled_row(opened(at_ns=0), ended(), prices, NOW))["at_ns"] == NOW
    assert as_dict(settled_row(opened(at_ns=2**70), ended(), prices, NOW))["at_ns"] == NOW


@pytest.mark.parametrize("count", [10**10 + 1, 2**63, 10**30, -1])
def test_numbers_beyond_any_attempt_are_held_and_marked(
    count: int, opened: Open, ended: End, prices: Prices
) -> None:
    row = as_dict(settled_row(opened(), ended(usage=Usage(output_tokens=count)), prices, NOW))
    assert row["estimated"] == 1
    assert 0 <= row["output_tokens"] <= 10**10
    assert 0 <= row["cost_nanousd"] <= 10**15


def test_nan_and_infinity_are_no_times(opened: Open, ended: End, prices: Prices) -> None:
    row = as_dict(settled_row(opened(queued_ms=math.nan), ended(total_ms=math.inf), prices, NOW))
    assert row["queued_ms"] is None
    assert row["total_ms"] is None


SECRETS = [
    "sk-ant-api03-AbCdEfGhIjKlMnOpQrStUvWxYz0123456789-_AA",
    "sk-proj-abcdefghijklmnopqrstuvwxyz0123456789",
    "AIzaSyA1234567890abcdefghijklmnopqrstuv",
    "gsk_abcdefghijklmnopqrstuvwxyz012345",
    "Bearer abcdefghijklmnop.qrstuvwxyz",
]


@pytest.mark.parametrize("secret", SECRETS)
def test_a_secret_never_gets_in_wherever_it_was_put(
    secret: str, opened: Open, ended: End, prices: Prices
) -> None:
    start = opened(tenant=secret, session=f"x {secret}", job=secret, label=f"é{secret}", pool=f"key={secret}")
    end = ended(
        error_type=secret, request_id=secret, usage=Usage(output_tokens=1, raw={"note": secret}, model=secret)
    )
    bare = secret.removeprefix("Bearer ")
    for row in (settled_row(start, end, prices, NOW), open_row(start, this_process(), NOW)):
        assert bare not in repr(row)
        assert "[redacted]" in repr(row)


def test_ordinary_names_are_left_alone(opened: Open, ended: End, prices: Prices) -> None:
    start = opened(label="task-0123456789abcdef", tenant="risk-assessment-2026-11", job="Bearer of news")
    row = as_dict(settled_row(start, ended(), prices, NOW))
    assert (row["label"], row["tenant"], row["job"]) == (start.label, start.tenant, start.job)


@pytest.mark.parametrize(
    ("given_", "kept"),
    [
        ("naïve 数据 😀", "naïve 数据 😀"),
        ("a\0b", "a�b"),
        ("\ud800x", "?x"),
        ("y" * 10_000, "y" * 500),
        ("a\nb", "a\nb"),
    ],
)
def test_odd_labels_become_storable(given_: str, kept: str, opened: Open, ended: End, prices: Prices) -> None:
    assert as_dict(settled_row(opened(label=given_), ended(), prices, NOW))["label"] == kept


@pytest.mark.parametrize("raw", [{"x": object()}, {"x": "y" * 20_000}, {1j: 1}])
def test_usage_that_is_no_usage_is_left_out(
    raw: dict[Any, Any], opened: Open, ended: End, prices: Prices
) -> None:
    row = as_dict(settled_row(opened(), ended(usage=Usage(output_tokens=1, raw=raw)), prices, NOW))
    assert (row["usage_json"], row["output_tokens"]) == (None, 1)


anything = st.text(st.characters(), max_size=40)
numbers = st.integers(-(2**80), 2**80)
times = st.floats() | st.none()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=anything, number=numbers, time=times)
def test_sqlite_takes_every_row(
    text: str, number: int, time: float | None, tmp_path: Path, opened: Open, ended: End, prices: Prices
) -> None:
    db = _one(tmp_path)
    start = opened(
        text, label=text, tenant=text, model=text, number=number, at_ns=number, queued_ms=time or 0.0
    )
    used = Usage(input_tokens=number, output_tokens=number, model=text, raw={text: number})
    row = settled_row(start, ended(text, usage=used, first_token_ms=time, error_type=text), prices, NOW)
    db.execute(settle_sql(1), row)
    db.execute(f"INSERT OR IGNORE INTO open_attempts VALUES ({','.join('?' * 19)})", _in_table_order(start))


def _in_table_order(start: OpenEntry) -> list[Any]:
    row = dict(zip(OPEN.split(), open_row(start, this_process(), NOW), strict=True))
    order = """attempt_id call_id number at_ns provider pool model tenant class session job label estimated_input_tokens
        estimated_output_tokens queued_ms stream owner_pid owner_boot owner_start"""
    return [row[name] for name in order.split()]


_files: dict[Path, sqlite3.Connection] = {}


def _one(folder: Path) -> sqlite3.Connection:
    """One file for all examples."""
    if folder not in _files:
        _files[folder] = open_file(folder / "rows.sqlite3")
    return _files[folder]


@pytest.fixture(autouse=True, scope="module")
def _closed() -> Any:
    yield
    while _files:
        _files.popitem()[1].close()
