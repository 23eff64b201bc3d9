"""The replies of a comparison on file, each with how it went: what is there is not asked again."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from headway.core.ports import Entry, Ledger, OpenEntry
from headway.jobs.result import Known, Result
from headway.jobs.results import Results, Verdict
from headway.ledger.price import Prices

_REFUSED = ("invalid_request_error", "request_too_large", "not_found_error", "permission_error")


@dataclass(slots=True)
class Course:
    """How a call went, over all its attempts. Milliseconds of its last one; money is of all of them.

    `priced` is False if an attempt has no known price.
    """

    attempts: int = 0
    queued_ms: float = 0.0
    first_token_ms: float | None = None
    total_ms: float = 0.0
    cost_nanousd: int = 0
    priced: bool = True


class Stopwatch:
    """A `core.ports.Ledger` that keeps the course of each call by its label, and hands everything on."""

    def __init__(self, ledger: Ledger, prices: Prices) -> None:
        self._ledger = ledger
        self._prices = prices
        self._open: dict[str, OpenEntry] = {}
        self._courses: dict[str, Course] = {}

    def open(self, entry: OpenEntry) -> None:
        """An attempt is about to be sent."""
        self._open[entry.attempt_id] = entry
        self._ledger.open(entry)

    def close(self, entry: Entry) -> None:
        """It has ended."""
        opened = self._open.pop(entry.attempt_id)
        course = self._courses.setdefault(opened.label, Course())
        course.attempts += 1
        course.queued_ms = opened.queued_ms
        course.first_token_ms, course.total_ms = entry.first_token_ms, entry.total_ms
        if entry.outcome == "ok" or entry.usage.output_tokens or entry.usage.input_tokens:
            cost = self._prices.cost(opened.model, entry.usage, opened.at_ns).nanousd
            course.cost_nanousd += cost or 0
            course.priced = course.priced and cost is not None
        self._ledger.close(entry)

    def take(self, label: str) -> Course:
        """How the call went; it is forgotten here."""
        return self._courses.pop(label, Course())


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply, or an error, that is on file. `message` is what the API said."""

    course: Course
    message: Mapping[str, Any] | None = field(repr=False)
    error: str = ""

    @property
    def failed_there(self) -> bool:
        """Whether the API failed, not the request: that says nothing about the prompt."""
        return self.message is None and self.error.partition(":")[0] not in _REFUSED

    @property
    def text(self) -> str:
        """The text of the reply; that of its tool calls as JSON where there is no other."""
        blocks = [block for block in (self.message or {}).get("content") or [] if isinstance(block, dict)]
        texts = [block["text"] for block in blocks if isinstance(block.get("text"), str)]
        if texts:  # half a surrogate pair, which JSON can hold, is no text that can be written again
            return "".join(texts).encode("utf-8", "replace").decode()
        inputs = [block.get("input") for block in blocks if block.get("type") == "tool_use"]
        return "\n".join(msgspec.json.encode(each).decode() for each in inputs)


class Record(Results):
    """The file of replies: results of a job, each with its `course`. `courses` says how a call went."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.courses: Callable[[str], Course] = lambda _id: Course()
        self.errored: set[str] = set()
        self.known: set[str] = set()

    def append(self, custom_id: str, result: Result) -> bool:
        """Write one result, with how its call went."""
        return super().append(custom_id, result | {"course": self.courses(custom_id)})

    def look(self, *, drop_errored: bool) -> None:
        """Find out what is there. Raises OutputError for a file that holds anything but replies."""
        self.known.clear()

        def judge(known: Known) -> Verdict:
            if known.custom_id in self.known or (drop_errored and not known.succeeded):
                return Verdict.DROP
            self.known.add(known.custom_id)
            return Verdict.KEEP

        self.repair(judge)

    def replies(self) -> tuple[dict[str, Reply], int]:
        """All that is on file, by id, and what it cost in all (nanodollars)."""
        found = {}
        for line in self.path.read_bytes().splitlines():
            value = _decoded(line)
            found[str(value["custom_id"])] = _reply(value["result"])
        return found, sum(reply.course.cost_nanousd for reply in found.values())


def _decoded(line: bytes) -> Any:
    try:
        return msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeError):  # what msgspec refuses and JSON allows
        return json.loads(line)


def _reply(result: Mapping[str, Any]) -> Reply:
    course = msgspec.convert(result.get("course", {}), Course)
    if result["type"] == "succeeded":
        return Reply(course, result["message"])
    error = result.get("error", {}).get("error", {})
    return Reply(course, None, f"{error.get('type', 'error')}: {error.get('message', '')}")
