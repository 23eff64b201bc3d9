"""`headway insights`: what to change to need less, out of the ledger."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console, Group, RenderableType
from rich.progress import Progress, SpinnerColumn, TextColumn
from rich.table import Table
from rich.text import Text

from headway.cli.display import visible
from headway.cli.usage import dollars, humane, since_ns
from headway.config import Config, load
from headway.errors import InputError
from headway.ledger.sqlite import default_path

if TYPE_CHECKING:
    from headway.insights.finding import Finding
    from headway.insights.study import Study

_WIDE = 104  # columns of a terminal that has room for examples and snippets
_TELL_AFTER_S = 1.0


def insights(
    since: Annotated[str, typer.Option(help="7d, 24h, 30m, a date like 2026-11-01 (UTC), or all.")] = "7d",
    tenant: Annotated[str | None, typer.Option(help="Only calls of this tenant.")] = None,
    job: Annotated[str | None, typer.Option(help="Only calls of this job.")] = None,
    only: Annotated[list[str] | None, typer.Option(help="Only this rule; may be repeated.")] = None,
    skip: Annotated[list[str] | None, typer.Option(help="Not this rule; may be repeated.")] = None,
    top: Annotated[int, typer.Option(min=1, help="Show at most so many findings.")] = 10,
    explain: Annotated[
        str | None, typer.Option(metavar="RULE", help="Say what a rule looks for, and how; all: every rule.")
    ] = None,
    ledger: Annotated[
        Path | None, typer.Option(help="The ledger file. Default: as set, or that of this user.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="For machines: exact integers, nanodollars.")
    ] = False,
) -> None:
    """Show what to change to pay and to wait less: ranked, each with evidence, money and the change.

    Examples:

        headway insights                            the last 7 days

        headway insights --since 24h --tenant search

        headway insights --explain broken-prefix    what a rule looks for, and how

        headway insights --json | jq .saving_nanousd
    """
    from headway.insights.study import study
    from headway.insights.walk import Window

    console = Console()
    if explain is not None:
        _explain(explain, console)
        return
    now = time.time_ns()
    window = Window(since_ns(since, now), now, tenant, job)
    path = _path(load(os.environ, flags=True, ledger=ledger and str(ledger)))
    with _Watched() as watched:
        found = study(path, window, only=only or (), skip=skip or (), progress=watched.tell)
    if as_json:
        typer.echo(json.dumps({"ledger": str(path), **as_object(found)}))
    else:
        console.print(picture(found, console.width, top))


def _path(config: Config) -> Path:
    if config.ledger == "none":
        raise InputError(
            f"no ledger is kept: {config.sources['ledger']} says none", hint="Name one with --ledger."
        )
    return Path(config.ledger) if config.ledger else default_path()


class _Watched:
    """Shows how far the reading is, on a terminal, if it takes longer than a second."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._from = time.monotonic()
        self._shown: Progress | None = None

    def __enter__(self) -> _Watched:
        return self

    def __exit__(self, *_: object) -> None:
        if self._shown is not None:
            self._shown.stop()

    def tell(self, done: int) -> None:
        if not self._console.is_terminal or time.monotonic() - self._from < _TELL_AFTER_S:
            return
        if self._shown is None:
            columns = SpinnerColumn(), TextColumn("{task.description}")
            self._shown = Progress(*columns, console=self._console, transient=True)
            self._shown.add_task("")
            self._shown.start()
        self._shown.update(self._shown.task_ids[0], description=f"{done:,} attempts read")


def as_object(study: Study) -> dict[str, Any]:
    """For machines: exact integers, nanodollars, times in nanoseconds since 1970 UTC."""
    return {
        "since_ns": study.window.since_ns,
        "attempts": study.attempts,
        "first_ns": study.first_ns,
        "last_ns": study.last_ns,
        "days": round(study.days, 6),
        "spent_nanousd": study.spent_nanousd,
        "unpriced": study.unpriced,
        "saving_nanousd": study.saving_nanousd,
        "saving_nanousd_a_week": study.a_week(study.saving_nanousd),
        "findings": [_finding_object(finding, study) for finding in study.findings],
        "note": study.note,
    }


def _finding_object(finding: Finding, study: Study) -> dict[str, Any]:
    found, saving = finding.found, finding.saving
    return {
        "rank": finding.rank,
        "rule": found.rule,
        "title": found.title,
        "where": dict(found.where),
        "certainty": found.certainty,
        "sample": found.sample,
        "least_sample": found.least,
        "saving_nanousd": saving.nanousd,
        "saving_error_nanousd": saving.error_nanousd,
        "counted_nanousd": saving.counted_nanousd,
        "saving_nanousd_a_day": _a_day(study, saving.nanousd),
        "saving_nanousd_a_week": study.a_week(saving.nanousd),
        "quota": [
            {
                "pool": each.pool,
                "unit": each.unit,
                "a_minute": round(each.a_minute, 3),
                "share": round(each.share, 4),
            }
            for each in finding.quota
        ],
        "evidence": list(found.evidence),
        "numbers": dict(found.numbers),
        "change": found.change,
        "snippet": found.snippet,
        "overlaps": list(finding.overlaps),
        "examples": [
            {
                "attempt_id": example.attempt_id,
                "at_ns": example.at_ns,
                "tenant": example.tenant,
                "session": example.session,
                "job": example.job,
                "label": example.label,
            }
            for example in finding.examples
        ],
    }


