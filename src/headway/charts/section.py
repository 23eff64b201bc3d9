"""What a page is made of. Texts and cells are plain text: whatever is in them is shown, none of it is obeyed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from headway.charts.figure import Figure


@dataclass(frozen=True, slots=True)
class Text:
    """A paragraph. A "note" stands back, a "warning" stands out."""

    text: str
    tone: Literal["plain", "note", "warning"] = "plain"


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of cells as they are to be read; columns of amounts are set right. `foot` is one row more, set apart."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str = ""
    foot: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Numbers:
    """The few amounts that matter most, large: (name, amount, what to know about it)."""

    items: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and what stands below it. An empty heading: no heading."""

    heading: str
    parts: tuple[Text | Table | Numbers | Figure, ...]
