"""Rules about what is missing: the text that is named (HW101), what a place should hold (HW102), a form (HW104)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from headway.workbench.english import bare, is_code, is_english, sentences
from headway.workbench.finding import Finding, Severity
from headway.workbench.prompts import Piece, Prompt, found

_ATTACHED = re.compile(
    r"\b(?:summari[sz]e|describe|analy[sz]e|classify|read|review|translate|transcribe|examine|inspect|proofread|look at|"
    r"refer to|based on|according to|extract\b[^.\n]{0,40}\bfrom)\s+(?:only\s+)?(?:the|this|these|my)\s+"
    r"(?:attached|enclosed|uploaded)\s+\w+",
    re.IGNORECASE,
)
_BELOW = re.compile(
    r"\b(?:the (?:following|text below|document below|passage below)|(?:below is|here is) (?:the|a) )[^.\n]{0,60}:\s*\Z",
    re.IGNORECASE,
)
_LEFT_OVER = re.compile(
    r"\[(?:INSERT|YOUR|ADD|PASTE|FILL IN|ENTER)\b[^\]\n]{0,60}\]|<(?:INSERT|YOUR|PASTE)[ _][^>\n]{0,60}>|\bTODO:|\bFIXME:|"
    r"\blorem ipsum\b"
)
_UNFILLED = re.compile(r"\{\{\s*[A-Za-z_]\w*\s*\}\}|\$\{[A-Za-z_]\w*\}|(?<![\w{$]){[A-Za-z_]\w*}(?!})")
_ASKS = re.compile(
    r"(?:^|(?:please|then|and|must|should|to)\s+)(extract|classify|categori[sz]e|label|parse|identify|list|tag|score|rate)\b",
    re.IGNORECASE,
)
_FORMAT = re.compile(
    r"\b(?:json|xml|yaml|csv|tables?|markdown|bullets?|bullet points|numbered|one word|single word|formats?|formatted|"
    r"format:|respond with|answer with|reply with|output|returns?|tags?|schema|comma[- ]separated|per line|each line|"
    r"on (?:its own|a new|a separate) line|sentences?|columns?|yes or no|true or false|one of|either|exactly|integer|"
    r"separated by|number from|from \d|labels?:|categories:|structured|function|tool)\b|[\"“][\w ]+[\"”]",
    re.IGNORECASE,
)
_IN_MANY = 0.1  # of the lines of a job
_FEW_PLACES = 3  # with more, the text is about templates


def named_but_missing(prompt: Prompt) -> Iterator[Finding]:
    """HW101: something attached or following is named, and nothing is there."""
    if _has_other_content(prompt):
        return
    for piece in prompt.english:
        for match in _ATTACHED.finditer(bare(piece.text)):
            yield found(
                "HW101",
                Severity.WARNING,
                piece,
                match.start(),
                f"{match[0]!r}: no image, document or file is in the request.",
                "Put the document into the prompt, in tags such as <document>…</document>, or attach it as a block.",
            )
    last = prompt.pieces[-1] if prompt.pieces else None
    if last is None or last.role != "user" or not is_english(last.text):
        return
    if (follows := _BELOW.search(last.text.rstrip())) is not None:
        reason = "The prompt ends where it says that something follows."
        better = "Add what follows: {text} in a template."
        yield found("HW101", Severity.WARNING, last, follows.start(), reason, better)


def left_over(prompt: Prompt) -> Iterator[Finding]:
    """HW102: a place that nobody filled."""
    for piece in prompt.instructions:
        for match in () if is_code(piece.text) else _LEFT_OVER.finditer(bare(piece.text)):
            yield found(
                "HW102",
                Severity.WARNING,
                piece,
                match.start(),
                f"{match[0]!r} is left over from writing the prompt.",
                "Fill it, or take it out.",
            )


def unfilled(prompts: Sequence[Prompt]) -> Iterator[Finding]:
    """HW102, too: {name} in a request that goes out. In a job, many lines must have it: one may be about templates."""
    spots: dict[str, list[tuple[Piece, int]]] = {}
    for prompt in prompts:
        for piece in () if prompt.is_template else prompt.instructions:
            names = {match[0]: match.start() for match in _UNFILLED.finditer(bare(piece.text))}
            if len(names) <= _FEW_PLACES and not is_code(piece.text):
                for name, at in names.items():
                    spots.setdefault(name, []).append((piece, at))
    for name, places in spots.items():
        if len(places) >= _IN_MANY * len(prompts):
            piece, at = places[0]
            reason = f"{name} goes out as it stands: the template was not filled."
            yield found(
                "HW102", Severity.WARNING, piece, at, reason, f"Put the value in the place of {name}."
            )


def no_format(prompt: Prompt) -> Iterator[Finding]:
    """HW104: a program will read the output, by the look of the task, and nothing says what form it has."""
    request = prompt.request
    if any(request.get(key) for key in ("tools", "output_config", "output_format", "stop_sequences")):
        return
    pieces = [piece for piece in prompt.english if piece.role == "system" or prompt.is_template]
    if any(_FORMAT.search(piece.text) for piece in prompt.instructions):
        return
    if prompt.pieces and prompt.pieces[-1].role == "assistant":
        return
    for piece in pieces:
        for start, sentence in sentences(bare(piece.text)):
            if (match := _ASKS.match(sentence)) is not None:
                yield found(
                    "HW104",
                    Severity.INFO,
                    piece,
                    start,
                    f"It asks to {match[1].lower()}, and does not say in which form.",
                    "Say it, with an example: “Answer with one word: billing, delivery or other.”",
                )
                return


def _has_other_content(prompt: Prompt) -> bool:
    """Whether there is anything but text: images, documents, files, results of tools, or tools that may fetch it."""
    if prompt.request.get("tools") or prompt.request.get("container") or prompt.request.get("mcp_servers"):
        return True
    messages = prompt.request.get("messages")
    for message in messages if isinstance(messages, list) else []:
        content = message.get("content") if isinstance(message, dict) else None
        if isinstance(content, list) and any(
            isinstance(block, dict) and not isinstance(block.get("text"), str) for block in content
        ):
            return True
    return False
