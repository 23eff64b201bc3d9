"""The pytest fixture `headway_emulator`. Loaded at every start of pytest, so it imports nothing until it is used."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from headway.testing.emulated import Emulator

_FAST = "any/unlimited?ttft=10ms&speed=5000"


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known, so that --strict-markers accepts it."""
    config.addinivalue_line(
        "markers",
        "headway_profile(profile): the provider that the fixture headway_emulator emulates, "
        "such as 'claude-opus-4/tier-1?overloaded=0.1'",
    )


@pytest.fixture
def headway_emulator(request: pytest.FixtureRequest) -> Iterator[Emulator]:
    """An emulated Claude API on a free port of loopback, new for each test; without the marker: fast, no limits."""
    from headway.testing.emulated import Emulator

    marker = request.node.get_closest_marker("headway_profile")
    with Emulator(marker.args[0] if marker else _FAST) as emulator:
        yield emulator
