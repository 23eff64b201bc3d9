"""The bytes that stand for blocks are equal exactly where the blocks are, and names of beginnings part where these do."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.core.fingerprint import Cut, kept, unpack
from headway.providers.anthropic import Anthropic
from headway.providers.blocks import blocks_of

KEY = bytes(range(32))
MARK = {"cache_control": {"type": "ephemeral"}}
TEXTS = st.text(st.sampled_from('ab0:="\\\0é\ud800{}'), max_size=5)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(0, 2) | st.just(1.0) | TEXTS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXTS, inner, max_size=2),
    max_leaves=4,
)
TEXT_BLOCKS = st.fixed_dictionaries({"type": st.just("text"), "text": TEXTS})
BLOCKS = TEXT_BLOCKS | st.fixed_dictionaries(
    {"type": st.sampled_from(["text", "tool_use", "tool_result"]), "text": VALUES}, optional={"input": VALUES}
)
CONTENTS = TEXTS | st.lists(BLOCKS, max_size=3) | VALUES
MESSAGES = st.fixed_dictionaries(
    {"role": st.sampled_from(["user", "assistant"]) | VALUES, "content": CONTENTS}
)
REQUESTS = st.fixed_dictionaries(
    {"model": st.sampled_from(["claude-opus-4-8", "claude-opus-4-5", None])},
    optional={
        "tools": st.lists(st.fixed_dictionaries({"name": TEXTS, "input_schema": VALUES}), max_size=3),
        "system": TEXTS | st.lists(TEXT_BLOCKS, max_size=3),
        "messages": st.lists(MESSAGES, max_size=12),
    },
)


def cuts_of(request: dict[str, Any], key: bytes = KEY) -> list[Cut]:
    return unpack(Anthropic(salt=key, fingerprints=True).estimate(request).fingerprint)


def strict(value: object) -> object:
    """Equal only to what is written alike: in Python 1, 1.0 and true are equal, and so are objects in another order."""
    if isinstance(value, dict):
        return ("object", [(key, strict(each)) for key, each in value.items() if key != "cache_control"])
    if isinstance(value, list):
        return ("list", [strict(each) for each in value])
    return (type(value).__name__, value)


def bare(block: object) -> object:
    """A block of text is its text, in whatever order its two keys are."""
    if isinstance(block, dict):
        keys = block.keys() - {"cache_control"}
        if keys == {"type", "text"} and block["type"] == "text" and isinstance(block["text"], str):
            return ("text", block["text"])
    return strict(block)


def spelt(request: dict[str, Any]) -> list[object]:
    """All that counts of a request, block by block, without any of the code that is tested."""
    found: list[object] = []

    def take(head: object, content: object) -> None:
        if isinstance(content, str):
            content = [{"type": "text", "text": content}]
        for block in content if isinstance(content, list) else [content] if content else []:
            found.append((head, bare(block)))  # noqa: PERF401 # reads as what it says

    found.extend(("tool", strict(tool)) for tool in request.get("tools") or [])
    if request.get("system"):
        take("system", request["system"])
    for message in request.get("messages") or []:
        take(("message", strict(message["role"])), message["content"])
    return found


def alike(one: list[Any], other: list[Any]) -> int:
    """How long their common beginning is."""
    count = 0
    while count < min(len(one), len(other)) and one[count] == other[count]:
        count += 1
    return count


def mutated(request: dict[str, Any], data: st.DataObject) -> dict[str, Any]:
    """The same request with something put in another's place."""
    changed, donor = deepcopy(request), data.draw(REQUESTS)
    what = data.draw(st.sampled_from(["tools", "system", "messages", "one message", "nothing"]))
    messages = changed.get("messages")
    if what == "one message" and messages:
        messages[data.draw(st.integers(0, len(messages) - 1))] = data.draw(MESSAGES)
    elif what in donor:
        changed[what] = donor[what]
    return changed


