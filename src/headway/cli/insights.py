"""`headway insights`: what to change to need less, out of the ledger."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from headway.cli.insightsview import as_object, picture
from headway.cli.progress import Progress
from headway.cli.window import Json, LedgerFile, Since, ledger_path, moment_ns
from headway.config import load
from headway.insights.study import Study, study
from headway.insights.walk import Window

_ONLY, _SKIP = "Only this rule; may be repeated.", "Not this rule; may be repeated."
_LINE = 100  # columns of text that are still easy to read


def insights(
    since: Since = "7d",
    tenant: Annotated[str | None, typer.Option(metavar="NAME", help="Only calls of this tenant.")] = None,
    job: Annotated[str | None, typer.Option(metavar="NAME", help="Only calls of this job.")] = None,
    only: Annotated[list[str] | None, typer.Option(metavar="RULE", help=_ONLY)] = None,
    skip: Annotated[list[str] | None, typer.Option(metavar="RULE", help=_SKIP)] = None,
    top: Annotated[int, typer.Option(min=1, help="Show at most so many findings.")] = 10,
    explain: Annotated[
        str | None, typer.Option(metavar="RULE", help="Say what a rule looks for, and how; all: every rule.")
    ] = None,
    ledger: LedgerFile = None,
    as_json: Json = False,
) -> None:
    """Show what to change to pay and to wait less: ranked, each with evidence, money and the change.

    Examples:

        headway insights                            the last 7 days

        headway insights --since 24h --tenant search

        headway insights --explain broken-prefix    what a rule looks for, and how

        headway insights --json | jq .saving_nanousd
    """
    console = Console()
    if explain is not None:
        _explain(explain, console)
        return
    path, found = _studied(ledger, since, tenant, job, only or [], skip or [])
    if as_json:
        typer.echo(json.dumps({"ledger": str(path), **as_object(found)}))
    else:
        console.print(picture(found, console.width, top))


def _studied(
    ledger: Path | None, since: str, tenant: str | None, job: str | None, only: list[str], skip: list[str]
) -> tuple[Path, Study]:
    path, now_ns = ledger_path(ledger), time.time_ns()
    window = Window(moment_ns(since, now_ns), now_ns, tenant, job)
    with Progress(sys.stderr, "reading the ledger", of="read") as progress:
        return path, study(
            path, window, only=only, skip=skip, config=load(os.environ), progress=progress.done
        )


def _explain(name: str, console: Console) -> None:
    from headway.insights.explain import paragraphs
    from headway.insights.rules import RULES, known_rule

    for number, rule in enumerate(RULES if name == "all" else [known_rule(name)]):
        console.print(Text(("\n" if number else "") + rule, style="bold"))
        table = Table.grid(padding=(0, 2))
        table.add_column(style="cyan", no_wrap=True)
        table.add_column(max_width=min(console.width - 12, _LINE))
        for heading, text in paragraphs(rule):
            table.add_row(heading, Text(text))
        console.print(table)
