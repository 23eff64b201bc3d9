"""Text from outside is shown, cut and broken, and never obeyed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from headway.charts.words import clean, cut, wrapped

WIDTHS = st.integers(2, 60)


@given(st.text())
def test_what_is_left_can_be_printed(text: str) -> None:
    assert clean(text).isprintable()
    assert len(clean(text)) == len(text)


@given(st.text(st.sampled_from("ab 名前\x1b\u200b"), max_size=80), WIDTHS)
def test_text_fits_and_says_that_there_was_more(text: str, width: int) -> None:
    shown = cut(text, width)
    assert cell_len(shown) <= width
    assert shown == clean(text) or shown.endswith("…")


@given(st.text(st.sampled_from("ab  名"), max_size=120), WIDTHS)
def test_lines_fit_and_lose_no_word_that_fits(text: str, width: int) -> None:
    lines = wrapped(text, width)
    assert all(cell_len(line) <= width for line in lines)
    words = [word for word in text.split() if cell_len(word) <= width]
    assert [word for line in lines for word in line.split() if "…" not in word] == words
