"""Reads what `headway lint` is given into prompts: text, a Messages request, a job, or VARIANTS.toml.

A prompt is its pieces of text, each with its role and its place, and the request they stand in.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import msgspec

from headway.errors import InputError
from headway.workbench.english import is_english
from headway.workbench.finding import Finding, Place, Severity
from headway.workbench.variants import read_sheet

Kind = Literal["text", "request", "job", "variants"]
_DEPTH = 6  # of blocks within blocks
_DEEPEST = 200  # lists and objects within one another, schemas of tools among them
_TOO_DEEP = f"nested more than {_DEEPEST} deep"
_OTHER_FORMS = {
    "max_tokens_to_sample",
    "inferenceConfig",
    "toolConfig",
    "max_completion_tokens",
    "stream_options",
    "response_format",
}
_OTHER_MODELS = re.compile(r"(?:gpt|o\d|gemini|mistral|llama|deepseek|grok|command)|[\w.-]+/", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Piece:
    """One text of a prompt. `role` is system, user, assistant or tool; `closes`: a cache breakpoint follows it.

    `start` is where it begins; `is_line` says that its first row is that line of the file, not row 1 of a text within.
    """

    role: str
    text: str = field(repr=False)
    start: Place
    message: int = -1
    closes: bool = False

    def at(self, offset: int) -> Place:
        """The place of a character."""
        row = self.text.count("\n", 0, offset)
        column = offset - (self.text.rfind("\n", 0, offset) + 1) + 1
        first = self.start
        return Place(
            first.file,
            first.line,
            first.path,
            max(first.row, 1) + row,
            column + (first.column - 1 if not row and first.column else 0),
        )


@dataclass(frozen=True)
class Prompt:
    """One request, or the template of one. `request` is empty where only a text is known. `own` names its place."""

    pieces: tuple[Piece, ...]
    request: Mapping[str, Any] = field(repr=False)
    own: Place
    is_template: bool = False

    @cached_property
    def instructions(self) -> tuple[Piece, ...]:
        """The texts that tell the model what to do: system, and what the user says, without results of tools."""
        return tuple(piece for piece in self.pieces if piece.role in ("system", "user"))

    @cached_property
    def english(self) -> tuple[Piece, ...]:
        """Those of the instructions that are in English."""
        return tuple(piece for piece in self.instructions if is_english(piece.text))

    @cached_property
    def is_messages(self) -> bool:
        """Whether it is a request to the Messages API. Converse, chat completions and others have other rules."""
        request = self.request
        if "messages" not in request or _OTHER_FORMS & request.keys() or _OTHER_MODELS.match(self.model):
            return False
        messages = request["messages"]
        return not (isinstance(messages, list) and any(_is_foreign(message) for message in messages))

    @cached_property
    def breakpoints(self) -> int:
        """Blocks with cache_control, automatic caching among them."""
        tools = self.request.get("tools")
        marked = [
            tool
            for tool in (tools if isinstance(tools, list) else [])
            if isinstance(tool, dict) and tool.get("cache_control")
        ]
        return (
            bool(self.request.get("cache_control")) + sum(piece.closes for piece in self.pieces) + len(marked)
        )

    @property
    def model(self) -> str:
        """The model asked for ("": not known)."""
        model = self.request.get("model")
        return model if isinstance(model, str) else ""


@dataclass(frozen=True, slots=True)
class Source:
    """All prompts of one file. `text` is the file as it is, for the comments in it."""

    name: str
    kind: Kind
    prompts: tuple[Prompt, ...]
    text: str = field(repr=False)
    bad: tuple[tuple[int, str], ...] = ()


def found(rule: str, severity: Severity, piece: Piece, offset: int, reason: str, better: str) -> Finding:
    """What a rule found at this character of a piece."""
    return Finding(rule, severity, piece.at(offset), reason, better)


def read_source(name: str, data: bytes, system: tuple[str, str] | None = None) -> Source:
    """`name` is how the file is called, `system` a system prompt from a file of its own (its name and text).

    Raises InputError for what is neither text nor one of the known forms.
    """
    text = read_text(name, data)
    if not text.strip():
        raise InputError(f"{name} is empty")
    try:
        return _source(name, text, system)
    except _TooDeep:
        raise InputError(
            f"{name} is {_TOO_DEEP}", hint="No request to an LLM is: is it the right file?"
        ) from None


def read_text(name: str, data: bytes) -> str:
    """The text of a file. Raises InputError, with the line, where it is not UTF-8."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InputError(f"{name} is not UTF-8 text (line {line:,}, byte {error.start:,})") from None


def _source(name: str, text: str, system: tuple[str, str] | None) -> Source:
    suffix = Path(name).suffix.lower()
    if suffix == ".toml" and "[[variant]]" in text:
        return Source(name, "variants", tuple(_variants(name, text)), text)
    if suffix in (".jsonl", ".ndjson"):
        return _job(name, text, system)
    value = _json(text) if text.lstrip()[:1] == "{" else None
    if isinstance(value, dict) and _is_request(value):
        params = value["params"] if isinstance(value.get("params"), dict) else value
        return Source(name, "request", (_of_request(params, Place(name), "$", system),), text)
    first = _json(text.lstrip().split("\n", 1)[0]) if value is None and not suffix else None
    if isinstance(first, dict) and _is_request(first):  # a job on standard input
        return _job(name, text, system)
    if suffix == ".json" and value is None:
        raise InputError(
            f"{name} is not JSON", hint="A prompt in plain text is read from any other kind of file."
        )
    pieces = () if system is None else (Piece("system", system[1], Place(system[0])),)
    return Source(
        name, "text", (Prompt((*pieces, Piece("user", text, Place(name))), {}, Place(name), True),), text
    )


