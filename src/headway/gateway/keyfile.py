"""The file of virtual keys: what is written of each, who may read it, and how it is changed.

It is JSON, because a program writes it. Secrets are not in it, only their hash. It is refused if anybody but its owner may
read it; it is replaced whole, and two writers take turns.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Annotated

import msgspec
import platformdirs

from headway.core.call import Class
from headway.errors import ConfigError, OutputError

_VERSION = 1
_PATIENCE_S = 5.0  # for another writer, who needs some milliseconds

Name = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9._-]{0,39}$")]
Moment = Annotated[datetime, msgspec.Meta(tz=True)]


class Proof(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """One secret of a key, as its SHA-256 in hex. `expires` is set on one that was rotated away."""

    sha256: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}$")]
    added: Moment
    expires: Moment | None = None


class Stored(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One key. Unknown fields are refused: a restriction that this version does not know must not be overlooked."""

    name: Name
    tenant: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    class_: Class = msgspec.field(name="class", default=Class.STANDARD)
    weight: Annotated[float, msgspec.Meta(gt=0, le=1e6)] = 1.0
    models: tuple[Annotated[str, msgspec.Meta(min_length=1, max_length=200)], ...] = ()
    budgets: tuple[str, ...] = ()
    max_in_flight: Annotated[int, msgspec.Meta(ge=1)] | None = None
    expires: Moment | None = None
    revoked: Moment | None = None
    proofs: tuple[Proof, ...] = ()


class _File(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    version: int
    keys: list[Stored]


def default_path() -> Path:
    """HEADWAY_KEYS, else `headway/keys.json` where this system keeps the settings of its users."""
    chosen = os.environ.get("HEADWAY_KEYS", "").strip()
    return Path(chosen).expanduser() if chosen else platformdirs.user_config_path("headway") / "keys.json"


def read_keys(path: Path) -> list[Stored]:
    """The keys of a file. ConfigError if it is not there, if others may read it, or if it is no file of keys."""
    try:
        with path.open("rb") as file:
            _check(path, os.fstat(file.fileno()))
            found = msgspec.json.decode(file.read(), type=_File)
    except FileNotFoundError:
        raise ConfigError(f"there are no keys at {path}", hint="Make one: headway keys add NAME") from None
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror or error}") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is no file of keys: {error}", hint="Restore it from a copy.") from None
    if found.version != _VERSION:
        raise ConfigError(f"{path} was written by another headway (version {found.version} of the file)")
    (name, count), *_ = Counter(key.name for key in found.keys).most_common(1) or [("", 1)]
    if count > 1:
        raise ConfigError(f"{path} has {count} keys called {name}", hint="Rename all but one of them.")
    return found.keys


@contextmanager
def edit_keys(path: Path) -> Iterator[list[Stored]]:
    """The keys, to be changed in place: what is in the list at the end is written, whole or not at all.

    Raises ConfigError as `read_keys`, but begins a file that is not there; OutputError if it cannot be written, or if
    another writer does not end.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from None
    try:
        _take(lock, path)
        keys = read_keys(path) if path.exists() else []
        yield keys
        _replace(path, msgspec.json.format(msgspec.json.encode(_File(version=_VERSION, keys=keys))))
    finally:
        os.close(lock)


def _check(path: Path, found: os.stat_result) -> None:
    if found.st_mode & 0o077:
        raise ConfigError(
            f"others may read or write {path}", hint=f"It is for its owner alone: chmod 600 {path}"
        )
    if found.st_uid not in (0, os.geteuid()):
        raise ConfigError(f"{path} belongs to another user", hint="Make your own: headway keys add NAME")


def _take(lock: int, path: Path) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except OSError:
            if time.monotonic() > deadline:
                raise OutputError(f"another process keeps {path} locked", hint="Try again.") from None
        time.sleep(0.02)


def _replace(path: Path, content: bytes) -> None:
    """A reader sees the old file or the new one, and after a power cut it is one of them, too."""
    beside = path.with_name(f"{path.name}.{os.getpid()}.new")
    try:
        file = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(file, "wb") as out:
                out.write(content + b"\n")
                out.flush()
                os.fsync(out.fileno())
            os.replace(beside, path)
        except BaseException:
            with suppress(OSError):
                os.unlink(beside)
            raise
        folder = os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from None
