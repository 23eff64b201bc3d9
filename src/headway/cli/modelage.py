"""How old the facts about models are."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import date

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from headway.catalog.facts import all_facts
from headway.cli.display import visible
from headway.errors import InputError

STALE_DAYS = 90


def show_stale(console: Console, today: str, days: str | None, *, as_json: bool) -> int:
    """Facts that are older than `days`; 1 if there are any."""
    most = STALE_DAYS if days is None else int(days) if days.isascii() and days.isdecimal() else -1
    if most < 0:
        raise InputError(f"--stale takes days, not {visible(days or '')[:100]!r}", hint="Like --stale 90.")
    now = date.fromisoformat(today)
    old = [fact for fact in all_facts(today) if not fact.past and fact.age_days(now) > most]
    old.sort(key=lambda fact: fact.as_of)
    if as_json:
        typer.echo(json.dumps({"at": today, "days": most, "stale": [asdict(fact) for fact in old]}))
        return int(bool(old))
    if not old:
        typer.echo(f"No fact is older than {most} days.")
        return 0
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 0, 0, 1))
    table.add_column("days", justify="right")
    table.add_column("about")
    table.add_column("what", overflow="fold")
    for fact in old:
        said = Text(fact.says).append(f"\n{fact.url}", style="dim")
        table.add_row(f"{fact.age_days(now)}", fact.about, said)
    console.print(table)
    about = "Days since the day for which a fact is known. Facts about the past do not age."
    console.print(Text(about, style="dim"))
    return 1
