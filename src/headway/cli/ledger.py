"""`headway ledger`: what is in the file, and letting go of what is old."""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

import typer

from headway.cli.display import short, visible
from headway.cli.progress import Progress
from headway.cli.window import Json, LedgerFile, ledger_path
from headway.config import load
from headway.core.limit import parse_duration
from headway.errors import InputError
from headway.ledger import retention

ledger = typer.Typer(
    help="Look after the ledger: what is in it, removing what is old, giving back room.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@ledger.command("info")
def info(file: LedgerFile = None, as_json: Json = False) -> None:
    """What the ledger holds, from when on, and how large it is.

    Examples:

        headway ledger info
    """
    path = ledger_path(file)
    found = retention.describe(path)
    if as_json:
        typer.echo(json.dumps({"ledger": str(path), **asdict(found)}))
        return
    typer.echo(visible(str(path)))
    within = f", {_day(found.first_ns)} to {_day(found.last_ns)}" if found.first_ns is not None else ""
    typer.echo(f"attempts   {found.attempts:,}{within}; {found.open_attempts:,} under way")
    typer.echo(
        f"removed    {found.removed:,}"
        + (f", from before {_day(found.pruned_ns)}" if found.pruned_ns else "")
    )
    typer.echo(f"sums       up to date but for {found.not_added_up:,} attempts")
    typer.echo(f"size       {short(found.bytes)}B, {short(found.free_bytes)}B of it free")


@ledger.command("prune")
def prune(
    keep: Annotated[
        str | None,
        typer.Option(help="How long attempts are kept, like 90d. Default: ledger_keep of the settings."),
    ] = None,
    file: LedgerFile = None,
    as_json: Json = False,
) -> None:
    """Remove old attempts. What they add up to stays: reports of whole hours, totals and budgets do not change.

    Examples:

        headway ledger prune --keep 90d
    """
    path = ledger_path(file)
    keep_s = load(os.environ, flags=True).ledger_keep_s if keep is None else parse_duration(keep, of="--keep")
    if keep_s is None:
        raise InputError("how long are attempts to be kept?", hint="Say --keep 90d, or set ledger_keep.")
    with Progress(sys.stderr, "removing old attempts", of="gone") as progress:
        removed = retention.prune(path, int(keep_s * 1e9), time.time_ns(), progress.done)
    if as_json:
        typer.echo(json.dumps({"ledger": str(path), "removed": removed}))
        return
    typer.echo(
        f"Removed {removed:,} attempts."
        + (" headway ledger vacuum gives back their room." if removed else "")
    )


@ledger.command("vacuum")
def vacuum(file: LedgerFile = None, as_json: Json = False) -> None:
    """Give back the room of removed attempts. It takes as much room again meanwhile, and nothing can be written.

    Examples:

        headway ledger vacuum
    """
    path = ledger_path(file)
    freed = retention.vacuum(path)
    if as_json:
        typer.echo(json.dumps({"ledger": str(path), "freed_bytes": freed}))
        return
    typer.echo(f"Gave back {short(freed)}B.")


def _day(at_ns: int | None) -> str:
    return f"{datetime.fromtimestamp((at_ns or 0) // 10**9, UTC):%Y-%m-%d}"
