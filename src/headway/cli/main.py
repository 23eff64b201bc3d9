"""The `headway` command."""

from __future__ import annotations

import os
import sys

import typer
from rich.console import Console
from rich.text import Text

from headway import __version__
from headway.cli.commands import STYLE, Commands
from headway.errors import HeadwayError, MachineError

app = typer.Typer(
    name="headway",
    help="Paces, meters and schedules traffic to LLM APIs: the whole quota, no 429s, every token accounted for.",
    cls=Commands,
    **STYLE,
)


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
    """Run the command line: errors come out as one sentence and a way out, never as a traceback."""
    try:
        app(_arguments(sys.argv[1:]))
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        if "HEADWAY_DEBUG" in os.environ:
            raise
        known = _known(error)
        _say(known or _unknown(error))
        sys.exit(known.exit_code if known else 70)


def _arguments(given: list[str]) -> list[str]:
    """`--emulate` of a job may stand alone, which is only known there."""
    if given[:1] not in (["run"], ["compare"]):
        return given
    from headway.cli.run import with_profile

    return with_profile(given)


def _known(error: BaseException) -> HeadwayError | None:
    """An error of ours, or one that stands for it; also out of a group of errors."""
    match error:
        case HeadwayError():
            return error
        case BaseExceptionGroup():
            return next((found for part in error.exceptions if (found := _known(part))), None)
        case OSError():
            where = f"{error.filename}: " if error.filename else ""
            return MachineError(f"{where}{error.strerror or error}")
        case _:
            return None


def _unknown(error: BaseException) -> HeadwayError:
    """A mistake of headway's own: EX_SOFTWARE of sysexits.h. Its text may quote data, so only its kind is said."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    hint = "Results so far are kept. HEADWAY_DEBUG=1 shows where it happened: please report that."
    return HeadwayError(f"a mistake in headway itself ({type(error).__name__})", hint=hint)


def _say(error: HeadwayError) -> None:
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    console.print(Text.assemble(("error: ", "bold red"), _visible(str(error))))
    if error.hint:
        console.print(Text.assemble(("hint: ", "bold"), _visible(error.hint)))


def _visible(text: str) -> str:
    from headway.cli.display import visible

    return "\n".join(visible(line) for line in text.split("\n"))
