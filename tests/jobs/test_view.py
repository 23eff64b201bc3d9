from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from headway.assemble import build
from headway.config import load
from headway.jobs.door import Door, Options
from headway.jobs.ending import Stop
from headway.jobs.job import Job
from headway.jobs.lines import Defaults
from headway.jobs.summary import summarise
from headway.jobs.view import look

POOL = "anthropic/opus-4"


@pytest.fixture
def job(tmp_path: Path) -> Iterator[Job]:
    """A hundred lines on 60 requests and 6,000 output tokens a minute; began at second 1000, nothing sent yet."""
    params = {
        "model": "claude-opus-4-20250514",
        "max_tokens": 100,
        "messages": [{"role": "user", "content": "Hi"}],
    }
    lines = "".join(json.dumps({"custom_id": f"a{n}", "params": params}) + "\n" for n in range(100))
    (tmp_path / "job.jsonl").write_text(lines)
    config = load({"ANTHROPIC_API_KEY": "k"}, ledger="none", limits="requests=60/min,output_tokens=6k/min")
    options = Options(tmp_path / "job.jsonl", "job", tmp_path / "out", Defaults())
    door = Door(options, build(config, lambda: 0))
    door.look()
    made = door._make_job()
    made.engine.pool(POOL, 1000.0)
    made.tally.began_at = 1000.0
    yield made
    door.close()


def test_the_time_left_is_sane_before_anything_has_come_back(job: Job) -> None:
    view = look(job, 1000.0)
    assert view.left_s is not None
    assert 90 < view.left_s < 130  # a hundred requests at one a second
    assert (view.total, view.done, view.usd, view.expected_usd) == (100, 0, 0.0, None)
    assert 5 * 100 < view.expected_output <= 100 * 100
    assert view.expected_input == pytest.approx(job.tally.input_left)


def test_one_slow_reply_does_not_upset_the_time_left(job: Job) -> None:
    job.tally.succeeded = 1
    view = look(job, 1030.0)
    assert view.left_s is not None
    assert view.left_s < 130


def test_what_is_expected_follows_the_replies(job: Job) -> None:
    job.tally.succeeded = 50
    job.tally.tokens.update(input=500, output=4000)
    job.tally.nanousd = 10**9
    view = look(job, 1060.0)
    assert view.expected_output == 4000 + 50 * 80
    assert view.expected_usd == pytest.approx(2.0)
    assert view.left_s == pytest.approx(60.0)


def test_the_note_says_why_nothing_moves(job: Job) -> None:
    assert look(job, 1000.0).note == ""
    job.tally.trouble, job.tally.troubled_at = "api_error: down", 1000.0
    assert look(job, 1001.0).note == "api_error: down"
    job.stop(Stop("the budget is used up"))
    assert "Ctrl-C breaks them off" in look(job, 1001.0).note
    job.stopped = Stop.interrupted(2)
    assert "Ctrl-C again breaks them off" in look(job, 1001.0).note
    job.is_blocked = True
    assert "the disk is full" in look(job, 1001.0).note


def test_the_summary_names_each_limit_and_how_much_of_it_was_used(job: Job) -> None:
    pool = job.engine.pools[POOL]
    pool.used.update({level.limit.unit: 30.0 for level in job.engine.levels(POOL, 1000.0)})
    pool.bound_s["requests"] = 12.0
    job.tally.ended_at = 1060.0
    summary = summarise(job.tally, job.engine, None, output="out", now=1060.0)
    shares = {limit["unit"]: (limit["share_used"], limit["bound_s"]) for limit in summary["limits"]}
    assert shares == {"requests": (0.5, 12.0), "output_tokens": (0.005, 0.0)}
    assert summary["bound_s"] == {"requests": 12.0}
    assert (summary["calls"], summary["left"], summary["elapsed_s"], summary["stopped"]) == (
        100,
        100,
        60.0,
        None,
    )
    json.dumps(summary)


def test_calls_that_wait_for_another_try_are_said_to_be_what_is_waited_for(job: Job) -> None:
    async def put_off() -> str:
        job._line_scopes["a-1"] = anyio.CancelScope()
        return look(job, 1000.0).waits_for

    assert anyio.run(put_off) == "the next try of 1 call"
