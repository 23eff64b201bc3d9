"""What a job remembers beside its output, in `OUT.headway.json`: which input the results belong to, and what they cost."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path

import msgspec

from headway.errors import JobFileError, OutputError
from headway.jobs.index import Index
from headway.jobs.lines import Defaults

_ACCEPT = (
    "Begin anew with --restart, write to another -o, or keep the results that are there and run "
    "what has none with --accept-changes."
)


@dataclass(frozen=True, slots=True)
class State:
    """The input as it was: size in bytes, lines, digests of all of it and of what --model and the like gave to its lines.

    `spent_nanousd` is what the job has cost in all its runs, with what calls in flight could cost at most.
    """

    input: str
    size: int
    lines: int
    digest: str
    defaults: str = ""
    spent_nanousd: int = 0


def state_path(output: Path) -> Path:
    """Where the state of a job with this output is kept."""
    return output.with_name(output.name + ".headway.json")


def state_of(index: Index, name: str, defaults: Defaults) -> State:
    """The state of a job that runs what was scanned."""
    given = msgspec.json.encode((defaults.model, defaults.max_tokens, defaults.system))
    return State(name, index.size, index.lines, index.digest, blake2b(given, digest_size=8).hexdigest())


def load(output: Path) -> State | None:
    """The state as it was saved last; None: none was. Raises OutputError for one that cannot be read."""
    path = state_path(output)
    try:
        return msgspec.json.decode(path.read_bytes(), type=State)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError) as error:
        raise OutputError(
            f"cannot read {path}: {error}", hint="Delete it, or begin anew with --restart."
        ) from None


def check_unchanged(output: Path, before: State, now: State) -> None:
    """Raises JobFileError if the results in `output` are of another input, or of this one as it was before."""
    if before.digest != now.digest:
        raise JobFileError(
            f"{now.input} has changed since {output} was begun: {before.lines:,} lines and {before.size:,} bytes "
            f"then, {now.lines:,} lines and {now.size:,} bytes now",
            hint=_ACCEPT,
        )
    if before.defaults not in ("", now.defaults):
        raise JobFileError(
            f"{output} was begun with another --model, --max-tokens or --system: its lines would not be alike",
            hint=f"Give the same again. Else: {_ACCEPT}",
        )


def save(output: Path, state: State) -> None:
    """Write the state, whole or not at all."""
    path = state_path(output)
    temporary = path.with_name(path.name + ".tmp")
    try:
        with temporary.open("wb") as file:
            file.write(msgspec.json.encode(state) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror}") from None


def with_spent(state: State, nanousd: int) -> State:
    """The same with what was spent so far."""
    return replace(state, spent_nanousd=nanousd)
