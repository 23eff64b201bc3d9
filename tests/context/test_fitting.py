"""A fitted conversation is one that the API takes, within its budget, with all that had to stay, and the same each time."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from context.recordings import counted_requests
from context.rules import Message, as_blocks, bare, broken_rules, conversations, places, repeats
from headway.context import Fitted, count, fit
from headway.context.counting import facts_of
from headway.context.cutting import STRATEGIES, Strategy
from headway.errors import InputError, RequestTooLarge
from headway.providers.shares import Scale

MODEL = "claude-opus-4"  # 200k tokens with the reply
SYSTEM = "You are a careful engineer. " * 40
TOOLS = [
    {"name": "read", "description": "Reads a file.", "input_schema": {"type": "object", "properties": {}}}
]


def whole(messages: list[Message]) -> int:
    return fit(messages, MODEL, 1000, system=SYSTEM, tools=TOOLS, cache=False).before.tokens


def talk(turns: int, words: int = 120) -> list[Message]:
    """A chat of so many turns, ending with a question."""
    said = [
        {"role": role, "content": f"{role} {number} " + "and so it goes on " * (words // 5)}
        for number in range(turns)
        for role in ("user", "assistant")
    ]
    return [*said, {"role": "user", "content": "And now?"}]


def agent(steps: int, words: int = 300) -> list[Message]:
    """One question, and a long loop of tools."""
    messages: list[Message] = [{"role": "user", "content": "Mend the tests."}]
    for number in range(steps):
        use = {"type": "tool_use", "id": f"t{number}", "name": "read", "input": {"path": f"f{number}"}}
        text = f"line {number} of the file " * (words // 6)
        messages.append({"role": "assistant", "content": [use]})
        messages.append(
            {
                "role": "user",
                "content": [{"type": "tool_result", "tool_use_id": f"t{number}", "content": text}],
            }
        )
    return messages


@st.composite
def cases(draw: st.DrawFn) -> tuple[list[Message], int, Strategy, tuple[int, ...]]:
    messages = draw(conversations())
    budget = max(200, int(whole(messages) * draw(st.floats(0.1, 1.1))))
    pinned = draw(st.sets(st.integers(0, len(messages) - 1), max_size=3))
    return messages, budget, draw(st.sampled_from(STRATEGIES)), tuple(pinned)


def tried(
    messages: list[Message], budget: int, strategy: Strategy, pinned: tuple[int, ...]
) -> Fitted | RequestTooLarge:
    try:
        return fit(
            messages, MODEL, 1000, budget=budget, strategy=strategy, pinned=pinned, system=SYSTEM, tools=TOOLS
        )
    except RequestTooLarge as error:
        return error


@given(cases())
def test_what_comes_out_is_valid_within_the_budget_in_order_and_has_all_that_is_pinned(
    case: tuple[list[Message], int, Strategy, tuple[int, ...]],
) -> None:
    messages, budget, strategy, pinned = case
    before = copy.deepcopy(messages)
    fitted = tried(messages, budget, strategy, pinned)
    assert messages == before
    if isinstance(fitted, RequestTooLarge):
        assert fitted.most == budget
        assert fitted.excess > 0 or fitted.tokens > budget * 0.99
        return
    assert broken_rules(fitted.messages, fitted.system, fitted.tools) == []
    assert repeats(fitted.messages) <= repeats(messages)
    assert fitted.after.tokens <= budget
    blocks = sum(len(as_blocks(message)) for message in fitted.messages)
    assert count(fitted.arguments, MODEL).tokens == pytest.approx(fitted.after.tokens, abs=2 + blocks)
    kept = places(fitted.messages, messages)
    assert kept is not None
    instructions = {number for number, message in enumerate(messages) if message["role"] == "system"}
    assert {*pinned, *instructions, len(messages) - 1} <= set(kept)
    assert [kept[number] for number in fitted.pinned] == sorted(pinned)
    for number in fitted.pinned:
        assert bare(fitted.messages[number]) == bare(messages[kept[number]])


@given(cases())
def test_fitting_again_changes_nothing(case: tuple[list[Message], int, Strategy, tuple[int, ...]]) -> None:
    messages, budget, strategy, pinned = case
    fitted = tried(messages, budget, strategy, pinned)
    if isinstance(fitted, RequestTooLarge):
        return
    again = tried(fitted.messages, budget, strategy, fitted.pinned)
    assert isinstance(again, Fitted)
    assert again.messages == fitted.messages
    assert again.dropped == ()
    assert again.after == fitted.after


@given(conversations(), st.floats(0.1, 0.6), st.sampled_from(["oldest", "ends"]))
def test_as_a_conversation_grows_what_went_never_comes_back(
    messages: list[Message], share: float, strategy: Strategy
) -> None:
    budget = max(1500, int(whole(messages) * share))
    gone: set[int] = set()
    for end in range(1, len(messages) + 1):
        is_open = any(block["type"] == "tool_use" for block in as_blocks(messages[end - 1]))
        if is_open or messages[end - 1]["role"] == "system" or broken_rules(messages[:end]):
            continue
        fitted = tried(messages[:end], budget, strategy, ())
        if isinstance(fitted, Fitted):
            now = {number for each in fitted.dropped for number in each.messages}
            assert gone <= now
            gone = now


@given(conversations(), st.data())
def test_a_history_that_was_cut_anywhere_is_mended_or_refused(
    messages: list[Message], data: st.DataObject
) -> None:
    start = data.draw(st.integers(0, len(messages) - 1))
    try:
        fitted = fit(messages[start:], MODEL, 1000)
    except InputError:
        assert not any(_begins(message) for message in messages[start:])
        return
    assert broken_rules(fitted.messages, fitted.system, fitted.tools) == []
    assert sum(len(each.messages) for each in fitted.dropped) == len(messages) - start - len(fitted.messages)


def _begins(message: Message) -> bool:
    return message["role"] == "user" and all(block["type"] != "tool_result" for block in as_blocks(message))


def changes(history: list[Message], first: int, strategy: Strategy, **settings: Any) -> tuple[int, int]:
    """How often the beginning of what is sent changes as a history grows by one turn at a time; and how many turns."""
    before: list[Message] = []
    changed = sent = 0
    for end in range(first, len(history) + 1, 2):
        now = [
            bare(message)
            for message in fit(history[:end], MODEL, 8000, strategy=strategy, **settings).messages
        ]
        changed += now[: len(before)] != before
        before, sent = now, sent + 1
    return changed, sent


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("history", [talk(200, 1500), agent(200, 1500)], ids=["chat", "agent"])
def test_over_200_turns_the_beginning_changes_only_a_few_times(
    history: list[Message], strategy: Strategy
) -> None:
    assert fit(history, MODEL, 8000).before.tokens > 1.5 * 192_000
    changed, sent = changes(history, 1, strategy)
    assert sent == 201
    assert 1 <= changed <= 10


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_keeping_what_was_fitted_is_as_steady_as_keeping_everything(strategy: Strategy) -> None:
    history = agent(200, 1500)
    kept: list[Message] = history[:1]
    before: list[Message] = []
    changed = 0
    for at in range(1, len(history), 2):
        fitted = fit([*kept, *history[at : at + 2]], MODEL, 8000, strategy=strategy)
        assert broken_rules(fitted.messages) == []
        kept = fitted.messages
        now = [bare(message) for message in kept]
        changed += now[: len(before)] != before
        before = now
    assert 1 <= changed <= 10


def test_a_conversation_that_fits_keeps_its_messages() -> None:
    messages = talk(3)
    fitted = fit(messages, MODEL, 1000)
    assert fitted.messages == messages
    assert fitted.dropped == ()
    assert fitted.fits
    assert fitted.before == fitted.after


def test_the_window_is_held_by_the_high_end_of_the_interval() -> None:
    fitted = fit(talk(400, 1500), MODEL, 20_000)
    assert fitted.after.high + 20_000 <= 200_000
    assert fitted.fits


def test_parallel_results_go_or_stay_together() -> None:
    uses: list[Message] = [
        {"type": "tool_use", "id": each, "name": "read", "input": {}} for each in ("a", "b")
    ]
    results = [{"type": "tool_result", "tool_use_id": each, "content": "text " * 500} for each in ("a", "b")]
    messages: list[Message] = [
        {"role": "user", "content": "Compare both."},
        {"role": "assistant", "content": uses},
        {"role": "user", "content": results},
        *agent(1)[1:],
    ]
    fitted = fit(messages, MODEL, 1000, budget=count({"messages": messages}, MODEL).tokens - 300)
    assert broken_rules(fitted.messages) == []
    assert [each.messages for each in fitted.dropped] == [(1, 2)]


def test_results_become_notes_before_any_turn_goes() -> None:
    messages = agent(40, 3000)
    budget = whole(messages) // 2
    fitted = fit(messages, MODEL, 1000, strategy="results", budget=budget, system=SYSTEM, tools=TOOLS)
    assert {each.why for each in fitted.dropped} == {"long result"}
    assert len(fitted.messages) == len(messages)
    assert "left out to save room" in json.dumps(fitted.messages[2])
    assert fitted.messages[-1]["content"][0]["content"] == messages[-1]["content"][0]["content"]


def test_ends_keeps_the_first_question_of_a_long_chat() -> None:
    messages = talk(60)
    for strategy, first in (("oldest", False), ("ends", True)):
        fitted = fit(messages, MODEL, 1000, strategy=strategy, budget=3000)  # type: ignore[arg-type] # from a loop
        assert (messages[0] in [bare_text(message) for message in fitted.messages]) is first


def bare_text(message: Message) -> Message:
    return {**message, "content": "".join(block["text"] for block in as_blocks(message))}


def test_pinned_may_be_said_by_a_rule_and_counted_from_the_end() -> None:
    messages = talk(60)
    for pinned in ([20], [20 - len(messages)], lambda message: "user 10 " in message["content"]):
        fitted = fit(messages, MODEL, 1000, budget=3000, pinned=pinned)
        assert messages[20] in fitted.messages
        assert fitted.pinned == (0,)


def test_what_cannot_fit_says_by_how_much_and_what_is_largest() -> None:
    messages = [
        *talk(2),
        {"role": "assistant", "content": "Yes."},
        {"role": "user", "content": "text " * 5000},
    ]
    with pytest.raises(RequestTooLarge, match=r"the largest is messages\[6\]") as caught:
        fit(messages, MODEL, 1000, budget=2000)
    assert caught.value.what == "messages[6]"
    assert caught.value.most == 2000
    assert caught.value.excess > 1000


def test_a_prompt_that_only_may_fit_is_handed_back_and_says_so() -> None:
    longest = next(
        text
        for words in range(1000, 400_000, 1000)
        if count({"messages": [{"role": "user", "content": (text := "text " * words)}]}, MODEL).high > 199_000
    )
    fitted = fit([{"role": "user", "content": longest}], MODEL, 1000)
    assert not fitted.fits
    assert fitted.after.tokens <= 199_000 < fitted.after.high


@pytest.mark.parametrize(
    ("messages", "said"),
    [
        ([], "empty"),
        ([{"role": "user"}], r"messages\[0\] needs a content"),
        ([{"role": "tool", "content": "x"}], r"messages\[0\] needs a role"),
        (agent(2)[:-1], "still to come"),
        ([*agent(1)[:2], {"role": "user", "content": "x"}], "no result for"),
        ([*talk(1), *agent(1)[2:]], "did not use"),
        ([{"role": "assistant", "content": "x"}], "no message of the user"),
    ],
)
def test_a_conversation_that_the_api_would_not_take_is_refused_with_the_place(
    messages: Any, said: str
) -> None:
    with pytest.raises(InputError, match=said):
        fit(messages, MODEL, 1000)


def test_settings_that_cannot_be_are_refused() -> None:
    with pytest.raises(InputError, match="unknown model"):
        fit(talk(1), "claude-opsu-4", 1000)
    with pytest.raises(InputError, match="unknown strategy"):
        fit(talk(1), MODEL, 1000, strategy="newest")  # type: ignore[arg-type] # that is what is tried
    with pytest.raises(InputError, match=r"messages\[9\] is pinned"):
        fit(talk(1), MODEL, 1000, pinned=[9])
    with pytest.raises(RequestTooLarge, match="max_tokens"):
        fit(talk(1), MODEL, 64_000)
    assert fit(talk(9), "a-model-of-tomorrow", 1000, budget=2000).after.tokens <= 2000


def test_replies_of_the_sdk_are_taken_as_they_are() -> None:
    from anthropic.types import TextBlock, ToolUseBlock  # only here

    content = [
        TextBlock(type="text", text="Look."),
        ToolUseBlock(type="tool_use", id="a", name="read", input={}),
    ]
    result = {"type": "tool_result", "tool_use_id": "a", "content": "text"}
    messages = [*talk(0), {"role": "assistant", "content": content}, {"role": "user", "content": [result]}]
    fitted = fit(messages, MODEL, 1000)
    assert broken_rules(fitted.messages) == []
    assert fitted.messages[1]["content"][0] == {"type": "text", "text": "Look."}


def growing(history: list[Message], **settings: Any) -> Iterator[Fitted]:
    for end in range(1, len(history) + 1, 2):
        yield fit(history[:end], MODEL, 8000, **settings)


def test_each_turn_has_a_breakpoint_that_the_turn_before_wrote_but_where_it_was_cut() -> None:
    history = agent(120, 1500)
    written: set[str] = set()
    misses = 0
    for fitted in growing(history, system=SYSTEM * 30, tools=TOOLS):
        assert len(fitted.breakpoints) <= 4
        bodies = [json.dumps(bare(message)) for message in fitted.messages]
        readable = [n for n in range(1, len(bodies)) if "\n".join(bodies[:n]) in written]
        misses += not readable
        marked = [
            n
            for n, message in enumerate(fitted.messages)
            if any("cache_control" in each for each in as_blocks(message))
        ]
        written |= {"\n".join(bodies[: n + 1]) for n in marked}
    assert misses <= 6


def price(history: list[Message], monkeypatch: pytest.MonkeyPatch, notch: float) -> float:
    """What the input of all turns costs, in tokens at the full price: an entry is read at 0.1, written at 1.25."""
    monkeypatch.setattr("headway.context.room.NOTCH", notch)
    scale = Scale.of(facts_of(MODEL))
    entries: set[int] = set()
    cost = 0.0
    for fitted in growing(history):
        name, upto, best, last, marked = 0, 0.0, 0.0, 0.0, []
        for message in fitted.messages:
            name, upto = hash((name, json.dumps(bare(message)))), upto + scale.message(message).tokens
            best = upto if name in entries else best
            if any("cache_control" in block for block in as_blocks(message)):
                last = upto
                marked.append(name)
        entries.update(marked)
        written = max(0.0, last - best)
        cost += 0.1 * best + 1.25 * written + (upto - best - written)
    return cost


def test_cutting_in_notches_costs_less_than_half_of_cutting_just_enough(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    history = agent(160, 1500)
    assert price(history, monkeypatch, 0.25) < 0.5 * price(history, monkeypatch, 1e-9)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_recorded_conversations_stay_as_valid_as_they_were(strategy: Strategy) -> None:
    """But for two, whose ids of tools somebody mixed up: those are refused."""
    tried_of = refused = 0
    for request, _ in counted_requests():
        messages, facts = request["messages"], facts_of(request["model"])
        if len(messages) < 3 or facts is None:
            continue
        if broken_rules(messages, request.get("system"), request.get("tools")):
            refused += 1
            with pytest.raises(InputError):
                fit(messages, request["model"], 1000)
            continue
        around = {name: request[name] for name in ("system", "tools") if request.get(name)}
        try:
            whole_of = fit(messages, request["model"], 1000, **around).before.tokens
            fitted = fit(
                messages, request["model"], 1000, budget=int(whole_of * 0.7), strategy=strategy, **around
            )
        except RequestTooLarge:
            continue
        assert broken_rules(fitted.messages, fitted.system, fitted.tools) == []
        assert repeats(fitted.messages) <= repeats(messages)
        assert fitted.after.tokens <= int(whole_of * 0.7)
        tried_of += 1
    assert refused <= 2
    assert tried_of >= 5


def thoughtful(turns: int) -> list[Message]:
    """A chat in which every answer was thought about."""
    messages = talk(turns)
    for number in range(1, len(messages), 2):
        thought = {"type": "thinking", "thinking": f"Well, {number}. " * 30, "signature": "s"}
        messages[number] = {**messages[number], "content": [thought, *as_blocks(messages[number])]}
    return messages


def thinks(message: Message) -> bool:
    return any(block["type"] == "thinking" for block in as_blocks(message))


@pytest.mark.parametrize(
    "model", ["claude-opus-5-5", "claude-fable-5-1", "claude-haiku-5-5", "claude-nobody-9"]
)
def test_behind_a_cut_there_is_no_thinking_for_a_model_that_binds_it_to_what_was_before(model: str) -> None:
    messages = thoughtful(30)
    uncut = fit(messages, model, 1000, budget=1_000_000)
    assert sum(map(thinks, uncut.messages)) == 30
    assert uncut.dropped == ()
    fitted = fit(messages, model, 1000, budget=uncut.before.tokens // 2, strategy="ends")
    assert [number for number, message in enumerate(fitted.messages) if thinks(message)] == [1]
    assert [each.why for each in fitted.dropped][-1] == "thinking"
    assert "without their thinking" in str(fitted)
    assert count(fitted.arguments, model).tokens == pytest.approx(fitted.after.tokens, abs=80)
    again = fit(fitted.messages, model, 1000, budget=uncut.before.tokens // 2, strategy="ends")
    assert again.messages == fitted.messages


def test_behind_a_shortened_result_there_is_no_thinking_either_but_before_it_there_is() -> None:
    thought = {"type": "thinking", "thinking": "Well. " * 30, "signature": "s"}
    messages = agent(20, 600)
    for number in range(1, len(messages), 2):
        messages[number]["content"].insert(0, thought)
    whole = count({"messages": messages}, "claude-opus-5-5").tokens
    fitted = fit(messages, "claude-opus-5-5", 1000, budget=int(whole * 0.8), strategy="results")
    assert [number for number, message in enumerate(fitted.messages) if thinks(message)] == [1]
    assert broken_rules(fitted.messages) == []


def test_behind_a_cut_thinking_stays_where_the_model_takes_it() -> None:
    messages = thoughtful(30)
    fitted = fit(messages, "claude-opus-4-8", 1000, budget=4000)
    assert fitted.dropped
    assert any(map(thinks, fitted.messages))


@pytest.mark.parametrize(
    "wrong",
    [
        {"budget": float("nan")},
        {"budget": 0},
        {"budget": True},
        {"max_tokens": -1},
        {"max_tokens": "9"},
        {"messages": "Hello"},
        {"messages": {"role": "user"}},
        {"model": 42},
    ],
)
def test_what_is_no_conversation_or_no_number_is_refused(wrong: dict[str, Any]) -> None:
    asked: dict[str, Any] = {"messages": talk(1), "model": MODEL, "max_tokens": 10, **wrong}
    with pytest.raises(InputError):
        fit(**asked)
