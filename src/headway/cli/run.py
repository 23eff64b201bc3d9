"""`headway run`: a bulk job at the whole quota."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from time import time_ns
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.status import Status
from rich.table import Table
from rich.text import Text

from headway.assemble import build
from headway.cli.display import Display, clock, short
from headway.config import Config, load
from headway.core.limit import parse_duration
from headway.emulator.process import spawn
from headway.errors import ConfigError, InputError
from headway.jobs.door import Door, Options, bad_report
from headway.jobs.job import Stop
from headway.jobs.lines import Defaults

DEFAULT_PROFILE = "claude-opus-4/tier-4"
_PROFILE = re.compile(r"[a-z0-9.-]+/[a-z0-9.-]+(\?.*)?|[a-z0-9.-]+\?.*")

EXAMPLES = """
[bold]Examples[/]

  headway run prompts.jsonl
  headway run prompts.jsonl -o answers.jsonl --max-cost 20usd
  headway run prompts.jsonl --emulate                     try it without a key
  headway run prompts.txt --model claude-opus-4-8 --max-tokens 500 --system "Answer in one line."
  cat prompts.jsonl | headway run - -o answers.jsonl --json
"""


def run(
    job: Annotated[str, typer.Argument(metavar="JOB.jsonl", help="The job file; - reads standard input.")],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Where results go. Default: JOB.results.jsonl beside the job."),
    ] = None,
    model: Annotated[str | None, typer.Option(help="Model for lines that name none.")] = None,
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
        str | None, typer.Option(help="Published limits to start from, e.g. tier-2, build.")
    ] = None,
    burst: Annotated[
        str | None,
        typer.Option(help="What full buckets hold: 5s of refill, or requests=100,… Default: learnt."),
    ] = None,
    max_cost: Annotated[str | None, typer.Option(help="Never spend more than this, e.g. 20usd.")] = None,
    max_wait: Annotated[
        str | None, typer.Option(help="Stop rather than let a call wait longer, e.g. 10m.")
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
            "--stream/--no-stream", help="Stream replies: earlier news of limits and stalls [stream]."
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
            "max_cost_usd": _dollars(max_cost),
            "max_wait_s": parse_duration(max_wait, of="--max-wait") if max_wait else None,
            "retries": retries,
            "concurrency": concurrency,
            "base_url": base_url,
            "stream": stream,
            "any_model": any_model or None,
            "ledger": ledger,
        }
        config = load(os.environ, **arguments)
        if emulate is not None:
            config = stack.enter_context(_emulated(config, emulate))
        config.headers()  # a missing key is said before the file is read
        console = Console(stderr=True, highlight=False)
        source, target = stack.enter_context(_files(job, output, as_json))
        options = Options(
            input=source,
            name="standard input" if job == "-" else job,
            output=target,
            defaults=Defaults(model, max_tokens, system),
            is_text=_is_text(job, source),
            keep_going=keep_going,
            restart=restart,
            accept_changes=accept_changes,
            retry_errored=retry_errored,
        )
        door = Door(options, build(config, time_ns))
        stack.callback(door.close)
        stop = _go(door, console)
        summary = door.summary(stop)
        if as_json:
            sys.stdout.buffer.write(msgspec.json.encode(summary) + b"\n")
        else:
            show_summary(summary, console)
        if stop is not None:
            raise typer.Exit(stop.exit_code)
        if summary["errored"]:
            raise typer.Exit(1)


def _go(door: Door, console: Console) -> Stop | None:
    """Scan, run, and show both."""
    with Status("Reading the job …", console=console) if console.is_terminal else contextlib.nullcontext():
        index = door.look()
    if index.bad_count:
        console.print(
            Text(bad_report(index, door.options.name).replace("; nothing was sent", ""), style="yellow")
        )
    if door.tally.before:
        console.print(f"{door.tally.before:,} of {door.tally.total:,} lines have results already; going on.")
    with Display(console) as display:
        return door.run(display.show, display.every_s)


@contextlib.contextmanager
def _files(job: str, output: Path | None, as_json: bool) -> Iterator[tuple[Path, Path]]:
    """The input as a file, and the output's path. Standard input is copied to a file of its own."""
    if job != "-":
        path = Path(job)
        if not path.exists():
            raise InputError(f"no such file: {job}")
        yield path, output or path.with_name(f"{path.stem}.results.jsonl")
        return
    if output is None:
        raise InputError(
            "results of standard input need a place" + (" beside --json" if as_json else ""),
            hint="Add -o OUT.jsonl: with it the job can also be resumed.",
        )
    with tempfile.NamedTemporaryFile(prefix="headway-", suffix=".jsonl") as copy:
        shutil.copyfileobj(sys.stdin.buffer, copy)
        copy.flush()
        yield Path(copy.name), output


