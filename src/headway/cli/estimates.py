"""`headway usage estimates`: what calls were expected to take, against what they took."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from headway.cli.figures import humane
from headway.cli.usageview import named, room
from headway.cli.window import Json, LedgerFile, Only, Since, Until, window
from headway.ledger.accuracy import Accuracy, read_accuracy

_MOST = 60  # for eyes
_WIDE = 100


def estimates(
    by: Annotated[
        str, typer.Option(help="What a line is: model, tenant, job, class, session or day.")
    ] = "model",
    since: Since = "7d",
    until: Until = "",
    where: Only = None,
    ledger: LedgerFile = None,
    as_json: Json = False,
) -> None:
    """How good estimates of input and output were, by the provider's own counts.

    Examples:

        headway usage estimates

        headway usage estimates --by tenant --since 24h
    """
    asked = window(ledger, since, until, where)
    found = read_accuracy(asked.path, by, asked.since_ns, until_ns=asked.until_ns, where=asked.where)
    if as_json:
        shown = [asdict(each) for each in found]
        typer.echo(json.dumps({"ledger": str(asked.path), "by": by, "estimates": shown}))
        return
    console = Console()
    console.print(picture(found, by, console.width))


def picture(found: Sequence[Accuracy], by: str, width: int) -> Group | Text:
    """A line for each group and side."""
    if not found:
        return Text(
            "The ledger has no estimates to judge in this time: they need replies that tell what they took."
        )
    sums = ("expected", "took") if width >= _WIDE else ()
    headings = ("calls", *sums, "off by", "bias", "half within", "90 % within")
    rows = [_cells(each, bool(sums)) for each in found[:_MOST]]
    table = Table(box=SIMPLE_HEAD, padding=(0, 0, 0, 1), show_edge=False, pad_edge=False)
    table.add_column(
        by, overflow="ellipsis", no_wrap=True, max_width=room(width, ("output", *headings), rows)
    )
    table.add_column("side", no_wrap=True)
    for name in headings:
        table.add_column(name, justify="right", no_wrap=True)
    before = None
    for each, cells in zip(found, rows, strict=False):
        table.add_row(Text("" if each.key == before else named(each.key)), *cells)
        before = each.key
    notes = ["In percent of what a call took, on average over calls. Bias above 0: too much was expected."]
    if len(found) > _MOST:
        notes.insert(0, f"{len(found) - _MOST:,} more lines; --json shows them.")
    return Group(table, *(Text(note, style="dim") for note in notes))


def _cells(each: Accuracy, has_sums: bool) -> list[str]:
    sums = [humane(each.expected), humane(each.took)] if has_sums else []
    errors = [f"{each.mean_error:.1f}%", f"{each.bias:+.1f}%", f"{each.p50}%", f"{each.p90}%"]
    return [each.side, humane(each.attempts), *sums, *errors]