def _is_foreign(message: object) -> bool:
    """A message as other APIs have it: a role or a kind of block that the Messages API does not know."""
    if not isinstance(message, dict):
        return False
    content = message.get("content")
    blocks = content if isinstance(content, list) else []
    return (
        message.get("role") in ("tool", "function", "model")
        or "tool_calls" in message
        or any(
            isinstance(block, dict) and ("type" not in block or block["type"] == "image_url")
            for block in blocks
        )
    )


def _json(text: str) -> Any:
    """The value; None: it is not JSON. Raises _TooDeep."""
    try:
        value = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return None
    except RecursionError:
        raise _TooDeep from None
    layer, depth = [value], 0
    while layer:
        if depth > _DEEPEST:
            raise _TooDeep
        layer, depth = [part for each in layer for part in _parts(each)], depth + 1
    return value


class _TooDeep(Exception):
    """JSON that is nested deeper than any request, and than what reads it can go."""


def _parts(value: object) -> list[Any]:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [part for part in inner if isinstance(part, dict | list)]


def _is_request(value: Mapping[str, Any]) -> bool:
    return any(key in value for key in ("messages", "params", "prompt"))


def _job(name: str, text: str, system: tuple[str, str] | None) -> Source:
    prompts: list[Prompt] = []
    bad: list[tuple[int, str]] = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            value = _json(line)
        except _TooDeep:
            bad.append((number, _TOO_DEEP))
            continue
        if not isinstance(value, dict):
            bad.append((number, "not a JSON object"))
            continue
        inner = value.get("params")
        params, root = (inner, "params") if isinstance(inner, dict) else (value, "")
        if not params.keys() & {"messages", "prompt"}:
            bad.append((number, "no request: it has neither messages nor prompt"))
            continue
        prompts.append(_of_request(params, Place(name, number), root, system))
    if not prompts:
        raise InputError(f"{name} has no line that can be read: line {bad[0][0]:,} is {bad[0][1]}")
    return Source(name, "job", tuple(prompts), text, tuple(bad))


def _of_request(request: Mapping[str, Any], own: Place, root: str, system: tuple[str, str] | None) -> Prompt:
    if system is not None and "system" not in request:
        request = {**request, "system": system[1]}
    if isinstance(request.get("prompt"), str) and "messages" not in request:
        request = {**request, "messages": [{"role": "user", "content": request["prompt"]}]}
        asked = f"{root}.prompt".lstrip(".")
        pieces = [Piece("user", str(request["prompt"]), Place(own.file, own.line, asked), 0)]
        return Prompt((*_system(request, own, root), *pieces), request, own)
    pieces = list(_system(request, own, root))
    messages = request.get("messages")
    for index, message in enumerate(messages if isinstance(messages, list) else []):
        if isinstance(message, dict):
            role = str(message.get("role") or "user")
            path = f"{root}.messages[{index}].content".lstrip(".")
            pieces += _pieces(message.get("content"), role, own, path, index, _DEPTH)
    return Prompt(tuple(pieces), request, own)


def _system(request: Mapping[str, Any], own: Place, root: str) -> Iterator[Piece]:
    yield from _pieces(request.get("system"), "system", own, f"{root}.system".lstrip("."), -1, _DEPTH)


def _pieces(content: object, role: str, own: Place, path: str, message: int, depth: int) -> Iterator[Piece]:
    if isinstance(content, str):
        yield Piece(role, content, Place(own.file, own.line, path), message)
    if not isinstance(content, list) or not depth:
        return
    for index, block in enumerate(content):
        if not isinstance(block, dict):
            continue
        here = f"{path}[{index}]"
        if block.get("type", "text") == "text" and isinstance(block.get("text"), str):
            closes = bool(block.get("cache_control"))
            yield Piece(role, block["text"], Place(own.file, own.line, f"{here}.text"), message, closes)
        elif block.get("type") == "tool_result":
            yield from _pieces(block.get("content"), "tool", own, f"{here}.content", message, depth - 1)


def _variants(name: str, text: str) -> Iterator[Prompt]:
    """The variants of a sheet, as templates; a text that stands in the file as it is has its line there."""
    sheet = read_sheet(Path(name)) if Path(name).exists() else None
    tables = tomllib.loads(text).get("variant", [])
    for variant, table in zip(sheet.variants if sheet else (), tables, strict=True):
        heading = f"variant {variant.name!r}"
        own = Place(name, 0, heading)
        pieces = [
            Piece(role, value, _in_file(name, text, value, f"{heading} {key}"))
            for role, key, value in (("system", "system", variant.system), ("user", "prompt", variant.prompt))
            if value
        ]
        if variant.cache and pieces:
            pieces[0] = Piece(pieces[0].role, pieces[0].text, pieces[0].start, closes=True)
        request = {**variant.parameters, "messages": [{"role": "user", "content": variant.prompt}]}
        request |= {} if variant.system is None else {"system": variant.system}
        assert isinstance(table, dict)
        yield Prompt(tuple(pieces), request, own, True)


def _in_file(name: str, text: str, value: str, path: str) -> Place:
    found = text.find(value)
    if found < 0:
        return Place(name, 0, path)
    row = text.count("\n", 0, found) + 1
    return Place(name, 0, "", row, found - (text.rfind("\n", 0, found) + 1) + 1)
