"""`headway models`: the matrix of models, one of them explained, and how old the facts are."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from headway.cli.display import visible
from headway.cli.modelasking import View, ask
from headway.config import load
from headway.errors import InputError

if TYPE_CHECKING:  # other commands start without them
    from headway.catalog.limits import KnownLimits
    from headway.catalog.matrix import Row
    from headway.catalog.organisation import Live
    from headway.cli.modelcolumns import Shown


_Model = Annotated[
    str | None, typer.Argument(metavar="MODEL", help="Explain this one. With --stale: days, default 90.")
]
_Provider = Annotated[str | None, typer.Option(help="Of this provider: openai, google, groq, mistral, …")]
_Tier = Annotated[str | None, typer.Option(help="Show the limits of this tier, e.g. tier-2, build.")]
_All = Annotated[
    bool, typer.Option("--all", help="Retired models, too; and all providers, unless one is named.")
]
_Refresh = Annotated[
    bool, typer.Option("--refresh", help="Ask the API now: models (with its key), your limits (Admin key).")
]
_Stale = Annotated[bool, typer.Option("--stale", help="List facts older than so many days; exit 1 if any.")]
_Ledger = Annotated[Path | None, typer.Option(help="The ledger file. Default: as set, or that of this user.")]
_Json = Annotated[bool, typer.Option("--json", help="For machines: exact integers, nanodollars.")]
_Csv = Annotated[bool, typer.Option("--csv", help="For a spreadsheet: every column.")]
_Markdown = Annotated[bool, typer.Option("--markdown", help="A table for a page.")]


def models(
    model: _Model = None,
    provider: _Provider = None,
    tier: _Tier = None,
    all_: _All = False,
    refresh: _Refresh = False,
    stale: _Stale = False,
    ledger: _Ledger = None,
    as_json: _Json = False,
    as_csv: _Csv = False,
    as_markdown: _Markdown = False,
) -> None:
    """Show models: context, output, prices, limits, and what your own calls measured.

    Unknown is shown as "-", never guessed. Examples:

        headway models                             Claude's active models, and Opus 4

        headway models claude-opus-4               one explained: sources, full-context cost, limits of every tier

        headway models --tier tier-2               with the limits of a tier

        headway models --provider openai           prices and windows of another provider

        headway models --stale 120                 facts older than 120 days; exit code 1 if there are any
    """
    if sum((as_json, as_csv, as_markdown)) > 1:
        raise InputError("only one of --json, --csv and --markdown")
    view = View(load(os.environ, flags=True, tier=tier, ledger=ledger and str(ledger)), time.time_ns())
    if stale:
        from headway.cli.modelage import show_stale

        raise typer.Exit(show_stale(Console(highlight=False), view.today, model, as_json=as_json))
    explaining = model is not None and not (as_csv or as_markdown)
    rows = _rows(view, provider, all_, model, ask(view, refresh), measuring=not explaining)
    if model is not None:
        from headway.catalog.matrix import find

        rows = [find(model, rows)]
    if explaining:
        _explain(view, rows[0], as_json)
        return
    shown = [row for row in rows if all_ or model or row.is_current]
    known = view.limits()
    _show_all(view, [_with_limits(known, row) for row in shown], as_json, as_csv, as_markdown)


def _rows(
    view: View,
    provider: str | None,
    all_: bool,
    model: str | None,
    told: tuple[Live, ...],
    *,
    measuring: bool,
) -> list[Row]:
    """The rows of the providers asked for; to find a model that is not one of Claude's, those of all."""
    from headway.catalog.matrix import CLAUDE, claude_rows, name_of, other_rows
    from headway.catalog.measured import by_model
    from headway.providers.catalog import Catalog

    foreign = model is not None and Catalog.load().model(model) is None
    everyone = provider is None and (all_ or foreign)
    if provider is not None:
        _check_provider(provider)
    rows = []
    if provider in (None, CLAUDE):
        measured = (
            view.read_measured(lambda path, told: by_model(path, name_of, view.now_ns, told))
            if measuring
            else {}
        )
        rows = claude_rows(view.today, view.now_ns, measured, told)
    if everyone or provider not in (None, CLAUDE):
        rows += other_rows(view.now_ns, provider or "")
    return rows


def _check_provider(provider: str) -> None:
    from headway.catalog.prices import providers

    known = providers()
    if provider not in known:
        near = get_close_matches(provider, known, n=1)
        hint = f"Did you mean {near[0]}?" if near else f"Known: {', '.join(known)}."
        raise InputError(f"unknown provider {visible(provider)[:100]!r}", hint=hint)


def _with_limits(known: Mapping[str, KnownLimits], row: Row) -> Shown:
    from headway.cli.modelcolumns import Shown

    return Shown(row, known.get(row.pool) if row.pool else None)


