"""`headway usage`: what was asked, what it took and what it cost, out of the ledger."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from headway.cli.budgets import budgets
from headway.cli.estimates import estimates
from headway.cli.figures import dollars as dollars  # others draw money and counts in the same way
from headway.cli.figures import humane as humane
from headway.cli.progress import Progress
from headway.cli.session import session
from headway.cli.usageview import picture
from headway.cli.waits import waits
from headway.cli.window import Json, LedgerFile, Only, Since, Until, Window, window
from headway.cli.window import moment_ns as since_ns
from headway.errors import InputError
from headway.ledger.ranking import by_time, ranked, running
from headway.ledger.report import Report
from headway.ledger.report import usage as read_usage

__all__ = ["dollars", "humane", "picture", "reports", "since_ns", "usage"]

reports = typer.Typer(
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode="rich",
)
for each in (budgets, session, waits, estimates):
    reports.command(each.__name__)(each)


class Format(StrEnum):
    """How a report is written."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"
    PARQUET = "parquet"


class Sort(StrEnum):
    """What the first lines have most of."""

    COST = "cost"
    TOKENS = "tokens"
    CALLS = "calls"
    WAITING = "waiting"


@reports.callback()
def usage(
    context: typer.Context,
    by: Annotated[
        str,
        typer.Option(
            metavar="WORD[,WORD]",
            help="What a line is: model, tenant, session, job, class, day, hour, status; or two of them.",
        ),
    ] = "model",
    since: Since = "7d",
    until: Until = "",
    where: Only = None,
    top: Annotated[int | None, typer.Option(help="Only so many lines.", min=1)] = None,
    sort: Annotated[Sort | None, typer.Option(help="What the first lines have most of.")] = None,
    cumulative: Annotated[
        bool,
        typer.Option("--cumulative", help="Running totals, by day or hour; of each session: --by session."),
    ] = False,
    rows: Annotated[bool, typer.Option("--rows", help="The attempts themselves, one by one.")] = False,
    format_: Annotated[
        Format | None,
        typer.Option("--format", help="How it is written. Default: as --output ends, or table."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write it to this file, whole or not at all.")
    ] = None,
    ledger: LedgerFile = None,
    as_json: Json = False,
) -> None:
    """Show what was used: calls, 429s, tokens, dollars, waiting.

    Examples:

        headway usage                          the last 7 days, by model

        headway usage --by tenant --since 24h  who used it

        headway usage --by tenant,day          how it went for each

        headway usage --by session --top 10 --sort tokens --where tenant=search

        headway usage --by session --cumulative --since 24h

        headway usage --rows --since all --output attempts.parquet

        headway usage --json | jq .total       for scripts
    """
    if context.invoked_subcommand is not None:
        return _refuse_flags(context)
    asked = window(ledger, since, until, where)
    style = _style(format_, output, as_json)
    if rows:
        _refuse_with_rows({"--top": top, "--sort": sort, "--cumulative": cumulative or None})
        return _write_rows(asked, style, output)
    with Progress(sys.stderr, "adding up the ledger") as progress:
        report = read_usage(
            asked.path,
            by_time(by) if cumulative else by,
            asked.since_ns,
            until_ns=asked.until_ns,
            where=asked.where,
            told=progress.left,
        )
    report = ranked(report, None if sort is None else sort.value, top)
    return _write(asked, report, cumulative, style, output)


def _style(format_: Format | None, output: Path | None, as_json: bool) -> Format:
    """What is meant, if it is not said. InputError for what does not go together."""
    if as_json and format_ not in (None, Format.JSON):
        raise InputError(f"--json and --format {format_} are two formats", hint="Say one of them.")
    if as_json:
        return Format.JSON
    if format_ is not None:
        return format_
    if output is None:
        return Format.TABLE
    ending = output.suffix.lower().removeprefix(".")
    if ending in (Format.JSON, Format.CSV, Format.PARQUET):
        return Format(ending)
    if ending in ("jsonl", "ndjson"):
        return Format.JSON
    raise InputError(
        f"no format is known by the end of {output}", hint="Say --format json, csv, parquet or table."
    )


def _refuse_flags(context: typer.Context) -> None:
    """Flags before the word of a report of its own would be overlooked."""
    for parameter in context.command.params:
        source = context.get_parameter_source(parameter.name or "")
        if source is not None and source.name == "COMMANDLINE":
            raise InputError(
                f"{parameter.opts[-1]} comes before {context.invoked_subcommand}",
                hint=f"Write it after: headway usage {context.invoked_subcommand} {parameter.opts[-1]} ...",
            )


def _refuse_with_rows(others: dict[str, object]) -> None:
    for flag, value in others.items():
        if value is not None:
            hint = "Rows come one by one, in the order in which they were written."
            raise InputError(f"--rows and {flag} do not go together", hint=hint)


def _write(asked: Window, report: Report, cumulative: bool, style: Format, output: Path | None) -> None:
    from headway.cli.export import lines_of, shown_json, write_table, write_text

    sofar = running(report) if cumulative else None
    match style:
        case Format.TABLE if output is None:
            console = Console()
            console.print(picture(report, console.width, sofar))
        case Format.TABLE:
            text = Console(width=140, no_color=True, force_terminal=False)
            with text.capture() as captured:
                text.print(picture(report, 140, sofar))
            write_text(captured.get(), output)
        case Format.JSON:
            write_text(shown_json(str(asked.path), report, sofar) + "\n", output)
        case Format.CSV | Format.PARQUET:
            columns, found = lines_of(report, sofar)
            write_table(columns, [found], style.value, output)


def _write_rows(asked: Window, style: Format, output: Path | None) -> None:
    from headway.cli.export import write_table
    from headway.ledger.export import read_rows

    if style is Format.TABLE:
        raise InputError(
            "rows are for machines", hint="Say --format csv, json or parquet, or --output rows.csv."
        )
    with Progress(sys.stderr, "writing attempts", of="done") as progress:
        columns, batches = read_rows(
            asked.path, asked.since_ns, until_ns=asked.until_ns, where=asked.where, told=progress.done
        )
        write_table(columns, batches, style.value, output)
