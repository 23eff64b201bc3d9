"""headway.toml: which file counts, and what it says, with the line of each key."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import platformdirs

from headway.errors import ConfigError

NAME = "headway.toml"
_HEADER = re.compile(r"\s*\[([^\[\]]+)\]\s*(?:#.*)?")
_PLACE = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)")

Keys = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """The file that counts (None: there is none), and all places where one could have been, nearest first."""

    file: Path | None
    looked: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class Written:
    """What a file says: each value by its keys ("limits", "requests"), and the lines they are on, from 1."""

    file: Path
    values: Mapping[str, Any]
    lines: Mapping[Keys, int]

    def where(self, *keys: str) -> str:
        """`headway.toml:3`, in full; without the line where it cannot be told."""
        line = self.lines.get(keys)
        return str(self.file) if line is None else f"{self.file}:{line}"


def find(environment: Mapping[str, str], folder: Path) -> Place:
    """HEADWAY_CONFIG; else the nearest headway.toml from `folder` up to a repository or the home; else the user's own.

    With HEADWAY_CONFIG=none there is none. Raises ConfigError if HEADWAY_CONFIG names no file, and for a file on the way up
    that another user wrote: a file decides where keys are sent.
    """
    named = environment.get("HEADWAY_CONFIG", "").strip()
    if named == "none":
        return Place(None, ())
    if named:
        file = (folder / Path(named).expanduser()).absolute()
        if not os.path.isfile(file):
            raise ConfigError(
                f"HEADWAY_CONFIG names {named!r}, and there is no such file",
                hint="Name a file that is there, write one with `headway config init`, or unset HEADWAY_CONFIG.",
            )
        return Place(file, (file,))
    looked = (*_upward(folder.absolute()), platformdirs.user_config_path("headway") / NAME)
    nearest = next((file for file in looked if os.path.isfile(file)), None)  # False too where we may not look
    if nearest is not None and not _is_ours(nearest, folder):
        raise ConfigError(
            f"{nearest} belongs to another user",
            hint=f"If you trust it, set HEADWAY_CONFIG={nearest}; else HEADWAY_CONFIG=none.",
        )
    return Place(nearest, looked)


def read(file: Path) -> Written:
    """What the file says. Raises ConfigError with line and column where it is no TOML, and if it cannot be read."""
    try:
        text = file.read_text("utf-8-sig")
        return Written(file, tomllib.loads(text), _lines(text))
    except OSError as error:
        raise ConfigError(f"cannot read {file}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{file} is no text in UTF-8", hint="Save it as UTF-8.") from None
    except tomllib.TOMLDecodeError as error:
        place = _PLACE.search(str(error))
        end = len(text.splitlines())
        where = f"{file}:{place[1]}:{place[2]}" if place and place[1] else f"{file}:{end}"
        raise ConfigError(
            f"{where}: {_PLACE.sub('', str(error))}",
            hint='The file is TOML: key = value, text in quotes, such as tier = "tier-2".',
        ) from None


def _upward(folder: Path) -> Iterator[Path]:
    home = Path(os.path.expanduser("~"))
    for each in (folder, *folder.parents):
        yield each / NAME
        if each == home or os.path.exists(each / ".git"):
            return


def _is_ours(file: Path, folder: Path) -> bool:
    """Written by this user, by root, or by whoever owns the folder that we work in (in a container: a mounted one)."""
    owner = file.stat().st_uid
    return owner == 0 or owner in (os.geteuid(), folder.stat().st_uid)


def _lines(text: str) -> dict[Keys, int]:
    """Where each key and each table stands. tomllib does not say, and people want to know."""
    lines: dict[Keys, int] = {}
    table: Keys = ()
    for number, line in enumerate(text.splitlines(), 1):
        if header := _HEADER.fullmatch(line):
            table = _keys(header[1])
            lines.setdefault(table, number)
        elif "=" in line and (keys := _keys(line.partition("=")[0])):
            lines.setdefault((*table, *keys), number)
    return lines


def _keys(written: str) -> Keys:
    """`pools."anthropic/opus-4"` as its parts; none for what is no key."""
    try:
        inside: Any = tomllib.loads(f"[{written}]")
    except tomllib.TOMLDecodeError:
        return ()  # a comment, or part of a text of several lines
    keys = []
    while inside:
        (key, inside), *_ = inside.items()
        keys.append(key)
    return tuple(keys)
