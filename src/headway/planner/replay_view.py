"""A replay for eyes, and for machines."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.table import Table as Grid
from rich.text import Text

from headway.charts.section import Table
from headway.charts.terminal import clean, draw
from headway.planner.replay import Outcome, Replay
from headway.planner.replay_tables import chart, headline, limits, notes, scenarios, who

_MOST_GROUPS, _HEIGHT = 12, 8
_TEXTS = ("class", "limit")
_GAP = 2  # between two columns
_LEAST_FIRST = 20  # columns of the first column, if it needs so many
_SPARE = (  # columns that go first where there is no room
    *("longest", "P50", "fullest min", "429s", "alone: 429s"),
    *(f"{what}if {number}" for number in range(20, 1, -1) for what in ("P90 ", "")),
    *("class", "refused"),
)


def picture(replay: Replay, width: int, *, colour: bool) -> Group:
    """All of it in at most `width` columns: the answer, the scenarios, who waited and when, what bound, on what it rests."""
    parts: list[RenderableType] = [Text(clean(headline(replay)), style="bold"), Text("")]
    parts += [*_scenarios(replay, width), Text("")]
    figure = chart(replay)
    if figure is not None:
        parts += [Text.from_ansi(draw(figure, width, _HEIGHT, colour=colour)), Text("")]
    groups = who(replay, _MOST_GROUPS)
    parts += [
        _grid(groups, width),
        *([Text(groups.caption, style="dim")] if groups.caption else []),
        Text(""),
    ]
    parts += [_grid(limits(replay), width), Text("")]
    parts += [Text(clean(f"· {note}"), style="dim") for note in notes(replay)]
    return Group(*parts)


def _scenarios(replay: Replay, width: int) -> list[RenderableType]:
    """The table; where there is no room for names, they stand below it."""
    table = scenarios(replay)
    names = [row[0] for row in table.rows]
    rest = sum(
        max(map(len, column)) + _GAP for column in list(zip(table.columns, *table.rows, strict=True))[1:]
    )
    if rest + max(map(len, names)) <= width:
        return [_grid(table, width)]
    rows = tuple((f"if {number}" if number else row[0], *row[1:]) for number, row in enumerate(table.rows))
    named = [Text(f"if {name}", style="dim") for name in map(clean, names[1:])]
    return [_grid(Table(table.columns, rows), width), *named]


def as_values(replay: Replay) -> dict[str, Any]:
    """For machines: whole nanodollars, seconds, shares of one."""
    return {
        "begins_ns": replay.begins_ns,
        "span_s": replay.span_s,
        "gone_ns": replay.gone_ns,
        "baseline": _values(replay.baseline),
        "what_ifs": [_values(each) for each in replay.what_ifs],
    }


def _values(outcome: Outcome) -> dict[str, Any]:
    found = asdict(outcome)
    for waits in (
        found["waits"],
        *found["groups"],
        *([found["unpaced"]["waits"]] if found["unpaced"] else []),
    ):
        waits["class"] = waits.pop("class_")
    found["sources"] = dict(outcome.sources)
    return found


def _grid(table: Table, width: int) -> Grid:
    """The table in at most `width` columns: the first is wrapped, amounts never are; the least important go."""
    columns, first = _fitting(table, width)
    grid = Grid(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, _GAP - 1, 0, 0))
    for index in columns:
        name = table.columns[index]
        if index == 0:
            grid.add_column(name, overflow="fold", width=first)
        else:
            grid.add_column(name, justify="left" if name in _TEXTS else "right", no_wrap=True)
    for row in table.rows:
        grid.add_row(*(Text(clean(row[index])) for index in columns))
    return grid


def _fitting(table: Table, width: int) -> tuple[list[int], int]:
    """The columns there is room for, and how wide the first of them may be."""
    widths = [
        max(cell_len(clean(cell)) for cell in column) + _GAP
        for column in zip(table.columns, *table.rows, strict=True)
    ]
    shown, least = list(range(len(widths))), min(widths[0], _LEAST_FIRST)
    for name in _SPARE:
        if least + sum(widths[index] for index in shown[1:]) <= width:
            break
        shown = [index for index in shown if table.columns[index] != name]
    room = width - sum(widths[index] for index in shown[1:]) - _GAP
    return shown, max(min(widths[0] - _GAP, room), 8)
