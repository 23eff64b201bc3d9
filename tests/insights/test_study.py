"""What is planted in a clean week is found, with what it costs; in a clean week nothing is found."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from headway.errors import InputError, LedgerError
from headway.insights.study import Study, study
from headway.insights.walk import Window
from insights.plants import PLANTS, Plant
from insights.week import Made, clean, write

ALL = Window(0, 2**62)


@pytest.fixture(scope="session")
def clean_weeks(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Path]:
    """A ledger of a clean week, by seed, made once."""
    made: dict[int, Path] = {}

    def of(seed: int) -> Path:
        if seed not in made:
            made[seed] = tmp_path_factory.mktemp("week") / "ledger.sqlite3"
            write(made[seed], clean(seed))
        return made[seed]

    return of


def studied(folder: Path, calls: list[Made], window: Window = ALL) -> tuple[Study, int]:
    path = folder / "ledger.sqlite3"
    spent = write(path, calls)
    return study(path, window), spent


@pytest.mark.parametrize(
    ("seed", "scale"), [*((seed, 1.0) for seed in range(6)), (6, 0.1), (7, 0.1), (8, 4.0)]
)
def test_in_a_clean_week_there_is_nothing_to_change(seed: int, scale: float, tmp_path: Path) -> None:
    found, spent = studied(tmp_path, clean(seed, scale))
    assert [finding.found.title for finding in found.findings] == []
    assert found.spent_nanousd == spent
    assert found.attempts > 300 * scale


@pytest.mark.parametrize("seed", range(2))
def test_in_a_clean_week_without_fingerprints_there_is_nothing_to_change(seed: int, tmp_path: Path) -> None:
    found, _ = studied(tmp_path, [replace(call, fingerprinted=False) for call in clean(seed)])
    assert [finding.found.title for finding in found.findings] == []


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("plant", PLANTS, ids=[plant.name for plant in PLANTS])
def test_what_is_planted_is_found_with_what_it_costs_and_nothing_else(
    plant: Plant, seed: int, tmp_path: Path, clean_weeks: Callable[[int], Path]
) -> None:
    calls = plant.calls(random.Random(f"{plant.name} {seed}"))
    path = tmp_path / "ledger.sqlite3"
    shutil.copy(clean_weeks(seed), path)
    write(path, calls, named="planted")
    found = study(path, ALL)
    assert [finding.found.rule for finding in found.findings] == [plant.rule]
    finding = found.findings[0]
    assert plant.key in finding.found.where.values()
    assert finding.found.certainty in plant.certainty
    assert finding.found.sample >= finding.found.least
    assert finding.examples
    assert all(finding.found.evidence)
    if plant.better is not None:
        worse = write(tmp_path / "worse.sqlite3", calls)
        saved = worse - write(tmp_path / "better.sqlite3", plant.better(calls))
        assert finding.saving.nanousd == pytest.approx(saved, rel=plant.within)
    counted = finding.saving.nanousd if finding.found.certainty != "question" else 0
    assert finding.saving.counted_nanousd == found.saving_nanousd == counted


@pytest.mark.parametrize("plant", PLANTS, ids=[plant.name for plant in PLANTS])
def test_a_tenth_of_it_claims_less_or_nothing(plant: Plant, tmp_path: Path) -> None:
    calls = plant.calls(random.Random(plant.name))
    (tmp_path / "all").mkdir()
    whole, _ = studied(tmp_path / "all", clean(1) + calls)
    sessions = sorted({call.session for call in calls})
    kept = set(sessions[: max(len(sessions) // 10, 1)])
    tenth = (
        [call for call in calls if call.session in kept] if len(sessions) > 5 else calls[: len(calls) // 10]
    )
    less, _ = studied(tmp_path, clean(1, 0.1) + tenth)
    assert less.saving_nanousd <= whole.saving_nanousd * 0.25
    assert len(less.findings) <= len(whole.findings)


def test_all_mistakes_at_once_are_found_and_no_dollar_is_counted_twice(tmp_path: Path) -> None:
    calls = [call for plant in PLANTS for call in plant.calls(random.Random(plant.name))]
    found, spent = studied(tmp_path, clean(0) + calls)
    too_cheap = {"paid-failures", "model-choice"}  # beside so much else they are not worth a line
    assert {finding.found.rule for finding in found.findings} >= {plant.rule for plant in PLANTS} - too_cheap
    assert found.saving_nanousd <= sum(finding.saving.nanousd for finding in found.findings)
    assert 0 < found.saving_nanousd < spent
    assert [finding.rank for finding in found.findings] == list(range(1, len(found.findings) + 1))


def test_only_and_skip_choose_the_rules(tmp_path: Path) -> None:
    calls = [call for plant in PLANTS[:4] for call in plant.calls(random.Random(plant.name))]
    path = tmp_path / "ledger.sqlite3"
    write(path, calls)
    only = study(path, ALL, only=["unread-cache"])
    assert {finding.found.rule for finding in only.findings} == {"unread-cache"}
    rest = study(path, ALL, skip=["unread-cache"])
    assert {finding.found.rule for finding in rest.findings} == {"uncached-prefix"}
    with pytest.raises(InputError, match="there is no rule") as error:
        study(path, ALL, only=["unread-cash"])
    assert "Did you mean unread-cache?" in error.value.hint


def test_a_window_is_of_a_time_a_tenant_or_a_job(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite3"
    calls = [call for plant in PLANTS[:4] for call in plant.calls(random.Random(plant.name))]
    write(path, calls)
    assert {finding.found.where["tenant"] for finding in study(path, Window(0, 2**62, "tutor")).findings} == {
        "tutor"
    }
    assert (
        study(path, Window(0, 2**62, None, "no such job")).note == "The ledger has no attempts in this time."
    )
    assert study(path, Window(2**61, 2**62)).attempts == 0


def test_a_ledger_that_is_not_there_has_nothing_to_change(tmp_path: Path) -> None:
    found = study(tmp_path / "none.sqlite3", ALL)
    assert "There is no ledger" in found.note
    assert found.findings == ()


def test_a_file_that_is_no_ledger_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("no ledger at all, but long enough to be looked at" * 20)
    with pytest.raises(LedgerError):
        study(path, ALL)


def test_money_of_less_than_a_day_is_no_weeks_measure(tmp_path: Path) -> None:
    calls = PLANTS[3].calls(random.Random(0))
    hour = [replace(call, at_s=number * 5.0) for number, call in enumerate(calls[:200])]
    found, _ = studied(tmp_path, hour)
    assert found.findings
    assert found.a_week(found.saving_nanousd) is None
