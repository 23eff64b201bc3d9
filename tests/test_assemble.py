from __future__ import annotations

from pathlib import Path

import pytest

from headway.assemble import build, known_limits, open_ledger
from headway.config import Config, load
from headway.core.call import Unit
from headway.errors import ConfigError
from headway.ledger.price import Prices
from headway.ledger.sqlite import NoLedger, SqliteLedger
from headway.providers.catalog import Catalog

POOL = "anthropic/opus-4"


def limits(**settings: str) -> dict[Unit, tuple[float, float | None]]:
    found = known_limits(load({}, **settings), Catalog.load())(POOL)
    return {limit.unit: (limit.amount, limit.burst) for limit in found}


def test_limits_are_learnt_unless_they_are_given() -> None:
    assert limits() == {}
    assert limits(limits="requests=5/min") == {Unit.REQUESTS: (5.0, None)}


def test_given_limits_come_before_those_of_a_tier_and_a_burst_is_for_all() -> None:
    found = limits(tier="tier-1", limits="requests=6/min", burst="10s")
    assert found[Unit.REQUESTS] == (6.0, 1.0)
    assert found[Unit.INPUT_TOKENS][0] == Catalog.load().tier(POOL, "tier-1").input_tokens  # type: ignore[union-attr]  # it is there
    assert found[Unit.INPUT_TOKENS][1] == pytest.approx(found[Unit.INPUT_TOKENS][0] / 6)


@pytest.mark.parametrize(
    "wrong", [{"tier": "tier-99"}, {"limits": "requests=x"}, {"limits": "r=5", "burst": "y"}]
)
def test_what_contradicts_is_refused_before_the_first_call(wrong: dict[str, str]) -> None:
    with pytest.raises(ConfigError):
        known_limits(load({}, **wrong), Catalog.load())


@pytest.mark.parametrize(
    "url", ["api.anthropic.com", "ftp://h", "https://", "http://u:secret@h", "http://h/?q=1"]
)
def test_a_base_url_that_cannot_be_used_is_refused_without_showing_what_it_hides(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        build(Config(base_url=url), lambda: 0)
    assert "secret" not in str(caught.value) + caught.value.hint


def test_a_cap_is_kept_in_nanodollars() -> None:
    assert build(Config(), lambda: 0).budget is None
    budget = build(Config(max_cost_usd=0.1), lambda: 0).budget
    assert budget is not None
    assert budget.cap == 100_000_000


def test_the_ledger_is_where_it_is_wanted_or_nowhere(tmp_path: Path) -> None:
    assert isinstance(open_ledger(Config(ledger="none"), Prices()), NoLedger)
    ledger = open_ledger(Config(ledger=str(tmp_path / "l.db")), Prices())
    assert isinstance(ledger, SqliteLedger)
    ledger.stop()
    assert (tmp_path / "l.db").exists()
