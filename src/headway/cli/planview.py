"""The plan for eyes and for machines: a sentence, what it comes to, each limit, the course of it, what would change it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from headway.charts.figure import Figure, Lines, Series
from headway.charts.terminal import draw
from headway.cli.display import visible
from headway.planner.arrivals import Arrivals
from headway.planner.plan import Plan
from headway.planner.stage import Staged
from headway.planner.whatif import WhatIf

WIDE = 120  # columns that have room for the chart beside the table
_CHART_HEIGHT = 9
_ALIKE = 0.005  # changes of less than that are none


@dataclass(frozen=True, slots=True)
class Shown:
    """A plan with all that is said beside it. `now` is local time."""

    plan: Plan
    staged: Staged
    bad: tuple[str, ...]
    changes: tuple[WhatIf, ...]
    arrivals: Arrivals | None
    now: datetime


def picture(shown: Shown, width: int, *, colour: bool) -> Group:
    """Everything, `width` columns wide; `colour`: whether the chart may have it."""
    parts: list[RenderableType] = [Text(""), headline(shown), Text("")]
    if shown.bad:
        parts += [Text("\n".join(visible(line) for line in shown.bad), style="yellow"), Text("")]
    parts += [_beside(shown, width, colour), Text(""), _limits(shown), Text("")]
    if shown.changes:
        parts += [*_changes(shown), Text("")]
    parts += _notes(shown.staged)
    return Group(*parts)


def _beside(shown: Shown, width: int, colour: bool) -> RenderableType:
    """The figures and, where all lines come at once, the course: side by side if there is room."""
    figures = _figures(shown)
    if shown.arrivals is not None:
        return figures
    if width < WIDE:
        chart = draw(course_figure(shown), width, _CHART_HEIGHT, colour=colour)
        return Group(figures, Text(""), Text.from_ansi(chart, no_wrap=True))
    grid = Table.grid(padding=(0, 4))
    chart = draw(course_figure(shown), width - 66, _CHART_HEIGHT, colour=colour)
    grid.add_row(figures, Text.from_ansi(chart, no_wrap=True))
    return grid


def headline(shown: Shown) -> Text:
    """Done in 41 min (38 - 45), $12.40 ($11.90 - $13.10); input tokens bind 93 % of the time."""
    plan, seconds, came = shown.plan, shown.plan.seconds, shown.arrivals
    if came is not None:
        text = Text.assemble(
            (f"{plan.lines:,} lines", "bold"), f" in {time_of(came.comes_for_s)}: ", _suffices(came)
        )
    else:
        text = Text.assemble(
            "done in ",
            (time_of(seconds.p50), "bold"),
            f" ({time_of(seconds.p10)} to {time_of(seconds.p90)})",
        )
    if plan.nanousd is None:
        text.append(f", no price is known for {', '.join(map(visible, plan.unpriced))}", style="yellow")
    else:
        low, middle, high = (money(each) for each in plan.nanousd)
        text.append(", ")
        text.append(middle, style="bold")
        text.append(f" ({low} to {high})")
    waited = plan.course.waited
    if waited and came is None:
        most = max(waited, key=lambda each: waited[each])
        name = _named(most[1]) + (f" of {visible(most[0])}" if len(shown.staged.known) > 1 else "")
        text.append(f"; {name} {'bind' if most[1].endswith('s') else 'binds'} {waited[most]:.0%} of the time")
    return text


def _suffices(came: Arrivals) -> Text:
    name = max(came.used, key=lambda each: came.used[each], default="")
    if not name:
        return Text("no limit is known")
    share = f"{_named(name)} used {came.used[name]:.0%}"
    if came.used[name] > 1.0:
        since = "" if came.full_at_s is None else f" from {time_of(came.full_at_s)} on"
        return Text(f"the quota does not suffice{since} ({share})", style="yellow")
    return Text(f"the quota suffices ({share})")


def _figures(shown: Shown) -> Table:
    plan, course, came = shown.plan, shown.plan.course, shown.arrivals
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("")
    for name in ("P10", "P50", "P90"):
        table.add_column(name, justify="right", no_wrap=True)
    seconds, output = plan.seconds, plan.output_tokens
    if came is None:
        each = (seconds.p10, seconds.p50, seconds.p90)
        table.add_row("time", *map(time_of, each))
        table.add_row("done at", *(_at(shown.now, seconds) for seconds in each))
    else:
        waits = (0.0, came.wait_p50_s, came.wait_p90_s)
        table.add_row("wait of a call", "", *map(time_of, waits[1:]))
        table.add_row("longest wait", "", "", time_of(came.wait_most_s))
        table.add_row("most the quota bears", "", _rate(came.most_rate), "")
        table.add_row("done at", "", _at(shown.now, came.ends_s), "")
    if plan.nanousd is not None:
        table.add_row("cost", *map(money, plan.nanousd))
    table.add_row("output tokens", *(f"{each:,.0f}" for each in (output.p10, output.p50, output.p90)))
    table.add_row("input tokens", "", f"{plan.input_tokens:,.0f}", "")
    table.add_row("requests", "", f"{plan.lines:,}", "")
    in_flight = course.in_flight if came is None else came.in_flight
    table.add_row("in flight", "", f"{in_flight[0]:,}", f"≤ {in_flight[1]:,}")
    if came is None:
        table.add_row("429s expected", "", f"{course.refused:,.0f}", "")
        table.add_row("memory of headway run", "", f"{plan.memory / 1e6:,.0f} MB", "")
    return table


def course_figure(shown: Shown) -> Figure:
    """How many lines are done when."""
    plan = shown.plan
    named = (("at worst", plan.worst), ("expected", plan.course), ("at best", plan.best))
    series = tuple(
        Series(name, tuple(at for at, _ in course.curve), tuple(done for _, done in course.curve))
        for name, course in named
    )
    return Figure("lines done", Lines(series, x="seconds", y="count"))


def _limits(shown: Shown) -> Table:
    """Each limit: what is needed of it, how long it alone would take, for how much of the time it held calls back."""
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("limit", overflow="fold")
    for name in limit_columns(shown)[1:]:
        table.add_column(name, justify="right", no_wrap=True)
    for row in limit_rows(shown):
        table.add_row(*row)
    return table


def limit_columns(shown: Shown) -> tuple[str, ...]:
    """The names of the columns of the table of limits."""
    if shown.arrivals is not None:
        return "limit", "needed", "it alone takes", "used"
    return "limit", "needed", "it alone takes", "holds calls back"


def limit_rows(shown: Shown) -> list[tuple[str, str, str, str]]:
    """The cells of the table of limits."""
    course, rows = shown.plan.course, []
    several = len(shown.staged.known) > 1
    came, lines = shown.arrivals, max(shown.plan.lines, 1)
    left = dict(course.waited) if came is None else {}
    for pool, known in shown.staged.known.items():
        for limit in known.limits:
            need = course.needs.get((pool, limit.unit), 0.0)
            name = f"{limit}" + (f", {visible(pool)}" if several else "")
            share = left.pop((pool, limit.unit.value), 0.0)
            if came is not None:
                share = need / lines * came.rate / limit.rate
            rows.append((name, f"{need:,.0f}", time_of(need / limit.rate), f"{share:.0%}"))
    rows += [(visible(name), "", "", f"{share:.0%}") for (_, name), share in left.items() if share >= _ALIKE]
    return rows


def _changes(shown: Shown) -> list[RenderableType]:
    """Each what-if: its time and cost and by how much they change, and below it what to do."""
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("what if", no_wrap=True)
    for name in ("time", "", "cost", ""):
        table.add_column(name, justify="right", no_wrap=True)
    now_s = shown.plan.seconds.p50
    now_cost = shown.plan.nanousd[1] if shown.plan.nanousd else None
    for change in shown.changes:
        time = "?" if change.seconds is None else ("≤ " if change.at_most else "") + time_of(change.seconds)
        cost = "?" if change.nanousd is None else money(change.nanousd)
        table.add_row(
            visible(change.name),
            time,
            Text("") if change.at_most else _difference(change.seconds, now_s),
            cost,
            _difference(change.nanousd, now_cost),
        )
    return [table, Text(""), *(_how(change) for change in shown.changes)]


def _how(change: WhatIf) -> RenderableType:
    note = f" ({visible(change.note)})" if change.note else ""
    text = Text.assemble((f"{visible(change.name)}: ", "bold"), visible(change.change), (note, "dim"))
    return Padding(text, (0, 0, 0, 2))


def _difference(then: float | None, now: float | None) -> Text:
    if then is None or not now:
        return Text("")
    share = then / now - 1.0
    if abs(share) < _ALIKE:
        return Text("same", style="dim")
    style = "green" if share < 0 else "yellow"
    return Text(f"{share:+.0%}" if share < 1.0 else f"× {then / now:.1f}", style=style)


def _notes(staged: Staged) -> list[RenderableType]:
    lines: list[RenderableType] = [Text(f"known    {visible(fact)}", style="dim") for fact in staged.facts]
    lines += [Text.assemble(("assumed  ", "yellow"), (visible(guess), "dim")) for guess in staged.guesses]
    return lines


def time_of(seconds: float) -> str:
    """Two figures of the largest units: 48 s, 4.2 min, 41 min, 3 h 20 min, 2 d 4 h."""
    if seconds < 100:
        return f"{seconds:.0f} s" if seconds >= 10 or seconds < 0.05 else f"{seconds:.1f} s"
    minutes = seconds / 60
    if minutes < 10:
        return f"{minutes:.1f} min"
    if minutes < 120:
        return f"{minutes:.0f} min"
    hours, rest = divmod(round(minutes), 60)
    if hours < 48:
        return f"{hours} h {rest:02} min" if rest else f"{hours} h"
    return f"{hours // 24} d {hours % 24} h"


def money(nanousd: int) -> str:
    """Dollars, with cents where they matter."""
    dollars = nanousd / 1e9
    if dollars >= 1000:
        return f"${dollars:,.0f}"
    return f"${dollars:,.2f}" if dollars >= 0.1 else f"${dollars:.4f}"


def _named(unit: str) -> str:
    return visible(unit.replace("_", " "))


def _rate(a_second: float) -> str:
    if a_second == float("inf"):
        return "no limit"
    return f"{a_second * 60:,.3g}/min" if a_second < 10 else f"{a_second:,.3g}/s"


def _at(now: datetime, seconds: float) -> str:
    then = now + timedelta(seconds=seconds)
    return f"{then:%H:%M}" if then.date() == now.date() else f"{then:%a %d %b %H:%M}"


def as_values(shown: Shown) -> dict[str, Any]:
    """The plan for machines: seconds, whole tokens, whole nanodollars, shares from 0 to 1."""
    plan, staged, course = shown.plan, shown.staged, shown.plan.course
    cost = plan.nanousd
    return {
        "lines": plan.lines,
        "bad_lines": list(shown.bad),
        "models": list(staged.scene.shape.models),
        "input_tokens": round(plan.input_tokens),
        "output_tokens": {key: round(value) for key, value in asdict(plan.output_tokens).items()},
        "seconds": {key: round(value, 3) for key, value in asdict(plan.seconds).items()},
        "done_at": (shown.now + timedelta(seconds=plan.seconds.p50)).isoformat(timespec="seconds"),
        "cost_nanousd": None if cost is None else dict(zip(("p10", "p50", "p90"), cost, strict=True)),
        "unpriced_models": list(plan.unpriced),
        "waits": [
            {"pool": pool, "for": name, "share": round(share, 4)}
            for (pool, name), share in course.waited.items()
        ],
        "in_flight": {"p50": course.in_flight[0], "most": course.in_flight[1]},
        "rate_limited": round(course.refused, 1),
        "memory_bytes": plan.memory,
        "simulated_lines": course.simulated,
        "limits": [
            {
                "pool": pool,
                "unit": limit.unit.value,
                "amount": limit.amount,
                "period_s": limit.period_s,
                "needed": round(course.needs.get((pool, limit.unit), 0.0)),
                "source": known.source,
            }
            for pool, known in staged.known.items()
            for limit in known.limits
        ],
        "arrivals": None if shown.arrivals is None else _arrivals(shown.arrivals),
        "what_ifs": [asdict(change) for change in shown.changes],
        "known": list(staged.facts),
        "assumed": list(staged.guesses),
    }


def _arrivals(came: Arrivals) -> dict[str, Any]:
    found = {name: value for name, value in asdict(came).items() if name != "in_flight"}
    if found["most_rate"] == float("inf"):
        found["most_rate"] = None
    return {name: round(value, 4) if isinstance(value, float) else value for name, value in found.items()}


def texts(shown: Shown) -> Sequence[tuple[str, str]]:
    """What the plan rests on: ("known" or "assumed", a sentence)."""
    return [("known", fact) for fact in shown.staged.facts] + [
        ("assumed", guess) for guess in shown.staged.guesses
    ]
