"""Budgets as people write them."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.core.call import Cap, Unit
from headway.core.cap import parse_cap
from headway.errors import InputError


@pytest.mark.parametrize(
    ("text", "unit", "amount"),
    [
        ("2usd", Unit.USD, 2_000_000_000),
        ("$0.000000001", Unit.USD, 1),
        ("1,250.50 dollars", Unit.USD, 1_250_500_000_000),
        ("500k tokens", Unit.TOKENS, 500_000),
        ("1.5m token", Unit.TOKENS, 1_500_000),
        ("100 requests", Unit.REQUESTS, 100),
        ("1 call", Unit.REQUESTS, 1),
    ],
)
def test_a_budget_is_read_as_it_is_meant(text: str, unit: Unit, amount: int) -> None:
    assert parse_cap(text, "session s") == Cap("session s", unit, amount)


@pytest.mark.parametrize(
    "text", ["", "2", "2eur", "-2usd", "0usd", "0 tokens", "_usd", ", tokens", "1 apple"]
)
def test_what_is_no_budget_is_refused_with_a_way_out(text: str) -> None:
    with pytest.raises(InputError, match="session s"):
        parse_cap(text, "session s")


@given(st.text(max_size=20))
def test_any_text_is_a_budget_or_an_input_error(text: str) -> None:
    with contextlib.suppress(InputError):
        assert parse_cap(text, "x").amount >= 1
