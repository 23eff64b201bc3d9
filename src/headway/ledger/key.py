"""The key of fingerprints: 32 random bytes in a file beside the ledger, the same for every process that writes there.

Whoever comes first makes it, under a lock, so that two who come at once have the same. Without a key there are no
fingerprints, and nothing else is missing.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from secrets import token_bytes

SIZE = 32  # bytes


def key_path(ledger: Path) -> Path:
    """Where the key of a ledger is."""
    return ledger.with_name(f"{ledger.name}.key")


def fingerprint_key(ledger: Path) -> bytes | None:
    """The key of this ledger, made if there is none. None: the file cannot be read or made, or holds something else."""
    path = key_path(ledger)
    try:
        return _read(path) or _made(path)
    except (OSError, ValueError):
        return None


def _read(path: Path) -> bytes | None:
    """What stands there; None: nothing yet. Raises ValueError if it is no key."""
    try:
        with path.open("rb") as file:
            return _checked(file.read(SIZE + 1))
    except FileNotFoundError:
        return None


def _made(path: Path) -> bytes:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        key = _checked(os.read(descriptor, SIZE + 1))
        if key is None:
            key = token_bytes(SIZE)
            if os.write(descriptor, key) != SIZE:
                os.ftruncate(descriptor, 0)
                raise OSError("no room for a key")
            os.fsync(descriptor)
        return key
    finally:
        os.close(descriptor)


def _checked(content: bytes) -> bytes | None:
    if content and len(content) != SIZE:
        raise ValueError("no key")
    return content or None
