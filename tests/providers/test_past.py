"""A conversation that has grown is known again, and what is said of it is what would be said if it were new."""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.core.call import Estimate
from headway.providers.anthropic import Anthropic
from headway.providers.past import LONG, Past

KEY = bytes(range(32))
MARK = {"cache_control": {"type": "ephemeral"}}
MANUAL = "The manual describes every part of the machine, its purpose and its price.\n" * 300
TOOLS = [{"name": name, "description": f"Does {name}.", "input_schema": {"type": "object"}} for name in "abc"]
Write = Callable[[dict[str, Any]], bytes]


def compact(request: dict[str, Any]) -> bytes:
    return json.dumps(request, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass")


def messages_last(request: dict[str, Any]) -> bytes:
    return compact({key: request[key] for key in sorted(request, key=lambda key: key == "messages")})


def messages_first(request: dict[str, Any]) -> bytes:
    return compact({key: request[key] for key in sorted(request, key=lambda key: key != "messages")})


def spaced(request: dict[str, Any]) -> bytes:
    return json.dumps(request).encode()


def user(text: str, **more: Any) -> dict[str, Any]:
    return {"role": "user", "content": [{"type": "text", "text": text, **more}]}


def talk(turns: int, **more: Any) -> dict[str, Any]:
    said: list[dict[str, Any]] = []
    for turn in range(turns):
        said += [
            user(f"Question {turn}? {'Please explain it. ' * 70}"),
            {"role": "assistant", "content": f"Answer {turn}."},
        ]
    return {"model": "claude-opus-4-8", "max_tokens": 9, "system": MANUAL, "messages": said[:-1], **more}


def marked(request: dict[str, Any]) -> dict[str, Any]:
    """With breakpoints on the last two questions, as agents put them."""
    copy = deepcopy(request)
    for message in [each for each in copy["messages"] if each["role"] == "user"][-2:]:
        message["content"][-1].update(MARK)
    return copy


def known(provider: Anthropic, request: dict[str, Any], body: bytes) -> int:
    """How many messages of this request are known."""
    found = provider._past.find(body, request)
    return 0 if found is None else found.read.messages


@pytest.mark.parametrize("write", [compact, messages_last, messages_first])
@pytest.mark.parametrize("dress", [lambda request: request, marked])
def test_a_conversation_is_known_up_to_its_last_turns(
    write: Write, dress: Callable[[dict[str, Any]], dict[str, Any]]
) -> None:
    provider = Anthropic(salt=KEY, fingerprints=True)
    for turns in range(2, 12):
        request = dress(talk(turns))
        body = write(request)
        moving = 2 if dress is marked else 0
        before = 2 * (turns - 1) - 1  # messages of the turn before
        assert known(provider, request, body) == (max(0, before - moving - moving // 2) if turns > 3 else 0)
        provider.estimate(request, body)


def differs(one: Estimate, other: Estimate) -> list[str]:
    return [
        name
        for name in Estimate.__struct_fields__
        if getattr(one, name) != getattr(other, name) and name != "readable"
    ]


def same(one: Estimate, other: Estimate) -> None:
    assert differs(one, other) == []
    assert [name for name, _ in one.readable] == [name for name, _ in other.readable]
    assert [tokens for _, tokens in one.readable] == pytest.approx([tokens for _, tokens in other.readable])


TEXTS = st.sampled_from(["", "short", "é 😀", 'quote " and \\', "two\n\nlines  ", '"messages":[', "\ud800"])
PLAIN = st.builds(lambda text: {"type": "text", "text": text}, TEXTS)
USES = st.builds(lambda text: {"type": "tool_use", "id": "t", "name": "a", "input": {"x": text}}, TEXTS)
RESULTS = st.builds(lambda text: {"type": "tool_result", "tool_use_id": "t", "content": text}, TEXTS)
THOUGHTS = st.builds(lambda text: {"type": "thinking", "thinking": text, "signature": "s"}, TEXTS)
CONTENTS = TEXTS | st.lists(PLAIN | USES | RESULTS | THOUGHTS, max_size=3)
MESSAGES = st.fixed_dictionaries({"role": st.sampled_from(["user", "assistant"]), "content": CONTENTS})


def changed(request: dict[str, Any], data: st.DataObject) -> dict[str, Any]:
    """The next request: grown, mostly; or something else of it is not what it was."""
    after = deepcopy(request)
    said = after["messages"]
    what = data.draw(
        st.sampled_from(
            ["grow"] * 5
            + ["edit", "cut", "mark", "unmark", "again", "tail", "tools", "system", "auto", "model"]
        )
    )
    index = data.draw(st.integers(0, len(said) - 1))
    if what == "grow":
        said += data.draw(st.lists(MESSAGES, min_size=1, max_size=4))
    elif what == "edit":
        said[index] = data.draw(MESSAGES)
    elif what == "cut":
        del said[index + 1 :]
    elif what == "mark" and isinstance(said[index]["content"], list) and said[index]["content"]:
        said[index]["content"][-1].update(MARK)
    elif what == "unmark":
        for message in said:
            for block in message["content"] if isinstance(message["content"], list) else []:
                block.pop("cache_control", None)
    elif what == "tail":
        after["max_tokens"] += 1
    elif what == "tools":
        after["tools"] = TOOLS[: data.draw(st.integers(1, 3))]
    elif what == "system":
        after["system"] = data.draw(st.sampled_from([MANUAL, [{"type": "text", "text": MANUAL, **MARK}]]))
    elif what == "auto":
        after.pop("cache_control", None) or after.update(MARK)
    elif what == "model":
        after["model"] = data.draw(st.sampled_from(["claude-opus-4-8", "claude-opus-4-5", "unknown"]))
    return after


@given(
    write=st.sampled_from([compact, messages_last, messages_first, spaced]),
    fingerprints=st.booleans(),
    data=st.data(),
)
def test_whatever_came_before_an_estimate_is_that_of_a_new_request(
    write: Write, fingerprints: bool, data: st.DataObject
) -> None:
    provider, request = Anthropic(salt=KEY, fingerprints=fingerprints), talk(2)
    for _ in range(data.draw(st.integers(2, 8))):
        request = changed(request, data)
        body = write(request)
        assert len(body) > LONG
        fresh = Anthropic(provider.catalog, salt=KEY, fingerprints=fingerprints).estimate(request)
        same(provider.estimate(request, body), fresh)
        same(provider.estimate(request, body), fresh)


@given(at=st.integers(0, 10**9), data=st.data())
def test_a_changed_byte_anywhere_parts_the_names_there(at: int, data: st.DataObject) -> None:
    provider, request = Anthropic(salt=KEY, fingerprints=True), talk(6)
    provider.estimate(request, compact(request))
    grown = talk(8)
    body = bytearray(compact(grown))
    letters = [place for place, byte in enumerate(body) if chr(byte).isalpha() and byte < 128]
    place = letters[at % len(letters)]
    body[place] = ord("Q") if body[place] != ord("Q") else ord("Z")
    try:
        other = json.loads(bytes(body))
    except ValueError:
        return
    made = provider.estimate(other, bytes(body))
    assert made.fingerprint == Anthropic(salt=KEY, fingerprints=True).estimate(other).fingerprint


def test_requests_that_do_not_grow_are_not_remembered() -> None:
    """Examples before a question, say: remembering would cost more than it gives."""
    provider = Anthropic(salt=KEY)
    for number in range(5):
        request = talk(5)
        request["messages"][-1] = user(f"Another question, number {number}?")
        provider.estimate(request, compact(request))
    assert not provider._past._known


def test_short_requests_and_single_questions_are_not_remembered() -> None:
    provider = Anthropic(salt=KEY)
    short, single = talk(5, system="Be short."), talk(1)
    for request in (short, single):
        provider.estimate(request, compact(request))
        assert known(provider, request, compact(request)) == 0


def test_messages_of_something_else_are_not_taken_for_those_of_the_request() -> None:
    provider = Anthropic(salt=KEY, fingerprints=True)
    request = talk(3)
    example = {"name": "x", "input_schema": {"messages": request["messages"]}}
    trap = {"tools": [example], **request}
    provider.estimate(trap, compact(trap))
    other = deepcopy(trap)
    other["messages"][0] = user("Something else?")
    same(
        provider.estimate(other, compact(other)),
        Anthropic(salt=KEY, fingerprints=True).estimate(other),
    )


def test_messages_that_are_there_twice_count_as_they_are_parsed() -> None:
    provider = Anthropic(salt=KEY, fingerprints=True)
    request = talk(4)
    body = compact(request)
    provider.estimate(request, body)
    twice = body[:-1] + b',"messages":' + json.dumps(talk(5)["messages"][3:]).encode() + b"}"
    parsed = json.loads(twice)
    same(provider.estimate(parsed, twice), Anthropic(salt=KEY, fingerprints=True).estimate(parsed))


def test_no_prompt_is_kept_in_memory() -> None:
    past = Past()
    provider = Anthropic(salt=KEY, fingerprints=True)
    provider._past = past
    for turns in (4, 5):
        request = talk(turns, tools=TOOLS)
        provider.estimate(request, compact(request))
    (kept,) = [each for alike in past._known.values() for each in alike]
    assert all(not section.texts and not section.tools_json for section in kept.read.sections)
    assert not any(isinstance(value, str | bytes) for value in vars_of(kept))


def vars_of(kept: Any) -> list[Any]:
    return [getattr(kept, name) for name in type(kept).__slots__]


def test_memory_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headway.providers.past._STARTS", 4)
    provider = Anthropic(salt=KEY)
    monkeypatch.setattr("headway.providers.past._LENGTHS", 4)
    for number in range(10):
        for turns in (2, 3):
            request = talk(turns, system=f"{number} {MANUAL}")
            provider.estimate(request, messages_last(request))
    for number in range(40):
        for turns in (2, 3):
            request = talk(turns)
            request["messages"][0] = user(f"{MANUAL} {number}")
            provider.estimate(request, messages_first(request))
    assert len(provider._past._lengths) <= 4
    assert len(provider._past._known) <= 4
    assert max(len(alike) for alike in provider._past._known.values()) <= 16
