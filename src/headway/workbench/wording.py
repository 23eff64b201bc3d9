"""Rules about how things are said: vaguely (HW105), without marks (HW106), too early (HW107), in capitals (HW108)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from headway.workbench.english import bare, is_english
from headway.workbench.finding import Finding, Severity
from headway.workbench.prompts import Prompt, found

_VAGUE = re.compile(
    r"\b(?:etc\b\.?|and so (?:on|forth)|and the like|as appropriate|if appropriate|where appropriate|as (?:you see fit|"
    r"needed)|some kind of|something like|a (?:few|couple of|bunch of)|reasonably (?:short|long)|not too (?:long|short))",
    re.IGNORECASE,
)
_DATA_FIELD = re.compile(
    r"(?<![<{$/\"'`>])\{([A-Za-z_]*(?:text|document|article|content|body|email|ticket|review|transcript|passage|context|"
    r"conversation|history|comment|report|description)s?)\}(?![\"'`<}])",
    re.IGNORECASE,
)
_SHOUTS = re.compile(
    r"\b(?:MUST|NEVER|ALWAYS|CRITICAL|IMPORTANT|ABSOLUTELY|MANDATORY|DO NOT|UNDER NO CIRCUMSTANCES)\b"
)
_ASKS = re.compile(
    r"\?(?:\s|\Z)|(?:^|[.:!]\s+)(?:please )?(?:summari[sz]e|extract|list|answer|translate|classify|explain|find|tell me)\b",
    re.IGNORECASE,
)
_MANY_SHOUTS = 5
_BIG = 20_000  # tokens of a prompt from which on the order of document and question matters
_CHARS_PER_TOKEN = 4
_FEW_WORDS = 3


def vague(prompt: Prompt) -> Iterator[Finding]:
    """HW105: words that leave the amount or the kind open. Opt-in."""
    for piece in prompt.english:
        if piece.role != "system" and not prompt.is_template:
            continue
        for match in _VAGUE.finditer(bare(piece.text)):
            yield found(
                "HW105",
                Severity.INFO,
                piece,
                match.start(),
                f"{match[0]!r} leaves open what is meant.",
                "Give the number, or the whole list.",
            )


def no_delimiters(prompt: Prompt) -> Iterator[Finding]:
    """HW106: data within a line of instructions: where it ends, the model can only guess, and it may hold instructions."""
    if not prompt.is_template:
        return
    for piece in prompt.instructions:
        for match in _DATA_FIELD.finditer(piece.text):
            line = piece.text[piece.text.rfind("\n", 0, match.start()) + 1 :].split("\n", 1)[0]
            if len(re.findall(r"[A-Za-z]+", line.replace(match[0], ""))) < _FEW_WORDS:
                continue
            name = match[1]
            yield found(
                "HW106",
                Severity.INFO,
                piece,
                match.start(),
                f"{match[0]} stands within a line of instructions: nothing shows where it begins and ends.",
                f"<{name}>{match[0]}</{name}>",
            )


def question_first(prompt: Prompt) -> Iterator[Finding]:
    """HW107: a long document after the question. Answers are better with the question at the end."""
    users = [piece for piece in prompt.pieces if piece.role == "user"]
    if len(users) != 1 or prompt.is_template or len(users[0].text) < _BIG * _CHARS_PER_TOKEN:
        return
    text = users[0].text.rstrip()
    head, tail = text[:600], text[-600:]
    if is_english(head) and _ASKS.search(head) and not _ASKS.search(tail):
        yield found(
            "HW107",
            Severity.INFO,
            users[0],
            0,
            "The question stands before a long document.",
            "Put the document first, in tags, and the question last.",
        )


def shouting(prompt: Prompt) -> Iterator[Finding]:
    """HW108: capitals for emphasis. Newer models take them too seriously. Opt-in."""
    for piece in prompt.english:
        shouts = list(_SHOUTS.finditer(bare(piece.text)))
        if len(shouts) >= _MANY_SHOUTS and (piece.role == "system" or prompt.is_template):
            yield found(
                "HW108",
                Severity.INFO,
                piece,
                shouts[0].start(),
                f"{len(shouts)} words in capitals for emphasis: where all is stressed, nothing is.",
                "Say it plainly, and say why.",
            )