@given(REQUESTS, st.data())
def test_the_longest_common_beginning_is_the_same_by_names_and_by_blocks(
    request: dict[str, Any], data: st.DataObject
) -> None:
    other = mutated(request, data)
    ours, theirs = spelt(request), spelt(other)
    common = alike(ours, theirs)
    shown, also = cuts_of(request), cuts_of(other)
    assert (len(shown), len(also)) == (len(kept(len(ours))), len(kept(len(theirs))))
    by_number = dict(zip(kept(len(ours)), [cut.name for cut in shown], strict=True))
    theirs_by_number = dict(zip(kept(len(theirs)), [cut.name for cut in also], strict=True))
    for number in by_number.keys() & theirs_by_number.keys():
        assert (by_number[number] == theirs_by_number[number]) == (number < common)
    assert {by_number[n] for n in by_number if n >= common}.isdisjoint(theirs_by_number.values())


@given(REQUESTS)
def test_bytes_are_as_many_as_blocks_and_equal_only_where_blocks_are(request: dict[str, Any]) -> None:
    found, blocks = blocks_of(request), spelt(request)
    places, pieces = found.places, found.pieces
    assert len(places) == len(pieces) == len(blocks)
    for one in range(len(blocks)):
        for other in range(one):
            assert (pieces[one] == pieces[other]) == (blocks[one] == blocks[other])


@given(st.lists(BLOCKS, max_size=4), st.lists(BLOCKS, max_size=4))
def test_no_run_of_blocks_stands_for_another(one: list[Any], other: list[Any]) -> None:
    """Also where blocks would have to be cut elsewhere."""
    joined = [
        b"".join(blocks_of({"messages": [{"role": "user", "content": run}]}).pieces) for run in (one, other)
    ]
    assert (joined[0] == joined[1]) == ([bare(block) for block in one] == [bare(block) for block in other])


def conversation(turns: int) -> dict[str, Any]:
    said = [{"role": "assistant" if turn % 2 else "user", "content": f"turn {turn}"} for turn in range(turns)]
    return {"model": "claude-opus-4-8", "max_tokens": 5, "messages": said}


@pytest.mark.parametrize("turns", [1, 5, 31, 99])
def test_a_conversation_that_grows_keeps_its_names(turns: int) -> None:
    before, after = cuts_of(conversation(turns)), cuts_of(conversation(turns + 2))
    names = {cut.name for cut in after}
    assert {cut.name for cut in before[:12]} <= names
    assert {cut.name for cut in before[-18:]} <= names
    assert [cut.place for cut in after][-1] == turns + 1


def test_a_breakpoint_is_told_and_changes_no_name() -> None:
    bare, marked = conversation(3), conversation(3)
    marked["messages"][2]["content"] = [{"type": "text", "text": "turn 2", **MARK}]
    assert [cut.name for cut in cuts_of(bare)] == [cut.name for cut in cuts_of(marked)]
    assert [cut.marked for cut in cuts_of(bare)] == [False] * 3
    assert [cut.marked for cut in cuts_of(marked)] == [False, False, True]
    assert [cut.marked for cut in cuts_of(bare | MARK)] == [False, False, True]


def test_another_model_or_key_gives_other_names() -> None:
    names = [cut.name for cut in cuts_of(conversation(2))]
    for other in (cuts_of(conversation(2) | {"model": "claude-opus-4-5"}), cuts_of(conversation(2), KEY[1:])):
        assert not set(names) & {cut.name for cut in other}


def test_an_estimate_has_none_unless_it_is_to() -> None:
    assert Anthropic(salt=KEY).estimate(conversation(2)).fingerprint == b""


@pytest.mark.parametrize(
    "request_",
    [
        {},
        {"messages": "text"},
        {"messages": [None, 3, "text", [], {"role": "user"}, {"content": {}}]},
        {"tools": {"name": "f"}, "system": {"type": "text", "text": 7}, "messages": []},
        {"model": ["odd"], "messages": [{"role": {"a": 1}, "content": "x"}]},
    ],
)
def test_odd_requests_have_names_too(request_: dict[str, Any]) -> None:
    assert cuts_of(request_) == cuts_of(deepcopy(request_))
