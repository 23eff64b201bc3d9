"""What the ledger tells of replies, bursts and the errors of estimates."""

from __future__ import annotations

import random
import sqlite3
from pathlib import Path

import pytest

from headway.catalog.believed import Believed
from headway.config import Config
from headway.core.call import Class, Unit, Usage
from headway.core.forecast import Ratio
from headway.core.limit import Limit
from headway.core.ports import Entry, OpenEntry
from headway.errors import LedgerError
from headway.ledger.lessons import keep_limits
from headway.ledger.price import Prices
from headway.ledger.sqlite import SqliteLedger
from headway.planner.bursts import bursts_of
from headway.planner.known import Known, known_of
from headway.planner.past import Looks, Past, past_of
from headway.planner.traffic import beside, others_of
from headway.providers.catalog import Catalog
from planner.jobs import AT_NS, MODEL, mixed, scene

POOL = "anthropic/sonnet-4"
LOOKS = Looks("job", 1_000.0, frozenset({1024}))


def attempt(
    ledger: SqliteLedger,
    number: int,
    *,
    run: str = "run-1",
    job: str = "job",
    at_s: float = 0.0,
    estimate: float = 1_000.0,
    counted: int = 1_000,
    output: int = 200,
    first_ms: float = 500.0,
    speed: float = 50.0,
    waited_for: str = "",
    most: int = 1024,
) -> None:
    name = f"{run}-{number}"
    opened = OpenEntry(
        f"{name}-1", name, 1, AT_NS + round(at_s * 1e9), "anthropic", POOL, MODEL, "me", Class.BULK, "", job, "",
        round(estimate), 100, 0.0, True, waited_for=waited_for, max_output_tokens=most,
    )  # fmt: skip
    usage = Usage(input_tokens=counted, output_tokens=output, model=MODEL)
    ledger.open(opened)
    ledger.close(
        Entry(f"{name}-1", "ok", 200, "", None, usage, False, first_ms, first_ms + output / speed * 1000.0)
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.sqlite3"


def test_without_a_ledger_nothing_is_known(path: Path) -> None:
    assert past_of(path, MODEL, LOOKS, 0) == Past()
    assert bursts_of(path, POOL, [Limit(Unit.REQUESTS, 60)], 0, reads_count=False) == {}


def test_a_file_that_is_no_ledger_is_said(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE other (x)")
    db.close()
    with pytest.raises(LedgerError):
        past_of(path, MODEL, LOOKS, 0)


def test_a_few_calls_teach_nothing(path: Path) -> None:
    with SqliteLedger(path, prices=Prices()) as ledger:
        for number in range(1, 6):
            attempt(ledger, number)
    assert past_of(path, MODEL, LOOKS, 0).replies is None


def test_speed_and_first_token_are_learnt_from_streams(path: Path) -> None:
    with SqliteLedger(path, prices=Prices()) as ledger:
        for number in range(1, 60):
            attempt(ledger, number, first_ms=400.0 + number, speed=70.0 + number % 3)
    past = past_of(path, MODEL, LOOKS, 0)
    assert past.tempo is not None
    assert past.tempo.first_s == pytest.approx(0.43, abs=0.01)
    assert past.tempo.speed == pytest.approx(71, abs=1)


def test_the_correction_of_estimates_is_undone_as_the_engine_made_it(path: Path) -> None:
    """The ledger has corrected estimates; how far plain ones are off is learnt all the same."""
    draw, ratio, now = random.Random(2), Ratio(), 0.0
    plain_total = counted_total = 0.0
    with SqliteLedger(path, prices=Prices()) as ledger:
        for number in range(1, 200):
            plain = draw.uniform(500, 1_500)
            counted = round(plain * draw.uniform(1.2, 1.3))
            attempt(ledger, number, at_s=now, estimate=plain * ratio.value, counted=counted, output=50)
            ratio.learn(plain, counted)  # it is over before the next one goes
            now += 10.0
            plain_total, counted_total = plain_total + plain, counted_total + counted
    past = past_of(path, MODEL, LOOKS, 0)
    assert past.ratio == pytest.approx(counted_total / plain_total, rel=0.005)
    assert past.ratio_doubt < 0.01


def test_the_job_itself_counts_before_its_like_and_that_before_all_others(path: Path) -> None:
    with SqliteLedger(path, prices=Prices()) as ledger:
        for number in range(1, 30):
            attempt(ledger, number, run="a-1", job="like", output=300)
            attempt(ledger, number, run="b-1", job="unlike", output=900, estimate=9_000, counted=9_000)
    found = past_of(path, MODEL, LOOKS, 0)
    assert (found.kin, found.calls) == ("alike", 29)
    assert past_of(path, MODEL, Looks("unlike", 1.0, frozenset()), 0).kin == "same"
    other = past_of(path, MODEL, Looks("new", 50.0, frozenset({64})), 0)
    assert (other.kin, other.calls) == ("other", 58)
    assert past_of(path, "claude-opus-4-8", LOOKS, 0).calls == 0


def test_only_the_time_asked_for_counts(path: Path) -> None:
    with SqliteLedger(path, prices=Prices()) as ledger:
        for number in range(1, 30):
            attempt(ledger, number)
    assert past_of(path, MODEL, LOOKS, AT_NS + 1).calls == 0


def test_a_run_that_was_held_back_shows_what_the_bucket_held(path: Path) -> None:
    limit = Limit(Unit.REQUESTS, 600)  # ten a second
    with SqliteLedger(path, prices=Prices()) as ledger:
        for number in range(1, 301):
            at_s = 0.0 if number <= 50 else (number - 50) / 10
            attempt(ledger, number, at_s=at_s, waited_for="requests" if number > 50 else "")
    found = bursts_of(path, POOL, [limit], 0, reads_count=False)[Unit.REQUESTS]
    assert found.is_whole
    assert found.amount == pytest.approx(50, abs=1)


def test_a_run_that_was_not_held_back_shows_the_least_that_it_may_hold(path: Path) -> None:
    with SqliteLedger(path, prices=Prices()) as ledger:
        for number in range(1, 101):
            attempt(ledger, number, at_s=number / 50)
    found = bursts_of(path, POOL, [Limit(Unit.REQUESTS, 600)], 0, reads_count=False)[Unit.REQUESTS]
    assert not found.is_whole
    assert 70 < found.amount < 90


def test_what_others_took_in_the_last_day_is_left_to_them(path: Path, tmp_path: Path) -> None:
    limits = Config(limits="requests=60,input_tokens=1m,output_tokens=60k")
    made = scene(tmp_path / "mine.jsonl", mixed(50), limits)
    with SqliteLedger(path, prices=Prices()) as ledger:
        for number in range(1, 865):  # 864 x 10,000 tokens: a tenth of what 1,000 a second allow in a day
            attempt(ledger, number, job="theirs", at_s=-3_600, output=10_000)
            attempt(ledger, number, run="mine-1", job="mine", at_s=-3_600, output=10_000)
    others = others_of(path, made)
    assert others.largest == (Unit.OUTPUT_TOKENS, pytest.approx(0.1))
    left = {limit.unit: limit.amount for limit in beside(made, others).limits(POOL)}
    assert left[Unit.OUTPUT_TOKENS] == pytest.approx(54_000)
    assert left[Unit.REQUESTS] == pytest.approx(59.4)
    assert others_of(None, made).largest is None


def test_traffic_under_other_limits_says_nothing_of_these(path: Path) -> None:
    with SqliteLedger(path, prices=Prices()) as ledger:
        for number in range(1, 101):
            attempt(ledger, number, at_s=number / 50)
    assert bursts_of(path, POOL, [Limit(Unit.REQUESTS, 60)], 0, reads_count=False) == {}


def test_limits_are_those_that_are_believed_else_the_lowest_published(path: Path) -> None:
    catalog = Catalog.load()
    with SqliteLedger(path, prices=Prices()) as ledger:
        keep_limits(ledger, Config().base_url, POOL, [Limit(Unit.REQUESTS, 77.0)], AT_NS)

    def known(pool: str, config: Config, ledger: Path | None) -> Known:
        return known_of(pool, catalog, Believed(config, ledger, AT_NS))

    assert known(POOL, Config(limits="requests=55"), path).limits[0].amount == 55
    shown = known(POOL, Config(), path)
    assert (shown.limits[0].amount, shown.source) == (77, "as the headers of your last calls showed them")
    lowest = known(POOL, Config(), None)
    assert (lowest.limits[0].amount, lowest.is_sure) == (50, False)
    assert known("nobody's", Config(), None).limits == ()
