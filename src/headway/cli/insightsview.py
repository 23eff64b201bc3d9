"""Draws what `headway insights` found: for eyes, and for machines."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from headway.cli.display import visible
from headway.cli.figures import dollars, humane
from headway.insights.finding import Finding
from headway.insights.study import Study

_WIDE = 104  # columns of a terminal that has room for examples
_MOST = 132  # columns that are used at most: longer lines are hard to read


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
    week = study.a_week(saving.nanousd)
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
        "saving_nanousd_a_day": None if week is None else round(week / 7),
        "saving_nanousd_a_week": week,
        "quota": [asdict(each) for each in finding.quota],
        "evidence": list(found.evidence),
        "numbers": dict(found.numbers),
        "change": found.change,
        "snippet": found.snippet,
        "overlaps": list(finding.overlaps),
        "examples": [asdict(example) for example in finding.examples],
    }


def picture(study: Study, width: int, top: int) -> RenderableType:
    """The findings for eyes, `width` columns wide."""
    if study.note:
        return Text(study.note)
    parts: list[RenderableType] = [_head(study)]
    for finding in study.findings[:top]:
        parts += [Text(), _card(finding, study, min(width, _MOST))]
    parts += [Text(f"\n{note}", style="dim") for note in _notes(study, top)]
    return Group(*parts)


def _head(study: Study) -> Text:
    spent = f"{humane(study.attempts)} attempts in {_span(study)}, {dollars(study.spent_nanousd)} spent"
    if not study.findings:
        return Text.assemble(("Nothing to change", "bold green"), f" in {spent}.")
    count = f"{len(study.findings)} finding{'s' * (len(study.findings) != 1)}"
    head = Text.assemble((count, "bold"), f" in {spent}")
    if study.saving_nanousd:
        share = study.saving_nanousd / study.spent_nanousd if study.spent_nanousd else 0.0
        shown = f"{share:.0%}" if share >= 0.0095 else "<1%"
        head.append("; all together they save ")
        head.append(f"{_money(study, study.saving_nanousd)} ({shown})", style="bold green")
    return head.append(".")


def _money(study: Study, nanousd: int) -> str:
    week = study.a_week(nanousd)
    return dollars(nanousd) if week is None else f"{dollars(week)}/week"


def _span(study: Study) -> str:
    hours = study.days * 24
    if hours >= 48:
        return f"{study.days:.1f} days"
    if hours >= 2:
        return f"{hours:.1f} h"
    return f"{hours * 60:.0f} min" if hours >= 0.05 else f"{hours * 3600:.0f} s"


def _card(finding: Finding, study: Study, width: int) -> RenderableType:
    """One finding: a title line with what it saves, below it how we know, and what to do."""
    found = finding.found
    is_question = found.certainty == "question"
    table = Table.grid(padding=(0, 1))
    table.add_column(justify="right", style="bold", min_width=2)
    table.add_column(overflow="fold", max_width=width - 3)
    title, gain = Text(), _gain(finding, study)
    if gain:
        title.append(gain, style="bold yellow" if is_question else "bold green").append("  ")
    table.add_row(str(finding.rank), title.append(visible(found.title), style="bold"))
    table.add_row(
        "", Text(visible(" ".join([*_evidence(finding, study), _tag(finding, study)])), style="dim")
    )
    table.add_row("", Text.assemble(("→ ", "cyan"), visible(found.change)))
    for line in found.snippet.splitlines():
        table.add_row("", Text("  " + visible(line), style="cyan"))
    if width >= _WIDE and finding.examples:
        table.add_row("", Text(_example(finding), style="dim"))
    return table


def _tag(finding: Finding, study: Study) -> str:
    """Which rule it is, how sure it is, and how far the money may be off in another such time."""
    saving = finding.saving
    shown = saving.nanousd and saving.error_nanousd >= 0.02 * saving.nanousd
    error = f", ± {_money(study, saving.error_nanousd)}" if shown else ""
    return f"({finding.found.rule}, {finding.found.certainty}{error})"


def _gain(finding: Finding, study: Study) -> str:
    if finding.saving.nanousd:
        asked = "up to " if finding.found.certainty == "question" else ""
        return asked + _money(study, finding.saving.nanousd)
    waited_ms = finding.found.numbers.get("waited_ms", 0)
    return f"{int(waited_ms) / 3.6e6:,.1f} h waited" if waited_ms else ""


def _evidence(finding: Finding, study: Study) -> Iterator[str]:
    yield from finding.found.evidence
    for each in finding.quota:
        if each.share >= 0.005:
            amount = f"{humane(round(each.a_minute))} {each.unit.replace('_', ' ')} a minute"
            if each.a_minute < 1:
                amount = f"{round(each.a_minute * 60):,} {each.unit.replace('_', ' ')} an hour"
            yield f"Frees {amount}, {each.share:.0%} of {each.pool}."
    is_shared = finding.overlaps and finding.saving.counted_nanousd < finding.saving.nanousd
    if is_shared and finding.found.certainty != "question":
        above = ", ".join(f"#{place}" for place in finding.overlaps)
        yield f"Shares calls with {above}: beside that, {_money(study, finding.saving.counted_nanousd)} more."


def _example(finding: Finding) -> str:
    example = finding.examples[0]
    at = datetime.fromtimestamp(example.at_ns / 1e9, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    session = f"session {example.session}" if example.session else ""
    return visible(" ".join(["for example", at, *filter(None, (session, example.label)), example.attempt_id]))


def _notes(study: Study, top: int) -> Iterator[str]:
    if len(study.findings) > top:
        yield f"{len(study.findings) - top} more: --top {len(study.findings)}."
    if study.unpriced:
        yield f"{humane(study.unpriced)} attempts have no known price: nothing is claimed of their money."
