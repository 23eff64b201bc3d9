"""The Admin side of the emulator: the official SDK reads it, page by page; a key of a workspace does not."""

from __future__ import annotations

from collections.abc import Iterator

import anthropic
import pytest

from headway.emulator.admin import rate_limits
from headway.emulator.checks import Rejected
from headway.emulator.profile import parse_profile
from headway.emulator.server import Emulator

ADMIN = {b"x-api-key": b"sk-ant-admin01-any", b"anthropic-version": b"2023-06-01"}


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with Emulator("claude-opus-4/tier-2") as running:
        yield running


def admin(emulator: Emulator, key: str = "sk-ant-admin01-any") -> anthropic.Anthropic:
    return anthropic.Anthropic(api_key=key, base_url=emulator.url, max_retries=0)


def test_the_sdk_reads_every_group_over_pages(emulator: Emulator) -> None:
    with admin(emulator) as client:
        whole = list(client.organization.rate_limits.list())
        paged = list(client.organization.rate_limits.list(limit=2))
    assert [entry.id for entry in paged] == [entry.id for entry in whole]
    assert len({entry.id for entry in whole}) == len(whole) > 3
    opus = next(entry for entry in whole if "claude-opus-4-20250514" in (entry.models or ()))
    assert opus.group.type == "model_group"
    assert {limit.type: limit.value for limit in opus.limits} == {
        "requests_per_minute": 1_000,
        "input_tokens_per_minute_cache_aware": 450_000,
        "output_tokens_per_minute": 90_000,
    }
    by_kind = {entry.group.type: {limit.type: limit.value for limit in entry.limits} for entry in whole}
    assert by_kind["token_count"] == {"requests_per_minute": 2_000}
    assert by_kind["batch"]["enqueued_batch_requests"] == 200_000


def test_filters_are_those_of_the_api(emulator: Emulator) -> None:
    with admin(emulator) as client:
        (batch,) = client.organization.rate_limits.list(group_type="batch")
        (haiku,) = client.organization.rate_limits.list(model="claude-haiku-4-5")
        with pytest.raises(anthropic.NotFoundError):
            list(client.organization.rate_limits.list(model="claude-none"))
    assert batch.models is None
    assert "claude-haiku-4-5-20251001" in (haiku.models or ())


def test_only_an_admin_key_may_read_it(emulator: Emulator) -> None:
    with admin(emulator, "sk-ant-api03-workspace") as client, pytest.raises(anthropic.AuthenticationError):
        list(client.organization.rate_limits.list())


@pytest.mark.parametrize(
    ("headers", "query", "status"),
    [
        ({}, b"", 401),
        ({b"x-api-key": b"sk-ant-admin01"}, b"", 400),
        (ADMIN, b"limit=0", 400),
        (ADMIN, b"limit=many", 400),
        (ADMIN, b"page=99", 400),
    ],
)
def test_what_the_api_refuses_is_refused(headers: dict[bytes, bytes], query: bytes, status: int) -> None:
    with pytest.raises(Rejected) as caught:
        rate_limits(parse_profile("claude-opus-4/tier-1"), headers, query)
    assert caught.value.status == status


def test_without_limits_there_are_no_entries() -> None:
    assert rate_limits(parse_profile("any/unlimited"), ADMIN, b"") == {"data": [], "next_page": None}
