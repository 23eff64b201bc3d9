"""The matrix has every model, with what is known on that day, and finds it by any name."""

from __future__ import annotations

import pytest

from catalog.writing import NOW, write
from headway.catalog.matrix import ALWAYS, claude_rows, find, name_of, other_rows
from headway.catalog.measured import by_model
from headway.catalog.organisation import Live
from headway.errors import InputError
from headway.providers.catalog import Catalog

TODAY = "2026-11-24"
ROWS = claude_rows(TODAY, NOW, {})


def test_claude_opus_4_is_there_with_all_that_is_known_of_it() -> None:
    row = find("claude-opus-4-20250514", ROWS)
    assert (row.model, row.context_tokens, row.max_output_tokens) == ("claude-opus-4-0", 200_000, 32_000)
    assert (row.status, row.retires, row.is_current) == ("retired", "2026-06-15", True)
    assert (row.prices[0].input, row.prices[0].output) == (15 * 10**9, 75 * 10**9)
    amounts = [
        (row.tiers[f"tier-{number}"].requests, row.tiers[f"tier-{number}"].input_tokens)
        for number in (1, 2, 3, 4)
    ]
    assert amounts == [(50, 30_000), (1_000, 450_000), (2_000, 800_000), (4_000, 2_000_000)]


def test_every_model_of_the_catalog_has_a_row() -> None:
    assert [row.model for row in ROWS] == [facts.id for facts in Catalog.load().models]
    current = {row.model for row in ROWS if row.is_current}
    assert ALWAYS in current
    assert "claude-3-opus" not in current
    assert "claude-sonnet-4-5" in current


def test_a_model_whose_day_has_come_is_retired_whatever_was_published() -> None:
    assert find("claude-sonnet-4-5", ROWS).status == "deprecated"
    assert find("claude-sonnet-4-5", claude_rows("2026-11-30", NOW, {})).status == "retired"


def test_what_is_not_known_is_none() -> None:
    row = find("claude-mythos-5-1", ROWS)
    assert row.prices == ()
    assert row.tiers == {}
    assert find("claude-haiku-5-5", ROWS).tiers == {}


def test_what_the_api_tells_wins_and_is_told_apart() -> None:
    live = (
        Live("claude-opus-4-8", 1_000_000, 64_000, "deprecated", "2026-10-01", "2027-03-01"),
        Live("claude-lyric-7", 3_000_000, 9_000, "active", "", ""),
        Live("claude-opus-5", None, None, "", "", ""),
    )
    rows = claude_rows(TODAY, NOW, {}, live)
    told = find("claude-opus-4-8", rows)
    assert (told.max_output_tokens, told.status, told.retires) == (64_000, "deprecated", "2027-03-01")
    assert set(told.differs) == {
        ("max_output_tokens", "128000", "64000"),
        ("status", "active", "deprecated"),
        ("retires", "-", "2027-03-01"),
    }
    new = find("claude-lyric-7", rows)
    assert (new.context_tokens, new.max_output_tokens, new.prices, new.facts) == (3_000_000, 9_000, (), None)
    assert find("claude-opus-5", rows) == find("claude-opus-5", ROWS)


def test_what_calls_measured_stands_beside_it(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = write(tmp_path_factory.mktemp("ledger"), [400.0] * 30)
    row = find("claude-opus-4", claude_rows(TODAY, NOW, by_model(path, name_of, NOW)))
    assert row.measured is not None
    assert row.measured.first_token_p50_ms == 400.0


def test_other_providers_have_no_limits_of_our_making() -> None:
    rows = other_rows(NOW, "openai")
    assert {row.provider for row in rows} == {"openai"}
    assert all(row.tiers == {} and row.max_output_tokens is None and row.facts is None for row in rows)
    assert find("openai/gpt-5", rows) is find("GPT-5", rows)


@pytest.mark.parametrize(
    ("wrong", "near"), [("claude-sonet-4-5", "claude-sonnet-4-5"), ("claude-opus-9", "claude-opus")]
)
def test_a_model_that_nobody_knows_names_the_nearest(wrong: str, near: str) -> None:
    with pytest.raises(InputError, match=f"unknown model '{wrong}'") as caught:
        find(wrong, ROWS)
    assert near in caught.value.hint


def test_a_family_names_its_models_the_newest_first() -> None:
    with pytest.raises(InputError) as caught:
        find("opus", ROWS)
    assert caught.value.hint.startswith("Did you mean claude-opus-5-5 or claude-opus-5 or claude-opus-4-8")


def test_a_wild_name_is_cut() -> None:
    with pytest.raises(InputError) as caught:
        find("x" * 10_000, ROWS)
    assert len(str(caught.value)) < 200
