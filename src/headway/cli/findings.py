"""Everything there is to say about the settings: what is wrong, what is strange, and where each value comes from."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from time import time_ns
from typing import Any

from headway.assemble import build
from headway.config import Config, load
from headway.errors import ConfigError
from headway.ledger.sqlite import default_path
from headway.providers.catalog import Catalog
from headway.settings.file import Place, find
from headway.settings.gather import SECRETS, Problem, gather
from headway.settings.table import SETTINGS

_VARIABLES = (
    "HEADWAY_CONFIG",
    "HEADWAY_DEBUG",
    *SECRETS.values(),
    *(setting.variable for setting in SETTINGS),
)
_TOGETHER = ("base_url", "tier", "limits", "burst")  # what only the parts themselves can judge


@dataclass(frozen=True, slots=True)
class Row:
    """One setting as it counts. `value` is None where it is not set; keys of the API are "set", no more."""

    setting: str
    value: Any
    source: str


@dataclass(frozen=True, slots=True)
class Findings:
    """All that `headway config check` has to say. Without `rows` where there are `problems`."""

    file: str | None
    looked: tuple[tuple[str, str], ...]
    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...]
    rows: tuple[Row, ...]


def examine(environment: Mapping[str, str], folder: Path) -> Findings:
    """Everything about the settings that hold in this folder. Raises ConfigError if the file named is not there."""
    place = find(environment, folder)
    problems, warnings = _problems(environment, place), list(_strange(environment))
    rows: tuple[Row, ...] = ()
    if not problems:
        settings = load(environment, folder=folder)
        problems = tuple(_contradictions(settings))
        warnings += _pools_of_nobody(settings)
        rows = tuple(_rows(settings))
    looked = tuple((str(each), _state(each, place)) for each in place.looked)
    file = str(place.file) if place.file else None
    return Findings(file, looked, problems, tuple(warnings), () if problems else rows)


def _problems(environment: Mapping[str, str], place: Place) -> tuple[Problem, ...]:
    try:
        return tuple(gather(place.file, environment, {}).problems)
    except ConfigError as error:  # the file cannot be read at all; the error names it
        return (Problem("", str(error), error.hint),)


def _contradictions(settings: Config) -> Iterator[Problem]:
    """What only shows when the parts are put together: each such setting by itself."""
    for name in _TOGETHER:
        value = getattr(settings, name)
        if value is None or name not in settings.sources:
            continue
        try:
            build(Config(**{name: value}), time_ns)
        except ConfigError as error:
            yield Problem(settings.sources[name], f"{name}: {error}", error.hint)


def _strange(environment: Mapping[str, str]) -> Iterator[Problem]:
    """Variables that look like ours, and that nobody reads. What follows the first word is compared."""
    known = {variable.partition("_")[2]: variable for variable in _VARIABLES}
    for name in sorted(environment):
        if name.startswith("HEADWAY_") and name not in _VARIABLES:
            near = get_close_matches(name.removeprefix("HEADWAY_"), known, n=1)
            hint = f"Did you mean {known[near[0]]}?" if near else ""
            yield Problem(name, "nobody reads this variable", hint)


def _pools_of_nobody(settings: Config) -> Iterator[Problem]:
    """Pools that no model of the catalog draws on. A model that is not in it may."""
    pools = {facts.pool for facts in Catalog.load().models}
    known = {*pools, *(f"{pool}/fast" for pool in pools), "anthropic/count_tokens", "anthropic/batches"}
    for pool in settings.pool_limits:
        if pool not in known:
            near = get_close_matches(pool, sorted(known), n=1)
            hint = f"Did you mean {near[0]}?" if near else f"Known: {', '.join(sorted(pools))}."
            yield Problem(settings.sources[f"pools.{pool}"], f"no known model draws on pool {pool}", hint)


def _rows(settings: Config) -> Iterator[Row]:
    for name in SECRETS:
        is_set = getattr(settings, name) is not None
        yield Row(name, "set" if is_set else None, settings.sources[name] if is_set else "")
    for setting in SETTINGS:
        owner = settings.session if setting.key.startswith("session.") else settings
        value = getattr(owner, setting.field)
        if setting.key == "ledger" and value is None:
            value = str(default_path())
        yield Row(setting.key, value, settings.sources.get(setting.key, "default"))
        if setting.key == "limits":
            for pool, limits in settings.pool_limits.items():
                yield Row(f"pools.{pool}", limits, settings.sources[f"pools.{pool}"])


def _state(file: Path, place: Place) -> str:
    if file == place.file:
        return "read"
    return "there, not read: the nearest counts" if os.path.isfile(file) else "not there"
