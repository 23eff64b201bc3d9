"""A replay as it is shown."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from headway.planner.replay import Replay
from headway.planner.replay_page import page
from headway.planner.replay_view import as_values, picture
from planner.replays import a_ledger, replayed

EVIL = "evil\x1b]0;title\x07\x1b[31m[bold]name[/bold]"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Replay:
    rows = [
        {
            "at": 0.2 * number,
            "tenant": (EVIL, "search", "chat-of-a-long-name")[number % 3],
            "class": ("bulk", "interactive")[number % 2],
            "job": "nightly" if number % 2 == 0 else "",
        }
        for number in range(300)
    ]
    path = a_ledger(tmp_path_factory.mktemp("view") / "l", rows)
    what_ifs = (
        "limits=requests=400/min",
        "budget 0.1usd/day",
        "batch job=nightly",
        "load=2x and class tenant=search bulk",
    )
    return replayed(path, *what_ifs, limits="requests=100/min", burst="5s")


def shown(made: Replay, width: int, *, colour: bool = False) -> str:
    out = io.StringIO()
    console = Console(file=out, width=width, highlight=False, force_terminal=colour)
    console.print(picture(made, width, colour=colour))
    return out.getvalue()


@pytest.mark.parametrize("width", [40, 60, 80, 100, 140, 200])
def test_no_line_is_wider_than_the_terminal_and_no_amount_is_cut(made: Replay, width: int) -> None:
    lines = shown(made, width).splitlines()
    assert max(map(len, lines)) <= width
    if width >= 80:
        assert not any("…" in line for line in lines if not line.startswith("  "))


def test_the_answer_comes_first_and_every_scenario_is_named(made: Replay) -> None:
    text = shown(made, 140)
    assert text.startswith("300 calls in 1m 2s, $0.53: ")
    for what_if in made.what_ifs:
        assert what_if.name in text
    assert "a budget refuses" in text
    assert "150 calls go to the Batch API" in text
    assert "Limits of anthropic/opus-4: set." in text


def test_in_a_narrow_terminal_what_ifs_are_numbered_and_named_below(made: Replay) -> None:
    lines = shown(made, 80).splitlines()
    assert any(line.startswith("if 1 ") and "(" in line for line in lines)
    assert "if 4  load=2x and class tenant=search bulk" in lines


def test_names_cannot_drive_the_terminal(made: Replay) -> None:
    text = shown(made, 140)
    assert "\x1b" not in text
    assert "[bold]name[/bold]" in text


def test_colours_are_for_terminals(made: Replay) -> None:
    assert "\x1b[" in shown(made, 100, colour=True)


def test_machines_get_whole_nanodollars_and_every_group(made: Replay) -> None:
    values = json.loads(json.dumps(as_values(made)))
    assert values["baseline"]["nanousd"] == 300 * 1_750_000
    assert [each["name"] for each in values["what_ifs"]] == [each.name for each in made.what_ifs]
    assert {(each["tenant"], each["class"]) for each in values["baseline"]["groups"]} == {
        (EVIL, "bulk"), (EVIL, "interactive"), ("search", "bulk"), ("search", "interactive"),
        ("chat-of-a-long-name", "bulk"), ("chat-of-a-long-name", "interactive"),
    }  # fmt: skip
    assert values["baseline"]["unpaced"]["failed"] > 0
    assert sum(each["calls"] for each in values["baseline"]["bins"]) == 300


def test_a_page_has_it_all_and_obeys_nothing(made: Replay) -> None:
    pytest.importorskip("jinja2")
    html = page(made)
    assert "Who waited" in html
    assert "load=2x and class tenant=search bulk" in html
    assert "\x1b" not in html
    assert "<svg" in html


def test_without_waits_there_is_no_chart_and_without_what_ifs_one_row(tmp_path: Path) -> None:
    made = replayed(a_ledger(tmp_path / "l", [{"at": 0.0}]), limits="requests=100/min")
    text = shown(made, 80)
    assert "Mean wait" not in text
    assert "1 calls" not in text
    assert text.startswith("1 call in 2s, $0.0018: 0 (0%) wait")
