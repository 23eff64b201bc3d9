"""How many input tokens a request will take, without a network: a linear fit on character classes.

The fit is on recorded exchanges (see `benchmarks/estimate.py`, which prints how far off it is). Two families of
tokenizer: up to Claude 4.6 and Haiku 4.5, and 4.7 and later, which takes more tokens for the same text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from headway.core.call import Estimate
from headway.providers.catalog import ModelFacts
from headway.providers.parsed import whole
from headway.providers.prefix import prefix_name, shared_sections
from headway.providers.prompt import Prompt, Section


@dataclass(frozen=True, slots=True)
class Rates:
    """Tokens for each of what a prompt is made of."""

    frame: float
    letter: float
    word: float
    digit: float
    space: float
    mark: float
    byte_beyond_ascii: float
    tools_char: float
    message: float
    tool_block: float
    tool: float
    forced: float
    structured: float
    thinking: float


OLD = Rates(5.5, 0.102, 0.167, 1.14, 0.51, 0.71, 1 / 3, 0.257, 2.8, 29, 13, 71, 119, 29)
NEW = Rates(5.5, 0.13, 0.22, 1.14, 0.6, 0.85, 1 / 3, 0.33, 2.8, 29, 13, 142, 119, 29)
_TOOLS = {"3": 250.0, "3.5": 250.0, "3.7": 250.0, "4": 307.0, "4.1": 307.0, "4.5": 474.0, "4.6": 474.0}
_TOOLS_NEWER = 359.0
OLD_ERROR, NEW_ERROR = 0.12, 0.16  # relative standard deviation, measured


def _table(letter: str, digit: str, space: str, mark: str) -> bytes:
    kinds = [letter, digit, space, mark]
    return "".join(
        "~"
        if char > 127
        else kinds[
            0 if chr(char).isalpha() else 1 if chr(char).isdigit() else 2 if chr(char).isspace() else 3
        ]
        for char in range(256)
    ).encode()


_CLASSES = _table("a", "0", " ", ".")
_WORDS = _table("a", " ", " ", " ").replace(b"~", b" ")


def count(texts: Sequence[str]) -> tuple[int, int, int, int, int, int]:
    """Letters, words (runs of letters), digits, white space, other marks, and bytes beyond ASCII, at the speed of C."""
    data = "\n".join(texts).encode("utf-8", "surrogatepass")
    kinds = data.translate(_CLASSES)
    letters, digits, spaces = kinds.count(b"a"), kinds.count(b"0"), kinds.count(b" ")
    marks = kinds.count(b".")
    words = data.translate(_WORDS)
    runs = words.count(b" a") + (words[:1] == b"a")
    return letters, runs, digits, spaces, marks, len(data) - letters - digits - spaces - marks


def section_tokens(section: Section, rates: Rates) -> float:
    """What one section takes, without the hidden prompts."""
    letters, words, digits, spaces, marks, beyond = count(section.texts)
    return (
        section.fixed
        + rates.letter * letters
        + rates.word * words
        + rates.digit * digits
        + rates.space * spaces
        + rates.mark * marks
        + rates.byte_beyond_ascii * beyond
        + rates.tools_char * section.tools_chars
        + rates.tool * section.tools
        + rates.message * section.messages
        + rates.tool_block * section.tool_blocks
    )


def hidden_tokens(request: Mapping[str, Any], facts: ModelFacts | None, rates: Rates) -> float:
    """What the API puts before a prompt: its frame, and instructions for tools, forced choice, structure, thinking."""
    tokens = rates.frame
    if request.get("tools"):
        tokens += _TOOLS.get(facts.generation, _TOOLS_NEWER) if facts else _TOOLS_NEWER
        choice = request.get("tool_choice")
        if isinstance(choice, Mapping) and choice.get("type") in ("any", "tool"):
            tokens += rates.forced
    config = request.get("output_config")
    if request.get("output_format") or (isinstance(config, Mapping) and config.get("format")):
        tokens += rates.structured
    thinking = request.get("thinking")
    if isinstance(thinking, Mapping) and thinking.get("type") in ("enabled", "adaptive"):
        tokens += rates.thinking
    return tokens


def size(request: Mapping[str, Any], facts: ModelFacts | None, salt: bytes = b"") -> Estimate:
    """The estimate of a request. An unknown model is taken as a new one: rather too much than too little."""
    new = facts is None or facts.tokenizer != "3"
    rates = NEW if new else OLD
    prompt = Prompt(request, fine=new)
    hidden = hidden_tokens(request, facts, rates)
    sizes = [section_tokens(section, rates) for section in prompt.sections]
    shared = shared_sections(prompt)
    cacheable = hidden + sum(sizes[: len(shared)]) if shared else 0.0
    if facts is None or cacheable < facts.min_cacheable_tokens:
        cacheable = 0.0
    return Estimate(
        input_tokens=hidden + sum(sizes),
        max_output_tokens=whole(request.get("max_tokens")),
        cacheable_tokens=cacheable,
        prefix=prefix_name(request, shared[-1], salt) if cacheable else "",
        error=NEW_ERROR if new else OLD_ERROR,
    )
