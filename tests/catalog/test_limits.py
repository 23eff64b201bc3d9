"""Which limits hold: yours by number, else the organisation's, else the tier's."""

from __future__ import annotations

from pathlib import Path

import pytest

from catalog.writing import HOUR, NOW
from headway.catalog.limits import BELIEVED_NS, ORGANISATION, SETTINGS, by_pool, known_limits, pool_of
from headway.catalog.organisation import Group, keep
from headway.config import Config
from headway.core.call import Unit
from headway.errors import ConfigError
from headway.providers.catalog import Catalog

URL = "https://api.example.com"
OPUS = "anthropic/opus-4"
CATALOG = Catalog.load()
TOLD = (
    Group(
        "model_group",
        "Claude Opus 4.x",
        ("claude-opus-4-8", "claude-opus-4-5-20251101"),
        {
            "requests_per_minute": 777,
            "input_tokens_per_minute_cache_aware": 123_000,
            "output_tokens_per_minute": 4_000,
        },
    ),
    Group("batch", "rlg_1", (), {"requests_per_minute": 60, "enqueued_batch_requests": 9_000}),
    Group("token_count", "rlg_2", (), {"requests_per_minute": 90}),
    Group("web_search", "rlg_3", (), {"tool_uses_per_second": 30}),
)


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    path = tmp_path / "ledger.sqlite3"
    keep(path, URL, TOLD, NOW - HOUR)
    return path


def test_without_anything_nothing_is_known(tmp_path: Path) -> None:
    assert known_limits(Config(base_url=URL), tmp_path / "none.sqlite3", NOW) == {}
    assert known_limits(Config(base_url=URL), None, NOW) == {}


def test_a_tier_gives_its_published_limits() -> None:
    known = known_limits(Config(base_url=URL, tier="tier-1"), None, NOW)[OPUS]
    assert [known.amount(unit) for unit in (Unit.REQUESTS, Unit.INPUT_TOKENS, Unit.OUTPUT_TOKENS)] == [
        50,
        30_000,
        8_000,
    ]
    assert (known.source, known.at_ns) == ("tier-1", None)


def test_the_organisations_limits_win_over_those_of_the_tier(ledger: Path) -> None:
    known = known_limits(Config(base_url=URL, tier="tier-1"), ledger, NOW)
    assert known[OPUS].amount(Unit.INPUT_TOKENS) == 123_000
    assert (known[OPUS].source, known[OPUS].at_ns) == (ORGANISATION, NOW - HOUR)
    assert known["anthropic/sonnet-4"].source == "tier-1"
    assert known["anthropic/batches"].queue == 9_000
    assert known["anthropic/count_tokens"].amount(Unit.REQUESTS) == 90


def test_limits_by_number_win_over_both_unit_by_unit(ledger: Path) -> None:
    config = Config(base_url=URL, limits="requests=7/min", pool_limits={OPUS: "output_tokens=60/s"})
    known = known_limits(config, ledger, NOW)[OPUS]
    assert known.amount(Unit.REQUESTS) == 7
    assert known.amount(Unit.INPUT_TOKENS) == 123_000
    assert known.amount(Unit.OUTPUT_TOKENS) == 3_600
    assert known.source == ORGANISATION
    assert known_limits(config, None, NOW)[OPUS].source == SETTINGS


def test_limits_of_another_address_are_not_mine(ledger: Path) -> None:
    assert known_limits(Config(base_url="https://other.example"), ledger, NOW) == {}


def test_what_was_told_long_ago_is_not_believed(ledger: Path) -> None:
    config = Config(base_url=URL)
    assert known_limits(config, ledger, NOW - HOUR + BELIEVED_NS)
    assert known_limits(config, ledger, NOW - HOUR + BELIEVED_NS + 1) == {}


def test_a_tier_that_does_not_exist_is_an_error_that_names_the_setting() -> None:
    with pytest.raises(ConfigError, match="unknown tier"):
        known_limits(Config(base_url=URL, tier="tier-9"), None, NOW)


def test_groups_that_the_catalog_does_not_know_keep_their_names() -> None:
    new = Group("model_group", "Claude Lyric 7", ("claude-lyric-7",), {"requests_per_minute": 5})
    found = by_pool((*TOLD, new), CATALOG, NOW)
    assert set(found) == {OPUS, "anthropic/batches", "anthropic/count_tokens", "model_group/Claude Lyric 7"}
    assert pool_of(TOLD[3], CATALOG) == "web_search/rlg_3"


def test_where_both_kinds_of_input_limit_are_told_the_cache_aware_one_counts() -> None:
    both = {"input_tokens_per_minute": 1, "input_tokens_per_minute_cache_aware": 2}
    found = by_pool((Group("model_group", "", ("claude-opus-4-8",), both),), CATALOG, NOW)
    assert found[OPUS].amount(Unit.INPUT_TOKENS) == 2


@pytest.mark.parametrize("amount", [0, -5, 10**400])
def test_a_limit_that_is_none_is_left_out(amount: int) -> None:
    group = Group("model_group", "", ("claude-opus-4-8",), {"requests_per_minute": amount})
    assert by_pool((group,), CATALOG, NOW) == {}
