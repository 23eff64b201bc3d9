"""What came of each call, as rows: the file of results, and what all figures are made of."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import msgspec

from headway.errors import InputError, OutputError
from headway.providers.usage import usage_of
from headway.workbench.bounded import TookTooLong, at_most
from headway.workbench.check import Check
from headway.workbench.record import Reply
from headway.workbench.trials import Trial


@dataclass(frozen=True, slots=True)
class Row:
    """One call. Tokens and milliseconds; `input_tokens` are all input, cache reads and writes among them.

    `cost_nanousd` is None where no price is known. `passed` is what the check says, `judged` what the judge does, `score`
    what counts of both, each from 0 to 1; None: nobody has said. `failed_there`: the API failed, not the request, which says
    nothing about the prompt.
    """

    id: str
    variant: str
    input: str
    line: int
    repeat: int
    model: str
    succeeded: bool
    output: str = field(repr=False)
    error: str
    failed_there: bool
    stop_reason: str
    input_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    output_tokens: int
    cost_nanousd: int | None
    first_token_ms: float | None
    total_ms: float
    queued_ms: float
    attempts: int
    passed: bool | None = None
    judged: float | None = None
    judge: str = field(default="", repr=False)
    judge_cost_nanousd: int = 0
    score: float | None = None


def rows(trials: Sequence[Trial], replies: Mapping[str, Reply], check: Check | None) -> Iterator[Row]:
    """A row for each call that has ended, checked. Raises InputError if a check cannot be made."""
    for trial in trials:
        reply = replies.get(trial.id)
        if reply is not None:
            yield _row(trial, reply, check)


def _row(trial: Trial, reply: Reply, check: Check | None) -> Row:
    message, course, text = reply.message or {}, reply.course, reply.text
    model = str(message.get("model") or trial.request["model"])
    raw = message.get("usage")
    usage = usage_of(raw if isinstance(raw, dict) else {}, model)
    written = usage.cache_write_5m_tokens + usage.cache_write_1h_tokens
    succeeded = reply.message is not None
    asked = check is not None and not reply.failed_there
    passed = succeeded and _passes(check, text, trial) if asked and check is not None else None
    return Row(
        id=trial.id,
        variant=trial.variant,
        input=trial.input.id,
        line=trial.input.number,
        repeat=trial.repeat,
        model=model,
        succeeded=succeeded,
        output=text,
        error=reply.error,
        failed_there=reply.failed_there,
        stop_reason=str(message.get("stop_reason") or ""),
        input_tokens=usage.input_tokens + usage.cache_read_tokens + written,
        cache_read_tokens=usage.cache_read_tokens,
        cache_write_tokens=written,
        output_tokens=usage.output_tokens,
        cost_nanousd=course.cost_nanousd if course.priced else None,
        first_token_ms=course.first_token_ms,
        total_ms=course.total_ms,
        queued_ms=course.queued_ms,
        attempts=course.attempts,
        passed=passed,
        score=None if passed is None else float(passed),
    )


def _passes(check: Check, text: str, trial: Trial) -> bool:
    """Raises InputError where a check takes too long: a pattern may try for longer than anybody waits."""
    try:
        with at_most(check.timeout_s):
            return check.passes(text, trial.input.fields)
    except TookTooLong:
        raise InputError(
            f"[check] took more than {check.timeout_s:g} s on the output of variant {trial.variant!r} for input "
            f"{trial.input.id!r} (line {trial.input.number:,})",
            hint="The replies are kept: mend the check, or give it a timeout_s, and start again; nothing is asked twice.",
        ) from None


def write_rows(path: Path, found: Iterable[Row]) -> None:
    """Write the file of results: whole, or not at all. Raises OutputError, also where something else stands there."""
    temporary = path.with_name(path.name + ".tmp")
    try:
        if not is_ours(path):
            raise OutputError(
                f"{path} holds something else than results of a comparison", hint="Choose another -o."
            )
        with temporary.open("wb") as file:
            file.writelines(msgspec.json.encode(asdict(row)) + b"\n" for row in found)
        os.replace(temporary, path)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror}") from None


def is_ours(path: Path) -> bool:
    """Whether a file may be written anew: it is not there, empty, or holds rows."""
    try:
        with path.open("rb") as file:
            first = file.readline(1 << 24)
    except FileNotFoundError:
        return True
    try:
        return not first or {"id", "variant", "repeat"} <= msgspec.json.decode(first).keys()
    except (msgspec.DecodeError, UnicodeDecodeError, AttributeError):
        return False
