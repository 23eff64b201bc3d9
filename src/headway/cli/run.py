"""`headway run`: a bulk job at the whole quota."""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from time import time_ns
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.text import Text

from headway.assemble import build
from headway.cli.display import Display, ScanDisplay, show_summary, visible
from headway.cli.files import is_text, open_job
from headway.config import Config, load
from headway.emulator.process import spawn
from headway.emulator.profile import parse_profile
from headway.errors import ConfigError, InputError
from headway.jobs.check import bad_report
from headway.jobs.door import Door
from headway.jobs.lines import Defaults
from headway.jobs.record import Options
from headway.providers.catalog import Catalog

DEFAULT_PROFILE = "claude-opus-4/tier-4"
SCAN_SHOWN_EVERY_S = 5.0
_PROFILE = re.compile(r"[a-z0-9.-]+/[a-z0-9.-]+(\?.*)?|[a-z0-9.-]+\?.*")

EXAMPLES = """

[bold]Examples[/]

  headway run prompts.jsonl

  headway run prompts.jsonl -o answers.jsonl --max-cost 20usd

  headway run prompts.jsonl --emulate      try it on the built-in emulator, without a key

  headway run prompts.txt --model claude-opus-4-8 --max-tokens 500 --system "One line."

  cat prompts.jsonl | headway run - | jq .result.message.content

[bold]Ctrl-C[/] stops sending and lets calls in flight end, a second one breaks them off. The same command goes on.

[bold]Exit codes[/]
  0  all succeeded          1  some results are errors
  2  the input, a setting or the key is wrong
  3  a limit, the budget or the provider's spend cap stopped it
  5  the disk or the network stopped it
  70 a mistake in headway   130 Ctrl-C   143 SIGTERM   141 nobody reads standard output
After 3, 5, 130 and 143 the same command goes on.
"""


def _models(start: str) -> list[str]:
    return [facts.id for facts in Catalog.load().models if facts.id.startswith(start)]


def _tiers(start: str) -> list[str]:
    return [name for name in Catalog.load().tiers if name.startswith(start)]


def run(
    job: Annotated[str, typer.Argument(metavar="JOB.jsonl", help="The job file; - reads standard input.")],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Where results go; - is standard output. Default: JOB.results.jsonl beside the job, or here if "
            "that folder is read-only.",
        ),
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="Model for lines that name none.", autocompletion=_models)
    ] = None,
    max_tokens: Annotated[
        int | None, typer.Option(help="Output maximum for lines that give none.", min=0)
    ] = None,
    system: Annotated[str | None, typer.Option(help="System prompt for lines that have none.")] = None,
    limits: Annotated[
        str | None,
        typer.Option(
            help="Limits to keep, e.g. requests=50/min,input_tokens=30k/min,output_tokens=8k/min. "
            "Default: learnt from the first reply."
        ),
    ] = None,
    tier: Annotated[
        str | None,
        typer.Option(help="Published limits to start from, e.g. tier-2, build.", autocompletion=_tiers),
    ] = None,
    burst: Annotated[
        str | None,
        typer.Option(help="What full buckets hold: 5s of refill, or requests=100,… Default: learnt."),
    ] = None,
    max_cost: Annotated[
        str | None, typer.Option(help="Never spend more on this job, in all its runs, e.g. 20usd.")
    ] = None,
    max_wait: Annotated[
        str | None,
        typer.Option(help="Stop rather than let the next call wait longer, e.g. 10m."),
    ] = None,
    retries: Annotated[
        int | None, typer.Option(help="Tries after the first, for failed calls [8].", min=0)
    ] = None,
    concurrency: Annotated[
        int | None, typer.Option(help="At most so many calls in flight. Default: as the limits allow.", min=1)
    ] = None,
    base_url: Annotated[
        str | None, typer.Option(help="Where the API is. Default: ANTHROPIC_BASE_URL.")
    ] = None,
    emulate: Annotated[
        str | None,
        typer.Option(
            "--emulate",
            metavar="[PROFILE]",
            help=f"Run against the built-in emulator; no key needed. Without a profile: {DEFAULT_PROFILE}.",
        ),
    ] = None,
    stream: Annotated[
        bool | None,
        typer.Option(
            "--stream/--no-stream",
            help="Stream replies, for earlier news of limits and stalls. Default: stream.",
        ),
    ] = None,
    keep_going: Annotated[
        bool, typer.Option("--keep-going", help="Write lines that cannot be run as errored, run the rest.")
    ] = False,
    restart: Annotated[bool, typer.Option("--restart", help="Throw away results and begin anew.")] = False,
    accept_changes: Annotated[
        bool, typer.Option("--accept-changes", help="Go on although the job file has changed.")
    ] = False,
    retry_errored: Annotated[
        bool, typer.Option("--retry-errored", help="Run again what ended with an error before.")
    ] = False,
    any_model: Annotated[
        bool, typer.Option("--any-model", help="Send models that the catalog does not know.")
    ] = False,
    ledger: Annotated[
        str | None, typer.Option(help="The ledger's file, or none. Default: the platform's data folder.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="The summary as one JSON object on stdout.")
    ] = False,
) -> None:
    """Run a bulk job at the whole quota, without 429s. Resumable: the same command goes on where it ended.

    Lines are Message Batches requests, {"prompt": …} objects or plain text; results are Message Batches results.
    """
    with contextlib.ExitStack() as stack:
        arguments: dict[str, Any] = {
            "limits": limits,
            "tier": tier,
            "burst": burst,
            "max_cost": max_cost,
            "max_wait": max_wait,
            "retries": retries,
            "concurrency": concurrency,
            "base_url": base_url,
            "stream": stream,
            "any_model": any_model or None,
            "ledger": ledger,
        }
        config = load(os.environ, flags=True, **arguments)
        target = _target(job, output, as_json)
        if emulate is not None:
            config = stack.enter_context(_emulated(config, emulate))
        config.headers()  # a missing key is said before the file is read
        parts = build(config, time_ns)
        source = stack.enter_context(open_job(job))
        options = Options(
            input=source,
            name="standard input" if job == "-" else job,
            output=target,
            defaults=Defaults(model, max_tokens, system),
            is_text=is_text(job, source),
            keep_going=keep_going,
            restart=restart,
            accept_changes=accept_changes,
            retry_errored=retry_errored,
        )
        door = Door(options, parts)
        stack.callback(door.close)
        raise typer.Exit(_go(door, os.fstat(source.fileno()).st_size, as_json))


