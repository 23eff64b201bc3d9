"""The plan as a page to keep."""

from __future__ import annotations

from headway.charts.figure import Bars, Figure
from headway.charts.page import render
from headway.charts.section import Numbers, Section, Table, Text
from headway.cli.planview import (
    Shown,
    course_figure,
    headline,
    limit_columns,
    limit_rows,
    money,
    texts,
    time_of,
)


def page(shown: Shown) -> str:
    """The page. Raises MachineError without the extra "charts"."""
    plan, scene = shown.plan, shown.staged.scene
    seconds = plan.seconds
    items = [("time", time_of(seconds.p50), f"{time_of(seconds.p10)} to {time_of(seconds.p90)}")]
    if plan.nanousd is not None:
        low, middle, high = map(money, plan.nanousd)
        items.append(("cost", middle, f"{low} to {high}"))
    output = plan.output_tokens
    items += [
        ("requests", f"{plan.lines:,}", ", ".join(scene.shape.models)),
        ("input tokens", f"{plan.input_tokens:,.0f}", ""),
        ("output tokens", f"{output.p50:,.0f}", f"{output.p10:,.0f} to {output.p90:,.0f}"),
        ("in flight", f"{plan.course.in_flight[0]:,}", f"{plan.course.in_flight[1]:,} at most"),
    ]
    sections = [
        Section("", (Text(headline(shown).plain + "."), Numbers(tuple(items)))),
        *([] if shown.arrivals else [Section("Course", (course_figure(shown), _waits(shown)))]),
        Section("Limits", (Table(limit_columns(shown), tuple(limit_rows(shown))),)),
    ]
    if shown.changes:
        sections.append(Section("What if", (_changes(shown),)))
    rests = tuple(Text(f"{kind}: {text}", "note") for kind, text in texts(shown))
    sections.append(Section("What it rests on", rests))
    if shown.bad:
        sections.append(
            Section("Lines that cannot be run", tuple(Text(line, "warning") for line in shown.bad))
        )
    return render(
        f"Plan of {scene.job}", sections, subtitle=f"made {shown.now:%Y-%m-%d %H:%M}", footer="headway plan"
    )


def _waits(shown: Shown) -> Figure:
    several = len(shown.staged.known) > 1
    waited = sorted(shown.plan.course.waited.items(), key=lambda each: -each[1])
    names = tuple(f"{name} ({pool})" if several else name for (pool, name), _ in waited)
    shares = tuple(share for _, share in waited)
    return Figure("What holds calls back, by share of the time", Bars(names, shares, "share"))


def _changes(shown: Shown) -> Table:
    rows = tuple(
        (
            change.name,
            "?" if change.seconds is None else ("≤ " if change.at_most else "") + time_of(change.seconds),
            "?" if change.nanousd is None else money(change.nanousd),
            change.change + (f" ({change.note})" if change.note else ""),
        )
        for change in shown.changes
    )
    return Table(("change", "time", "cost", "what to do"), rows)
