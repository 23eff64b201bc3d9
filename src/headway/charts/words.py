"""Text for charts: safe to show, cut to width, wrapped."""

from __future__ import annotations

from rich.cells import cell_len, set_cell_size


def clean(text: str) -> str:
    """Text without anything that a terminal or a page would obey."""
    return "".join(character if character.isprintable() else "�" for character in text)


def cut(text: str, width: int) -> str:
    """Text in at most `width` columns, safe to show; an ellipsis says that there was more."""
    text = clean(text)
    return text if cell_len(text) <= width else set_cell_size(text, width - 1).rstrip() + "…"


def wrapped(text: str, width: int) -> list[str]:
    """Text in lines of at most `width` columns, broken between words, safe to show."""
    lines: list[str] = []
    for word in clean(text).split():
        if lines and cell_len(lines[-1]) + 1 + cell_len(word) <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(cut(word, width))
    return lines
