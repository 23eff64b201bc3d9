"""`headway doctor`: whether everything is there that headway needs, and whether a limit really bites."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from headway.cli import checks
from headway.cli.checks import Check
from headway.cli.display import visible
from headway.cli.proof import CALLS, PER_MINUTE, Proof, prove
from headway.config import load
from headway.errors import HeadwayError

_STYLES = {"ok": "green", "warning": "bold yellow", "problem": "bold red"}
FOUND = 1  # exit code where there is a problem


def doctor(
    offline: Annotated[bool, typer.Option("--offline", help="Leave the API alone.")] = False,
    proof: Annotated[
        bool, typer.Option(help="Try that a limit bites, on a private emulator; some seconds.")
    ] = True,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Look whether headway can do its work here, and say what to do where it cannot.

    Costs nothing: the API gets one GET /v1/models. Exit code 1 if there is a problem; warnings are none.

    Examples:

        headway doctor

        headway doctor --offline --no-proof    settings and machine only
    """
    found = []
    console = Console(highlight=False)
    for check in examine(offline=offline, proof=proof):
        found.append(check)
        if not as_json:
            _show(check, console)
    problems = sum(check.state == "problem" for check in found)
    if as_json:
        typer.echo(json.dumps({"ok": problems == 0, "checks": [asdict(check) for check in found]}))
    else:
        console.print(_verdict(found))
    raise typer.Exit(FOUND if problems else 0)


def examine(*, offline: bool, proof: bool) -> Iterator[Check]:
    """All checks, each when it is done."""
    settings = list(checks.of_settings(Path.cwd()))
    yield from settings
    if any(check.state == "problem" for check in settings):
        return  # nothing else can be judged
    config = load(os.environ, flags=True)
    yield from checks.of_key(config)
    if not offline:
        yield from checks.of_api(config)
    yield from checks.of_ledger(config)
    yield from checks.of_keys()
    yield from checks.of_machine()
    if proof:
        try:
            yield judge(prove())
        except (HeadwayError, OSError) as error:
            yield Check(
                "pacing", "problem", f"could not be tried: {error}", "Is there a free port on 127.0.0.1?"
            )


def judge(proof: Proof) -> Check:
    """What a proof shows."""
    limit = f"{CALLS} calls at once where {PER_MINUTE} a minute are allowed"
    if proof.holds:
        says = f"{limit}: {proof.refused_without} refused without headway, none with it, after {proof.took_s:.1f} s"
        return Check("pacing", "ok", says)
    if not proof.refused_without:
        return Check(
            "pacing",
            "warning",
            f"{limit}: none was refused without headway, which proves nothing",
            "Try again.",
        )
    says = f"{limit}: {proof.refused_with} refused and {proof.answered} answered with headway"
    return Check("pacing", "problem", says, "The limit did not bite: please report that, with this version.")


def _show(check: Check, console: Console) -> None:
    line = Text.assemble(
        (f"{check.state:<8}", _STYLES[check.state]), (f"{check.name:<11}", "bold"), visible(check.says)
    )
    console.print(line, soft_wrap=True)
    if check.hint and check.state != "ok":
        console.print(Text.assemble(" " * 19, ("hint: ", "bold"), visible(check.hint)), soft_wrap=True)


def _verdict(found: list[Check]) -> Text:
    problems = sum(check.state == "problem" for check in found)
    warnings = sum(check.state == "warning" for check in found)
    if not problems and not warnings:
        return Text("All is well.", style="green")
    counted = [
        f"{count} {word}{'s' if count > 1 else ''}"
        for count, word in ((problems, "problem"), (warnings, "warning"))
        if count
    ]
    return Text(", ".join(counted) + ".", style="bold red" if problems else "bold yellow")
