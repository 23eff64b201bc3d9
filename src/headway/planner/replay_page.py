"""A replay as a page to keep: self-contained HTML."""

from __future__ import annotations

from datetime import UTC, datetime

from headway.charts.page import render
from headway.charts.section import Section, Text
from headway.planner.replay import Replay
from headway.planner.replay_tables import chart, headline, limits, notes, scenarios, who

_MOST_GROUPS = 200


def page(replay: Replay) -> str:
    """The page. Raises MachineError if the extra "charts" is not installed."""
    figure = chart(replay)
    begins = datetime.fromtimestamp(replay.begins_ns / 1e9, UTC)
    sections = [
        Section("", (Text(headline(replay)),)),
        Section("What if", (scenarios(replay), *([figure] if figure is not None else []))),
        Section("Who waited", (who(replay, _MOST_GROUPS),)),
        Section("Limits", (limits(replay),)),
        Section("What it rests on", tuple(Text(note, "note") for note in notes(replay))),
    ]
    return render("Replay of your traffic", sections, subtitle=f"from {begins:%Y-%m-%d %H:%M} UTC on")
