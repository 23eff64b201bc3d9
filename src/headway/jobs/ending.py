"""What the end of a call means for its job: a result to write, or a reason to stop.

A single call that fails is a line with an error. But when the API itself is down, every line would end so: therefore
failures that are the server's (5xx, overload, broken connections) are held back until another call has succeeded, and
when too many come in a row the job stops instead. Those lines have no result then and run again with the next start.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from pathlib import Path

from headway.core.call import Fault, Problem
from headway.core.steps import Outcome
from headway.errors import BudgetExceeded, HeadwayError, WouldWaitTooLong
from headway.jobs.result import Result, errored, succeeded

OUTAGE, OUTAGE_AT_START = 5, 3  # calls that fail one after the other, after all their retries
OUTAGE_S = 900.0  # or attempts that fail for so long, with no success between them
_GOES_ON = "What is done is kept; the same command goes on."


@dataclass(frozen=True, slots=True)
class Stop:
    """Why a job stopped before its end. `exit_code` is for the shell."""

    reason: str
    hint: str = ""
    exit_code: int = 3

    @staticmethod
    def interrupted(signal_number: int) -> Stop:
        """Somebody asked for it."""
        return Stop("interrupted", "The same command goes on where this one ended.", 128 + signal_number)

    @staticmethod
    def unreachable(problem: Problem) -> Stop:
        """No connection."""
        hint = f"Look at the network and at the base URL (ANTHROPIC_BASE_URL, --base-url). {_GOES_ON}"
        return Stop(f"the API cannot be reached: {problem.message}", hint, 5)

    @staticmethod
    def unwritable(path: Path, exit_code: int) -> Stop:
        """Results have no place."""
        return Stop(f"{path} cannot be written any more", "The same command goes on.", exit_code)

    @staticmethod
    def unsaved(before: Stop | None, lost: int, place: Path | None, path: Path) -> Stop:
        """Results came that could not be written at all, or only somewhere else."""
        reason = before.reason if before is not None else f"{path} cannot be written"
        count = f"{lost:,} result{'s' if lost != 1 else ''}"
        if place is None:
            hint = f"{count} could not be written. With -o FILE and room on its disk none would be lost."
        else:
            hint = f"{count} did not fit and are in {place}. To keep them: cat {place} >> {path}"
        return Stop(reason, hint, before.exit_code if before is not None else 5)


class Ending:
    """Decides on each outcome. Times are monotonic seconds.

    `doubtful` are results that count only if the API turns out to be well.
    """

    def __init__(self, retries: int) -> None:
        self._failing_since: float | None = None
        self.stop: Stop | None = None
        self.doubtful: list[tuple[str, Result]] = []
        self._failed_at: list[float] = []  # of each of them
        self._in_a_row = 0
        self._retries = retries
        self._worked = False

    def failed(self, problem: Problem, now: float) -> None:
        """An attempt has failed, for whatever reason; its call may be tried again."""
        if problem.fault not in (Fault.FAILED, Fault.OVERLOADED):
            return
        if self._failing_since is None:
            self._failing_since = now
        elif now - self._failing_since > OUTAGE_S and self.stop is None:
            since = f"nothing has succeeded for {(now - self._failing_since) / 60:.0f} minutes"
            self.stop = _outage(f"{since}, the last attempt ended with", problem)

    def settle(self, outcome: Outcome, now: float) -> list[tuple[str, Result]]:
        """The results to write now. Afterwards `stop` says whether the job should go on."""
        custom_id, problem = outcome.call.label, outcome.problem
        if outcome.error is not None:
            self.stop = _refused(outcome.error)
            return []
        if problem is None:
            assert outcome.reply is not None
            self._worked, self._failing_since, self._in_a_row = True, None, 0
            return [*self._clear(now - outcome.reply.total_s), (custom_id, succeeded(outcome.reply.message))]
        match problem.fault:
            case Fault.STOPPED:
                self.stop = _stopped(problem)
            case Fault.RATE_LIMITED | Fault.RAMP_LIMITED:
                self.stop = Stop(
                    f"a limit does not clear in time: {problem.message} ({outcome.why})", _GOES_ON
                )
            case Fault.FAILED | Fault.OVERLOADED:
                self._doubt(outcome, problem, now)
            case Fault.REJECTED:
                return [(custom_id, errored(problem.error_type, problem.message, problem.request_id))]
        return []

    def _clear(self, sent_at: float) -> list[tuple[str, Result]]:
        """A success clears what failed before it was sent: later failures may be the beginning of an outage."""
        count = bisect_left(self._failed_at, sent_at)
        cleared = self.doubtful[:count]
        del self.doubtful[:count], self._failed_at[:count]
        return cleared

    def _doubt(self, outcome: Outcome, problem: Problem, now: float) -> None:
        if (
            outcome.attempts - outcome.refusals <= self._retries
        ):  # it may not wait as long as its next try would take
            self.stop = Stop(f"a call would wait too long: {problem.message} ({outcome.why})", _GOES_ON)
            return
        if outcome.reply is not None and not outcome.reply.sent:
            self.stop = Stop.unreachable(problem)
            return
        error_type = "api_error" if problem.status is None else problem.error_type
        self.doubtful.append((outcome.call.label, errored(error_type, problem.message, problem.request_id)))
        self._failed_at.append(now)
        self._in_a_row += 1
        if self._in_a_row >= (OUTAGE if self._worked else OUTAGE_AT_START):
            count = f"{self._in_a_row} calls in a row, each {outcome.attempts} times"
            self.stop = _outage(f"{count}, the last with", problem)


def _outage(how: str, problem: Problem) -> Stop:
    reason = f"the API fails: {how} {problem.error_type}: {problem.message}"
    return Stop(reason, f"Try again later. {_GOES_ON}", 5)


def _stopped(problem: Problem) -> Stop:
    reason = f"the provider stopped us: {problem.message}"
    if problem.status in (401, 403):
        return Stop(reason, f"Look at the key (ANTHROPIC_API_KEY). {_GOES_ON}", 2)
    return Stop(reason, _GOES_ON)


def _refused(error: HeadwayError) -> Stop:
    match error:
        case BudgetExceeded():
            reason = "the budget is used up"
        case WouldWaitTooLong():
            reason = "a call would wait too long"
        case _:
            reason = "refused"
    return Stop(f"{reason}: {error}", error.hint, error.exit_code)
