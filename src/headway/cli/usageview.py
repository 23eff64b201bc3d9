"""Draws a report of what was used, for eyes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Group
from rich.table import Table
from rich.text import Text

from headway.cli.display import visible
from headway.cli.figures import dollars, duration, humane, share, trend
from headway.ledger.ranking import Running
from headway.ledger.report import TIMES, Line, Report

_WIDE = 104  # columns of a terminal that has room for everything
_WIDEST = 120  # from here on, times stand beside each other
_GAP = 2  # between two columns
_MOST_LINES = 50  # for eyes
_MOST_BARS = 31


def picture(report: Report, width: int, sofar: Sequence[Running] | None = None) -> Group | Text:
    """The report for eyes, `width` columns wide: a table, and below it what a number alone would hide.

    By something and a time, a wide one has the times beside each other. `sofar` adds what was used up to each line.
    """
    if not report.lines:
        return Text(report.note)
    keys = report.by.split(",")
    if len(keys) == 2 and keys[1] in TIMES and sofar is None and width >= _WIDEST:
        return _beside(report, width)
    return _listed(report, width, sofar)


def _listed(report: Report, width: int, sofar: Sequence[Running] | None) -> Group:
    keys = report.by.split(",")
    from_end = keys[0] in TIMES
    cut = slice(-_MOST_LINES, None) if from_end else slice(_MOST_LINES)
    lines = report.lines[cut]
    shown = [column for column in _COLUMNS if _is_shown(column, report.total, width, sofar is not None)]
    cells = [[value(line) for _, _, value in shown] for line in (*lines, report.total)]
    headings = [name for name, *_ in shown]
    if sofar is not None:
        headings += ["tokens so far", "cost so far"]
        for row, each in zip(cells, sofar[cut], strict=False):
            row += [humane(each.tokens), dollars(each.cost_nanousd)]
        cells[-1] += ["", ""]
    table = _table()
    second = max((len(line.second) for line in lines), default=0) + _GAP if len(keys) == 2 else 0
    second = min(second, 28)
    first_width = max(room(width, headings, cells) - second, 10)
    table.add_column(keys[0], footer="total", overflow="ellipsis", no_wrap=True, max_width=first_width)
    if second:
        table.add_column(keys[1], overflow="ellipsis", no_wrap=True, max_width=max(second - _GAP, 6))
    for name, footer in zip(headings, cells[-1], strict=True):
        table.add_column(name, footer=footer, justify="right", no_wrap=True, footer_style="bold")
    before = None
    for line, row in zip(lines, cells, strict=False):
        first = Text("" if line.key == before and second else named(line.key))
        table.add_row(first, *([Text(named(line.second))] if second else []), *row)
        before = line.key
    return Group(table, *(Text(note, style="dim") for note in _notes(report, len(lines))))


def _beside(report: Report, width: int) -> Group:
    """A row for each first key: its sums, how it went, and what the last times cost."""
    keys = report.by.split(",")
    groups: dict[str, dict[str, Line]] = defaultdict(dict)
    for line in report.lines:
        groups[line.key][line.second] = line
    times = _times({line.second for line in report.lines}, keys[1])
    bars = times[-_MOST_BARS:]
    rows = list(groups.items())[:_MOST_LINES]
    name_width = min(max(len(keys[0]), *(cell_len(named(key)) for key, _ in rows)), 36)
    each_width = max(len(times[0]) - 5, *(len(dollars(line.cost_nanousd)) for line in report.lines)) + _GAP
    cost_width = max(len(_cost(report.total)), 10)
    left = width - name_width - 2 * (6 + _GAP) - (cost_width + _GAP) - (max(len(bars), 5) + _GAP)
    last = times[-max(1, left // each_width) :]
    table = _table()
    table.add_column(keys[0], footer="total", overflow="ellipsis", no_wrap=True, max_width=name_width)
    for name, footer in (
        ("tries", humane(report.total.attempts)),
        ("tokens", humane(report.total.tokens)),
        ("cost", _cost(report.total)),
    ):
        table.add_column(name, footer=footer, justify="right", no_wrap=True, footer_style="bold")
    table.add_column("trend", no_wrap=True, style="cyan")
    is_all = sum(line.attempts for line in report.lines) == report.total.attempts
    for when in last:
        cost = dollars(sum(of[when].cost_nanousd for of in groups.values() if when in of)) if is_all else ""
        table.add_column(when[5:], footer=cost, justify="right", no_wrap=True, footer_style="bold")
    for key, of in rows:
        sums = [sum(value(line) for line in of.values()) for value in _SUMMED]
        costs = [of[when].cost_nanousd if when in of else 0 for when in bars]
        shown = [dollars(of[when].cost_nanousd) if when in of else "" for when in last]
        unpriced = "+?" if any(line.unpriced for line in of.values()) else ""
        table.add_row(
            Text(named(key)),
            humane(sums[0]),
            humane(sums[1]),
            dollars(sums[2]) + unpriced,
            trend(costs),
            *shown,
        )
    hidden = len(times) - len(last)
    notes = _notes(report, len(report.lines))
    if len(groups) > len(rows):
        notes.insert(0, f"{len(groups) - len(rows):,} more rows are in the total; --json shows them.")
    if hidden:
        notes.insert(0, f"{hidden} earlier {keys[1]}s are in the sums; --format csv shows all.")
    return Group(table, *(Text(note, style="dim") for note in notes))


def _times(seen: set[str], unit: str) -> list[str]:
    """All days or hours from the first to the last, those without attempts, too."""
    shape = "%Y-%m-%d" if unit == "day" else "%Y-%m-%d %H:%M"
    first, last = (datetime.strptime(when, shape).replace(tzinfo=UTC) for when in (min(seen), max(seen)))
    step = timedelta(days=1) if unit == "day" else timedelta(hours=1)
    return [f"{first + number * step:{shape}}" for number in range((last - first) // step + 1)]


def _table() -> Table:
    return Table(box=SIMPLE_HEAD, padding=(0, 0, 0, 1), show_footer=True, show_edge=False, pad_edge=False)


_SUMMED: tuple[Callable[[Line], int], ...] = (
    lambda line: line.attempts,
    lambda line: line.tokens,
    lambda line: line.cost_nanousd,
)


_GIVEN_UP = ("429s", "cached", "wait", "input", "output")  # by a narrow terminal, for running sums

_Column = tuple[
    str, bool, Callable[[Line], str]
]  # name, whether only a wide terminal has room for it, its text


def _is_shown(column: _Column, total: Line, width: int, is_running: bool) -> bool:
    """A column that is empty throughout only takes room."""
    name, wide, value = column
    if is_running and width < _WIDE and name in _GIVEN_UP:
        return False
    return (width >= _WIDE or not wide) and (
        name in ("calls", "cost") or value(total) not in ("0", "-", "0%")
    )


def _all_input(line: Line) -> int:
    return (
        line.input_tokens + line.cache_read_tokens + line.cache_write_5m_tokens + line.cache_write_1h_tokens
    )


def _cost(line: Line) -> str:
    if line.unpriced and line.unpriced == line.attempts:
        return "?"
    return dollars(line.cost_nanousd) + ("+?" if line.unpriced else "")


_COLUMNS: tuple[_Column, ...] = (
    ("calls", False, lambda line: humane(line.calls)),
    ("tries", True, lambda line: humane(line.attempts)),
    ("429s", False, lambda line: humane(line.rate_limited)),
    ("input", False, lambda line: humane(_all_input(line))),
    ("cached", False, lambda line: share(line.cache_read_tokens, _all_input(line))),
    ("written", True, lambda line: humane(line.cache_write_5m_tokens + line.cache_write_1h_tokens)),
    ("output", False, lambda line: humane(line.output_tokens)),
    ("thinking", True, lambda line: humane(line.thinking_tokens)),
    ("cost", False, _cost),
    ("wait", False, lambda line: duration(line.queued_p50_ms)),
    ("longest", True, lambda line: duration(line.queued_max_ms)),
)


def _notes(report: Report, shown: int) -> list[str]:
    total, notes = report.total, [report.note] if report.note else []
    if shown < len(report.lines):
        notes.append(f"{len(report.lines) - shown:,} more lines are in the total; --json shows them.")
    if total.unpriced:
        notes.append(
            f"{total.unpriced:,} attempts have no known price; their tokens count, their cost does not."
        )
    if total.estimated:
        notes.append(
            f"{total.estimated:,} of {total.attempts:,} attempts are estimated (cancelled, broken off or lost): "
            f"{dollars(total.estimated_nanousd)} of the cost."
        )
    if total.estimate_error is not None:
        notes.append(f"Input was estimated to within {total.estimate_error:.1%} on average.")
    if report.under_way:
        notes.append(f"{report.under_way:,} attempts are under way and not counted yet.")
    has_times = any(key in TIMES for key in report.by.split(","))
    if total.queued_p50_ms:
        notes.append("Wait is the median time in line." + " Times are UTC." * has_times)
    return notes


def room(width: int, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> int:
    """How wide the first column may be, so that no number beside it is cut."""
    return max(width - sum(max(map(len, column)) + _GAP for column in zip(headings, *rows, strict=True)), 10)


def named(text: str) -> str:
    """Names come from outside: nothing in them may drive the terminal."""
    return visible(text) or "(none)"
