"""`headway usage session`: one session, call by call, and what is left of its budget."""

from __future__ import annotations

import json
import os
import time
from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from headway.cli.burn import known_budgets
from headway.cli.figures import dollars, duration, humane, share
from headway.cli.usageview import named
from headway.cli.window import Json, LedgerFile, Since, ledger_path, moment_ns
from headway.config import load
from headway.core.call import Unit
from headway.gateway.keyfile import default_path, read_keys
from headway.gateway.period import Always, Plan, Rolling, parse_plan, span_at
from headway.ledger.session import Step, read_session

_MOST = 50  # for eyes


def session(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="The session, as headway usage --by session has it.")
    ],
    tenant: Annotated[str | None, typer.Option(help="Only that of this tenant.")] = None,
    budget: Annotated[
        str | None,
        typer.Option(
            help="Show what is left of this, like 2usd or 500k tokens/day. Default: as its key or settings say."
        ),
    ] = None,
    since: Since = "all",
    ledger: LedgerFile = None,
    as_json: Json = False,
) -> None:
    """One session, call by call: tokens and cost so far, and how much is left of its budget.

    Examples:

        headway usage session "user 41"

        headway usage session "user 41" --budget 2usd
    """
    path = ledger_path(ledger)
    steps = read_session(path, name, tenant, moment_ns(since, time.time_ns()))
    plan = parse_plan(budget) if budget is not None else _plan_of(steps)
    left = lefts(steps, plan) if plan is not None else None
    if as_json:
        shown = [
            asdict(step) | ({} if left is None else {"left": left[place]}) for place, step in enumerate(steps)
        ]
        whose = None if plan is None else {"unit": plan.unit.value, "amount": plan.amount}
        typer.echo(json.dumps({"ledger": str(path), "session": name, "budget": whose, "attempts": shown}))
        return
    console = Console()
    console.print(picture(steps, plan, left, console.width))


def _plan_of(steps: Sequence[Step]) -> Plan | None:
    """The budget that its tenant has for each session, or that the settings have. Of several, the smallest in dollars."""
    file = default_path()
    tenants = {step.tenant for step in steps}
    whose = known_budgets(load(os.environ, flags=True), read_keys(file) if file.exists() else [])
    plans = [
        each.plan
        for each in whose
        if each.plan.per == ("session",) and (each.tenant is None or each.tenant in tenants)
    ]
    return min(plans, key=lambda plan: (plan.unit is not Unit.USD, plan.amount), default=None)


def lefts(steps: Sequence[Step], plan: Plan) -> list[int]:
    """What was left of a budget after each attempt, in its period; of one that rolls, over the window up to then."""
    found: list[int] = []
    used: dict[int, int] = defaultdict(int)
    window: deque[tuple[int, int]] = deque()
    for step in steps:
        amount = _amount(step, plan.unit)
        if isinstance(plan.period, Rolling):
            start = 0
            window.append((step.at_ns, amount))
            while window[0][0] <= step.at_ns - plan.period.seconds * 10**9:
                used[start] -= window.popleft()[1]
        else:
            start = span_at(plan.period, step.at_ns).start_ns
        if not found and isinstance(plan.period, Always):
            used[start] = _sofar(step, plan.unit) - amount  # what was removed
        used[start] += amount
        found.append(plan.amount - used[start])
    return found


def _amount(step: Step, unit: Unit) -> int:
    match unit:
        case Unit.USD:
            return step.cost_nanousd or 0
        case Unit.REQUESTS:
            return int(step.taken)
        case _:
            return step.input_tokens + step.output_tokens


def _sofar(step: Step, unit: Unit) -> int:
    match unit:
        case Unit.USD:
            return step.nanousd_sofar
        case Unit.REQUESTS:
            return step.requests_sofar
        case _:
            return step.tokens_sofar


def picture(steps: Sequence[Step], plan: Plan | None, left: Sequence[int] | None, width: int) -> Group | Text:
    """The last attempts, one a line."""
    if not steps:
        return Text("The ledger has no attempts of this session. Its sessions: headway usage --by session")
    table = Table(box=SIMPLE_HEAD, padding=(0, 0, 0, 1), show_edge=False, pad_edge=False)
    wide = width >= 110
    day = "%m-%d" if wide else "%d"
    table.add_column("time (UTC)", no_wrap=True)
    table.add_column("model", overflow="ellipsis", no_wrap=True, max_width=28 if wide else 12)
    table.add_column("ended", overflow="ellipsis", no_wrap=True, max_width=18 if wide else 9)
    headings = ("input", "cached", "output", "cost", "wait") if wide else ("cost",)
    for name in (*headings, "tokens used", "spent", *(("left",) if left is not None else ())):
        table.add_column(name, justify="right", no_wrap=True)
    first = max(0, len(steps) - _MOST)
    for place, step in enumerate(steps[first:], first):
        cost = "?" if step.cost_nanousd is None else dollars(step.cost_nanousd) + "~" * step.estimated
        cells: list[str | Text] = [cost]
        if wide:
            cached = share(step.cached, step.input_tokens)
            cells = [
                humane(step.input_tokens),
                cached,
                humane(step.output_tokens),
                cost,
                duration(step.queued_ms),
            ]
        cells += [humane(step.tokens_sofar), dollars(step.nanousd_sofar)]
        if plan is not None and left is not None:
            cells.append(_left(plan.unit, left[place]))
        when = datetime.fromtimestamp(step.at_ns // 10**9, UTC)
        ended = (
            step.outcome if step.status is None or step.outcome == "ok" else f"{step.outcome} {step.status}"
        )
        table.add_row(f"{when:{day} %H:%M:%S}", Text(named(step.model)), Text(named(ended)), *cells)
    return Group(table, *(Text(note, style="dim") for note in _notes(steps, first, plan)))


def _left(unit: Unit, amount: int) -> Text:
    text = dollars(abs(amount)) if unit is Unit.USD else humane(abs(amount))
    return Text(f"-{text}" if amount < 0 else text, style="red" if amount <= 0 else "")


def _notes(steps: Sequence[Step], first: int, plan: Plan | None) -> list[str]:
    notes = [f"{first:,} earlier attempts are in the sums; --json shows them."] if first else []
    if any(step.estimated for step in steps):
        notes.append("~: estimated, as the reply never came whole.")
    if any(step.cost_nanousd is None for step in steps):
        notes.append("?: no price is known; tokens count, cost does not.")
    if plan is None:
        notes.append("No budget of sessions is known: set session.budget, or say --budget 2usd.")
    return notes
