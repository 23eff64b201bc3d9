"""`headway usage budgets`: what is left of each, and how long it lasts."""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from headway.cli.burn import Burning, known_budgets, read_burning
from headway.cli.display import visible
from headway.cli.figures import dollars, duration, humane
from headway.cli.usageview import room
from headway.cli.window import Json, LedgerFile, ledger_path
from headway.config import load
from headway.gateway.keyfile import default_path, read_keys

_MOST = 30  # for eyes
_WIDE = 110


def budgets(
    keys: Annotated[
        Path | None,
        typer.Option(
            "--keys", metavar="FILE", help="The file of keys. Default: as set, or that of this user."
        ),
    ] = None,
    ledger: LedgerFile = None,
    as_json: Json = False,
) -> None:
    """What is spent and left of each budget, and when it runs out at the rate of the last hour and of the last day.

    Examples:

        headway usage budgets

        headway usage budgets --json | jq '.budgets[] | select(.left < 0)'
    """
    file = keys or default_path()
    stored = read_keys(file) if keys is not None or file.exists() else []
    path, now_ns = ledger_path(ledger), time.time_ns()
    found = read_burning(path, known_budgets(load(os.environ, flags=True), stored), now_ns)
    if as_json:
        typer.echo(
            json.dumps({"ledger": str(path), "at_ns": now_ns, "budgets": [_shown(each) for each in found]})
        )
        return
    console = Console()
    console.print(picture(found, now_ns, console.width))


def _shown(each: Burning) -> dict[str, object]:
    return {
        **asdict(each),
        "left": each.left,
        "lasts_s": {
            "last_hour": each.lasts_s(each.last_hour / 3600),
            "last_day": each.lasts_s(each.last_day / 86400),
        },
    }


def picture(found: list[Burning], now_ns: int, width: int) -> Group | Text:
    """A line for each budget, the fullest first."""
    if not found:
        return Text(
            "No budget is set, or none was used. Set one: headway keys add NAME --budget 20usd/day, or session.budget"
            " in headway.toml."
        )
    headings = ["spent", "of", "left", *(["an hour", "24h mean"] if width >= _WIDE else []), "runs out"]
    rows = [_cells(each, now_ns, width) for each in found[:_MOST]]
    table = Table(box=SIMPLE_HEAD, padding=(0, 0, 0, 1), show_edge=False, pad_edge=False)
    first = room(width, headings, rows)
    table.add_column("budget", overflow="ellipsis", no_wrap=True, max_width=first)
    for name in headings:
        table.add_column(name, justify="right", no_wrap=True)
    for each, cells in zip(found, rows, strict=False):
        full = each.spent / each.amount if each.amount else 0.0
        style = "red" if full >= 0.9 else "yellow" if full >= 0.75 else ""
        table.add_row(Text(visible(each.budget)), *cells, style=style)
    notes = [f"{len(found) - _MOST:,} more budgets; --json shows them."] if len(found) > _MOST else []
    notes.append("Runs out: at the rate of the last hour, or, if nothing was used in it, of the last day.")
    return Group(table, *(Text(note, style="dim") for note in notes))


def _cells(each: Burning, now_ns: int, width: int) -> list[str]:
    full = each.spent / each.amount if each.amount else 0.0
    left = f"{_amount(each.unit, each.left)} {max(0.0, 1 - full):4.0%}"
    rates = [_amount(each.unit, each.last_hour), _amount(each.unit, each.last_day // 24)]
    spent = [_amount(each.unit, each.spent), _amount(each.unit, each.amount), left]
    return [*spent, *(rates if width >= _WIDE else []), _end(each, now_ns)]


def _amount(unit: str, amount: int) -> str:
    sign = "-" if amount < 0 else ""
    return sign + (dollars(abs(amount)) if unit == "usd" else humane(abs(amount)))


def _end(each: Burning, now_ns: int) -> str:
    """When it is used up, unless it begins anew before."""
    if each.left <= 0:
        again = "" if each.clears_ns is None else f", anew in {duration((each.clears_ns - now_ns) / 1e6)}"
        return f"used up{again}"
    lasts = each.lasts_s(each.last_hour / 3600 if each.last_hour else each.last_day / 86400)
    if each.clears_ns is not None and (lasts is None or lasts * 1e9 > each.clears_ns - now_ns):
        return f"no, anew in {duration((each.clears_ns - now_ns) / 1e6)}"
    return "no" if lasts is None else f"in {duration(lasts * 1000)}"
