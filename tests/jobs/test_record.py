from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from headway.assemble import build
from headway.config import load
from headway.errors import ConfigError, JobFileError, OutputError
from headway.jobs.door import Door, Options
from headway.jobs.lines import Defaults
from headway.jobs.result import errored, succeeded, write_result

MODEL = "claude-opus-4-20250514"
PARAMS = {"model": MODEL, "max_tokens": 5, "messages": [{"role": "user", "content": "Hi"}]}
USAGE = {"input_tokens": 100, "output_tokens": 10}
Look = Callable[..., Door]


@pytest.fixture
def look(tmp_path: Path) -> Iterator[Look]:
    """Look at the job of this folder, three good lines unless it is there, and at what is done of it."""
    doors: list[Door] = []
    job = tmp_path / "job.jsonl"
    job.write_text("".join(json.dumps({"custom_id": name, "params": PARAMS}) + "\n" for name in "abc"))

    def go(cost: float | None = None, output: str = "out.jsonl", **more: bool) -> Door:
        for door in doors:
            door.close()
        doors.clear()
        options = Options(job, "job.jsonl", tmp_path / output, Defaults(), **more)
        config = load({"ANTHROPIC_API_KEY": "k"}, ledger="none", max_cost_usd=cost)
        doors.append(Door(options, build(config, lambda: 0)))
        doors[0].look()
        return doors[0]

    yield go
    for door in doors:
        door.close()


def done(tmp_path: Path, *lines: bytes) -> None:
    (tmp_path / "out.jsonl").write_bytes(b"".join(lines))


GOOD = write_result("a", succeeded({"type": "message", "model": MODEL, "usage": USAGE}))
BAD = write_result("b", errored("api_error", "down"))


def test_what_is_done_is_counted_and_the_rest_is_left(tmp_path: Path, look: Look) -> None:
    done(tmp_path, GOOD, BAD)
    tally = look().tally
    assert (tally.total, tally.before, tally.before_errored, tally.done) == (3, 2, 1, 2)


def test_errored_lines_run_again_if_asked(tmp_path: Path, look: Look) -> None:
    done(tmp_path, GOOD, BAD)
    tally = look(retry_errored=True).tally
    assert (tally.before, tally.before_errored) == (1, 0)
    assert (tmp_path / "out.jsonl").read_bytes() == GOOD


@pytest.mark.parametrize(
    "lines", [(GOOD, GOOD), (write_result("z", succeeded({})),), (write_result("line-9", succeeded({})),)]
)
def test_a_second_result_or_one_of_another_job_is_an_error_even_when_errors_are_dropped(
    tmp_path: Path, look: Look, lines: tuple[bytes, ...]
) -> None:
    done(tmp_path, *lines)
    for retry in (False, True):
        with pytest.raises(OutputError, match="not a line of this job, or has a result already"):
            look(retry_errored=retry)
    assert (tmp_path / "out.jsonl").read_bytes() == b"".join(lines)


def test_the_output_must_not_be_the_input_by_whatever_name(tmp_path: Path, look: Look) -> None:
    before = (tmp_path / "job.jsonl").read_bytes()
    (tmp_path / "link.jsonl").symlink_to("job.jsonl")
    (tmp_path / "hard.jsonl").hardlink_to(tmp_path / "job.jsonl")
    for name in ("job.jsonl", "link.jsonl", "hard.jsonl"):
        for restart in (False, True):
            with pytest.raises(ConfigError, match="same file"):
                look(output=name, restart=restart)
    assert (tmp_path / "job.jsonl").read_bytes() == before


def test_an_input_that_changed_before_anything_was_done_is_no_trouble(tmp_path: Path, look: Look) -> None:
    look()
    (tmp_path / "job.jsonl").write_text(json.dumps({"custom_id": "new", "params": PARAMS}))
    assert look().tally.total == 1
    done(tmp_path, write_result("new", succeeded({})))
    (tmp_path / "job.jsonl").write_text(json.dumps({"custom_id": "newer", "params": PARAMS}))
    with pytest.raises(JobFileError, match="has changed"):
        look()
    assert look(accept_changes=True).tally.before == 1


def test_what_earlier_runs_cost_counts_for_the_budget_by_the_state_or_by_the_results(
    tmp_path: Path, look: Look
) -> None:
    done(tmp_path, GOOD)
    cost = 100 * 15000 + 10 * 75000
    door = look(cost=1.0)
    assert door.parts.budget is not None
    assert door.parts.budget.spent == cost
    state = tmp_path / "out.jsonl.headway.json"
    state.write_text(json.dumps(json.loads(state.read_text()) | {"spent_nanousd": 10**8}))
    door = look(cost=1.0)
    assert door.parts.budget is not None
    assert door.parts.budget.spent == 10**8
    door = look(cost=1.0, restart=True)
    assert door.parts.budget is not None
    assert door.parts.budget.spent == 0


def test_a_budget_needs_prices(tmp_path: Path) -> None:
    params = PARAMS | {"model": "nobody-7"}
    job = tmp_path / "job.jsonl"
    job.write_text(json.dumps({"custom_id": "a", "params": params}))
    config = load({"ANTHROPIC_API_KEY": "k"}, ledger="none", max_cost_usd=1.0, any_model=True)
    door = Door(Options(job, "job", tmp_path / "out", Defaults()), build(config, lambda: 0))
    with pytest.raises(ConfigError, match="no price is known for nobody-7"):
        door.look()
    door.close()
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("content", "said"), [("", "has no lines"), ("\n \n", "has no lines"), ("[\n", "1 line cannot")]
)
def test_an_empty_or_broken_job_is_said_and_leaves_nothing_behind(
    tmp_path: Path, look: Look, content: str, said: str
) -> None:
    (tmp_path / "job.jsonl").write_text(content)
    with pytest.raises(JobFileError, match=said):
        look()
    assert not (tmp_path / "out.jsonl").exists()
