"""The job file as something to read from: a file, or a copy of what standard input or a pipe gave."""

from __future__ import annotations

import os
import shutil
import stat
import sys
import tempfile
from pathlib import Path
from typing import BinaryIO

from headway.errors import InputError, MachineError

_JSON = (".jsonl", ".json", ".ndjson")


def open_job(name: str) -> BinaryIO:
    """Open a job file; `-` is standard input. What cannot be read twice is copied to a nameless file first.

    Raises InputError if there is none, MachineError if there is no room for the copy.
    """
    if name == "-":
        if sys.stdin.isatty():
            sys.stderr.write("Reading the job from the terminal; Ctrl-D ends it.\n")
        return _copy(sys.stdin.buffer)
    try:
        file = Path(name).open("rb")  # noqa: SIM115 (the caller closes it)
        mode = os.fstat(file.fileno()).st_mode
    except FileNotFoundError:
        raise InputError(f"no such file: {name}") from None
    except OSError as error:
        raise InputError(f"cannot read {name}: {error.strerror}") from None
    if stat.S_ISREG(mode):
        return file
    with file:
        return _copy(file)


def _copy(source: BinaryIO) -> BinaryIO:
    try:
        copy = tempfile.TemporaryFile(prefix="headway-")  # noqa: SIM115 (the caller closes it)
        shutil.copyfileobj(source, copy)
        copy.seek(0)
    except OSError as error:
        raise MachineError(
            f"cannot keep a copy of the input in {tempfile.gettempdir()}: {error.strerror}"
        ) from None
    return copy


def is_text(name: str, file: BinaryIO) -> bool:
    """Whether lines are prompts as they stand. Files that are called JSON are JSON; others if they look like it."""
    if Path(name).suffix.lower() in _JSON:
        return False
    file.seek(0)
    first = next((line for line in file if line.strip()), b"{")
    return not first.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"{")