def _a_day(study: Study, nanousd: int) -> int | None:
    week = study.a_week(nanousd)
    return None if week is None else round(week / 7)


def picture(study: Study, width: int, top: int) -> RenderableType:
    """The findings for eyes, `width` columns wide."""
    if study.note:
        return Text(study.note)
    parts: list[RenderableType] = [_head(study)]
    for finding in study.findings[:top]:
        parts += [Text(), _card(finding, study, width)]
    parts += [Text(note, style="dim") for note in _notes(study, top)]
    return Group(*parts)


def _head(study: Study) -> Text:
    answers = [finding for finding in study.findings if finding.found.certainty != "question"]
    spent = f"{humane(study.attempts)} attempts in {_span(study)}, {dollars(study.spent_nanousd)} spent"
    if not study.findings:
        return Text.assemble(("Nothing to change", "bold green"), f" in {spent}.")
    count = f"{len(study.findings)} finding{'s' * (len(study.findings) != 1)}"
    head = Text.assemble((count, "bold"), f" in {spent}")
    if answers and study.saving_nanousd:
        share = study.saving_nanousd / study.spent_nanousd if study.spent_nanousd else 0.0
        head.append(": all together save ")
        shown = f"{share:.0%}" if share >= 0.0095 else "<1%"
        head.append(f"{_money(study, study.saving_nanousd)} ({shown})", style="bold green")
    return head.append(".")


def _money(study: Study, nanousd: int) -> str:
    week = study.a_week(nanousd)
    return f"{dollars(nanousd)}" if week is None else f"{dollars(week)} a week"


def _span(study: Study) -> str:
    hours = study.days * 24
    return (
        f"{study.days:.1f} days"
        if hours >= 48
        else f"{hours:.1f} h"
        if hours >= 2
        else f"{hours * 60:.0f} min" if hours >= 0.05 else f"{hours * 3600:.0f} s"
    )


def _card(finding: Finding, study: Study, width: int) -> RenderableType:
    """One finding: a title line with what it saves, below it how we know, and what to do."""
    found = finding.found
    table = Table.grid(padding=(0, 1), expand=False)
    table.add_column(justify="right", style="bold", min_width=2)
    table.add_column(overflow="fold", max_width=width - 4)
    title = Text(overflow="fold")
    gain = _gain(finding, study)
    if gain:
        title.append(gain, style="bold yellow" if found.certainty == "question" else "bold green").append(
            "  "
        )
    title.append(visible(found.title), style="bold")
    table.add_row(f"{finding.rank}", title)
    for line in _evidence(finding, study):
        table.add_row("", Text(visible(line), style="dim"))
    table.add_row("", Text.assemble(("→ ", "cyan"), visible(found.change)))
    if found.snippet:
        for line in found.snippet.splitlines():
            table.add_row("", Text("  " + visible(line), style="cyan"))
    if width >= _WIDE and finding.examples:
        table.add_row("", Text(_example_line(finding), style="dim"))
    return table


def _gain(finding: Finding, study: Study) -> str:
    if finding.saving.nanousd:
        asked = "up to " if finding.found.certainty == "question" else ""
        return asked + _money(study, finding.saving.nanousd)
    waited_ms = finding.found.numbers.get("waited_ms", 0)
    return f"{int(waited_ms) / 3.6e6:,.1f} h waited" if waited_ms else ""


def _evidence(finding: Finding, study: Study) -> Iterator[str]:
    found, saving = finding.found, finding.saving
    yield " ".join(found.evidence)
    free = [
        f"{humane(round(each.a_minute))} {each.unit.replace('_', ' ')} a minute"
        f" of {each.pool} would come free ({each.share:.0%})."
        for each in finding.quota
        if each.share >= 0.005
    ]
    if free:
        yield " ".join(free)
    if finding.overlaps and saving.counted_nanousd < saving.nanousd and found.certainty != "question":
        above = ", ".join(f"#{place}" for place in finding.overlaps)
        yield f"Shares calls with {above}: beside it, {_money(study, saving.counted_nanousd)} more."


def _example_line(finding: Finding) -> str:
    example = finding.examples[0]
    at = datetime.fromtimestamp(example.at_ns / 1e9, UTC).strftime("%Y-%m-%d %H:%M:%S")
    names = [f"session {example.session}" if example.session else "", example.label]
    return visible(" ".join(["for example", at, *filter(None, names), f"attempt {example.attempt_id}"]))


def _notes(study: Study, top: int) -> Iterator[str]:
    if len(study.findings) > top:
        yield f"\n{len(study.findings) - top} more: --top {len(study.findings)}."
    if study.unpriced:
        yield f"\n{humane(study.unpriced)} attempts have no known price: nothing is claimed of their money."


def _explain(name: str, console: Console) -> None:
    from headway.insights.explain import paragraphs
    from headway.insights.rules import RULES, known_rule

    for number, rule in enumerate(RULES if name == "all" else [known_rule(name)]):
        console.print(Text(("\n" if number else "") + rule, style="bold"))
        table = Table.grid(padding=(0, 2))
        table.add_column(style="cyan", no_wrap=True)
        table.add_column(max_width=min(console.width - 12, 100))
        for heading, text in paragraphs(rule):
            table.add_row(heading, Text(text))
        console.print(table)
