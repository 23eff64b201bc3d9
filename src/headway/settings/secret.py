"""The key of the API out of a file of its own: who may read that file, and what it holds."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from headway.errors import ConfigError

_LONGEST = 4096  # bytes; keys have about a hundred


def read_secret(path: Path) -> str:
    """What the file holds. Raises ConfigError, in which nothing of that stands: if others than its owner may read or
    change it, if it is empty, and if it cannot be read."""
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            content = file.read(_LONGEST + 1)
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot read it: {getattr(error, 'strerror', None) or error}") from None
    if mode & 0o077:
        raise ConfigError(
            f"others than its owner may read it or change it (mode {mode:o})",
            hint=f"chmod 600 {path}; and get a new key if somebody may have read it.",
        )
    if len(content) > _LONGEST or not content.isascii():
        raise ConfigError("it holds no key", hint="It holds the key of the API and nothing else.")
    if not content.strip():
        raise ConfigError("it is empty", hint="It holds the key of the API and nothing else.")
    return content.decode("ascii")
