from __future__ import annotations

from itertools import count
from pathlib import Path

import pytest

from headway.core.call import Call, Estimate, Fault, Identity, Problem
from headway.core.steps import Outcome, Reply
from headway.errors import BudgetExceeded, WouldWaitTooLong
from headway.jobs.ending import OUTAGE, OUTAGE_AT_START, OUTAGE_S, Ending, Stop
from headway.jobs.result import Result

RETRIES = 2


def call(name: str) -> Call:
    return Call("id", "/v1/messages", b"", Identity("p", "m"), Estimate(1, 1), label=name)


def answered(name: str = "good", took_s: float = 0.5) -> Outcome:
    return Outcome(call(name), 1, reply=Reply(200, {}, message={"text": "Hi"}, total_s=took_s))


def ended(
    fault: Fault,
    *,
    name: str = "bad",
    attempts: int = RETRIES + 1,
    status: int | None = 500,
    sent: bool = True,
) -> Outcome:
    problem = Problem(fault, "some_error", "said so", status, "req_1")
    return Outcome(
        call(name), attempts, Reply(status, {}, problem=problem, sent=sent), problem, why="why not"
    )


CLOCK = count(1000.0)


def settle(ending: Ending, outcome: Outcome) -> list[tuple[str, Result]]:
    """One second after the other."""
    return ending.settle(outcome, next(CLOCK))


def of(ending: Ending, outcome: Outcome) -> list[tuple[str, str]]:
    return [(custom_id, result["type"]) for custom_id, result in settle(ending, outcome)]


def test_an_answer_and_a_rejected_line_are_results_at_once() -> None:
    ending = Ending(RETRIES)
    assert of(ending, answered("a")) == [("a", "succeeded")]
    found: list[tuple[str, Result]] = settle(ending, ended(Fault.REJECTED, name="b", attempts=1, status=400))
    assert found[0][1]["error"] == {
        "type": "error",
        "error": {"type": "some_error", "message": "said so"},
        "request_id": "req_1",
    }
    assert ending.stop is None


@pytest.mark.parametrize("fault", [Fault.FAILED, Fault.OVERLOADED])
def test_a_line_that_fails_counts_only_once_another_has_succeeded(fault: Fault) -> None:
    ending = Ending(RETRIES)
    assert of(ending, answered()) == [("good", "succeeded")]
    assert of(ending, ended(fault)) == []
    assert of(ending, answered("next")) == [("bad", "errored"), ("next", "succeeded")]
    assert ending.doubtful == []


def test_a_success_that_was_on_its_way_before_a_failure_proves_nothing() -> None:
    ending = Ending(RETRIES)
    assert of(ending, ended(Fault.FAILED)) == []
    assert of(ending, answered("long", took_s=1.5)) == [("long", "succeeded")]
    assert of(ending, answered("new")) == [("bad", "errored"), ("new", "succeeded")]


def test_too_many_failures_in_a_row_stop_the_job_and_their_lines_have_no_result() -> None:
    for worked, most in ((True, OUTAGE), (False, OUTAGE_AT_START)):
        ending = Ending(RETRIES)
        if worked:
            settle(ending, answered())
        for number in range(most):
            assert ending.stop is None
            assert of(ending, ended(Fault.FAILED, name=str(number))) == []
        assert ending.stop is not None
        assert ending.stop.exit_code == 5
        assert f"{most} calls in a row, each 3 times, the last with some_error: said so" in ending.stop.reason


def test_failures_with_successes_between_them_never_stop_the_job() -> None:
    ending = Ending(RETRIES)
    for number in range(10 * OUTAGE):
        settle(ending, ended(Fault.FAILED, name=str(number)))
        settle(ending, answered())
    assert ending.stop is None


def test_attempts_that_fail_for_a_long_time_stop_the_job_although_no_call_has_used_up_its_retries() -> None:
    problem = Problem(Fault.OVERLOADED, "overloaded_error", "Overloaded", 529)
    ending = Ending(RETRIES)
    ending.failed(problem, 100.0)
    ending.failed(problem, 100.0 + OUTAGE_S)
    assert ending.stop is None
    settle(ending, answered())
    ending.failed(problem, 200.0 + OUTAGE_S)
    assert ending.stop is None
    ending.failed(Problem(Fault.RATE_LIMITED, "rate_limit_error", "wait", 429), 300.0 + 2 * OUTAGE_S)
    assert ending.stop is None
    ending.failed(problem, 300.0 + 2 * OUTAGE_S)
    assert ending.stop is not None
    assert "nothing has succeeded for 17 minutes" in ending.stop.reason


@pytest.mark.parametrize(("status", "code"), [(401, 2), (403, 2), (429, 3), (400, 3)])
def test_what_every_other_call_would_meet_too_stops_the_job(status: int, code: int) -> None:
    ending = Ending(RETRIES)
    assert of(ending, ended(Fault.STOPPED, attempts=1, status=status)) == []
    assert ending.stop is not None
    assert ending.stop.exit_code == code


def test_no_connection_after_all_retries_stops_the_job() -> None:
    ending = Ending(RETRIES)
    assert of(ending, ended(Fault.FAILED, status=None, sent=False)) == []
    assert ending.stop is not None
    assert (ending.stop.exit_code, "cannot be reached" in ending.stop.reason) == (5, True)


def test_a_call_that_gives_up_for_time_is_to_run_again_and_is_no_error() -> None:
    ending = Ending(RETRIES)
    assert of(ending, ended(Fault.OVERLOADED, attempts=RETRIES)) == []
    assert ending.doubtful == []
    assert ending.stop is not None
    assert ending.stop.exit_code == 3


def test_refusals_by_the_engine_stop_the_job_with_their_way_out() -> None:
    for error, said in (
        (BudgetExceeded("cap", used=1, cap=1, hint="Raise it."), "the budget is used up: cap"),
        (
            WouldWaitTooLong("long", limit="l", level=0, wait_s=9, hint="Raise it."),
            "a call would wait too long",
        ),
    ):
        ending = Ending(RETRIES)
        assert of(ending, Outcome(call("a"), 0, error=error)) == []
        assert ending.stop is not None
        assert said in ending.stop.reason
        assert (ending.stop.hint, ending.stop.exit_code) == ("Raise it.", 3)


def test_results_that_could_not_be_written_are_said_with_their_place() -> None:
    stop = Stop.unsaved(Stop("interrupted", "", 130), 2, Path("/tmp/x"), Path("out"))
    assert (stop.reason, stop.exit_code) == ("interrupted", 130)
    assert "2 results did not fit and are in /tmp/x" in stop.hint
    assert "could not be written" in Stop.unsaved(None, 1, None, Path("out")).hint
