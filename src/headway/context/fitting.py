"""Fits a conversation into the window of its model, or into a budget of tokens, so that the prompt cache survives it.

What has to be cut is rounded up to whole *notches*, a quarter of the room each. So the turn that first goes over cuts more
than it must, and the turns after it, until a notch has filled up, are cut in exactly the same places: their beginning is
the same, and is read from the prompt cache. Cutting just enough would change the beginning with every turn, and every
turn would pay for all of it. It depends on the conversation alone, so nothing has to be remembered between turns: give
the whole history each time, or what the last fit returned with the new messages after it.

Some models bind thinking to all that came before it, and refuse it once that has changed. For them, and for models that are
not known, a cut takes the thinking behind it out, too
(https://platform.claude.com/docs/en/build-with-claude/preserved-thinking).

The budget is held by estimate. The window is held by the high end of the estimate's interval, because a prompt beyond it
is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from math import ceil
from typing import Any

from headway.context.conversation import Conversation
from headway.context.counting import named, plain
from headway.context.cutting import STRATEGIES, Strategy, cuts
from headway.context.explaining import where
from headway.context.fitted import Cut, Fitted
from headway.context.marks import unmarked
from headway.context.room import Room
from headway.context.turns import check
from headway.errors import InputError, RequestTooLarge
from headway.providers.shares import Weight

Pinned = Collection[int] | Callable[[Mapping[str, Any]], bool]


def fit(
    messages: Iterable[Any],
    model: str,
    max_tokens: int,
    *,
    strategy: Strategy = "oldest",
    budget: int | None = None,
    system: str | Sequence[Any] | None = None,
    tools: Sequence[Any] | None = None,
    pinned: Pinned = (),
    cache: bool = True,
) -> Fitted:
    """Trim a conversation so that it fits, and set cache breakpoints where they pay. What is given is never changed.

    `max_tokens` is the room that the reply needs. `budget`: at most so many input tokens, by estimate; None: what the window
    of the model has room for. `strategy`: "oldest" drops the oldest turns; "results" first replaces long results of tools
    by a note; "ends" keeps the first message of the user, too. `pinned` stays in any case: numbers of messages (from the
    end if negative), or what says so of a message. System prompt, tools and the newest turn always stay.
    `cache=False` leaves breakpoints alone.

    Raises RequestTooLarge if what must stay is too large (`excess` tokens too many), InputError for a conversation that the
    API would not take, or a model that the catalog does not know where there is no `budget`.
    """
    meant = named({}, model)
    _check_given(messages, max_tokens, budget)
    given = plain(list(messages))
    check(given)
    if strategy not in STRATEGIES:
        raise InputError(f"unknown strategy {strategy!r}", hint=f"One of {', '.join(STRATEGIES)}.")
    if cache:
        given = [_unmarked(message) for message in given]
    room = Room.of(meant, max_tokens, budget, plain(system), plain(tools))
    stay = _numbers(pinned, given)
    weights = [room.scale.message(message) for message in given]
    orphans, order = cuts(
        given, [each.tokens for each in weights], strategy, stay, room.scale, room.for_messages
    )
    talk = Conversation(room, dict(enumerate(given)), dict(enumerate(weights)))
    before = talk.weight
    gone = [talk.make(Cut(orphans, "orphan"))] if orphans else []
    after = list(talk.foreseen(order))
    wanted = _wanted(room, after)
    gone += [talk.make(cut) for cut in order[:wanted]]
    if gone and room.binds_thinking and (cut := talk.unthink(min(min(each.messages) for each in gone))):
        gone.append(talk.make(cut))
    if not room.bears(talk.weight):
        raise _too_large(talk, stay)
    can_go = after[wanted].tokens - after[-1].tokens
    marks = talk.mark(goes_on=talk.goes_on(can_go)) if cache else ()
    return talk.fitted(before, gone, marks, stay)


def _wanted(room: Room, after: Sequence[Weight]) -> int:
    """How many cuts to make, where `after` is what is left after none, one, two of them: up to the next notch that does.

    If not so much can go, as few as will do; if nothing does, all.
    """
    if room.allows(after[0]):
        return 0
    full, notch = after[0].tokens, room.notch
    notches, count = max(1, ceil((full - room.limit) / notch)), 0
    while full - after[-1].tokens >= notches * notch:
        while full - after[count].tokens < notches * notch:
            count += 1
        if room.allows(after[count]):
            return count
        notches += 1
    return next((few for few, weight in enumerate(after) if room.allows(weight)), len(after) - 1)


def _check_given(messages: object, max_tokens: object, budget: object) -> None:
    """Refuse what is no conversation and no number of tokens. Raises InputError."""
    if isinstance(messages, str | bytes | Mapping):
        raise InputError(f"messages must be a list, not {type(messages).__name__}")
    for name, value, least in (("max_tokens", max_tokens, 0), ("budget", 1 if budget is None else budget, 1)):
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise InputError(f"{name} must be a whole number from {least} on, not {value!r:.40}")


def _unmarked(message: dict[str, Any]) -> dict[str, Any]:
    content = unmarked(message["content"])
    return message if content is message["content"] else {**message, "content": content}


def _numbers(pinned: Pinned, messages: Sequence[Mapping[str, Any]]) -> frozenset[int]:
    """Which messages are pinned, counted from the start. Raises InputError for a number that none has."""
    if callable(pinned):
        return frozenset(number for number, message in enumerate(messages) if pinned(message))
    count = len(messages)
    for number in pinned:
        if not -count <= number < count:
            raise InputError(f"messages[{number}] is pinned, but there are only {count:,} messages")
    return frozenset(number % count for number in pinned)


def _too_large(talk: Conversation, stay: frozenset[int]) -> RequestTooLarge:
    """What cannot go is too large: by how much, and what is largest in it."""
    room, tokens = talk.room, round(talk.weight.tokens)
    most = int(room.hard)
    sizes = {where("messages", number): weight.tokens for number, weight in talk.weights.items()} | {
        "system": room.system_weight.tokens,
        "tools": room.tools_weight.tokens,
    }
    largest = max(sizes, key=lambda name: sizes[name])
    pinned = " pinned and" if stay else ""
    return RequestTooLarge(
        f"system prompt, tools and the{pinned} newest messages take about {tokens:,} tokens, {tokens - most:,} over the "
        f"{most:,} there is room for; the largest is {largest} with about {sizes[largest]:,.0f}",
        what=largest,
        tokens=tokens,
        most=most,
        hint=f"Shorten {largest}, lower max_tokens, or choose a model with a larger window.",
    )
