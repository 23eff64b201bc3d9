"""Reads a job file for a plan: every line is checked as `headway run` checks it, but sized by its bytes.

`run` sizes every line by what its text is made of, some 50 us each. A plan sizes only a sample like that and learns the
tokens a byte from it. What cannot be judged at a glance (an odd form, a prompt near the window, a cache breakpoint at a
place not seen before) goes through the check of `run` itself: so bad lines are the same ones, in the same words.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from msgspec import DecodeError, Meta, Raw, Struct, structs
from msgspec.json import Decoder

from headway.core.call import Estimate, Identity
from headway.jobs.index import Check, Checked
from headway.jobs.lines import PATH, Defaults, Line
from headway.planner.beginnings import Beginnings
from headway.providers.anthropic import Anthropic

BYTES_PER_TOKEN = 4.0  # only to sort lines into sizes, before a sample tells better
TEXT_LOOKED_AT = 16_384  # bytes of a line of plain text, to see how it begins
BREAKPOINTS_KEPT = 50_000  # beginnings up to a cache breakpoint that are remembered
_NOTHING: Mapping[str, Any] = {}
_NO_RAW = Raw(b"")


class _Message(Struct):
    role: Any
    content: Any


class _Params(Struct, forbid_unknown_fields=True):
    """The parameters that are common; a line with others is looked at by the full check."""

    messages: Annotated[list[_Message], Meta(min_length=1)]
    model: str = ""
    max_tokens: Annotated[int, Meta(ge=0)] | None = None
    system: Raw = _NO_RAW
    tools: Raw = _NO_RAW
    tool_choice: Any = None
    temperature: Any = None
    top_p: Any = None
    top_k: Any = None
    stop_sequences: Any = None
    metadata: Any = None
    stream: Any = None
    service_tier: Any = None


class _Row(Struct):
    custom_id: Annotated[str, Meta(min_length=1)]
    params: _Params


class _Prompt(Struct, forbid_unknown_fields=True):
    prompt: Annotated[str, Meta(min_length=1)]
    custom_id: Annotated[str, Meta(min_length=1)] | None = None
    model: str = ""
    max_tokens: Annotated[int, Meta(ge=0)] | None = None
    system: Raw = _NO_RAW


_row, _prompt, _anything = Decoder(_Row), Decoder(_Prompt), Decoder()


class Glance:
    """A `jobs.index.Check` that takes some 5 us for most lines. `full` is the check of `run`, for the others."""

    def __init__(self, provider: Anthropic, full: Check, defaults: Defaults, *, is_text: bool) -> None:
        self._provider = provider
        self._full = full
        self._defaults = defaults
        self._is_text = is_text
        self._system = (defaults.system or "").encode()
        self._models: dict[str, tuple[Identity, int, int] | None] = {}
        self._breakpoints: dict[int, Estimate] = {}
        self._read: set[int] = set()  # hashes of tools and system prompts that are good JSON
        self.beginnings = Beginnings()

    def __call__(self, data: bytes, number: int) -> Checked:
        """Line `number` (from 1). Raises JobFileError where `run` does."""
        if self._is_text:
            text = data[:TEXT_LOOKED_AT].decode("utf-8", "replace")
            self.beginnings.note(number - 1, "", b"", self._system, text)
            return self._judge(data, number, f"line-{number}", "", None) or self._full(data, number)
        try:
            row = _row.decode(data)
        except (DecodeError, UnicodeDecodeError, RecursionError):
            return self._other_form(data, number)
        params = row.params
        if not (self._is_json(params.system) and self._is_json(params.tools)):
            return self._full(data, number)
        checked = self._judge(data, number, row.custom_id, params.model, params.max_tokens)
        if checked is None:
            return self._full(data, number)
        if not checked.estimate.prefix:
            tools, system = bytes(params.tools), bytes(params.system) or self._system
            text = first_text(params.messages[0].content)
            self.beginnings.note(number - 1, params.model, tools, system, text)
        return checked

    def _is_json(self, raw: Raw) -> bool:
        """Whether it can be read to its last character; most lines have the same tools and system prompt."""
        data = bytes(raw)
        if not data or hash(data) in self._read:
            return True
        try:
            _anything.decode(data)
        except (DecodeError, UnicodeDecodeError, RecursionError):
            return False
        if len(self._read) < BREAKPOINTS_KEPT:
            self._read.add(hash(data))
        return True

    def _other_form(self, data: bytes, number: int) -> Checked:
        try:
            row = _prompt.decode(data)
        except (DecodeError, UnicodeDecodeError, RecursionError):
            return self._full(data, number)
        custom_id = row.custom_id or f"line-{number}"
        checked = self._judge(data, number, custom_id, row.model, row.max_tokens)
        if checked is None or not self._is_json(row.system):
            return self._full(data, number)
        self.beginnings.note(number - 1, row.model, b"", bytes(row.system) or self._system, row.prompt)
        return checked

    def _judge(
        self, data: bytes, number: int, custom_id: str, model: str, most: int | None
    ) -> Checked | None:
        """What the size of a line tells; None: it takes a closer look."""
        model = model or self._defaults.model or ""
        most = self._defaults.max_tokens if most is None else most
        try:
            known = self._models[model]
        except KeyError:
            known = self._models[model] = self._look_up(model)
        size = len(data)
        if known is None or most is None or most > known[1] or size + most > known[2] or b"base64" in data:
            return None
        estimate = Estimate(size / BYTES_PER_TOKEN, most)
        if b'"cache_control"' in data:
            at = data.rfind(b'"cache_control"')
            if self._is_text or data.find(b'"system"', at) >= 0 or data.find(b'"tools"', at) >= 0:
                return None
            key = hash((model, data[max(data.find(b'"params"'), 0) : at]))
            marked = self._breakpoints.get(key)
            if marked is None:
                checked = self._full(data, number)
                if len(self._breakpoints) < BREAKPOINTS_KEPT:
                    self._breakpoints[key] = checked.estimate
                return checked
            estimate = structs.replace(marked, input_tokens=estimate.input_tokens, max_output_tokens=most)
        return Checked(Line(custom_id, _NOTHING, {}), known[0], estimate)

    def _look_up(self, model: str) -> tuple[Identity, int, int] | None:
        """The identity, most output and window of a model; None: the full check has to say."""
        facts = self._provider.catalog.model(model) if model else None
        if facts is None:
            return None
        identity = self._provider.identify(PATH, {"model": model})
        return identity, facts.max_output_tokens, facts.context_tokens


def first_text(content: Any) -> str:
    """The text that a message begins with; empty where it does not begin with text."""
    if isinstance(content, str):
        return content
    first = content[0] if isinstance(content, list) and content else None
    text = first.get("text") if isinstance(first, dict) else None
    return text if isinstance(text, str) else ""
