"""What kind of text it is: English prose, which rules about words are for; code; and what of it is no instruction."""

from __future__ import annotations

import re

_WORD = re.compile(r"[^\W\d_]+(?:'[a-z]+)?")
# Frequent words that English alone has, or nearly so: not `in`, `is`, `a`, `an`, `was`, `die`, `is`, which others share.
_ENGLISH = frozenset(
    """the and of to you your that for with this are not be it from or have will should must can if when which what by as they
    their has do does use only each any all respond answer write please into using following given about text""".split()  # noqa: SIM905 # a list of seventy words in quotes is no easier to read
)
# Of the words of a text: 0.3 to 0.5 in English prose, less in a short order, below 0.1 in German, French, Spanish, Dutch.
_SHARE = 0.16
_FENCE = re.compile(
    r"```.*?(?:```|\Z)|<(example|document|context|data)s?>.*?</\1s?>", re.DOTALL | re.IGNORECASE
)
_CODE = re.compile(
    r"[;{]\s*$|^\s*(?:def|class|import|from|return|const|let|var|function|#include|public)\b|=>|\w\(\)",
    re.MULTILINE,
)
_LONG = 4_000  # characters that are looked at
_FEW = 4  # words, below which nothing is said


def is_english(text: str) -> bool:
    """Whether enough of its words are English; False for a few words, for code and for other languages."""
    words = [word.lower() for word in _WORD.findall(text[:_LONG])]
    return len(words) >= _FEW and sum(word in _ENGLISH for word in words) >= _SHARE * len(words)


def sentences(text: str) -> list[tuple[int, str]]:
    """The sentences of a text with where each begins; a line end ends one."""
    return [(match.start(), match[0]) for match in re.finditer(r"[^\s.!?][^.!?\n]*[.!?]?", text)]


def bare(text: str) -> str:
    """The text with code and examples blanked out, so that places stay where they are."""
    return _FENCE.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), text)


def is_code(text: str) -> bool:
    """Whether lines of it look like source code: braces in it mean something else."""
    return _CODE.search(text) is not None
