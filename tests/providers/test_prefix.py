"""Requests that can share an entry of the prompt cache get the same prefix, and others do not."""

from typing import Any

import pytest

from headway.core.call import Estimate
from headway.providers.anthropic import Anthropic

MARK = {"cache_control": {"type": "ephemeral"}}
LONG = "The manual describes every part of the machine in detail. " * 200
OTHER = "Another manual describes every part of something else. " * 200


def block(text: str, *, marked: bool = False) -> dict[str, Any]:
    return {"type": "text", "text": text, **(MARK if marked else {})}


def estimate(
    question: Any,
    system: Any = None,
    *,
    salt: bytes = b"",
    model: str = "claude-opus-4-20250514",
    **more: Any,
) -> Estimate:
    request = {"model": model, "messages": [{"role": "user", "content": question}], **more}
    return Anthropic(salt=salt).estimate(request if system is None else {**request, "system": system})


def test_without_a_breakpoint_there_is_no_prefix() -> None:
    made = estimate("q", [block(LONG)])
    assert (made.prefix, made.cacheable_tokens) == ("", 0)


def test_siblings_share_a_marked_system_prompt() -> None:
    one, two = estimate("one?", [block(LONG, marked=True)]), estimate("two?", [block(LONG, marked=True)])
    assert one.prefix == two.prefix != ""
    assert one.cacheable_tokens == two.cacheable_tokens
    assert 0 < one.cacheable_tokens < one.input_tokens


@pytest.mark.parametrize(
    "changed",
    [
        {"system": [block(OTHER, marked=True)]},
        {"model": "claude-opus-4-1"},
        {"tools": [{"name": "f", "input_schema": {}}]},
        {"salt": b"another"},
    ],
)
def test_another_system_prompt_model_tool_or_salt_is_another_prefix(changed: dict[str, Any]) -> None:
    same: dict[str, Any] = {"system": [block(LONG, marked=True)]}
    assert estimate("q", **same).prefix != estimate("q", **{**same, **changed}).prefix


def test_a_prefix_below_the_minimum_of_the_model_cannot_be_cached() -> None:
    short = [block(LONG[:6000], marked=True)]  # between 1,024 and 4,096 tokens
    assert estimate("q", short).prefix
    assert not estimate("q", short, model="claude-opus-4-5").prefix


def test_a_breakpoint_on_the_last_block_gives_way_to_an_earlier_one() -> None:
    one = estimate([block("one?", marked=True)], [block(LONG, marked=True)])
    two = estimate([block("two?", marked=True)], [block(LONG, marked=True)])
    assert one.prefix == two.prefix != ""


def test_a_document_in_the_message_is_shared_by_the_questions_about_it() -> None:
    one = estimate([block(LONG, marked=True), block("one?")])
    two = estimate([block(LONG, marked=True), block("two?")])
    assert one.prefix == two.prefix != ""


def test_automatic_caching_shares_what_is_marked_before_and_else_the_whole() -> None:
    marked = {"system": [block(LONG, marked=True)], **MARK}
    assert estimate("one?", **marked).prefix == estimate("two?", **marked).prefix != ""
    whole = {"system": LONG, **MARK}
    assert estimate("one?", **whole).prefix != estimate("two?", **whole).prefix
    assert estimate("one?", **whole).prefix == estimate("one?", **whole).prefix != ""


def test_automatic_caching_beside_a_mark_on_the_last_block_is_one_breakpoint() -> None:
    twice = estimate([block("one?", marked=True)], [block(LONG, marked=True)], **MARK)
    once = estimate([block("two?", marked=True)], [block(LONG, marked=True)])
    assert twice.prefix == once.prefix


def test_marked_tools_are_a_prefix() -> None:
    tools = [
        {"name": "f", "description": LONG, "input_schema": {}, **MARK},
        {"name": "g", "input_schema": {}},
    ]
    one, two = estimate("one?", "You are A.", tools=tools), estimate("two?", "You are B.", tools=tools)
    assert one.prefix == two.prefix != ""


def test_a_prefix_shows_nothing_of_the_prompt() -> None:
    prefix = estimate("q", [block(LONG, marked=True)]).prefix
    assert len(prefix) == 32
    assert int(prefix, 16) >= 0


def conversation(turns: int, *, marks: int, text: bool = False) -> Estimate:
    """A conversation of so many questions, with breakpoints on the last `marks` of them."""
    messages: list[dict[str, Any]] = []
    for turn in range(turns):
        is_marked = turn >= turns - marks
        question = f"Question {turn}. {LONG}"
        content: Any = question if text and not is_marked else [block(question, marked=is_marked)]
        messages += [
            {"role": "user", "content": content},
            {"role": "assistant", "content": f"Answer {turn}."},
        ]
    request = {"model": "claude-opus-4-5", "max_tokens": 10, "messages": messages[:-1]}
    return Anthropic().estimate(request)


@pytest.mark.parametrize("marks", [1, 2])
@pytest.mark.parametrize("text", [False, True])
def test_a_turn_reads_what_the_turn_before_wrote_although_the_breakpoint_moved_on(
    marks: int, text: bool
) -> None:
    before, after = conversation(8, marks=marks, text=text), conversation(9, marks=marks, text=text)
    read = dict(after.readable)
    assert before.written
    assert set(before.written) <= set(read)
    longest = max(read[name] for name in before.written)
    assert longest == pytest.approx(before.input_tokens, rel=0.02)
    assert 0.85 * after.input_tokens < longest < after.input_tokens


def test_another_beginning_reads_nothing() -> None:
    one = conversation(8, marks=1)
    other = estimate([block(OTHER * 8, marked=True)], model="claude-opus-4-5")
    assert other.written
    assert not set(one.written) & set(dict(other.readable))


def test_readable_entries_come_longest_first_and_none_is_below_the_minimum() -> None:
    tokens = [amount for _, amount in conversation(9, marks=2).readable]
    assert tokens == sorted(tokens, reverse=True)
    assert tokens[-1] >= 4096
