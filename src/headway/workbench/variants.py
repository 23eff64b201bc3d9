"""Reads VARIANTS.toml and the file of inputs, and makes requests of them.

[defaults]                    what every variant has that does not say it itself
[check]                       regex, schema, python or contains: whether an output passes
[judge]                       model, rubric, pairwise: a model that says so
[[variant]]                   name, model, max_tokens, system, prompt with {field}, cache, any other parameter
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from headway.errors import InputError
from headway.workbench.template import filled, places, split_at_first_place

TABLES = ("defaults", "check", "judge", "variant")
_CACHED = {"cache_control": {"type": "ephemeral"}}
_OURS = ("name", "prompt", "system", "cache")
_LONGEST_NAME = 60


@dataclass(frozen=True, slots=True)
class Variant:
    """One way to ask. `parameters` go out as they are; `prompt` and `system` have places to be filled."""

    name: str
    prompt: str = field(repr=False)
    system: str | None = field(repr=False)
    cache: bool
    parameters: Mapping[str, Any] = field(repr=False)

    def request(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """The body of a call for one input. Raises KeyError with the name of a missing field."""
        given = {name: filled(value, fields) for name, value in self.parameters.items()}
        messages = given.pop("messages", [])
        content, system = self._content(fields)
        request = given | ({} if system is None else {"system": system})
        return request | {"messages": [*messages, {"role": "user", "content": content}]}

    def _content(self, fields: Mapping[str, Any]) -> tuple[Any, Any]:
        """The last message and the system prompt. With `cache`, a breakpoint follows the last text that never changes."""
        content: Any = filled(self.prompt, fields)
        system: Any = None if self.system is None else filled(self.system, fields)
        if not self.cache:
            return content, system
        if self.system is not None and places(self.system):
            return content, _split(self.system, fields)
        if not self.parameters.get("messages") and split_at_first_place(self.prompt)[0].strip():
            return _split(self.prompt, fields), system
        return content, None if system is None else [{"type": "text", "text": system} | _CACHED]


def _split(text: str, fields: Mapping[str, Any]) -> list[dict[str, Any]]:
    still, rest = split_at_first_place(text)
    blocks = [{"type": "text", "text": still} | _CACHED] if still.strip() else []
    return blocks + ([{"type": "text", "text": filled(rest, fields)}] if rest else [])


@dataclass(frozen=True, slots=True)
class Sheet:
    """What a VARIANTS.toml says. `folder` is where the files are that it names."""

    name: str
    folder: Path
    variants: tuple[Variant, ...]
    check: Mapping[str, Any]
    judge: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Input:
    """One line of the inputs. `id` is its own, or the number of its line."""

    id: str
    number: int
    fields: Mapping[str, Any] = field(repr=False)


def read_sheet(path: Path) -> Sheet:
    """Raises InputError that says what is wrong, and with which variant."""
    try:
        values = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not TOML: {error}") from None
    _refuse_unknown(path, values)
    tables, defaults = values.get("variant", []), _table(path, values, "defaults")
    if not isinstance(tables, list) or not tables or not all(isinstance(each, dict) for each in tables):
        raise InputError(f"{path} has no [[variant]]", hint="Give each variant a [[variant]] table.")
    variants = tuple(_variant(path, number, defaults | table) for number, table in enumerate(tables, 1))
    names = [variant.name for variant in variants]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise InputError(f"{path}: two variants are called {twice!r}")
    return Sheet(
        path.stem, path.parent, variants, _table(path, values, "check"), _table(path, values, "judge")
    )


def _refuse_unknown(path: Path, values: Mapping[str, Any]) -> None:
    if unknown := next((name for name in values if name not in TABLES), None):
        raise InputError(
            f"{path}: {unknown!r} is not known",
            hint="Known are [defaults], [check], [judge] and [[variant]].",
        )


def _table(path: Path, values: Mapping[str, Any], name: str) -> dict[str, Any]:
    table = values.get(name, {})
    if not isinstance(table, dict):
        raise InputError(f"{path}: {name} must be a table", hint=f"Write [{name}].")
    return table


def _variant(path: Path, number: int, table: Mapping[str, Any]) -> Variant:
    name = table.get("name", f"variant {number}")
    if not isinstance(name, str) or not name.strip() or not name.isprintable() or len(name) > _LONGEST_NAME:
        raise InputError(f"{path}: the name of variant {number} must be a short text of one line")
    where = f"{path}: variant {name!r}"
    for key, kind, what in (
        ("prompt", str, "a text"),
        ("model", str, "a text"),
        ("max_tokens", int, "a whole number"),
    ):
        if key not in table:
            raise InputError(f"{where} has no {key}", hint="Add it there, or under [defaults].")
        if not isinstance(table[key], kind) or isinstance(table[key], bool):
            raise InputError(f"{where}: {key} must be {what}")
    if table["max_tokens"] < 1:
        raise InputError(f"{where}: max_tokens is {table['max_tokens']}, and must be 1 or more")
    if not table["prompt"].strip():
        raise InputError(f"{where}: the prompt is empty")
    system, cache = table.get("system"), table.get("cache", False)
    if not isinstance(system, str | None):
        raise InputError(f"{where}: system must be a text")
    if not isinstance(cache, bool):
        raise InputError(f"{where}: cache must be true or false")
    parameters = {key: value for key, value in table.items() if key not in _OURS}
    return Variant(name, table["prompt"], system, cache, parameters)


def read_inputs(file: BinaryIO, name: str, *, is_text: bool) -> tuple[Input, ...]:
    """The inputs: a JSON object a line, or, of a file of text, each line as the field `input`. Raises InputError."""
    found: list[Input] = []
    seen: dict[str, int] = {}
    file.seek(0)
    for number, line in enumerate(file, 1):
        text = line.removeprefix(b"\xef\xbb\xbf").strip()
        if not text:
            continue
        fields = _text(text, name, number) if is_text else _object(text, name, number)
        own = fields.get("id", number)
        named = str(own) if isinstance(own, str | int) and str(own).strip() else str(number)
        if named in seen:
            raise InputError(f"{name}, line {number:,}: the same id as line {seen[named]:,}")
        seen[named] = number
        found.append(Input(named, number, fields))
    if not found:
        raise InputError(f"{name} has no lines")
    return tuple(found)


def _text(text: bytes, name: str, number: int) -> dict[str, Any]:
    try:
        return {"input": text.decode("utf-8")}
    except UnicodeDecodeError:
        raise InputError(f"{name}, line {number:,}: not UTF-8 text", hint="Save it as UTF-8.") from None


def _object(text: bytes, name: str, number: int) -> dict[str, Any]:
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{name}, line {number:,}: not JSON: {error}") from None
    except RecursionError:
        raise InputError(f"{name}, line {number:,}: nested too deep") from None
    if not isinstance(value, dict):
        raise InputError(f"{name}, line {number:,}: not a JSON object", hint='Write {"field": "value", …}.')
    return value


def check_fields(sheet: Sheet, inputs: Sequence[Input], name: str) -> None:
    """Raises InputError for the first input that lacks a field of a variant."""
    for variant in sheet.variants:
        wanted = places([variant.prompt, variant.system or "", dict(variant.parameters)])
        for each in inputs:
            if missing := next((place for place in wanted if place not in each.fields), None):
                has = ", ".join(each.fields) or "nothing"
                raise InputError(
                    f"{name}, line {each.number:,}: no field {missing!r}, which variant {variant.name!r} wants",
                    hint=f"The line has: {has}. Text in braces that is no field is written {{{{{missing}}}}}.",
                )
