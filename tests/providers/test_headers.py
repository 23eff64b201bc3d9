"""Limits and waits are read from headers, and nonsense in them is left out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.core.call import Reading, Unit
from headway.providers.faults import classify
from headway.providers.headers import WANTED, read_limits, retry_after, wanted

R = "anthropic-ratelimit-"


def limits(**families: tuple[str, str]) -> dict[str, str]:
    return {
        f"{R}{family.replace('_', '-')}-{what}": value
        for family, values in families.items()
        for what, value in zip(("limit", "remaining"), values, strict=True)
    }


def test_requests_are_exact_and_tokens_are_rounded_to_thousands() -> None:
    headers = limits(requests=("50", "49"), input_tokens=("30000", "30000"), output_tokens=("8000", "7000"))
    assert read_limits(headers) == (
        Reading(Unit.REQUESTS, 50, 49, 0),
        Reading(Unit.INPUT_TOKENS, 30_000, 30_000, 500),
        Reading(Unit.OUTPUT_TOKENS, 8_000, 7_000, 500),
    )


def test_a_combined_limit_that_is_only_the_sum_is_no_limit() -> None:
    headers = limits(input_tokens=("30000", "1000"), output_tokens=("8000", "1000"), tokens=("38000", "2000"))
    assert [reading.unit for reading in read_limits(headers)] == [Unit.INPUT_TOKENS, Unit.OUTPUT_TOKENS]


def test_a_combined_limit_that_is_tighter_is_a_limit() -> None:
    headers = limits(input_tokens=("30000", "1"), output_tokens=("8000", "1"), tokens=("20000", "12000"))
    assert read_limits(headers)[-1] == Reading(Unit.TOKENS, 20_000, 12_000, 500)


def test_a_combined_limit_alone_is_the_limit() -> None:
    assert read_limits(limits(tokens=("10000", "9000"))) == (Reading(Unit.TOKENS, 10_000, 9_000, 500),)


def test_a_combined_limit_proves_nothing_where_another_is_scrubbed() -> None:
    headers = limits(input_tokens=("XXX", "1000"), output_tokens=("8000", "8000"), tokens=("38000", "9000"))
    assert [reading.unit for reading in read_limits(headers)] == [Unit.INPUT_TOKENS, Unit.OUTPUT_TOKENS]


def test_a_scrubbed_value_is_none_beside_one_that_is_there() -> None:
    assert read_limits(limits(requests=("REDACTED", "1,234"))) == (Reading(Unit.REQUESTS, None, 1_234, 0),)


@pytest.mark.parametrize("nonsense", ["", "-5", "nan", "inf", "many", "1.2.3", "0x10", "١٢x"])
def test_nonsense_is_no_reading(nonsense: str) -> None:
    assert read_limits(limits(requests=(nonsense, nonsense))) == ()


def test_limits_of_other_traffic_do_not_count_as_the_standard_ones() -> None:
    other = {
        "anthropic-fast-input-tokens-limit": "7",
        "anthropic-priority-output-tokens-limit": "9",
        f"{R}unified-status": "allowed",
        f"{R}unified-5h-utilization": "0.3",
    }
    standard = limits(input_tokens=("30000", "30000"))
    assert read_limits({**other, **standard}) == (Reading(Unit.INPUT_TOKENS, 30_000, 30_000, 500),)


def test_fast_limits_are_read_where_there_are_no_others() -> None:
    fast = {"anthropic-fast-input-tokens-limit": "100000", "anthropic-fast-input-tokens-remaining": "99000"}
    assert read_limits(fast) == (Reading(Unit.INPUT_TOKENS, 100_000, 99_000, 500),)


@given(
    st.dictionaries(
        st.sampled_from(
            [
                f"{R}{f}-{w}"
                for f in ("requests", "tokens", "input-tokens")
                for w in ("limit", "remaining", "reset")
            ]
        ),
        st.text(),
    )
)
def test_no_header_makes_it_fail(headers: dict[str, str]) -> None:
    for reading in read_limits(headers):
        assert reading.amount is None or reading.amount >= 0
        assert reading.remaining is None or reading.remaining >= 0


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "505"}, 505.0),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after": "9", "retry-after-ms": "250"}, 0.25),
        ({"retry-after": "Tue, 24 Nov 2026 10:00:30 GMT", "date": "Tue, 24 Nov 2026 10:00:00 GMT"}, 30.0),
        ({"retry-after": "Tue, 24 Nov 2026 09:00:00 GMT", "date": "Tue, 24 Nov 2026 10:00:00 GMT"}, 0.0),
        ({"retry-after": "Tue, 24 Nov 2026 10:00:30 GMT"}, None),
        ({"retry-after": "soon", "date": "Tue, 24 Nov 2026 10:00:00 GMT"}, None),
        ({"retry-after": "-1"}, None),
        ({}, None),
    ],
)
def test_a_wait_is_read_in_every_form(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers) == seconds


class Watched(dict[str, str]):
    """Headers that remember which of them were looked at."""

    def __init__(self, **headers: str) -> None:
        super().__init__(headers)
        self.seen: set[str] = set()

    def get(self, name: str, default: str | None = None) -> str | None:  # type: ignore[override]  # dict's is generic
        self.seen.add(name)
        return super().get(name, default)

    def __contains__(self, name: object) -> bool:
        self.seen.add(str(name))
        return super().__contains__(name)


def test_no_header_is_looked_at_that_is_not_wanted() -> None:
    headers, dated = Watched(), Watched(**{"retry-after": "Tue, 24 Nov 2026 12:00:00 GMT"})
    read_limits(headers)
    for status in (200, 204, 400, 403, 429, 500):
        classify(status, headers, b"{}")
    retry_after(dated)
    seen = headers.seen | dated.seen
    assert seen <= WANTED
    assert WANTED - seen == {"content-encoding"}


def test_wanted_headers_are_picked_whatever_their_case() -> None:
    raw = [(b"Request-Id", b"req_1"), (b"X-Cache", b"MISS"), (b"ANTHROPIC-RATELIMIT-REQUESTS-LIMIT", b"50")]
    headers = wanted([*raw, (b"retry-after", b"\xff")])
    assert headers == {
        "request-id": "req_1",
        f"{R}requests-limit": "50",
        "retry-after": "\xff",
    }
    assert read_limits(headers) == (Reading(Unit.REQUESTS, 50, None, 0),)
