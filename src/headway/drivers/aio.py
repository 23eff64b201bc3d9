"""Runs flows on anyio: asyncio or trio."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from random import random
from threading import get_ident
from typing import Any, Protocol

import anyio
import anyio.lowlevel

from headway.core.call import Call
from headway.core.flow import Flow, flow
from headway.core.retry import Retry
from headway.core.steps import (
    CANCELLED,
    Admit,
    Answer,
    Outcome,
    Pause,
    Record,
    Reply,
    Send,
    Sent,
    Settle,
    Step,
    Ticket,
)
from headway.drivers.turnstile import Turnstile, Watch
from headway.errors import HeadwayError


class Sender(Protocol):
    """Sends one attempt and reads its reply to the end. Raises only what cancels it."""

    async def send(self, ticket: Ticket, watch: Watch) -> Reply | None:
        """The reply, whole; what went wrong is in it. None: the caller reads it, and `watch` will be told of its end."""


class _Bell:
    """A flag that a task sleeps on. Set from any thread, heard in the task that made it."""

    __slots__ = ("_event", "_is_set", "_loop", "_thread")

    def __init__(self) -> None:
        self._event: anyio.Event | None = None
        self._is_set = False
        self._thread = get_ident()
        self._loop: Any = None

    def set(self) -> bool:
        self._is_set = True  # before looking for a sleeper: who goes to sleep looks at it last
        event = self._event
        if event is None:
            return True
        try:
            if get_ident() == self._thread:
                event.set()
            elif isinstance(self._loop, asyncio.AbstractEventLoop):
                self._loop.call_soon_threadsafe(event.set)
            else:
                self._loop.run_sync_soon(event.set)
        except RuntimeError:  # the loop is closed, and whoever slept there with it
            return False
        return True

    def is_lost(self) -> bool:
        return isinstance(self._loop, asyncio.AbstractEventLoop) and self._loop.is_closed()

    async def heard(self, until: float | None, now: float) -> None:
        """Sleep until set, or until the clock says `until`."""
        if self._loop is None:
            self._loop = anyio.lowlevel.current_token().native_token
        event = self._event = anyio.Event()
        if not self._is_set:
            if until is None:
                await event.wait()
            else:
                with anyio.move_on_after(max(until - now, 0.0)):
                    await event.wait()
        self._event = None
        self._is_set = False


class AioDriver:
    """Runs calls through `turnstile`, sending with `sender`. `provider` is the name for the ledger."""

    __slots__ = ("_provider", "_retry", "_sender", "_turnstile")

    def __init__(self, turnstile: Turnstile, sender: Sender, *, provider: str, retry: Retry) -> None:
        self._turnstile = turnstile
        self._sender = sender
        self._provider = provider
        self._retry = retry

    async def run(
        self,
        call: Call,
        admitted: Callable[[], None] = lambda: None,
        waits: Callable[[], None] = lambda: None,
    ) -> Outcome:
        """Run one call to its end. `admitted` is called each time it leaves the line, `waits` when it will try again."""
        outcome = await self.begin(call, admitted, waits)
        assert outcome is not None
        return outcome

    async def begin(
        self,
        call: Call,
        admitted: Callable[[], None] = lambda: None,
        waits: Callable[[], None] = lambda: None,
    ) -> Outcome | None:
        """Run one call to its end, or until its reply is the caller's to read: None."""
        running = flow(call, self._retry, self._provider)
        answer: Answer = None
        while True:
            try:
                step: Step = running.send(answer)
            except StopIteration as stop:
                outcome: Outcome = stop.value
                return outcome
            answer = None
            match step:
                case Settle() | Record():
                    self._turnstile.act(step)
                case Admit():
                    answer = await self._admit(call, step.number)
                    admitted()
                case Send():
                    answer = await self._send(running, step.ticket)
                    if answer is None:
                        return None
                case Pause():
                    waits()
                    await anyio.sleep(step.seconds + self._turnstile.put_off())

    async def _admit(self, call: Call, number: int) -> Ticket | HeadwayError:
        bell, clock = _Bell(), self._turnstile.clock
        slot = self._turnstile.join(call, number, bell)
        try:
            while slot.answer is None:
                await bell.heard(slot.wake_at, clock())
                if slot.answer is None and slot.wake_at is not None and clock() >= slot.wake_at:
                    slot.wake_at = None
                    self._turnstile.ask(slot)
            if slot.place is not None:  # it stood in line; admitted and cancelled at once: nothing is sent
                await anyio.lowlevel.checkpoint_if_cancelled()
        except GeneratorExit:  # thrown away with its loop, by the collector: maybe inside our own lock
            self._turnstile.later(lambda: self._turnstile.leave(slot))
            raise
        except BaseException:
            self._turnstile.leave(slot)
            raise
        return self._turnstile.received(slot)

    async def _send(self, running: Flow, ticket: Ticket) -> Sent | None:
        self._turnstile.hold(running)
        try:
            reply = await self._sender.send(ticket, Watch(self._turnstile, ticket, running))
        except GeneratorExit:
            self._turnstile.later(lambda: self._turnstile.finish(running, CANCELLED))
            raise
        except BaseException as error:
            self._turnstile.wind_up(running, error)
            raise
        if reply is None:
            return None  # held until the caller has read it
        self._turnstile.release(running)
        return Sent(reply, self._turnstile.clock(), random())
