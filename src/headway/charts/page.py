"""Makes one HTML file that needs nothing else: no network, no script, light or dark as the reader's system is.

Everything from outside is escaped, and the page forbids itself whatever is not in it: its Content-Security-Policy allows
one style sheet, by hash, and nothing besides. The same sections give the same bytes, but for what callers put in.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from headway.charts.figure import Bars, Figure, Lines
from headway.charts.measure import written
from headway.charts.section import Numbers, Section, Table, Text
from headway.charts.svg import drawing
from headway.charts.words import clean
from headway.errors import MachineError, OutputError

_NUMBER = r"[<>~≈≤≥]?\s?[+−-]?\$?\d[\d,]*(?:\.\d+)?\s?(?:[kMGT%×x]|ms|min|[smhd])?(?:\s\d+\s?[hms])?"
_AMOUNT = re.compile(rf"{_NUMBER}(?:\s?\({_NUMBER}(?: to {_NUMBER})?\))?(?:\+\??)?|[-–?]|")
_COLUMNS = {6: 3, 7: 4, 8: 4}  # how many large amounts stand beside each other, where it is not all of them
_MOST_SHOWN = 40  # rows of the data of a figure


@dataclass(frozen=True, slots=True)
class _Part:
    """A part as the template wants it."""

    kind: str
    part: Text | Table | Numbers | Figure
    right: tuple[bool, ...] = ()
    markup: str = ""
    legend: tuple[str, ...] = ()
    columns: int = 0
    data: Table | None = None


def render(title: str, sections: Sequence[Section], *, subtitle: str = "", footer: str = "") -> str:
    """The page. Raises MachineError if jinja2 or matplotlib are not installed."""
    try:
        from jinja2 import Environment, select_autoescape
        from markupsafe import Markup
    except ImportError:
        raise MachineError(
            "making pages needs jinja2, which is not installed", hint='pip install "headway[charts]"'
        ) from None
    environment = Environment(
        autoescape=select_autoescape(default=True), trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["clean"] = clean
    environment.filters["drawn"] = (
        Markup  # our own drawings, with every text in them escaped by who drew them
    )
    source = files("headway.charts")
    rules: list[tuple[str, str]] = []
    shown = []
    for number, section in enumerate(sections):
        parts = [
            _part(part, f"f{number}{chr(97 + place % 26)}{place}-", rules)
            for place, part in enumerate(section.parts)
        ]
        shown.append((section.heading, parts))
    style = (source / "page.css").read_text("utf-8") + "".join(f".{name}{{{rule}}}\n" for name, rule in rules)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    template = environment.from_string((source / "page.html").read_text("utf-8"))
    return template.render(
        title=title, subtitle=subtitle, footer=footer, sections=shown, style=Markup(style), digest=digest
    )


def save(path: Path, page: str) -> None:
    """Write the page whole or not at all: whoever reads `path` sees the old one or the new one. Raises OutputError."""
    name = ""
    try:
        with tempfile.NamedTemporaryFile(
            "w", encoding="utf-8", dir=path.parent, prefix=f".{path.name}.", delete=False
        ) as file:
            name = file.name
            file.write(page)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o666 & ~_umask())
        os.replace(name, path)
    except OSError as error:
        if name:
            with suppress(OSError):
                os.unlink(name)
        raise OutputError(
            f"cannot write {path}: {error.strerror or error}",
            hint="Name a file in a folder that can be written.",
        ) from None


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _part(part: Text | Table | Numbers | Figure, prefix: str, rules: list[tuple[str, str]]) -> _Part:
    match part:
        case Table():
            return _Part("table", part, right=_right(part))
        case Figure():
            drawn = drawing(part, prefix)
            rules.extend(drawn.rules)
            data = _data(part)
            right = _right(data) if data else ()
            return _Part("figure", part, right, drawn.markup, _legend(part), data=data)
        case Text():
            return _Part("text", part)
        case Numbers():
            count = len(part.items)
            return _Part("numbers", part, columns=_COLUMNS.get(count, min(count, 5)))


def _legend(figure: Figure) -> tuple[str, ...]:
    """The names of series, where there are several to tell apart."""
    match figure.chart:
        case Lines(series) if len(series) > 1:
            return tuple(each.name for each in series)
        case _:
            return ()


def _right(table: Table) -> tuple[bool, ...]:
    """Which columns hold nothing but amounts."""
    return tuple(
        bool(table.rows)
        and all(_AMOUNT.fullmatch(row[place].strip()) for row in table.rows if place < len(row))
        for place in range(len(table.columns))
    )


def _data(figure: Figure) -> Table | None:
    """The figure as a table, for who cannot see it or wants to copy it. None: too long, or a histogram."""
    match figure.chart:
        case Bars(labels, values, measure):
            pairs = zip(labels, values, strict=True)
            return Table(("", "amount"), tuple((label, written(value, measure)) for label, value in pairs))
        case Lines(series, x, y) if series and len({line.x for line in series}) == 1:
            if len(series[0].x) > _MOST_SHOWN:
                return None
            columns = ("", *(line.name for line in series))
            return Table(
                columns,
                tuple(
                    (written(at, x), *(written(line.y[place], y) for line in series))
                    for place, at in enumerate(series[0].x)
                ),
            )
        case _:
            return None
