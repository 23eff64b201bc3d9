"""Limits a minute that are known of pools: yours and your organisation's, what headers showed, what refusals taught.

Where more than one says something, in this order. A tier that you name is only what is published of it, so it comes last.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from headway.catalog.limits import ORGANISATION, SETTINGS, KnownLimits, known_limits
from headway.config import Config

Amounts = dict[str, dict[str, float]]  # pool -> unit -> amount a minute


def amounts(db: sqlite3.Connection, config: Config | None, path: Path, now_ns: int) -> Amounts:
    """By pool and unit. What cannot be read is left out."""
    found: Amounts = {}
    told = known_limits(config, path, now_ns) if config is not None else {}
    mine = {pool for pool, known in told.items() if known.source in (ORGANISATION, SETTINGS)}
    for pool in told.keys() - mine:
        found[pool] = _minute(told[pool])
    for pool, unit, amount in _learnt(db):
        found.setdefault(pool, {})[unit] = amount
    for pool in mine:
        found.setdefault(pool, {}).update(_minute(told[pool]))
    return found


def _minute(known: KnownLimits) -> dict[str, float]:
    return {limit.unit.value: limit.amount * 60.0 / limit.period_s for limit in known.limits}


def _learnt(db: sqlite3.Connection) -> Iterator[tuple[str, str, float]]:
    """Pool, unit and amount a minute, as the ledger keeps them: the surer ones later."""
    rows = db.execute(
        "SELECT key, value FROM learnt WHERE key LIKE 'bucket/%' OR key LIKE 'limits/%' ORDER BY key LIKE 'limits/%', at_ns"
    )
    for key, text in rows:
        pool = "/".join(str(key).rsplit("/", 2)[-2:])
        try:
            value = json.loads(text)
        except ValueError:
            continue
        if not isinstance(value, dict):
            continue
        shown = value.get("limits") if str(key).startswith("limits/") else value
        for unit, said in shown.items() if isinstance(shown, dict) else ():
            amount = _amount(said)
            if amount is not None:
                yield pool, str(unit), amount


def _amount(said: Any) -> float | None:
    """An amount a minute, of a limit ([amount, seconds]) or a lesson. None: it is neither."""
    try:
        if isinstance(said, dict):
            return float(said["amount"])
        amount, seconds = said
        return float(amount) * 60.0 / float(seconds)
    except (ValueError, TypeError, KeyError, ZeroDivisionError):
        return None
