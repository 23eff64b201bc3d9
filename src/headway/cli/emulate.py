"""`headway emulate`: an emulated provider to try things against, without a key."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from headway.emulator.profile import SETTINGS, Profile, parse_profile
from headway.emulator.server import serve
from headway.emulator.tiers import Limits

_DEFAULTS = parse_profile("any/unlimited")
_WORDS = {"count_requests": "count_tokens requests"}


def emulate(
    profile: Annotated[
        str,
        typer.Argument(help="Model class and tier, with settings after a question mark.", metavar="PROFILE"),
    ] = "claude-opus-4/tier-1",
    named: Annotated[
        str | None,
        typer.Option("--profile", metavar="PROFILE", help="The same, by name.", show_default=False),
    ] = None,
    host: Annotated[
        str, typer.Option(help="Address to listen on. Anything but loopback lets others use it, too.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0: any free one.")] = 0,
    settings: Annotated[bool, typer.Option("--settings", help="List the settings of a profile.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One line of JSON instead of text.")] = False,
) -> None:
    """Emulate the Claude API on this machine: limits, headers, errors, streams. No key, no cost.

    Its own account of what happened is at URL/emulator/stats; POST URL/emulator/reset starts it anew.

    Examples:

        headway emulate                                 Claude Opus 4, tier 1

        headway emulate claude-opus-4/tier-4 --port 8400

        headway emulate "claude-opus-4/tier-1?overloaded=0.05&cut=0.01"

        headway emulate "any/unlimited?requests=50&tokens=200k"

        headway emulate --settings                      all that can be set
    """
    if settings:
        _list_settings(as_json)
        return
    read = parse_profile(named or profile)
    serve(read, host, port, lambda url: _announce(read, url, as_json))


def _list_settings(as_json: bool) -> None:
    rows = [
        (unit.name, "of the tier", "limit per minute, such as 600k; none lifts it") for unit in fields(Limits)
    ]
    rows += [(known.key, str(getattr(_DEFAULTS, known.field)), known.says) for known in SETTINGS]
    rows.append(("time_scale", "1", "everything this many times faster, limits included"))
    if as_json:
        keys = ("setting", "default", "says")
        typer.echo(json.dumps([dict(zip(keys, row, strict=True)) for row in rows]))
        return
    table = Table("setting", "default", "what it says", box=SIMPLE_HEAD)
    for row in rows:
        table.add_row(*row)
    Console(highlight=False).print(table)


def _announce(profile: Profile, url: str, as_json: bool) -> None:
    if as_json:
        limits = {unit.name: getattr(profile.limits, unit.name) for unit in fields(Limits)}
        place = f"{profile.model_class}/{profile.tier}"
        typer.echo(json.dumps({"url": url, "profile": place, "limits": limits}))
        return
    console = Console(highlight=False)
    console.print(f"Emulating [bold]{profile.model_class}[/] at [bold]{profile.tier}[/]. Ctrl-C ends it.")
    console.print(_table(profile))
    console.print(f"export ANTHROPIC_BASE_URL={url}", soft_wrap=True)


def _table(profile: Profile) -> Table:
    table = Table("limit", box=SIMPLE_HEAD)
    table.add_column("per minute", justify="right")
    table.add_column("at once", justify="right")
    for unit in fields(Limits):
        amount = getattr(profile.limits, unit.name)
        at_once = "" if amount is None else f"{max(1.0, amount * profile.burst_s / 60.0):,.0f}"
        shown = "none" if amount is None else f"{amount:,.0f}"
        table.add_row(_WORDS.get(unit.name, unit.name.replace("_", " ")), shown, at_once)
    return table
