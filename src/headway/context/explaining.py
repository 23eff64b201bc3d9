"""Where the tokens of a request go, largest first, and what of it the prompt cache can hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import Any

from headway.context.counting import Count, facts_of, judged, named, plain
from headway.providers.shares import Scale, Share, Weight, lives_an_hour, shares, total

UNKNOWN_LEAST = 4_096  # tokens before the prompt cache keeps anything, of a model that is not known
_LEAST_SHOWN, _MOST_SHOWN = 3, 20  # lines of a table
_WORTH_A_LINE = 0.005  # of all tokens
_THINKING = ("thinking", "redacted_thinking")


@dataclass(frozen=True, slots=True)
class Item:
    """One piece: the frame, a tool, a block of the system prompt, a message. `share` is of all tokens, 0 to 1.

    `where` is its place in the request, such as "messages[3]"; `kinds` what it is made of ("text", "tool_result", ...).
    `cacheable`: before the last breakpoint that holds. `marked`: a breakpoint is on it.
    """

    where: str
    role: str
    name: str
    kinds: tuple[str, ...]
    tokens: int
    share: float
    marked: bool
    cacheable: bool


@dataclass(frozen=True, slots=True)
class Breakpoint:
    """A place up to which the prompt cache is asked to keep a request. `keeps`: enough tokens are before it. `hour`: for an
    hour, which costs more to write than five minutes."""

    where: str
    tokens: int
    keeps: bool
    hour: bool = False


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a request is made of. `items` are largest first; `kinds` adds tokens up by what they are.

    `window` is the context window of the model (None: not known), `cacheable` the tokens before the last breakpoint that
    holds, `least` the fewest that the cache keeps. `str()` is a table.
    """

    model: str
    count: Count
    window: int | None
    items: tuple[Item, ...]
    kinds: Mapping[str, int]
    breakpoints: tuple[Breakpoint, ...]
    cacheable: int
    least: int

    def to_dict(self) -> dict[str, Any]:
        """The same for JSON."""
        return asdict(self)

    def split(self) -> tuple[tuple[Item, ...], tuple[Item, ...]]:
        """The items that are worth a line of a table, and all the others."""
        worth = sum(item.share >= _WORTH_A_LINE for item in self.items)
        count = min(max(worth, _LEAST_SHOWN), _MOST_SHOWN)
        count = len(self.items) if len(self.items) - count < 2 else count  # one left over takes a line, too
        return self.items[:count], self.items[count:]

    def __str__(self) -> str:
        return "\n".join(_lines(self))


def explain(request: Mapping[str, Any], model: str | None = None) -> Explanation:
    """Say where the tokens of a request go. `model`: another than the request names. Nothing is sent.

    Raises InputError if no model is named.
    """
    meant = named(request, model)
    facts, request = facts_of(meant), plain(request)
    found = shares(request, facts)
    scale, whole = Scale.of(facts), total([share.weight for share in found])
    least = facts.min_cacheable_tokens if facts else UNKNOWN_LEAST
    automatic = bool(request.get("cache_control")), lives_an_hour(request)
    marks = tuple(_breakpoints(found, least, *automatic))
    cacheable = max((mark.tokens for mark in marks if mark.keeps), default=0)
    return Explanation(
        model=meant,
        count=judged(whole, scale.error),
        window=facts.context_tokens if facts else None,
        items=tuple(sorted(_items(found, whole, cacheable), key=lambda item: -item.tokens)),
        kinds=_kinds(found),
        breakpoints=marks,
        cacheable=cacheable,
        least=least,
    )


def where(part: str, index: int, block: int | None = None) -> str:
    """A place in a request, as one would write it in code."""
    inner = "" if block is None else f".content[{block}]"
    match part:
        case "tools":
            return f"tools[{index}]"
        case "system":
            return "system" if block is None else f"system[{block}]"
        case "messages":
            return f"messages[{index}]{inner}"
        case _:
            return "added by the API"


def _items(found: Sequence[Share], whole: Weight, cacheable: int) -> Iterator[Item]:
    upto = 0.0
    for (part, index), group in groupby(found, key=lambda share: (share.part, share.index)):
        pieces = list(group)
        tokens = sum(piece.weight.tokens for piece in pieces)
        upto += tokens
        first = pieces[0]
        yield Item(
            where=where(part, index),
            role=first.role,
            name=first.name or (first.kind if part == "hidden" else ""),
            kinds=tuple(dict.fromkeys(piece.kind for piece in pieces)),
            tokens=round(tokens),
            share=tokens / whole.tokens if whole.tokens else 0.0,
            marked=any(piece.marked for piece in pieces),
            cacheable=round(upto) <= cacheable,
        )


def _breakpoints(
    found: Sequence[Share], least: int, is_automatic: bool, automatic_hour: bool
) -> Iterator[Breakpoint]:
    upto, last = 0.0, len(found) - 1
    for number, share in enumerate(found):
        upto += share.weight.tokens
        if share.marked or (is_automatic and number == last):
            place = where(share.part, share.index, None if share.part == "tools" else share.block)
            yield Breakpoint(
                place, round(upto), upto >= least, share.hour or (automatic_hour and number == last)
            )


def _kinds(found: Sequence[Share]) -> dict[str, int]:
    """Tokens by what they are: system text apart from that of messages."""
    sums: dict[str, float] = {}
    for share in found:
        kind = _kind(share)
        sums[kind] = sums.get(kind, 0.0) + share.weight.tokens
    return {kind: round(tokens) for kind, tokens in sorted(sums.items(), key=lambda each: -each[1])}


def _kind(share: Share) -> str:
    if share.part == "hidden":
        return "added by the API"
    if share.part == "tools":
        return f"{share.kind}s"
    if share.part == "system":
        return "system prompt"
    return "thinking" if share.kind in _THINKING else share.kind


def _lines(explanation: Explanation) -> Iterator[str]:
    window = f" of {explanation.window:,}" if explanation.window else ""
    yield f"{explanation.model}: {explanation.count} tokens{window}"
    yield ""
    yield f"{'tokens':>10}  {'share':>6}  what"
    shown, rest = explanation.split()
    for item in shown:
        yield f"{item.tokens:>10,}  {item.share:>6.1%}  {said(item)}"
    if rest:
        tokens, share = sum(item.tokens for item in rest), sum(item.share for item in rest)
        yield f"{tokens:>10,}  {share:>6.1%}  {len(rest):,} smaller ones"
    yield ""
    yield "by kind: " + ", ".join(f"{kind} {tokens:,}" for kind, tokens in explanation.kinds.items())
    yield from cache_lines(explanation)


def said(item: Item) -> str:
    """A piece in words. Names come from the request: what a terminal would obey is taken out."""
    if item.where.startswith("added"):
        return f"{item.where}: {item.name}"
    words = [item.where, item.role, ", ".join(item.kinds) if item.role else "", item.name]
    text = " ".join(filter(None, words)) + (" [breakpoint]" if item.marked else "")
    return "".join(char if char.isprintable() else "\ufffd" for char in text)


def cache_lines(explanation: Explanation) -> Iterator[str]:
    """What the prompt cache can hold of it, in sentences."""
    least = f"{explanation.least:,} tokens"
    if not explanation.breakpoints:
        yield f"cache: no breakpoint; from {least} on one would pay for what comes again"
    for mark in explanation.breakpoints:
        word = "kept" if mark.keeps else f"too short to be kept (less than {least})"
        yield f"cache: {mark.tokens:,} tokens up to {mark.where}, {word}"
