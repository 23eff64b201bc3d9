"""How many input tokens a request will take, without a network: a linear fit on what its text is made of.

Two families of tokenizer: up to Claude 4.6 and Haiku 4.5, and 4.7 and later, which takes more tokens for most text.
The rates for text are fitted to 2,200 prompts, source files and documents counted by `ctok` (PyPI, MIT), an offline
reconstruction of the tokenizers that agreed with 230 of 236 recorded API counts; the hidden constants to recorded
exchanges. `benchmarks/estimate.py` prints how far off the result is. Bytes beyond ASCII: 0.36 tokens each, a prior that
is right for Chinese and Arabic, high for Japanese, Hindi and Russian, low for Korean.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate
from operator import mul
from typing import Any

from headway.core.call import Estimate
from headway.providers.blocks import At
from headway.providers.catalog import ModelFacts
from headway.providers.chain import Chain, Cut, fingerprint_of
from headway.providers.characters import Characters, count
from headway.providers.parsed import whole
from headway.providers.past import LONG, Past
from headway.providers.prefix import entries, named, shared_sections
from headway.providers.prompt import Prompt, Section, encoded


@dataclass(frozen=True, slots=True)
class _Family:
    """Tokens per thing, of one family of tokenizers. `text` is in the order of `Characters`."""

    text: tuple[float, ...]
    frame: float
    message: float
    tool: float
    tool_block: float
    thinking: float
    forced: float
    error: float  # relative standard deviation on plain text


_OLD = _Family(
    text=(0.05, 0.067, 0.33, 0.845, 0.169, 1.465, 0.127, 1.569, 0.36, 0.826, 1.613, 0.978),
    frame=4.0,
    message=3.5,
    tool=9.0,
    tool_block=25.0,
    thinking=28.0,
    forced=97.0,
    error=0.08,
)
_NEW = _Family(
    text=(0.25, 0.499, 0.33, 0.581, 0.19, 1.151, 0.297, 1.438, 0.36, 0.385, 1.587, 0.845),
    frame=4.5,
    message=1.5,
    tool=9.0,
    tool_block=25.0,
    thinking=0.0,
    forced=142.0,
    error=0.1,
)
# The hidden prompt that comes with tools, by generation; forcing a choice of tool changes it (0: not measurably).
_TOOLS = {"3": 262.0, "3.5": 285.0, "3.7": 302.0, "4": 306.0, "4.1": 306.0, "4.5": 489.0, "4.6": 489.0}
_TOOLS_OPUS_3, _TOOLS_NEWER = 527.0, 330.0
_FORCING_IS_FREE = frozenset({"4", "4.1"})
_STRUCTURED, _STRUCTURED_SCHEMA = 104.0, 1.57  # a constant, and so much per token of the schema
# Tools that run at the provider bring prompts of their own, and what they find is read as input within the same call.
_SERVER_TOOLS = {
    "web_search": 10_000.0,
    "web_fetch": 2_000.0,
    "code_execution": 4_100.0,
    "tool_search": 500.0,
    "memory": 1_050.0,
    "advisor": 1_700.0,
    "mcp_toolset": 2_700.0,
    "computer": 735.0,
    "text_editor": 700.0,
    "bash": 245.0,
}
_MCP, _SKILLS = 2_700.0, 4_000.0
_GUESS_ERROR = 0.5  # of images by reference, documents, sealed content
_SERVER_ERROR = 1.0
_BEYOND_ERROR = 0.3
_UNKNOWN_MIN_CACHEABLE = 4_096  # the most that any model asks for


def size(
    request: Mapping[str, Any],
    facts: ModelFacts | None,
    salt: bytes = b"",
    *,
    fingerprint: bool = False,
    body: bytes = b"",
    past: Past | None = None,
) -> Estimate:
    """The estimate of a request, with its fingerprint if that is wanted: `salt` keys the names in both. `body` is the request
    as it came, by which `past` knows it again. An unknown model is taken as a new one: rather too much than too little."""
    new = facts is None or facts.tokenizer != "3"
    family, known, keep = _NEW if new else _OLD, None, 0
    keeps = facts is None or facts.thinking != "last"
    if past is not None and len(body) >= LONG:
        known = past.find(body, request)
        keep = past.settled(body, request, known)
    read = known.read if known else None
    prompt = Prompt(request, fine=new, keeps_thinking=keeps, known=read, keep=keep)
    server = _server_tokens(request)
    parts = [_measure(section, family) for section in prompt.sections]
    tokens = [part[0] for part in parts]
    tokens[0] += _hidden_tokens(request, facts, family)
    total = server + sum(tokens)
    doubt = math.hypot(family.error * total, _SERVER_ERROR * server, *[part[1] for part in parts])
    most, error = whole(request.get("max_tokens")), min(1.0, doubt / total)
    if not (keep or known or prompt.is_cut):
        if not fingerprint:
            return Estimate(total, most, error=error)
        return Estimate(total, most, error=error, fingerprint=fingerprint_of(salt, request))
    closed = [number for number, section in enumerate(prompt.sections) if section.closed]
    least = facts.min_cacheable_tokens if facts else _UNKNOWN_MIN_CACHEABLE
    may_cache = bool(closed) and sum(tokens[: closed[-1] + 1]) >= least
    if not (fingerprint or keep or may_cache):
        return Estimate(total, most, error=error)
    breakpoints = [prompt.sections[number].at for number in closed]
    chain = known.chain.copy(known.chain.cuts) if known else Chain(salt, request.get("model"))
    kept = named(
        chain, request, breakpoints, first=known.read.messages if known else 0, keep=keep, shown=fingerprint
    )
    if kept is not None and past is not None:
        past.keep(body, request["messages"], keep, prompt.kept, kept, known)
    shown = chain.fingerprint() if fingerprint else b""
    cached = _cached(prompt, closed, entries(chain, breakpoints), tokens, least) if may_cache else {}
    return Estimate(total, most, error=error, fingerprint=shown, **cached)


def _cached(
    prompt: Prompt, closed: list[int], found: Mapping[At, Cut], tokens: list[float], least: float
) -> dict[str, Any]:
    """What of a request the prompt cache may hold; `tokens` are those of each section, the `closed` of which end at a
    breakpoint, `found` the places where entries may end. Entries below `least` are not kept."""
    upto = list(accumulate(tokens))
    marked = {prompt.sections[number].at: upto[number] for number in closed}
    marked = {at: amount for at, amount in marked.items() if at in found}
    if not marked:
        return {}
    last = max(marked, key=lambda at: found[at].size)
    a_byte = marked[last] / max(found[last].size, 1)
    readable = [(cut.name, marked.get(at, cut.size * a_byte)) for at, cut in found.items()]
    readable = sorted((each for each in readable if each[1] >= least), key=lambda each: -each[1])
    shared = shared_sections(prompt)
    cacheable = upto[len(shared) - 1]
    at = shared[-1].at
    return {
        "cacheable_tokens": cacheable if cacheable >= least and at in found else 0.0,
        "prefix": found[at].name if cacheable >= least and at in found else "",
        "written": tuple(found[at].name for at, amount in marked.items() if amount >= least),
        "readable": tuple(readable),
    }


def _measure(section: Section, family: _Family) -> tuple[float, float]:
    """Tokens of a section, and how unsure they are beyond the error of plain text (standard deviation, tokens)."""
    characters = section.text()
    tokens = (
        _text_tokens(characters, family)
        + section.fixed
        + family.message * section.messages
        + family.tool_block * section.tool_blocks
    )
    if section.tools:
        tokens += _text_tokens(section.tools_text(), family) + family.tool * section.tools
    if not section.fixed and not characters.beyond:
        return tokens, 0.0
    beyond = family.text[8] * characters.beyond
    return tokens, math.hypot(_GUESS_ERROR * section.fixed, _BEYOND_ERROR * beyond)


def _text_tokens(characters: Characters, family: _Family) -> float:
    tokens: float = sum(map(mul, family.text, characters))
    return tokens


def _hidden_tokens(request: Mapping[str, Any], facts: ModelFacts | None, family: _Family) -> float:
    """What the API puts before a prompt: its frame, and instructions for tools, forced choice, structure, thinking."""
    tokens = family.frame
    if request.get("tools"):
        tokens += _tools_prompt(facts)
        choice = request.get("tool_choice")
        forced = isinstance(choice, dict) and choice.get("type") in ("any", "tool")
        if forced and not (facts and facts.generation in _FORCING_IS_FREE):
            tokens += family.forced
    config = request.get("output_config")
    layout = request.get("output_format") or (config.get("format") if isinstance(config, dict) else None)
    if layout:
        schema = layout.get("schema") if isinstance(layout, dict) else None
        tokens += _STRUCTURED + _STRUCTURED_SCHEMA * _text_tokens(count(encoded(schema)), family)
    thinking = request.get("thinking")
    if isinstance(thinking, dict) and thinking.get("type") in ("enabled", "adaptive"):
        tokens += family.thinking
    return tokens


def _tools_prompt(facts: ModelFacts | None) -> float:
    if facts is None:
        return _TOOLS_NEWER
    if facts.family == "opus" and facts.generation == "3":
        return _TOOLS_OPUS_3
    return _TOOLS.get(facts.generation, _TOOLS_NEWER)


def _server_tokens(request: Mapping[str, Any]) -> float:
    """What tools of the provider add: most of it depends on what the model does with them, so this is rough."""
    tools, container = request.get("tools"), request.get("container")
    if not (tools or container or request.get("mcp_servers")):
        return 0.0
    kinds = (
        [str(tool.get("type") or "") for tool in tools if isinstance(tool, dict)]
        if isinstance(tools, list)
        else []
    )
    tokens = sum(
        most for kind in kinds if kind for name, most in _SERVER_TOOLS.items() if kind.startswith(name)
    )
    if isinstance(container, dict) and container.get("skills"):
        tokens += _SKILLS
    return tokens + (_MCP if request.get("mcp_servers") else 0.0)
