from __future__ import annotations

import subprocess
import sys

import anthropic
import pytest

from headway.testing.emulated import Emulator

HELLO = '[{"role": "user", "content": "Hello"}]'


def test_the_fixture_gives_a_running_provider_without_limits(headway_emulator: Emulator) -> None:
    with anthropic.Anthropic(base_url=headway_emulator.url, api_key="any") as client:
        for _ in range(20):
            client.messages.create(
                model="claude-opus-4-5", max_tokens=10, messages=[{"role": "user", "content": "Hi"}]
            )
    assert headway_emulator.stats()["completed"] == 20


@pytest.mark.headway_profile("claude-opus-4/tier-1?overloaded=1")
def test_the_marker_chooses_the_provider(headway_emulator: Emulator) -> None:
    assert headway_emulator.profile.overloaded == 1.0
    assert headway_emulator.profile.tier == "tier-1"


def test_loading_the_plugin_does_not_load_the_emulator() -> None:
    heavy = "'uvicorn', 'asyncio', 'msgspec', 'headway.emulator', 'anthropic'"
    code = f"""
import sys
import pytest
before = set(sys.modules)
import headway.testing.pytest_plugin
print([name for name in ({heavy}) if name in set(sys.modules) - before])
"""
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"