def _go(door: Door, size: int, as_json: bool) -> int:
    """Scan, run, and show both; returns the exit code."""
    console = Console(stderr=True, highlight=False)
    to_terminal = door.options.output is None and sys.stdout.isatty()  # bars would be torn by what is printed
    with ScanDisplay(console, size) as scanning:
        index = door.look(scanning.show)
    if index.bad_count:
        report = bad_report(index, door.options.name).replace("; nothing was sent", "")
        console.print(Text("\n".join(map(visible, report.split("\n"))), style="yellow"), soft_wrap=True)
    if door.tally.before:
        console.print(f"{door.tally.before:,} of {door.tally.total:,} lines have results already; going on.")
    with Display(console, plain_lines=to_terminal) as display:
        stop = door.run(display.show, display.every_s)
    summary = door.summary(stop)
    if as_json:
        sys.stdout.buffer.write(msgspec.json.encode(summary) + b"\n")
        sys.stdout.buffer.flush()
    else:
        show_summary(summary, console)
    if door.ledger_problem:
        console.print(Text(f"ledger: {door.ledger_problem}", style="yellow"))
    if stop is not None:
        return stop.exit_code
    return 1 if summary["errored"] or summary["already_errored"] else 0


def _target(job: str, output: Path | None, as_json: bool) -> Path | None:
    """Where results go; None: standard output."""
    if str(output) == "-" or (output is None and job == "-"):
        if as_json:
            raise InputError(
                "results and --json cannot share standard output",
                hint="Add -o OUT.jsonl: with it the job can also be resumed.",
            )
        return None
    return output or _default_output(Path(job))


def _default_output(job: Path) -> Path:
    """Beside the job; in the current folder if the job's is for reading only."""
    beside = job.with_name(f"{job.stem}.results.jsonl")
    is_writable = os.access(beside.parent, os.W_OK) and beside.parent.stat().st_mode & 0o222
    return beside if beside.exists() or is_writable else Path(beside.name)


@contextlib.contextmanager
def _emulated(config: Config, profile: str) -> Iterator[Config]:
    """The same settings, against an emulator in a process of its own."""
    with spawn(profile) as emulator:
        yield replace(
            config,
            base_url=emulator.url,
            api_key="sk-emulated",
            auth_token=None,
            ledger=config.ledger or "none",
        )


def with_profile(arguments: list[str]) -> list[str]:
    """Let `--emulate` stand alone: give it the default profile where no profile follows it."""
    filled: list[str] = []
    for argument, after in zip(arguments, [*arguments[1:], ""], strict=True):
        filled.append(argument)
        if argument == "--emulate" and not _is_profile(after):
            filled.append(DEFAULT_PROFILE)
    return filled


def _is_profile(text: str) -> bool:
    if text in ("", "-") or text.startswith("-") or Path(text).exists():
        return False
    try:
        parse_profile(text)
    except ConfigError:
        return _PROFILE.fullmatch(text) is not None  # it looks like one, so its error is said
    return True


run.__doc__ = (run.__doc__ or "") + EXAMPLES
