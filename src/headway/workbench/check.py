"""Whether an output passes: by a regular expression, a text it holds, a JSON schema, or a function of yours."""

from __future__ import annotations

import importlib
import json
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from headway.errors import InputError
from headway.workbench.template import filled, places

Passes = Callable[[str, Mapping[str, Any]], bool]
KINDS = ("regex", "contains", "schema", "python")
TIMEOUT_S = 10.0
_LONGEST_S = 86_400
_FENCED = re.compile(r"\s*```(?:json)?\s*\n(.*?)\n\s*```\s*", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Check:
    """`passes` is told an output and the fields of its input. `what` names it for people. One takes `timeout_s` at most."""

    what: str
    passes: Passes
    wants: tuple[str, ...] = ()
    timeout_s: float = TIMEOUT_S


def read_check(table: Mapping[str, Any], folder: Path) -> Check | None:
    """The check of a [check] table; None: it is empty. Raises InputError."""
    if not table:
        return None
    timeout_s = table.get("timeout_s", TIMEOUT_S)
    if (
        not isinstance(timeout_s, int | float)
        or isinstance(timeout_s, bool)
        or not 0 < timeout_s < _LONGEST_S
    ):
        raise InputError("[check] timeout_s must be a number of seconds, above 0")
    table = {key: value for key, value in table.items() if key != "timeout_s"}
    found = _check(table, folder)
    return replace(found, timeout_s=float(timeout_s))


def _check(table: Mapping[str, Any], folder: Path) -> Check:
    if len(table) != 1 or (kind := next(iter(table))) not in KINDS:
        raise InputError(f"[check] has {', '.join(table)}", hint=f"Give it one of {', '.join(KINDS)}.")
    value = table[kind]
    if not isinstance(value, str) or not value:
        raise InputError(f"[check] {kind} must be a text, and not empty")
    match kind:
        case "regex":
            return _regex(value)
        case "contains":
            return Check(
                f"contains {value}", lambda text, fields: filled(value, fields) in text, places(value)
            )
        case "schema":
            return _schema(folder / value)
        case _:
            return _python(value, folder)


def _regex(pattern: str) -> Check:
    """Fields in the pattern stand for themselves, not for patterns. It may match anywhere: use ^ and $."""

    def compiled(fields: Mapping[str, Any]) -> re.Pattern[str]:
        escaped = {name: re.escape(str(fields[name])) for name in wants}
        return re.compile(filled(pattern, escaped) if wants else pattern)

    wants = places(pattern)
    try:
        compiled(dict.fromkeys(wants, ""))
    except re.error as error:
        raise InputError(f"[check] regex is no regular expression: {error}") from None
    return Check(f"regex {pattern}", lambda text, fields: compiled(fields).search(text) is not None, wants)


def _schema(path: Path) -> Check:
    try:
        import jsonschema  # an extra, and slow to load
    except ImportError:
        raise InputError("[check] schema needs jsonschema", hint='pip install "headway[schema]"') from None
    try:
        schema = json.loads(path.read_text("utf-8"))
        kind = jsonschema.validators.validator_for(schema)
        kind.check_schema(schema)
    except OSError as error:
        raise InputError(f"[check] schema: cannot read {path}: {error.strerror}") from None
    except (ValueError, jsonschema.SchemaError) as error:
        raise InputError(f"[check] schema: {path} is no JSON schema: {str(error).splitlines()[0]}") from None
    validator = kind(schema)

    def passes(text: str, _fields: Mapping[str, Any]) -> bool:
        fenced = _FENCED.fullmatch(text)
        try:
            return bool(validator.is_valid(json.loads(fenced[1] if fenced else text)))
        except (ValueError, RecursionError):
            return False

    return Check(f"schema {path.name}", passes)


def _python(name: str, folder: Path) -> Check:
    """`module:function`, called with the output and the fields of its input. The module may stand beside VARIANTS.toml."""
    module, _, attribute = name.partition(":")
    sys.path.insert(0, str(folder.resolve()))
    try:
        function = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise InputError(
            f"[check] python: {name}: {error}",
            hint='Write "module:function"; the module may stand beside the file.',
        ) from None
    finally:
        sys.path.remove(str(folder.resolve()))

    def passes(text: str, fields: Mapping[str, Any]) -> bool:
        try:
            return bool(function(text, dict(fields)))
        except Exception as error:
            raise InputError(
                f"[check] python: {name} raised {type(error).__name__}",
                hint="The replies are kept: mend the function and start again, and nothing is asked twice.",
            ) from error

    return Check(f"python {name}", passes)
