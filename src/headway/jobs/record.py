"""What a job has done already: opens its output, holds it against the input, and says which lines are left."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from headway.errors import ConfigError, JobFileError
from headway.jobs.index import Check, Index
from headway.jobs.lines import Defaults, custom_id_of
from headway.jobs.result import Known, errored
from headway.jobs.results import Results, Verdict
from headway.jobs.state import check_unchanged, load, save, state_of, with_spent
from headway.jobs.streamed import Streamed
from headway.jobs.tally import Tally

STDOUT = 1


@dataclass(frozen=True, slots=True)
class Options:
    """What to run. `input` is a path or a file that can be read again; `name` is how it is called in messages.

    `output` is None for standard output.
    """

    input: Path | BinaryIO
    name: str
    output: Path | None
    defaults: Defaults
    is_text: bool = False
    keep_going: bool = False
    restart: bool = False
    accept_changes: bool = False
    retry_errored: bool = False


class Record:
    """The results of one job. After `reconcile`, `done` has a 1 for each line (from 0) that has its result."""

    def __init__(self, options: Options, index: Index, tally: Tally) -> None:
        self.results = Results(options.output) if options.output else Streamed(STDOUT)
        self.done = bytearray(index.lines)
        self.state = state_of(index, options.name, options.defaults)
        self._options = options
        self._index = index
        self._tally = tally

    def reconcile(self, check: Check, cost: Callable[[bytes], int] | None) -> None:
        """Look at every result on file. `cost` says what a reply cost (nanodollars); None: nobody asks.

        Raises JobFileError if the results are of another input, ConfigError if the output is the input, OutputError.
        """
        options, results, tally = self._options, self.results, self._tally
        if results.is_file(self._index.descriptor):
            raise ConfigError("the job file and the output are the same file", hint="Choose another -o.")
        if options.restart:
            results.restart()
        elif not results.is_empty:
            self._recall()
        spent = 0

        def look(known: Known) -> Verdict:
            nonlocal spent
            if cost is not None and known.message is not None:
                spent += cost(known.message)
            return self._judge(known)

        tally.before = results.repair(look)
        tally.before_nanousd = max(spent, self.state.spent_nanousd)
        self.save(tally.before_nanousd)
        self._write_bad(check)

    def _recall(self) -> None:
        assert self._options.output is not None
        before = load(self._options.output)
        if before is None:
            return
        self.state = with_spent(self.state, before.spent_nanousd)
        if not self._options.accept_changes:
            check_unchanged(self._options.output, before, self.state)

    def save(self, spent_nanousd: int) -> None:
        """Note what was spent. Raises OutputError."""
        self.state = with_spent(self.state, spent_nanousd)
        if self._options.output is not None:
            save(self._options.output, self.state)

    def _judge(self, known: Known) -> Verdict:
        if self._options.retry_errored and not known.succeeded:
            return Verdict.DROP
        number = self._index.ids.line_of(known.custom_id)
        if number is None and known.custom_id.startswith("line-") and known.custom_id[5:].isdigit():
            number = int(known.custom_id[5:]) - 1  # a bad line without an id, written as errored
        if number is None or not 0 <= number < len(self.done):
            return Verdict.KEEP if self._options.accept_changes else Verdict.FOREIGN
        if self.done[number]:
            return Verdict.FOREIGN
        self.done[number] = 1
        self._tally.before_errored += not known.succeeded
        return Verdict.KEEP

    def _write_bad(self, check: Check) -> None:
        """With `keep_going`, each line that cannot be run gets its result: an error that says why."""
        for number in self._index.bad_lines:
            data = self._index.read(number)
            custom_id = custom_id_of(data) or f"line-{number + 1}"
            owner = self._index.ids.line_of(custom_id)
            if self.done[number] or (owner is not None and owner != number):
                continue  # the id has its result: of the other line
            self.results.append(
                custom_id,
                errored("invalid_request_error", f"line {number + 1}: {_problem(check, data, number)}"),
            )
            self.done[number] = 1
            self._tally.bad += 1
            self._tally.errors["invalid_request_error"] += 1


def _problem(check: Check, data: bytes, number: int) -> str:
    try:
        check(data, number + 1)
    except JobFileError as error:
        return str(error)
    return "cannot be run"
