"""A drawing has its texts as text, its colours from the page, nothing of the machine, and the same bytes each time."""

from __future__ import annotations

import math
import re
from xml.etree import ElementTree

import pytest

from headway.charts.figure import Bars, Figure, Histogram, Lines, Series
from headway.charts.svg import Drawing, described, drawing

LINES = Lines(
    (
        Series("used", (0, 60, 120), (0, 10_000, 30_000)),
        Series("held", (0, 120), (5_000, math.nan), step=True),
    ),
    levels=(("limit", 30_000),),
    moments=(("tier changes", 60),),
)
CHARTS = (
    LINES,
    Bars(("a", "b & c"), (12.5, 0.0), "usd", ranges=((10, 15), (0, 0))),
    Histogram(tuple(float(value) for value in range(1, 500)), log=True),
    Histogram(()),
    Histogram((3.0,)),
    Bars((), ()),
    Lines(()),
    Lines((Series("below", (0, 1), (-5, 5)),)),
)


def texts(drawn: Drawing) -> list[str]:
    root = ElementTree.fromstring(drawn.markup)
    return [(each.text or "").strip() for each in root.iter() if each.tag.endswith("text")]


@pytest.mark.parametrize("chart", CHARTS)
def test_a_drawing_is_well_formed_and_the_same_each_time(chart: Lines | Bars | Histogram) -> None:
    first, again = (drawing(Figure("t", chart), "f0-") for _ in range(2))
    assert first == again
    root = ElementTree.fromstring(first.markup)
    assert root.tag.endswith("svg")
    assert root.attrib["role"] == "img"
    assert root.attrib["aria-label"]


@pytest.mark.parametrize("chart", CHARTS)
def test_no_style_script_link_date_or_path_is_in_a_drawing(chart: Lines | Bars | Histogram) -> None:
    markup = drawing(Figure("t", chart), "f0-").markup
    for unwanted in (
        "style=",
        "<style",
        "<script",
        "http",
        "matplotlib",
        "<!--",
        "<metadata",
        "date",
        "/home",
        "DejaVu",
    ):
        assert unwanted not in markup, unwanted
    targets = re.findall(r'(?:href="|url\()([^")]*)', markup)
    assert all(target.startswith("#f0-") for target in targets)


def test_every_class_has_its_rule_and_all_colours_are_those_of_the_page() -> None:
    drawn = drawing(Figure("t", LINES), "f0-")
    named = dict(drawn.rules)
    assert set(re.findall(r'class="([^"]*)"', drawn.markup)) == set(named)
    assert not re.search(r"#[0-9a-f]{3,6}", "".join(named.values()))
    assert {"var(--s0)", "var(--s1)", "var(--faint)"} <= set(
        re.findall(r"var\(--\w+\)", "".join(named.values()))
    )


def test_texts_can_be_selected_and_are_those_of_the_data() -> None:
    found = texts(drawing(Figure("t", LINES), "f0-"))
    assert {"0", "10k", "30k", "0s", "1m", "limit", "tier changes"} <= set(found)
    assert "$12.50" in texts(drawing(Figure("t", CHARTS[1]), "f0-"))


@pytest.mark.parametrize("name", ["$x^2$ and $5", "<b>&", "\x1b[31m\x00", "名前", "_hidden", "a" * 300])
def test_names_from_data_are_shown_as_they_are_and_do_nothing(name: str) -> None:
    for chart in (
        Bars((name, "b"), (1.0, 2.0)),
        Lines((Series(name, (0, 1), (1, 2)), Series("b", (0, 1), (1, 2)))),
    ):
        drawn = drawing(Figure(name, chart, alt=name), "f0-")
        ElementTree.fromstring(drawn.markup)
        assert "\x1b" not in drawn.markup
        assert "<b>" not in drawn.markup
    shown = texts(drawing(Figure("", Bars((name, "b"), (1.0, 2.0))), "f0-"))
    assert "$x^2$ and $5" in shown or "$" not in name


def test_who_cannot_see_it_is_told_the_numbers() -> None:
    assert (
        described(Figure("Tokens", LINES))
        == "Tokens. Lines: used from 0 to 30k; held from 5k to 5k; limit at 30k."
    )
    assert described(Figure("Cost", CHARTS[1])) == "Cost. Bars: a $12.50; b & c $0."
    assert (
        described(Figure("Size", CHARTS[2])) == "Size. Histogram of 499 values: P10 50.8, P50 250, P90 449."
    )
