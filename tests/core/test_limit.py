"""Rules of how people write limits, amounts and durations."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.core.call import Unit
from headway.core.limit import Limit, parse_amount, parse_duration, parse_limits, with_burst
from headway.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "amount", "period_s"),
    [
        ("50", 50.0, 60.0),
        ("50/min", 50.0, 60.0),
        ("50/m", 50.0, 60.0),
        ("50/minute", 50.0, 60.0),
        ("10/s", 10.0, 1.0),
        ("10/sec", 10.0, 1.0),
        ("10/second", 10.0, 1.0),
        ("7/h", 7.0, 3600.0),
        ("7/hour", 7.0, 3600.0),
        ("7/d", 7.0, 86_400.0),
        ("7/day", 7.0, 86_400.0),
        ("30k/min", 30_000.0, 60.0),
        ("30K/MIN", 30_000.0, 60.0),
        ("1.5k/min", 1500.0, 60.0),
        ("2M/min", 2_000_000.0, 60.0),
        ("1g/day", 1e9, 86_400.0),
        ("30,000/min", 30_000.0, 60.0),
        ("30_000/min", 30_000.0, 60.0),
        (" 30k / min ", 30_000.0, 60.0),
    ],
)
def test_amounts_are_read_the_way_people_write_them(text: str, amount: float, period_s: float) -> None:
    assert parse_amount(text, of="x") == (amount, period_s)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "k",
        "-5/min",
        "abc",
        "5/fortnight",
        "5 5",
        "5//min",
        "/min",
        "5/min/min",
        "nan",
        "inf",
        "1e9",
        "5x",
    ],
)
def test_an_amount_that_cannot_be_read_is_refused_with_its_name_and_a_way_out(text: str) -> None:
    with pytest.raises(ConfigError, match="limit requests") as refused:
        parse_amount(text, of="limit requests")
    assert "30k/min" in refused.value.hint


@pytest.mark.parametrize("text", ["0", "0/min", "0.0k/s"])
def test_a_limit_of_nothing_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="more than 0"):
        parse_amount(text, of="limit requests")


def test_limits_are_read_with_their_units_and_are_yours() -> None:
    assert parse_limits("requests=50/min, input_tokens=30k/min,output_tokens=8,000/min,tokens=1M/h") == (
        Limit(Unit.REQUESTS, 50.0, 60.0, given=True),
        Limit(Unit.INPUT_TOKENS, 30_000.0, 60.0, given=True),
        Limit(Unit.OUTPUT_TOKENS, 8000.0, 60.0, given=True),
        Limit(Unit.TOKENS, 1_000_000.0, 3600.0, given=True),
    )


@pytest.mark.parametrize("text", ["", " ", ",", " , "])
def test_no_limits_are_no_limits(text: str) -> None:
    assert parse_limits(text) == ()


def test_a_limit_given_twice_is_the_last_one() -> None:
    assert parse_limits("requests=50,requests=60") == (Limit(Unit.REQUESTS, 60.0, given=True),)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("request", "requests"),
        ("inputtokens", "input_tokens"),
        ("output-tokens", "output_tokens"),
        ("token", "tokens"),
    ],
)
def test_a_misspelt_limit_is_refused_with_the_name_that_was_meant(name: str, hint: str) -> None:
    with pytest.raises(ConfigError, match=name) as refused:
        parse_limits(f"{name}=50/min")
    assert f"Did you mean {hint}?" in refused.value.hint


@pytest.mark.parametrize("name", ["zzz", "usd", "in_flight"])
def test_a_limit_nobody_knows_is_refused_with_those_there_are(name: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parse_limits(f"{name}=50/min")
    for unit in ("requests", "input_tokens", "output_tokens", "tokens"):
        assert unit in refused.value.hint


@pytest.mark.parametrize("text", ["requests", "requests=", "requests=x", "requests=5/min;tokens=5"])
def test_a_limit_without_a_readable_amount_is_refused_by_name(text: str) -> None:
    with pytest.raises(ConfigError, match="requests"):
        parse_limits(text)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("5s", 5.0),
        ("10m", 600.0),
        ("10min", 600.0),
        ("1.5h", 5400.0),
        ("250ms", 0.25),
        ("1d", 86_400.0),
        ("90", 90.0),
    ],
)
def test_durations_are_read_in_seconds(text: str, seconds: float) -> None:
    assert parse_duration(text, of="x") == seconds


@pytest.mark.parametrize("text", ["", "s", "-5s", "5 weeks", "soon", "1h30m"])
def test_a_duration_that_cannot_be_read_is_refused_with_its_name_and_a_way_out(text: str) -> None:
    with pytest.raises(ConfigError, match="--wait") as refused:
        parse_duration(text, of="--wait")
    assert "10m" in refused.value.hint


def test_a_burst_in_seconds_holds_for_every_limit_and_is_never_less_than_one() -> None:
    requests, tokens = with_burst(parse_limits("requests=6/min,tokens=60k/min"), "5s")
    assert requests.burst == 1.0
    assert tokens.burst == 5000.0


def test_a_burst_by_unit_leaves_the_others_unknown() -> None:
    requests, tokens = with_burst(parse_limits("requests=60,tokens=60k"), "tokens=9k")
    assert requests.burst is None
    assert tokens.burst == 9000.0


@pytest.mark.parametrize("text", ["many", "bytes=5", "requests=lots"])
def test_a_burst_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        with_burst(parse_limits("requests=60"), text)


def test_a_limit_says_what_it_is() -> None:
    assert str(Limit(Unit.INPUT_TOKENS, 30_000.0)) == "30,000 input tokens/min"
    assert str(Limit(Unit.REQUESTS, 10.0, 1.0)) == "10 requests/s"
    assert str(Limit(Unit.TOKENS, 5.0, 90.0)) == "5 tokens/90s"


@given(st.sampled_from(["requests", "input_tokens", "output_tokens", "tokens"]), st.integers(1, 10**9))
def test_what_a_limit_says_can_be_read_again(unit: str, amount: int) -> None:
    limit = Limit(Unit(unit), float(amount), given=True)
    written = str(limit).replace(unit.replace("_", " "), "").replace(" /", "/")
    assert parse_limits(f"{unit}={written}") == (limit,)


@given(st.text(max_size=20))
def test_any_text_is_read_or_refused_as_a_setting(text: str) -> None:
    for read in (
        lambda: parse_limits(text),
        lambda: parse_amount(text, of="x"),
        lambda: parse_duration(text, of="x"),
    ):
        with suppress(ConfigError):  # any other error fails the test
            read()