def _explain(view: View, row: Row, as_json: bool) -> None:
    from headway.catalog.matrix import CLAUDE, name_of
    from headway.catalog.measured import by_day
    from headway.cli.modelpage import full, page, sources_of

    own = view.limits().get(row.pool) if row.pool else None
    days = {}
    if row.provider == CLAUDE:
        days = view.read_measured(lambda path, told: by_day(path, name_of, row.model, view.now_ns, told))
    row = replace(row, measured=days.pop("all", None))
    if as_json:
        shown = _for_machines(row, own) | {
            "full": full(row),
            "days": [asdict(each) for each in days.values()],
            "sources": [asdict(fact) for fact in sources_of(row, view.today)],
        }
        typer.echo(json.dumps(shown))
        _say(view.notes)
        return
    console = Console(highlight=False)
    colour = console.color_system is not None and not console.no_color
    console.print(page(row, own, days, view.today, console.width, colour=colour))
    _print_notes(console, view.notes)


def _show_all(view: View, shown: list[Shown], as_json: bool, as_csv: bool, as_markdown: bool) -> None:
    from headway.catalog.facts import tier_terms
    from headway.cli import modelcolumns

    if as_json:
        rows = [_for_machines(each.row, each.limits) for each in shown]
        tiers = {name: asdict(terms) for name, terms in tier_terms().items()}
        typer.echo(json.dumps({"at": view.today, "tier": view.config.tier, "tiers": tiers, "models": rows}))
    elif as_csv:
        typer.echo(modelcolumns.as_csv(shown), nl=False)
    elif as_markdown:
        typer.echo(modelcolumns.as_markdown(shown), nl=False)
    else:
        console = Console(highlight=False)
        table = modelcolumns.table(shown, console.width)
        console.print(table)
        _print_notes(
            console, [*_about(view, shown, {str(column.header) for column in table.columns}), *view.notes]
        )
        return
    _say(view.notes)


def _about(view: View, shown: list[Shown], columns: set[str]) -> list[str]:
    """What a number alone would hide, and what there was no room for."""
    from headway.catalog.facts import other_facts
    from headway.catalog.matrix import CLAUDE
    from headway.catalog.timing import LEAST

    notes = ["Prices: dollars per million tokens" + _dearer(shown) + "."]
    notes += [_whose_limits(view, shown)] if "requests" in columns else []
    if "start" in columns:
        notes.append("Below a tier's name: requests, input and output tokens a minute.")
    elif "requests" not in columns and any(each.row.tiers for each in shown):
        notes.append("Limits a minute: --tier start, build or scale shows those of a tier.")
    if "first" in columns:
        measured = [each.row.measured for each in shown if each.row.measured is not None]
        since, until = min(each.first_day for each in measured), max(each.last_day for each in measured)
        span = since if since == until else f"{since} to {until}"
        about = "first token and tokens a second at the median; nothing of fewer than"
        notes.append(f"Measured: your calls of {span}, {about} {LEAST}.")
    if "status" not in columns:
        notes += [_ending(each.row, view.today) for each in [each for each in shown if each.row.retires][:5]]
    providers = {each.row.provider for each in shown} - {CLAUDE}
    if len(providers) == 1:
        notes += [fact.says for fact in other_facts() if fact.about in providers]
    return notes


def _ending(row: Row, today: str) -> str:
    """When a model goes or went; of one whose day is past the API may still say that it is there."""
    if row.status == "retired":
        return f"{row.model} retired {row.retires}."
    if row.retires <= today:
        return f"{row.model} was to retire {row.retires}; the API still lists it."
    return f"{row.model} retires {row.retires}."


def _whose_limits(view: View, shown: list[Shown]) -> str:
    from headway.catalog.facts import tier_terms

    own = [each.limits for each in shown if each.limits is not None]
    told = next((known.at_ns for known in own if known.at_ns is not None), None)
    if told is not None:
        day = datetime.fromtimestamp(told / 1e9, UTC).date().isoformat()
        rest = f"; of pools that were not told, those of {view.config.tier}" if view.config.tier else ""
        return f"Limits a minute: your organisation's, as told on {day}{rest}."
    terms = next((each for name, each in tier_terms().items() if name == own[0].source), None)
    if terms is None:
        return "Limits a minute: as set."
    ended = f", given until {terms.ended}" if terms.ended else ""
    cap = f", ${terms.spend_cap_usd:,} a month at most" if terms.spend_cap_usd else ""
    queue = f", {terms.batch_queue:,} batch requests waiting" if terms.batch_queue else ""
    return f"Limits a minute: {terms.tier}{ended}{cap}{queue}."


def _dearer(shown: list[Shown]) -> str:
    return "; + is dearer for long prompts" if any(len(each.row.prices) > 1 for each in shown) else ""


def _for_machines(row: Row, own: KnownLimits | None) -> dict[str, Any]:
    """A row as JSON: exact integers, null where nothing is known."""
    shown = asdict(row)
    shown["tiers"] = {name: asdict(limits) for name, limits in row.tiers.items()}
    shown["limits"] = None
    if own is not None:
        amounts = {limit.unit.value: round(limit.amount * 60 / limit.period_s) for limit in own.limits}
        told = {"source": own.source, "at_ns": own.at_ns, "batch_queue": own.queue}
        shown["limits"] = {"per_minute": amounts, **told}
    return shown


def _print_notes(console: Console, notes: Sequence[str]) -> None:
    for note in notes:
        console.print(Text(visible(note), style="dim"))


def _say(notes: Sequence[str]) -> None:
    for note in notes:
        typer.echo(visible(note), err=True)