def _is_text(job: str, source: Path) -> bool:
    """Whether lines are prompts as they stand. Files that are called JSON are JSON; others if they look like it."""
    if Path(job).suffix.lower() in (".jsonl", ".json", ".ndjson"):
        return False
    with source.open("rb") as file:
        for line in file:
            if line.strip():
                return not line.lstrip().startswith(b"{")
    return False


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


def _dollars(text: str | None) -> float | None:
    """Read `20usd`, `$20` or `20`."""
    if text is None:
        return None
    bare = text.strip().lower().removeprefix("$").removesuffix("usd").strip()
    try:
        return float(bare)
    except ValueError:
        raise ConfigError(f"--max-cost: cannot read {text!r}", hint="Write it like 20usd.") from None


def show_summary(summary: Mapping[str, Any], console: Console) -> None:
    """The summary for people."""
    tokens = summary["tokens"]
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", justify="right")
    failed = f", [red]{summary['errored']:,} errored[/]" if summary["errored"] else ""
    already = f", {summary['already_done']:,} done before" if summary["already_done"] else ""
    left = f", [yellow]{summary['left']:,} left[/]" if summary["left"] else ""
    table.add_row("calls", f"[bold]{summary['succeeded']:,} succeeded[/]{failed}{already}{left}")
    table.add_row(
        "attempts", f"{summary['attempts']:,}, {summary['rate_limited']:,} refused by a limit (429)"
    )
    cache = tokens["cache_read"] + tokens["cache_write_5m"] + tokens["cache_write_1h"]
    cached = f", {short(tokens['cache_read'])} read from cache" if cache else ""
    table.add_row("tokens", f"{short(tokens['input'])} in{cached}, {short(tokens['output'])} out")
    unpriced = (
        f" and {summary['unpriced_attempts']:,} attempts of unknown price"
        if summary["unpriced_attempts"]
        else ""
    )
    table.add_row("cost", f"${summary['cost_usd']:,.4f}{unpriced}")
    table.add_row("time", clock(summary["elapsed_s"]))
    for limit in summary["limits"]:
        name = limit["unit"].replace("_", " ")
        table.add_row(
            name,
            f"{limit['share_used']:.0%} of {limit['amount']:,.0f} a minute used, bound for {clock(limit['bound_s'])}",
        )
    table.add_row("results", summary["output"])
    console.print(table)
    for kind, count in summary["errors"].items():
        console.print(f"  [red]{count:,} × {kind}[/]")
    if summary["stopped"]:
        console.print(f"[bold yellow]stopped:[/] {summary['stopped']['reason']}")
        if summary["stopped"]["hint"]:
            console.print(f"[bold]hint:[/] {summary['stopped']['hint']}")


def with_profile(arguments: list[str]) -> list[str]:
    """Let `--emulate` stand alone: give it the default profile where no profile follows it."""
    filled: list[str] = []
    for argument, after in zip(arguments, [*arguments[1:], ""], strict=True):
        filled.append(argument)
        if argument == "--emulate" and (not _PROFILE.fullmatch(after) or Path(after).exists()):
            filled.append(DEFAULT_PROFILE)
    return filled


run.__doc__ = (run.__doc__ or "") + EXAMPLES
