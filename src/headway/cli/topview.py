"""What `headway top` shows: the state of a gateway as the admin API tells it, drawn for a terminal of any width."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from headway.cli.display import clock, short, visible
from headway.cli.usage import dollars

WIDE = 120  # columns; from here on there are two side by side
_GAP = 4
_LONGEST_NAME = 24
_LEAST = 4  # lines of a table: its head, a row, how many more there are, and a line below
State = Mapping[str, Any]
_CLASS_STYLES = {"interactive": "bold cyan", "standard": "", "bulk": "dim"}
_UNITS = {"requests": "requests", "input_tokens": "input", "output_tokens": "output", "tokens": "tokens"}
_PERIODS = {1.0: "s", 60.0: "min", 3600.0: "h", 86400.0: "day"}


def picture(state: State, width: int, height: int, note: str = "") -> Group:
    """The state, `width` columns wide and `height` lines high at most. `note` says what is wrong with it."""
    rows: list[RenderableType] = [*_head(state, note), Text("")]
    pools = sorted(state["pools"], key=lambda pool: (-pool["waiting"], -pool["in_flight"], pool["pool"]))
    left = height - len(rows) - 1
    if not pools:
        rows.append(Text("No call has come yet.", style="dim"))
    shown = _that_fit(pools, left // 2)
    for pool in shown:
        rows += [*_pool(pool, min(width, 110)), Text("")]
        left -= _height(pool)
    if len(shown) < len(pools):
        rows += [Text(f"and {len(pools) - len(shown):,} pools more", style="dim"), Text("")]
        left -= 2
    kinds = [kind for kind in (_line, _tenants, _refusals, _budgets) if kind(state, 1) is not None]
    beside = 2 if width >= WIDE else 1
    while len(kinds) > beside and left // -(-len(kinds) // beside) < _LEAST:
        kinds.pop()
    most = max(1, left // max(-(-len(kinds) // beside), 1) - _LEAST + 1)
    parts = [part for kind in kinds if (part := kind(state, most)) is not None]
    rows.append(_beside(parts, width) if width >= WIDE else _stacked(parts))
    return Group(*rows)


def _height(pool: State) -> int:
    return len(pool["limits"]) + (3 if pool["waits_for"] or pool["closed_s"] else 2)


def _that_fit(pools: Sequence[State], lines: int) -> Sequence[State]:
    """The first of them, one at least."""
    for count, pool in enumerate(pools):
        lines -= _height(pool)
        if lines < 0:
            return pools[: max(count, 1)]
    return pools


def _head(state: State, note: str) -> Iterator[Text]:
    upstream = visible(state["upstream"].removeprefix("https://").removeprefix("http://"))
    draining = (state.get("gateway") or {}).get("is_draining")
    yield Text.assemble(
        ("headway ", "bold"),
        (visible(state["version"]), "bold"),
        ("  for ", "dim"),
        upstream,
        ("  up ", "dim"),
        clock(state["uptime_s"]),
        ("  draining", "bold yellow") if draining else "",
        no_wrap=True,
        overflow="ellipsis",
    )
    waiting = state["waiting"]
    held = sum(each["waiting"] for each in (state.get("gateway") or {}).get("held_by_keys", ()))
    yield Text.assemble(
        (f"{state['in_flight']:,}", "bold cyan"),
        " in flight   ",
        (f"{waiting:,}", "bold yellow" if waiting else "bold"),
        " waiting   ",
        (f"{held:,} held by their keys   ", "yellow") if held else "",
        (dollars(state["spent_today_nanousd"]), "bold"),
        " today",
        no_wrap=True,
    )
    if state["ledger_problem"]:
        yield Text(f"ledger: {visible(state['ledger_problem'])}", style="bold red", overflow="ellipsis")
    if note:
        yield Text(visible(note), style="bold red", overflow="ellipsis", no_wrap=True)


def _pool(pool: State, width: int) -> Iterator[RenderableType]:
    clears = pool["clears_in_s"]
    head = Text(no_wrap=True, overflow="ellipsis")
    head.append(visible(pool["pool"]), "bold")
    head.append(f"  {pool['in_flight']:,} in flight, {pool['waiting']:,} waiting")
    why = Text(no_wrap=True, overflow="ellipsis")
    if pool["waits_for"]:
        when = "until something in flight ends" if clears is None else f"for {clears:,.1f} s"
        why.append(f"  next waits for {visible(pool['waits_for']).replace('_', ' ')}, {when}", "yellow")
    if pool["closed_s"]:
        why.append(f"  closed for {clock(pool['closed_s'])}: the provider is overloaded", "bold red")
    if why and len(head) + len(why) > width:
        yield head
        yield why
    else:
        yield head.append_text(why)
    grid = Table.grid(padding=(0, 1))
    for limit in pool["limits"]:
        grid.add_row(*_limit(limit, max(10, min(44, width - 52))))
    yield grid


def _limit(limit: State, bar: int) -> Sequence[RenderableType]:
    capacity, content = limit["capacity"], limit["content"]
    period = _PERIODS.get(limit["period_s"], f"{limit['period_s']:g}s")
    left = "learning" if capacity is None else f"{min(max(content / capacity, -9.99), 1.0):4.0%} left"
    style = "yellow" if limit["binds"] else "green"
    return (
        Text(f"  {_UNITS.get(limit['unit'], visible(limit['unit'])):<8}", no_wrap=True),
        ProgressBar(
            total=1.0,
            completed=min(max(content / capacity, 0.0), 1.0) if capacity else 0.0,
            width=bar,
            complete_style=style,
            finished_style=style,
        ),
        Text(f"{left:>9}", style="bold" if limit["binds"] else "", no_wrap=True),
        Text(f"of {_amount(capacity)}" if capacity else "", style="dim", no_wrap=True),
        Text(f"{_amount(limit['amount'])}/{period}", no_wrap=True),
        Text("binds" if limit["binds"] else "", style="bold yellow", no_wrap=True),
    )


def _amount(amount: float) -> str:
    """At most six letters: 50, 30k, 1.25M."""
    return short(amount).replace(".0k", "k").replace(".00M", "M")


def _line(state: State, most: int) -> Table | None:
    queues = [queue for pool in state["pools"] for queue in pool["line"]]
    if not queues:
        return None
    ranks = list(_CLASS_STYLES)
    queues.sort(key=lambda queue: (ranks.index(queue["class"]), -queue["waiting"]))
    table = _table("in line:8", "class:11", ">calls", ">longest")
    for queue in queues[:most]:
        cells = (queue["class"], f"{queue['waiting']:,}", clock(queue["longest_s"]))
        table.add_row(_name(queue["tenant"]), *cells, style=_CLASS_STYLES[queue["class"]])
    return _and_more(table, len(queues) - most)


def _tenants(state: State, most: int) -> Table | None:
    tenants = state["tenants"]
    if not tenants:
        return None
    table = _table("tenant:8", ">now", ">calls:5", ">tokens", ">cost:6", ">refused")
    for tenant in tenants[:most]:
        refused = tenant["refused"]
        table.add_row(
            _name(tenant["tenant"]),
            Text(f"{tenant['in_flight']:,}", style="bold cyan" if tenant["in_flight"] else "dim"),
            short(tenant["calls"]),
            short(tenant["tokens"]),
            dollars(tenant["nanousd"]),
            Text(f"{refused:,}" if refused else "-", style="yellow" if refused else "dim"),
        )
    return _and_more(table, len(tenants) - most)


def _budgets(state: State, most: int) -> Table | None:
    budgets = state["budgets"]
    if not budgets:
        return None
    table = _table("budget:12", ">used:7", ">of:6", ">held:6")
    for budget in budgets[:most]:
        unit, share = budget["unit"], (budget["spent"] + budget["held"]) / max(budget["cap"], 1)
        style = "red" if share >= 1.0 else "yellow" if share >= 0.8 else ""
        amounts = (_money(budget[part], unit) for part in ("spent", "cap", "held"))
        table.add_row(_name(budget["budget"], 2 * _LONGEST_NAME), *amounts, style=style)
    return _and_more(table, len(budgets) - most)


def _money(amount: int, unit: str) -> str:
    return dollars(amount) if unit == "usd" else f"{_amount(amount)} {_UNITS.get(unit, unit)}"


def _refusals(state: State, most: int) -> Table | None:
    """The last refusals, those of one tenant for one reason as one line."""
    alike: dict[tuple[str, str, str], list[State]] = {}
    for refusal in state["refusals"]:
        alike.setdefault((refusal["by"], refusal["tenant"], refusal["limit"]), []).append(refusal)
    if not alike:
        return None
    most = min(most, 8)
    table = _table("refused:8", ">calls", "by:7", "for:8", ">clears", "limit:4")
    for (by, tenant, limit), refusals in list(alike.items())[:most]:
        latest = refusals[0]
        at = datetime.fromtimestamp(latest["at_ns"] / 1e9, UTC).astimezone()
        wait = latest["wait_s"]
        table.add_row(
            f"{at:%H:%M:%S}",
            f"{len(refusals):,}",
            "headway" if by == "headway" else "the API",
            _name(tenant, 14),
            "-" if wait is None else clock(wait),
            Text(visible(limit).replace("_", " "), no_wrap=True, overflow="ellipsis"),
        )
    return _and_more(table, len(alike) - most)


def _table(*columns: str) -> Table:
    """`>` before the name of a column aligns it to the right, a number behind it is the least it is wide."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
    for column in columns:
        name, _, least = column.lstrip(">").partition(":")
        justify: Literal["right", "left"] = "right" if column[0] == ">" else "left"
        width = int(least) if least else len(name)
        table.add_column(name, justify=justify, no_wrap=True, overflow="ellipsis", min_width=width)
    return table


def _name(text: str, most: int = _LONGEST_NAME) -> Text:
    return Text(visible(text)[:most], no_wrap=True, overflow="ellipsis")


def _and_more(table: Table, more: int) -> Table:
    if more > 0:
        table.add_row(Text(f"and {more:,} more", style="dim"))
    return table


def _stacked(tables: Sequence[Table]) -> Group:
    return Group(*(part for table in tables for part in (table, Text(""))))


def _beside(tables: Sequence[Table], width: int) -> Table:
    """Two columns of tables."""
    half = (width - _GAP) // 2
    grid = Table.grid(padding=(0, _GAP, 0, 0))
    grid.add_column(width=half)
    grid.add_column(width=half)
    for left, right in zip(tables[::2], [*tables[1::2], None], strict=False):
        grid.add_row(Group(left, Text("")), "" if right is None else Group(right, Text("")))
    return grid
