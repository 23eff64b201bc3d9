"""Text that another counts exactly replaces our estimate of that text, and of nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from headway.context.counting import facts_of, weighed
from headway.context.ctoks import family_of, recounted, refined
from headway.providers.catalog import ModelFacts

TOOL = {"name": "read", "description": "Reads a file.", "input_schema": {"type": "object"}}


def known(model: str) -> ModelFacts:
    facts = facts_of(model)
    assert facts is not None
    return facts


OPUS_4, OPUS_4_7, OPUS_4_8 = map(known, ("claude-opus-4", "claude-opus-4-7", "claude-opus-4-8"))


def ten_a_word(text: str, family: str) -> int:
    """A tokenizer that nobody has: ten tokens a word, and the frame of its family."""
    return 10 * len(text.split()) + {"3.0": 7, "4.7": 11, "4.8": 6}[family]


def request(*texts: str, **more: Any) -> dict[str, Any]:
    roles = ("user", "assistant")
    return {"messages": [{"role": roles[n % 2], "content": text} for n, text in enumerate(texts)], **more}


def test_each_model_has_its_family() -> None:
    assert [family_of(facts) for facts in (OPUS_4, OPUS_4_7, OPUS_4_8)] == ["3.0", "4.7", "4.8"]


def test_the_text_of_one_message_is_taken_as_counted() -> None:
    found = recounted(request("one two three"), OPUS_4, ten_a_word)
    assert (found.tokens, found.way) == (37, "ctok")
    assert found.high - found.low <= 2


def test_of_other_requests_only_the_text_is_replaced() -> None:
    texts = ("one two three", "four five", "six")
    bare = weighed(request("", "", "", tools=[TOOL]), OPUS_4_8).tokens
    found = recounted(request(*texts, tools=[TOOL]), OPUS_4_8, ten_a_word)
    assert found.tokens == pytest.approx(bare + 60, abs=3)


def test_results_of_tools_and_the_system_prompt_are_text_too() -> None:
    result = {"type": "tool_result", "tool_use_id": "a", "content": [{"type": "text", "text": "one two"}]}
    messages = {"messages": [{"role": "user", "content": [result]}], "system": "three"}
    more = {"messages": [{"role": "user", "content": [result]}], "system": "three four five six"}
    assert recounted(more, OPUS_4, ten_a_word).tokens - recounted(messages, OPUS_4, ten_a_word).tokens == 30


def test_without_it_or_for_unknown_models_there_is_none() -> None:
    assert refined(request("hello"), None) is None


def test_the_real_one_agrees_with_the_figures_of_its_author() -> None:
    pytest.importorskip("ctok")
    assert refined(request("hello world"), OPUS_4) == recounted(request("hello world"), OPUS_4, lambda *_: 9)
    found = refined(request("a"), OPUS_4_8)
    assert found is not None
    assert found.tokens == 7
