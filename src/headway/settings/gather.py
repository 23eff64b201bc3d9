"""Gathers settings from file, environment and arguments; what is read later wins. All that is wrong is said at once."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from headway.errors import ConfigError
from headway.settings.file import Written, read
from headway.settings.kinds import LIMITED, read_value
from headway.settings.secret import read_secret
from headway.settings.table import SETTINGS, Setting

SECRETS = {"api_key": "ANTHROPIC_API_KEY", "auth_token": "ANTHROPIC_AUTH_TOKEN"}

_BY_KEY = {setting.key: setting for setting in SETTINGS}
_KNOWN = (*_BY_KEY, "pools", "session")
_PATHS = ("ledger", "api_key_file")  # in a file meant from where that is
_SECRET_NAME = re.compile(r"key$|token$|secret|password|credential|authorization", re.IGNORECASE)
_SECRET_VALUE = re.compile(r"sk-[\w-]+|(?<=//)[^/@]*@")
_MOST_SHOWN = 80  # characters of a value


@dataclass(frozen=True, slots=True)
class Problem:
    """A setting that cannot be used. `where` is a file and line, a variable, a flag or an argument; it may be empty."""

    where: str
    says: str
    hint: str

    def __str__(self) -> str:
        return f"{self.where}: {self.says}" if self.where else self.says


@dataclass(slots=True)
class Gathered:
    """`values` and `sources` by key ("session.tenant"), limits of pools by pool, and what is wrong."""

    values: dict[str, Any] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)
    pools: dict[str, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def read_file(self, written: Written) -> None:
        """What a file says. It may hold no keys of the API."""
        for key, value in written.values.items():
            match key, value:
                case "limits", dict():
                    if limits := self._limits(written, (key,), value):
                        self._set(_BY_KEY[key], limits, written.where(key))
                case "pools", dict():
                    for pool, limits in value.items():
                        self._pool(written, pool, limits)
                case "session", dict():
                    for name, inner in value.items():
                        self._from_file(written, (key, name), inner)
                case (("pools" | "session"), _):
                    self._wrong(written.where(key), f"{key} is a table", f"Write [{key}] and its keys below.")
                case _:
                    self._from_file(written, (key,), value)

    def read_environment(self, environment: Mapping[str, str]) -> None:
        """Variables that are set, and not to nothing."""
        for name, variable in SECRETS.items():
            self._secret(name, environment.get(variable, ""), variable)
        for setting in SETTINGS:
            if text := environment.get(setting.variable, "").strip():
                self._set(setting, text, setting.variable, named=False)

    def read_arguments(self, arguments: Mapping[str, Any], *, flags: bool) -> None:
        """Arguments that are not None nor empty, by key or by field. With `flags` they are named as those of a command."""
        known = {setting.field: setting for setting in SETTINGS if "." not in setting.key} | _BY_KEY
        for name, value in arguments.items():
            if value is None or value == "":
                continue
            if name in SECRETS:
                self._secret(name, value, name)
            elif name in known:
                key = known[name].key
                where = f"--{key.replace('_', '-')}" if flags else f"argument {key}"
                self._set(known[name], value, where, named=False)
            else:
                self._wrong(f"argument {name}", "unknown setting", _near(name, known))

    def read_key_file(self) -> None:
        """The key out of the file that `api_key_file` names, if there is none from elsewhere."""
        path = self.values.get("api_key_file")
        if path is None or any(name in self.values for name in SECRETS):
            return
        shown = _SECRET_VALUE.sub("…", path)  # somebody may have written the key itself
        try:
            self._secret("api_key", read_secret(Path(path)), shown)
        except ConfigError as error:
            hint = error.hint or "It names a file that holds the key of the API and nothing else."
            self._wrong(self.sources["api_key_file"], f"api_key_file: {shown}: {error}", hint)

    def _from_file(self, written: Written, keys: tuple[str, ...], value: Any) -> None:
        key, where = ".".join(keys), written.where(*keys)
        if key in _BY_KEY:
            self._set(_BY_KEY[key], value, where)
        elif _SECRET_NAME.search(key):
            self._wrong(
                where,
                f"{key}: no key of the API may stand in a file",
                f"Take it out, and set {' or '.join(SECRETS.values())} in the environment.",
            )
        else:
            self._wrong(where, f"unknown setting {key}", _near(key, _KNOWN))
        if key in _PATHS and self.values.get(key, "none") != "none":
            self.values[key] = str(written.file.parent / self.values[key])

    def _pool(self, written: Written, pool: str, limits: Any) -> None:
        where = written.where("pools", pool)
        if isinstance(limits, dict):
            self.pools[pool] = self._limits(written, ("pools", pool), limits)
            self.sources[f"pools.{pool}"] = where
        else:
            self._wrong(
                where, f"pools.{pool} is a table", f'Write [pools."{pool}"] and limits below, as in [limits].'
            )

    def _limits(self, written: Written, table: tuple[str, ...], limits: Mapping[str, Any]) -> str:
        parts = []
        for unit, value in limits.items():
            where = written.where(*table, unit)
            if unit in LIMITED:
                try:
                    parts.append(f"{unit}={read_value('limit', value)}")
                except ValueError as error:
                    self._wrong(where, f"{unit}: cannot use {_shown(value)}", str(error))
            else:
                self._wrong(where, f"unknown limit {unit}", _near(unit, LIMITED))
        return ",".join(parts)

    def _set(self, setting: Setting, value: Any, where: str, *, named: bool = True) -> None:
        """`named`: whether `where` does not name the setting already."""
        try:
            self.values[setting.key] = read_value(setting.kind, value)
        except ValueError as error:
            name = f"{setting.key}: " if named else ""
            self._wrong(where, f"{name}cannot use {_shown(value)}", str(error))
            return
        self.sources[setting.key] = where
        if setting.key == "limits" and not named:
            for pool in self.pools:  # those of the file belong to the limits of the file
                del self.sources[f"pools.{pool}"]
            self.pools.clear()

    def _secret(self, name: str, value: str, where: str) -> None:
        """A key without the blanks and line ends that copying leaves around it. Its value is in no message."""
        key = value.strip()
        if any(not "!" <= character <= "~" for character in key):
            self._wrong(where, "holds characters that no key has", "Copy the key again.")
        elif key:
            self.values[name], self.sources[name] = key, where

    def _wrong(self, where: str, says: str, hint: str) -> None:
        self.problems.append(Problem(where, says, hint))


def gather(
    file: Path | None, environment: Mapping[str, str], arguments: Mapping[str, Any], *, flags: bool = False
) -> Gathered:
    """All three of them. Raises ConfigError if the file cannot be read at all."""
    gathered = Gathered()
    if file is not None:
        gathered.read_file(read(file))
    gathered.read_environment(environment)
    gathered.read_arguments(arguments, flags=flags)
    gathered.read_key_file()
    return gathered


def error_of(problems: list[Problem]) -> ConfigError:
    """All problems as one error."""
    if len(problems) == 1:
        return ConfigError(str(problems[0]), hint=problems[0].hint)
    lines = "".join(f"\n  {problem}. {problem.hint}" for problem in problems)
    return ConfigError(f"{len(problems)} settings cannot be used:{lines}")


def _near(name: str, known: Iterable[str]) -> str:
    names = list(known)
    near = get_close_matches(name, names, n=1)
    return f"Did you mean {near[0]}?" if near else f"Known: {', '.join(names)}."


def _shown(value: Any) -> str:
    """A value as it was written, short, and without what may be a key or a password."""
    return _SECRET_VALUE.sub("…", str(value).lower() if isinstance(value, bool) else repr(value))[
        :_MOST_SHOWN
    ]
