"""The plan for eyes: a sentence, a table, what it rests on."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from headway.cli.display import visible
from headway.planner.plan import Plan
from headway.planner.stage import Staged
from headway.planner.whatif import WhatIf


def picture(
    plan: Plan, staged: Staged, bad: Sequence[str], changes: Sequence[WhatIf], now: datetime
) -> Group:
    """Everything. `now` is local time."""
    parts: list[RenderableType] = [headline(plan), Text("")]
    if bad:
        parts += [Text("\n".join(visible(line) for line in bad), style="yellow"), Text("")]
    parts += [_table(plan, now)]
    if changes:
        parts += [_changes(plan, changes), Text("")]
    parts += [Text(f"{mark} {visible(text)}", style="dim") for mark, text in _notes(staged)]
    return Group(*parts)


def headline(plan: Plan) -> Text:
    """Done in 41 min (38-45), $12.40 ($11.90-13.10); input_tokens binds 93 % of the time."""
    seconds = plan.seconds
    text = Text.assemble(
        ("done in ", ""),
        (time_of(seconds.p50), "bold"),
        f" ({time_of(seconds.p10)} – {time_of(seconds.p90)}), ",
    )
    if plan.nanousd is None:
        text.append("of unknown price", style="yellow")
    else:
        low, middle, high = (money(each) for each in plan.nanousd)
        text.append(middle, style="bold")
        text.append(f" ({low} – {high})")
    waited = plan.course.waited
    if waited:
        name = max(waited, key=lambda each: waited[each])
        text.append(f"; {name} binds {waited[name]:.0%} of the time")
    return text


def _table(plan: Plan, now: datetime) -> Table:
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("")
    for name in ("P10", "P50", "P90"):
        table.add_column(name, justify="right")
    seconds, output, course = plan.seconds, plan.output_tokens, plan.course
    table.add_row("time", *(time_of(each) for each in (seconds.p10, seconds.p50, seconds.p90)))
    table.add_row("done at", *(_at(now, each) for each in (seconds.p10, seconds.p50, seconds.p90)))
    if plan.nanousd is not None:
        table.add_row("cost", *(money(each) for each in plan.nanousd))
    table.add_row("output tokens", *(f"{each:,.0f}" for each in (output.p10, output.p50, output.p90)))
    table.add_row("input tokens", "", f"{plan.input_tokens:,.0f}", "")
    table.add_row("requests", "", f"{plan.lines:,}", "")
    table.add_row("in flight", "", f"{course.in_flight[0]:,}", f"≤ {course.in_flight[1]:,}")
    table.add_row("429s", "", f"{course.refused:,.0f}", "")
    table.add_row("memory", "", f"{plan.memory / 1e6:,.0f} MB", "")
    for name, share in sorted(course.waited.items(), key=lambda each: -each[1]):
        if share >= 0.005:
            table.add_row(Text(f"waits for {visible(name)}"), "", f"{share:.0%}", "")
    return table


def _changes(plan: Plan, changes: Sequence[WhatIf]) -> Table:
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("what if", no_wrap=True)
    table.add_column("time", justify="right", no_wrap=True)
    table.add_column("cost", justify="right", no_wrap=True)
    table.add_column("what to change")
    for change in changes:
        text = visible(change.change)
        table.add_row(
            visible(change.name),
            "?" if change.seconds is None else time_of(change.seconds),
            "?" if change.nanousd is None else money(change.nanousd),
            Text.assemble(text, (f"\n{visible(change.note)}" if change.note else "", "dim")),
        )
    return table


def _notes(staged: Staged) -> list[tuple[str, str]]:
    return [("·", fact) for fact in staged.facts] + [("?", guess) for guess in staged.guesses]


def time_of(seconds: float) -> str:
    """Two figures of the largest units: 48 s, 4.2 min, 41 min, 3 h 20 min, 2 d 4 h."""
    if seconds < 100:
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
    minutes = seconds / 60
    if minutes < 10:
        return f"{minutes:.1f} min"
    if minutes < 120:
        return f"{minutes:.0f} min"
    hours, rest = divmod(round(minutes), 60)
    if hours < 48:
        return f"{hours} h {rest:02} min"
    return f"{hours // 24} d {hours % 24} h"


def money(nanousd: int) -> str:
    """Dollars, with cents where they matter."""
    dollars = nanousd / 1e9
    if dollars >= 1000:
        return f"${dollars:,.0f}"
    return f"${dollars:,.2f}" if dollars >= 0.1 else f"${dollars:.4f}"


def _at(now: datetime, seconds: float) -> str:
    then = now + timedelta(seconds=seconds)
    return f"{then:%H:%M}" if then.date() == now.date() else f"{then:%a %d %b %H:%M}"
