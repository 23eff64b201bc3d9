"""Tests of your own code against the emulated API, with the official SDK. Needs `pip install pytest anthropic`.

pytest examples/test_with_emulator.py
"""

from __future__ import annotations

import anthropic
import pytest

from headway.testing.emulated import Emulator

MODEL = "claude-opus-4-8"


def summary_of(client: anthropic.Anthropic, text: str) -> str:
    """Your own code: asks for a summary, and says so when the API is overloaded."""
    try:
        message = client.messages.create(
            model=MODEL, max_tokens=50, messages=[{"role": "user", "content": f"Sum this up: {text}"}]
        )
    except anthropic.OverloadedError:
        return "(no summary: the API is overloaded)"
    return "".join(block.text for block in message.content if block.type == "text")


def client_of(emulator: Emulator) -> anthropic.Anthropic:
    """A client without retries of its own: the tests want to see each answer."""
    return anthropic.Anthropic(base_url=emulator.url, api_key="any", max_retries=0)


def test_a_summary_is_text(headway_emulator: Emulator) -> None:
    with client_of(headway_emulator) as client:
        assert summary_of(client, "a long story")
    assert headway_emulator.stats()["completed"] == 1


@pytest.mark.headway_profile("claude-opus-4/tier-1?overloaded=1")
def test_overload_is_said(headway_emulator: Emulator) -> None:
    with client_of(headway_emulator) as client:
        assert summary_of(client, "a long story") == "(no summary: the API is overloaded)"
    assert headway_emulator.stats()["faults"] == {"overloaded": 1}


@pytest.mark.headway_profile("any/unlimited?requests=60&burst=1s&admit=fit&ttft=0&speed=10000")
def test_a_burst_is_refused_and_says_for_how_long(headway_emulator: Emulator) -> None:
    """One request fits at once; the second has to wait, and the reply says how long."""
    with client_of(headway_emulator) as client:
        assert summary_of(client, "a long story")
        with pytest.raises(anthropic.RateLimitError) as refused:
            summary_of(client, "another one")
    assert refused.value.response.headers["retry-after"] == "1"
