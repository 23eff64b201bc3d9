"""Whose call it is: what a `with session(...)` block and the `headway-*` headers of a request say, inner over outer.

| header | says | as |
|---|---|---|
| `headway-session` | calls that belong together | a name |
| `headway-tenant` | who they belong to | a name |
| `headway-job` | the larger piece of work they are part of | a name |
| `headway-class` | how urgent they are | `interactive`, `standard`, `bulk` |
| `headway-deadline` | when they must have left the line, from now | `30s`, `10m` |
| `headway-max-wait` | how long each may stand in line | `30s`, `10m` |
| `headway-budget` | the most the session may use in all | `2usd`, `500k tokens`, `100 requests` |
| `headway-tags` | anything, for the ledger | `team=search, run=7` |
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextvars import ContextVar, Token
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from difflib import get_close_matches
from types import TracebackType

from headway.core.call import Cap, Class
from headway.core.cap import parse_cap
from headway.core.limit import parse_duration
from headway.errors import InputError

PREFIX = "headway-"
_LONGEST = 200
_HEADERS = ("session", "tenant", "job", "class", "deadline", "max-wait", "budget", "tags")


@dataclass(frozen=True, slots=True)
class Scope:
    """What is said about a call besides its request. None and empty: nothing was said. `deadline` is monotonic seconds."""

    session: str = ""
    tenant: str = ""
    job: str = ""
    class_: Class | None = None
    deadline: float | None = None
    max_wait_s: float | None = None
    caps: tuple[Cap, ...] = ()
    tags: tuple[tuple[str, str], ...] = ()

    @property
    def label(self) -> str:
        """The tags as one line for the ledger."""
        return ",".join(f"{key}={value}" if value else key for key, value in self.tags)


_NOWHERE = Scope()
_current: ContextVar[Scope] = ContextVar("headway_scope", default=_NOWHERE)


def current() -> Scope:
    """The scope that this thread or task is in."""
    return _current.get()


class session:
    """Calls made inside this block belong together: `with headway.session("nightly", budget="2usd"):`.

    `tenant` is who they belong to, `job` the larger piece of work they are part of, `class_` how urgent they are
    ("interactive", "standard", "bulk"), `deadline` when the last of them must have left the line (seconds or "10m" from
    entering, a timedelta, or a datetime with a time zone), `max_wait` how long each may wait ("30s"), `budget` the most the
    session may use in all ("2usd", "500k tokens", "100 requests"), `tags` anything for the ledger. An inner block adds to
    the outer one and wins where both speak; the budgets of both hold. The budget belongs to the name: entering again goes
    on counting, in the same engine.

    Works with `with` and `async with`, and may be entered again. It holds for the current thread or task and the tasks
    started in it; another thread needs its own block, or `extra_headers`. Raises InputError for what cannot be read.
    """

    def __init__(
        self,
        name: str,
        *,
        tenant: str | None = None,
        job: str | None = None,
        class_: Class | str | None = None,
        deadline: float | str | timedelta | datetime | None = None,
        max_wait: float | str | timedelta | None = None,
        budget: str | None = None,
        tags: Mapping[str, object] | None = None,
    ) -> None:
        self._said = Scope(
            session=_name(name, "session"),
            tenant=_name(tenant, "tenant") if tenant is not None else "",
            job=_name(job, "job") if job is not None else "",
            class_=_class(class_) if class_ is not None else None,
            max_wait_s=_seconds(max_wait, "max_wait") if max_wait is not None else None,
            caps=(parse_cap(budget, f"session {name}"),) if budget is not None else (),
            tags=tuple((_name(key, "tag"), _tag(value)) for key, value in (tags or {}).items()),
        )
        self._deadline = deadline
        if not isinstance(deadline, datetime) and deadline is not None:
            _seconds(deadline, "deadline")
        self._entered: list[Token[Scope]] = []

    def __enter__(self) -> session:
        said = self._said
        if self._deadline is not None:
            said = replace(said, deadline=_moment(self._deadline))
        self._entered.append(_current.set(within(_current.get(), said)))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _current.reset(self._entered.pop())

    async def __aenter__(self) -> session:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace)


def within(outer: Scope, inner: Scope) -> Scope:
    """What holds for a call that both speak of."""
    names = {cap.name for cap in inner.caps}
    deadlines = [at for at in (outer.deadline, inner.deadline) if at is not None]
    return Scope(
        session=inner.session or outer.session,
        tenant=inner.tenant or outer.tenant,
        job=inner.job or outer.job,
        class_=inner.class_ or outer.class_,
        deadline=min(deadlines) if deadlines else None,
        max_wait_s=outer.max_wait_s if inner.max_wait_s is None else inner.max_wait_s,
        caps=(*(cap for cap in outer.caps if cap.name not in names), *inner.caps),
        tags=tuple({**dict(outer.tags), **dict(inner.tags)}.items()),
    )


def from_headers(headers: Mapping[str, str], outer: Scope) -> Scope:
    """The scope of a request whose `headway-*` headers these are (names in lower case), inside `outer`. Raises InputError."""
    said = Scope()
    for header, value in headers.items():
        match header.removeprefix(PREFIX):
            case "session":
                said = replace(said, session=_name(value, header))
            case "tenant":
                said = replace(said, tenant=_name(value, header))
            case "job":
                said = replace(said, job=_name(value, header))
            case "class":
                said = replace(said, class_=_class(value))
            case "deadline":
                said = replace(said, deadline=time.monotonic() + _seconds(value, header))
            case "max-wait":
                said = replace(said, max_wait_s=_seconds(value, header))
            case "tags":
                said = replace(said, tags=_tags(value))
            case "budget":
                pass  # it belongs to the session, which may be named after it
            case _:
                raise _unknown(header)
    if (budget := headers.get("headway-budget")) is not None:
        name = said.session or outer.session
        if not name:
            raise InputError(
                "headway-budget without a session: a budget belongs to one",
                hint="Send headway-session as well, or use headway.session(...).",
            )
        said = replace(said, caps=(parse_cap(budget, f"session {name}"),))
    return within(outer, said)


def _unknown(header: str) -> InputError:
    near = get_close_matches(header.removeprefix(PREFIX), _HEADERS, n=1)
    known = ", ".join(f"{PREFIX}{name}" for name in _HEADERS)
    hint = f"Did you mean {PREFIX}{near[0]}?" if near else f"Known: {known}."
    return InputError(f"unknown header {header!r}", hint=hint)


def _name(text: str, of: str) -> str:
    name = text.strip()
    if not name or len(name) > _LONGEST or not name.isprintable():
        raise InputError(f"{of}: {name[:40]!r} is no name", hint=f"1 to {_LONGEST} printable characters.")
    return name


def _tag(value: object) -> str:
    text = str(value).strip()[:_LONGEST]
    return "".join(character if character.isprintable() and character != "," else " " for character in text)


def _tags(text: str) -> tuple[tuple[str, str], ...]:
    pairs = (pair.partition("=") for pair in text.split(",") if pair.strip())
    return tuple((_name(key, "tag"), _tag(value)) for key, _, value in pairs)


def _class(text: Class | str) -> Class:
    try:
        return Class(str(text).strip().lower())
    except ValueError:
        raise InputError(f"unknown class {str(text)[:40]!r}", hint=f"One of {', '.join(Class)}.") from None


def _seconds(value: float | str | timedelta, of: str) -> float:
    seconds = (
        value.total_seconds()
        if isinstance(value, timedelta)
        else parse_duration(value, of=of)
        if isinstance(value, str)
        else float(value)
    )
    if not 0.0 <= seconds < float("inf"):
        raise InputError(f"{of}: must be 0 seconds or more, not {value!r}")
    return seconds


def _moment(deadline: float | str | timedelta | datetime) -> float:
    """A deadline in monotonic seconds."""
    if not isinstance(deadline, datetime):
        return time.monotonic() + _seconds(deadline, "deadline")
    if deadline.tzinfo is None:
        raise InputError("deadline: a datetime needs a time zone", hint="datetime.now(timezone.utc) + ...")
    return time.monotonic() + deadline.timestamp() - time.time()
