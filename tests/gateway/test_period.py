"""Rules of budgets as written, and of the periods that moments are in."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.core.call import Unit
from headway.errors import InputError
from headway.gateway.period import Always, Calendar, Plan, Rolling, parse_plan, span_at

DOLLAR = 10**9
HOUR_NS = 3600 * 10**9
ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Asia/Kolkata",
    "Australia/Lord_Howe",  # half an hour of summer time
    "America/Havana",  # clocks go back over midnight
    "Asia/Beirut",  # clocks go forward at midnight: that midnight does not exist
    "Pacific/Apia",  # in 2011 a whole day does not exist
    "Pacific/Kiritimati",
)


@pytest.mark.parametrize(
    ("text", "plan"),
    [
        ("20usd/day", Plan(Unit.USD, 20 * DOLLAR, Calendar("day"))),
        ("$20 / day", Plan(Unit.USD, 20 * DOLLAR, Calendar("day"))),
        ("100usd/month", Plan(Unit.USD, 100 * DOLLAR, Calendar("month"))),
        ("5m tokens/hour", Plan(Unit.TOKENS, 5_000_000, Calendar("hour"))),
        ("1000 requests/day", Plan(Unit.REQUESTS, 1000, Calendar("day"))),
        ("50usd", Plan(Unit.USD, 50 * DOLLAR, Always())),
        ("10usd/24h rolling", Plan(Unit.USD, 10 * DOLLAR, Rolling(86400))),
        ("10usd/24h", Plan(Unit.USD, 10 * DOLLAR, Rolling(86400))),
        ("10usd/day rolling", Plan(Unit.USD, 10 * DOLLAR, Rolling(86400))),
        ("0.5usd/hour rolling", Plan(Unit.USD, DOLLAR // 2, Rolling(3600))),
        ("5m tokens/30d rolling soft", Plan(Unit.TOKENS, 5_000_000, Rolling(30 * 86400), soft=True)),
        ("20usd/day hard", Plan(Unit.USD, 20 * DOLLAR, Calendar("day"))),
        ("20usd/day soft", Plan(Unit.USD, 20 * DOLLAR, Calendar("day"), soft=True)),
        ("20usd/day tz=Europe/Berlin", Plan(Unit.USD, 20 * DOLLAR, Calendar("day", "Europe/Berlin"))),
        ("20usd/day per tenant", Plan(Unit.USD, 20 * DOLLAR, Calendar("day"))),
        ("20usd/day per session", Plan(Unit.USD, 20 * DOLLAR, Calendar("day"), ("session",))),
        ("500k tokens per job", Plan(Unit.TOKENS, 500_000, Always(), ("job",))),
        ("2usd/day per model per session", Plan(Unit.USD, 2 * DOLLAR, Calendar("day"), ("session", "model"))),
        ("PER MODEL 2USD/DAY SOFT", Plan(Unit.USD, 2 * DOLLAR, Calendar("day"), ("model",), True)),
    ],
)
def test_a_budget_is_read_as_people_write_it(text: str, plan: Plan) -> None:
    assert parse_plan(text) == plan


@pytest.mark.parametrize(
    "text",
    [
        "",
        "20",
        "20eur/day",
        "0usd/day",
        "-1usd",
        "20usd/",
        "20usd/fortnight",
        "20usd/0h",
        "20usd/9999d rolling",
        "20usd/month rolling",
        "20usd rolling",
        "20usd/day per",
        "20usd/day per continent",
        "20usd/day tz=",
        "20usd/day tz=Europe",
        "20usd/day tz=../etc/passwd",
        "20usd/day tz=Mars/Base",
        "20usd/hour tz=Europe/Berlin",
        "20usd/24h rolling tz=Europe/Berlin",
        "20usd tz=Europe/Berlin",
        "20usd/day soft hard",
        "20usd/day please",
        "20usd/day/month",
    ],
)
def test_what_is_no_budget_is_refused_with_a_way_out(text: str) -> None:
    with pytest.raises(InputError) as refused:
        parse_plan(text)
    assert refused.value.hint or "more than nothing" in str(refused.value)


@given(st.text(max_size=40))
def test_whatever_is_written_is_a_plan_or_an_input_error(text: str) -> None:
    with suppress(InputError):
        assert parse_plan(text).amount >= 1


def ns(zone: str, *moment: int) -> int:
    return int(datetime(*moment, tzinfo=ZoneInfo(zone)).timestamp()) * 10**9  # type: ignore[arg-type,misc]


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("Europe/Berlin", (2026, 3, 29), 23),
        ("Europe/Berlin", (2026, 10, 25), 25),
        ("Europe/Berlin", (2026, 11, 24), 24),
        ("America/Havana", (2026, 11, 1), 25),
        ("Asia/Beirut", (2026, 3, 29), 23),
        ("Australia/Lord_Howe", (2026, 4, 5), 24.5),
    ],
)
def test_a_day_on_which_clocks_change_is_shorter_or_longer(
    zone: str, day: tuple[int, int, int], hours: float
) -> None:
    span = span_at(Calendar("day", zone), ns(zone, *day, 12))
    assert span.end_ns is not None
    assert (span.end_ns - span.start_ns) / HOUR_NS == hours
    assert span.name == f"day {datetime(*day, tzinfo=UTC):%Y-%m-%d} {zone}"


def test_periods_are_called_by_their_beginning() -> None:
    at = ns("UTC", 2026, 11, 24, 23, 30)
    assert span_at(Calendar("hour"), at).name == "hour 2026-11-24 23:00"
    assert span_at(Calendar("day"), at).name == "day 2026-11-24"
    assert span_at(Calendar("day", "Europe/Berlin"), at).name == "day 2026-11-25 Europe/Berlin"
    assert span_at(Calendar("month"), at).name == "month 2026-11"
    assert span_at(Rolling(86400), at).name == "last 24h"
    assert span_at(Rolling(5400), at).name == "last 90min"
    assert span_at(Always(), at).name == "in all"


def test_a_month_ends_where_the_next_begins_over_the_new_year_too() -> None:
    december = span_at(Calendar("month", "Asia/Kolkata"), ns("Asia/Kolkata", 2026, 12, 31, 23, 59))
    assert december.end_ns == ns("Asia/Kolkata", 2027, 1, 1)
    assert december.start_ns == ns("Asia/Kolkata", 2026, 12, 1)


MOMENTS = st.integers(ns("UTC", 2005, 1, 1), ns("UTC", 2037, 12, 1))
KINDS = st.one_of(
    st.just(Calendar("hour")),
    st.builds(Calendar, st.sampled_from(["day", "month"]), st.sampled_from(ZONES)),
)


@given(KINDS, MOMENTS)
def test_each_moment_is_in_one_period_and_periods_follow_each_other_without_a_gap(
    kind: Calendar, at_ns: int
) -> None:
    span = span_at(kind, at_ns)
    assert span.end_ns is not None
    assert span.start_ns <= at_ns < span.end_ns
    assert span_at(kind, span.start_ns) == span
    assert span_at(kind, span.end_ns - 1) == span
    following = span_at(kind, span.end_ns)
    assert following.start_ns == span.end_ns
    assert following.name != span.name


@given(st.sampled_from(ZONES), MOMENTS)
def test_a_day_is_called_by_the_date_on_the_wall(zone: str, at_ns: int) -> None:
    wall = datetime.fromtimestamp(at_ns // 10**9, ZoneInfo(zone))
    assert str(wall.date()) in span_at(Calendar("day", zone), at_ns).name
