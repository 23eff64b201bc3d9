"""The `headway` command."""

from __future__ import annotations

import os
import sys

import typer
from rich.console import Console

from headway import __version__
from headway.cli.emulate import emulate
from headway.cli.run import run as run_job
from headway.cli.run import with_profile
from headway.cli.usage import usage
from headway.errors import HeadwayError

app = typer.Typer(
    name="headway",
    help="Paces, meters and schedules traffic to LLM APIs: the whole quota, no 429s, every token accounted for.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
app.command("run")(run_job)
app.command("usage")(usage)
app.command("emulate")(emulate)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"headway {__version__}")
        raise typer.Exit


@app.callback()
def main(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Show the version and exit."
    ),
) -> None:
    """Paces, meters and schedules traffic to LLM APIs."""


def run() -> None:
    """Run the command line: errors of ours come out as one sentence and a way out, never as a traceback."""
    try:
        app(with_profile(sys.argv[1:]))
    except HeadwayError as error:
        console = Console(stderr=True, highlight=False)
        console.print(f"[bold red]error:[/] {_plain(str(error))}")
        if error.hint:
            console.print(f"[bold]hint:[/] {_plain(error.hint)}")
        sys.exit(error.exit_code)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except KeyboardInterrupt:
        sys.exit(130)


def _plain(text: str) -> str:
    return text.replace("[", "\\[")
