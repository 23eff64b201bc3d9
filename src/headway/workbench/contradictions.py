"""The rule about instructions that cannot both be obeyed, HW103."""

from __future__ import annotations

import re
from collections.abc import Iterator

from headway.workbench.english import bare
from headway.workbench.finding import Finding, Severity
from headway.workbench.prompts import Piece, Prompt, found

_BRIEF = re.compile(
    r"\b(?:be (?:very |as )?(?:brief|concise|terse|succinct|short)|(?:keep|make) (?:it|(?:your |the )?(?:answers?|responses?|"
    r"repl(?:y|ies)|summar(?:y|ies))) (?:short|brief|concise)|as (?:short|brief|concise) as possible|"
    r"(?:concise|brief|terse|succinct) (?:answers?|responses?|repl(?:y|ies)))\b",
    re.IGNORECASE,
)
_LONG = re.compile(
    r"\b(?:be (?:very |as )?(?:detailed|thorough|comprehensive|exhaustive|verbose)|in (?:great |full |as much )detail|"
    r"as (?:detailed|thorough) as possible|(?:detailed|comprehensive|exhaustive|in-depth) (?:answers?|responses?|"
    r"repl(?:y|ies)|explanations?)|at least (?:\d{3,}|[2-9]\d) words|elaborate on (?:each|every))\b",
    re.IGNORECASE,
)
_ONLY_JSON = re.compile(
    r"\b(?:(?:only|just|nothing but|exclusively) (?:with )?(?:a |an |the )?(?:valid |raw )?JSON\b|"
    r"JSON (?:object )?(?:only|and nothing else))",
    re.IGNORECASE,
)
_EXPLAIN = re.compile(
    r"\b(?:explain (?:your|the) (?:reasoning|answer|choice|decision)|show your (?:work|reasoning)|(?:think|reason) (?:out "
    r"loud|step[- ]by[- ]step)|(?:add|include|with) an explanation (?:before|after|of your))\b",
    re.IGNORECASE,
)
_HAS_PLACE = re.compile(
    r"<(?:thinking|reasoning|scratchpad)>|[\"'`](?:reason|reasoning|explanation|rationale|thoughts?)[\"'`]",
    re.IGNORECASE,
)
_IN_LANGUAGE = re.compile(
    r"\b(?:respond|answer|reply|write)(?: only| always| everything)? in "
    r"(English|French|German|Spanish|Italian|Portuguese|Dutch|Polish|Russian|Chinese|Japanese|Korean|Arabic|Hindi|Turkish)\b",
    re.IGNORECASE,
)
_LAYOUT = r"(markdown|bullet points?|bullets|numbered lists?|emojis?|headings|tables)"
_WITHOUT = re.compile(
    rf"\b(?:do not|don't|never|avoid|without|no) (?:use |using |any |include )*{_LAYOUT}\b", re.IGNORECASE
)
_USE = re.compile(
    r"(?<!not )(?<!n't )(?<!never )(?<!avoid )\b(?:use|using|include|format (?:\w+ )?(?:as|with|in)|as) (?:a |an )?"
    rf"{_LAYOUT}\b",
    re.IGNORECASE,
)
_NEGATED = re.compile(
    r"(?:\bnot|n't|\bnever|\bavoid|\bwithout|\bunless|\bif (?:asked|the user)|\bwhen asked)[^.\n]{0,40}\Z",
    re.IGNORECASE,
)
_Spot = tuple[Piece, re.Match[str]]


def contradictions(prompt: Prompt) -> Iterator[Finding]:
    """HW103: two instructions that cannot both be obeyed."""
    pieces = [piece for piece in prompt.english if piece.role == "system" or prompt.is_template]
    texts = [(piece, bare(piece.text)) for piece in pieces]
    together = "\n".join(text for _, text in texts)
    pairs = [
        (_BRIEF, _LONG, "to be brief, and to be long", "Say how long, in numbers: “at most three sentences”.")
    ]
    if not _HAS_PLACE.search(together):
        better = 'Give the reasoning a place: a "reasoning" key before the others, or <thinking> tags outside the JSON.'
        pairs.append((_ONLY_JSON, _EXPLAIN, "to give JSON alone, and to explain", better))
    for first, second, what, better in pairs:
        one, other = _first(texts, first), _first(texts, second)
        if one and other:
            yield _both(one, other, what, better)
    yield from _languages(texts)
    yield from _layouts(texts)


def _first(texts: list[tuple[Piece, str]], pattern: re.Pattern[str]) -> _Spot | None:
    for piece, text in texts:
        for match in pattern.finditer(text):
            if not _NEGATED.search(text[: match.start()]):
                return piece, match
    return None


def _both(one: _Spot, other: _Spot, what: str, better: str) -> Finding:
    return found(
        "HW103",
        Severity.WARNING,
        other[0],
        other[1].start(),
        f"Told {what}: {one[1][0]!r} at {one[0].at(one[1].start())}, and {other[1][0]!r} here.",
        better,
    )


def _languages(texts: list[tuple[Piece, str]]) -> Iterator[Finding]:
    spots = [(piece, match) for piece, text in texts for match in _IN_LANGUAGE.finditer(text)]
    for spot in spots[1:]:
        if spot[1][1].lower() != spots[0][1][1].lower():
            yield _both(
                spots[0],
                spot,
                "to answer in two languages",
                "Name one language, or say when each of them holds.",
            )
            return


def _layouts(texts: list[tuple[Piece, str]]) -> Iterator[Finding]:
    wanted = [
        (piece, match)
        for piece, text in texts
        for match in _USE.finditer(text)
        if not _NEGATED.search(text[: match.start()])
    ]
    for piece, text in texts:
        for match in _WITHOUT.finditer(text):
            for spot in wanted:
                if spot[1][1].lower().rstrip("s") == match[1].lower().rstrip("s"):
                    better = "Say where each holds, or keep one of them."
                    yield _both(spot, (piece, match), f"to use {match[1]}, and not to", better)
                    return
