"""`headway config`: what the settings are, where each comes from, and what is wrong with them."""

from __future__ import annotations

import json
import os
import re
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from headway.cli.display import visible
from headway.cli.findings import Findings, Row, examine
from headway.errors import InputError
from headway.settings.file import NAME
from headway.settings.table import SETTINGS, Setting

config = typer.Typer(
    help="Show and check the settings; write a headway.toml.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@config.command("check")
def check(
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="The file to check. Default: the one that counts.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Say which file counts, what is wrong with the settings, and where each one comes from.

    Exit code 2 if anything cannot be used.
    """
    environment = os.environ | ({"HEADWAY_CONFIG": str(file)} if file else {})
    found = examine(environment, Path.cwd())
    if as_json:
        typer.echo(json.dumps(_for_machines(found)))
    else:
        _show(found, Console(highlight=False))
    raise typer.Exit(InputError.exit_code if found.problems else 0)


@config.command("init")
def init(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to.")] = Path(NAME),
) -> None:
    """Write a headway.toml in which every setting is explained and none is set. Overwrites nothing."""
    try:
        with file.open("x", encoding="utf-8") as out:
            out.write(template())
    except FileExistsError:
        raise InputError(f"{file} is there already", hint="It stays as it is; name another file.") from None
    typer.echo(f"Wrote {file}. Uncomment what you want, then: headway config check")


def template() -> str:
    """A headway.toml with every setting, commented out."""
    lines = [
        "# Settings of headway. Arguments come before the environment, the environment before this file.",
        "# No keys here: they belong in the environment (ANTHROPIC_API_KEY), or in a file of their own (api_key_file).",
        "# Check with: headway config check",
        "",
    ]
    top = [setting for setting in SETTINGS if "." not in setting.key and setting.key != "limits"]
    lines += [_commented(setting, setting.key) for setting in top]
    lines += [
        "",
        "# Limits to keep, of every pool (a class of models). Unset: learnt from the first reply.",
        "# [limits]",
        '# requests = "50/min"',
        '# input_tokens = "30k/min"',
        '# output_tokens = "8k/min"',
        "",
        "# Of one pool only; what it does not name is as in [limits].",
        '# [pools."anthropic/opus-4"]',
        '# output_tokens = "80k/min"',
        "",
        "# What callers get that say nothing themselves.",
        "# [session]",
    ]
    inner = [setting for setting in SETTINGS if setting.key.startswith("session.")]
    lines += [_commented(setting, setting.key.removeprefix("session.")) for setting in inner]
    return "\n".join(lines) + "\n"


def _commented(setting: Setting, name: str) -> str:
    line = f"# {name} = {setting.example}"
    return f"{line:<44} # {setting.says}"


def _for_machines(found: Findings) -> dict[str, Any]:
    shown = asdict(found)
    shown["settings"] = shown.pop("rows")
    shown["looked"] = [{"file": file, "state": state} for file, state in found.looked]
    return shown


def _show(found: Findings, console: Console) -> None:
    def say(text: str, style: str = "") -> None:
        console.print(Text(visible(text), style=style), soft_wrap=True)

    for file, state in found.looked:
        say(f"{state}: {_home(file)}", "" if state == "read" else "dim")
    if not found.looked:
        say("no file is read: HEADWAY_CONFIG is none")
    for kind, style, problems in (
        ("error", "bold red", found.problems),
        ("warning", "bold yellow", found.warnings),
    ):
        for each in problems:
            console.print(
                Text.assemble((f"{kind}: ", style), visible(_short(str(each), found.file))), soft_wrap=True
            )
            if each.hint:
                console.print(Text.assemble(("hint: ", "bold"), visible(each.hint)), soft_wrap=True)
    if found.rows:
        say("")
        console.print(_table(found))


def _table(found: Findings) -> Table:
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for name in ("setting", "value", "from"):
        table.add_column(name, overflow="fold")
    for row in found.rows:
        style = "dim" if row.source in ("default", "") else ""
        cells = (row.setting, _written(row), _short(row.source, found.file))
        table.add_row(*(Text(visible(cell)) for cell in cells), style=style)
    return table


def _written(row: Row) -> str:
    match row.value:
        case None:
            return "not set"
        case bool():
            return str(row.value).lower()
        case float():
            return f"{row.value:,g} {'usd' if row.setting.endswith('max_cost') else 's'}"
        case _:
            return re.sub(",(?=[a-z])", ", ", str(row.value))  # limits, so that they can be broken into lines


def _short(source: str, file: str | None) -> str:
    """The file is named above: here its name will do."""
    return source.replace(file, Path(file).name, 1) if file else source


def _home(file: str) -> str:
    home = os.path.expanduser("~")
    return f"~{file.removeprefix(home)}" if file.startswith(home + os.sep) else file
