"""`headway emulate`: an emulated provider to try things against, without a key."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from headway.emulator.profile import SETTINGS, Profile, parse_profile
from headway.emulator.server import serve
from headway.emulator.tiers import Limits

_WORDS = {"requests": "requests", "count_requests": "count_tokens requests"}
_SETTINGS_HELP = "  \n".join(f"`{known.key}` {known.says}" for known in SETTINGS)
EPILOG = f"""
**Examples**

`headway emulate` Claude Opus 4 at tier 1, a free port  
`headway emulate claude-opus-4/tier-4 --port 8400`  
`headway emulate "claude-opus-4/tier-1?overloaded=0.05&cut=0.01&seed=7"` with faults  
`headway emulate "any/unlimited?requests=50&tokens=200k"` limits of your own

**Settings after the `?`**

`requests` `input_tokens` `output_tokens` `tokens` `count_requests` limits per minute, such as 600k; none lifts one  
{_SETTINGS_HELP}  
`time_scale` everything this many times faster, limits included
"""  # noqa: W291 - two spaces are a line break in markdown


def emulate(
    profile: Annotated[
        str, typer.Argument(help="Model class and tier, with settings after a `?`.", metavar="PROFILE")
    ] = "claude-opus-4/tier-1",
    host: Annotated[
        str, typer.Option(help="Address to listen on. Anything but loopback lets others use it, too.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0: any free one.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one line of JSON instead of text.")] = False,
) -> None:
    """Emulate the Claude API on this machine: its limits, headers, errors and streams. No key, no cost.

    Its own account of what happened is at URL/emulator/stats; POST URL/emulator/reset starts it anew.
    """
    read = parse_profile(profile)
    serve(read, host, port, lambda url: _announce(read, url, as_json))


def _announce(profile: Profile, url: str, as_json: bool) -> None:
    if as_json:
        limits = {unit.name: getattr(profile.limits, unit.name) for unit in fields(Limits)}
        typer.echo(
            json.dumps({"url": url, "profile": f"{profile.model_class}/{profile.tier}", "limits": limits})
        )
        return
    console = Console()
    console.print(
        f"Emulating [bold]{profile.model_class}[/] at [bold]{profile.tier}[/] on {url}. Ctrl-C ends it."
    )
    console.print(_table(profile))
    console.print(f"export ANTHROPIC_BASE_URL={url}", soft_wrap=True)


def _table(profile: Profile) -> Table:
    table = Table("limit", "per minute", "at once")
    for unit in fields(Limits):
        amount = getattr(profile.limits, unit.name)
        at_once = "" if amount is None else f"{max(1.0, amount * profile.burst_s / 60.0):,.0f}"
        shown = "none" if amount is None else f"{amount:,.0f}"
        table.add_row(_WORDS.get(unit.name, unit.name.replace("_", " ")), shown, at_once)
    return table
