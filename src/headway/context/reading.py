"""What an input is, by its content: a request, a list of messages, a job file, or text.

| content | taken as |
|---|---|
| lines of JSON objects with `params` or `prompt` | a job file |
| a JSON object with `messages` | a request to the Messages API |
| a JSON list of messages | the messages of a request |
| anything else that is UTF-8 | the text of one message |

What is written for another API is refused by name: counted as text, it would give a number that means nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from headway.errors import InputError
from headway.jobs.index import LINE_LIMIT, bare
from headway.providers.parsed import parse

_OPENAI_ROLES = ("developer", "tool", "function")
_OPENAI_PARTS = ("image_url", "input_text", "output_text", "input_image", "input_audio", "refusal")
_OPENAI_KEYS = (
    "max_completion_tokens",
    "response_format",
    "functions",
    "frequency_penalty",
    "logprobs",
    "input",
)


@dataclass(frozen=True, slots=True)
class Asked:
    """One request. `kind` is "request", "messages" or "text": what it was read from."""

    kind: str
    request: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class JobFile:
    """A job file, to be read line by line."""

    file: BinaryIO


def read(file: BinaryIO, name: str) -> Asked | JobFile:
    """Say what a file holds. It must be one that can be read twice.

    Raises InputError for what cannot be counted: empty, not UTF-8, too large for one request, or of another API.
    """
    file.seek(0)
    first = next((line for line in iter(lambda: file.readline(LINE_LIMIT), b"") if line.strip()), b"")
    if not first:
        raise InputError(f"{name} is empty")
    if _is_job_line(parse(bare(first, 0))):
        return JobFile(file)
    file.seek(0)
    data = file.read(LINE_LIMIT + 1)
    if len(data) > LINE_LIMIT:
        raise InputError(
            f"{name} is larger than the {LINE_LIMIT:,} bytes that one request may have",
            hint="A job file has one JSON object with `params` or `prompt` on each line.",
        )
    return _of_one(bare(data, 0), data, name)


def _is_job_line(value: object) -> bool:
    return isinstance(value, dict) and (
        "messages" not in value
        and (
            isinstance(value.get("params"), dict)
            or "prompt" in value
            or {"method", "url", "body"} <= value.keys()
        )
    )


def _of_one(stripped: bytes, data: bytes, name: str) -> Asked:
    value = parse(stripped) if stripped[:1] in (b"{", b"[") else None
    if value is None and stripped[:1] in (b"{", b"[") and _is_too_deep(stripped):
        raise InputError(f"{name} is JSON that is nested too deeply to be a request")
    if isinstance(value, dict) and isinstance(value.get("params"), dict):
        value = value["params"]  # one line of a job, laid out over several
    if isinstance(value, dict) and ("messages" in value or _is_openai(value)):
        return Asked("request", checked(value, name))
    if isinstance(value, list) and value and all(isinstance(each, dict) and "role" in each for each in value):
        return Asked("messages", checked({"messages": value}, name))
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{name} is neither JSON nor UTF-8 text (byte {error.start:,})",
            hint="Images and documents are counted inside a request, as base64.",
        ) from None
    if "\0" in text:
        raise InputError(f"{name} is no text: it has zero bytes in it")
    return Asked("text", {"messages": [{"role": "user", "content": text}]})


def _is_too_deep(data: bytes) -> bool:
    try:
        json.loads(data)
    except RecursionError:
        return True
    except ValueError:
        return False
    return False


def checked(request: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """The same request, if it is one for the Messages API. Raises InputError that says what is wrong with it."""
    if _is_openai(request):
        raise InputError(
            f"{name} is a request to the OpenAI API ({_why_openai(request)}); headway counts for the Messages API",
            hint="Put the system prompt into `system`, tool calls into `tool_use` blocks, results into `tool_result` blocks.",
        )
    messages = request.get("messages")
    if not isinstance(messages, list) or not messages:
        raise InputError(f"{name}: `messages` must be a list with at least one message")
    for index, message in enumerate(messages):
        if not isinstance(message, dict) or "role" not in message or "content" not in message:
            raise InputError(f"{name}: messages[{index}] needs a `role` and a `content`")
    return request


def _is_openai(request: Mapping[str, Any]) -> bool:
    return bool(_why_openai(request))


def _why_openai(request: Mapping[str, Any]) -> str:
    """What of a request only the OpenAI API knows; empty: nothing."""
    for key in _OPENAI_KEYS:
        if key in request:
            return f"it has `{key}`"
    messages = request.get("messages")
    for index, message in enumerate(messages if isinstance(messages, list) else []):
        if why := _why_openai_message(message):
            return f"messages[{index}] has {why}"
    tools = request.get("tools")
    for tool in tools if isinstance(tools, list) else []:
        if isinstance(tool, dict) and tool.get("type") == "function":
            return "it has tools of type `function`"
    return ""


def _why_openai_message(message: object) -> str:
    if not isinstance(message, dict):
        return ""
    if message.get("role") in _OPENAI_ROLES:
        return f"the role `{message['role']}`"
    if "tool_calls" in message:
        return "`tool_calls`"
    content = message.get("content")
    for part in content if isinstance(content, Sequence) and not isinstance(content, str) else []:
        if isinstance(part, dict) and part.get("type") in _OPENAI_PARTS:
            return f"a part of type `{part['type']}`"
    return ""
