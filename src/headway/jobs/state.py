"""What a job remembers beside its output, in `OUT.headway.json`: which input the results belong to."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import msgspec

from headway.errors import JobFileError, OutputError
from headway.jobs.index import Index


@dataclass(frozen=True, slots=True)
class State:
    """The input as it was: size in bytes, lines, and a digest of all of it."""

    input: str
    size: int
    lines: int
    digest: str


def state_path(output: Path) -> Path:
    """Where the state of a job with this output is kept."""
    return output.with_name(output.name + ".headway.json")


def state_of(index: Index, name: str) -> State:
    """The state of a job that runs what was scanned."""
    return State(name, index.size, len(index.offsets) - 1, index.digest)


def check_unchanged(output: Path, now: State) -> None:
    """Raises JobFileError if the results in `output` are of another input, or of this one as it was before."""
    path = state_path(output)
    try:
        before = msgspec.json.decode(path.read_bytes(), type=State)
    except FileNotFoundError:
        return
    except (OSError, msgspec.DecodeError) as error:
        raise OutputError(
            f"cannot read {path}: {error}", hint="Delete it, or begin anew with --restart."
        ) from None
    if before.digest != now.digest:
        raise JobFileError(
            f"{now.input} has changed since {output} was begun: {before.lines:,} lines and {before.size:,} bytes "
            f"then, {now.lines:,} lines and {now.size:,} bytes now",
            hint="Begin anew with --restart, write to another -o, or keep the results that are there and run "
            "what has none with --accept-changes.",
        )


def save(output: Path, state: State) -> None:
    """Write the state, whole or not at all."""
    path = state_path(output)
    temporary = path.with_name(path.name + ".tmp")
    try:
        temporary.write_bytes(msgspec.json.encode(state) + b"\n")
        os.replace(temporary, path)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror}") from None
