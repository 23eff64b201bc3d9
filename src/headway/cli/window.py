"""What every report of the ledger is asked: which file, which time, which attempts."""

from __future__ import annotations

import os
import re
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from headway.config import load
from headway.errors import InputError
from headway.ledger.parts import END_NS
from headway.ledger.sqlite import default_path
from headway.ledger.where import Where, check_where

_AGO_S = {"m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}

Since = Annotated[str, typer.Option(help="7d, 24h, 30m, a date like 2026-11-01 (UTC), or all.")]
Until = Annotated[str, typer.Option(help="Before this moment, written like --since. Default: now.")]
Only = Annotated[
    list[str] | None,
    typer.Option("--where", metavar="NAME=VALUE", help="Only these, like tenant=search or model=*haiku*."),
]
LedgerFile = Annotated[
    Path | None,
    typer.Option("--ledger", help="The ledger file. Default: as set, or that of this user."),
]
Json = Annotated[bool, typer.Option("--json", help="For machines: exact integers, nanodollars.")]


@dataclass(frozen=True, slots=True)
class Window:
    """Which attempts of which file: from `since_ns` to before `until_ns`, ns since 1970 UTC."""

    path: Path
    since_ns: int
    until_ns: int
    where: Where


def window(ledger: Path | None, since: str, until: str = "", only: list[str] | None = None) -> Window:
    """What was asked, read. InputError for what cannot be, and if no ledger is kept."""
    now_ns = time.time_ns()
    since_at = moment_ns(since, now_ns, "--since")
    until_at = moment_ns(until, now_ns, "--until") if until not in ("", "now", "all") else END_NS
    if until_at <= since_at:
        raise InputError(
            f"--until {until!r} is not after --since {since!r}", hint="Say --since all for everything before."
        )
    return Window(ledger_path(ledger), since_at, until_at, _where(only or []))


def ledger_path(ledger: Path | None) -> Path:
    """The file that a flag, the settings or nothing name. InputError if no ledger is kept."""
    config = load(os.environ, flags=True, ledger=ledger and str(ledger))
    if config.ledger == "none":
        raise InputError(
            f"no ledger is kept: {config.sources['ledger']} says none", hint="Name one with --ledger."
        )
    return Path(config.ledger) if config.ledger else default_path()


def moment_ns(text: str, now_ns: int, flag: str = "--since") -> int:
    """A moment as nanoseconds since 1970 UTC. InputError for anything else."""
    if text == "all":
        return 0
    ago = re.fullmatch(r"(\d{1,6})([mhdw])", text.strip())
    if ago:
        return max(0, now_ns - int(ago[1]) * _AGO_S[ago[2]] * 10**9)
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise InputError(
            f"{flag} does not understand {text!r}", hint="Like 7d, 24h, 30m, 2026-11-01 or all."
        ) from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0, int(moment.timestamp()) * 10**9)


def _where(only: list[str]) -> Where:
    found = []
    for text in only:
        name, equals, value = text.partition("=")
        if not equals:
            raise InputError(
                f"--where does not understand {text!r}", hint="Like tenant=search or model=*haiku*."
            )
        found.append((name.strip(), value.strip()))
    check_where(tuple(found))
    return tuple(found)
