"""Runs flows on anyio: asyncio or trio."""

from __future__ import annotations

from collections.abc import Callable
from random import random
from typing import Protocol

import anyio
import anyio.lowlevel

from headway.core.call import Call
from headway.core.engine import Engine
from headway.core.flow import Flow, flow
from headway.core.ports import Ledger
from headway.core.retry import Retry
from headway.core.steps import Admit, Answer, Outcome, Pause, Record, Reply, Send, Sent, Settle, Step, Ticket
from headway.drivers.turnstile import Turnstile, Watch
from headway.errors import HeadwayError


class Sender(Protocol):
    """Sends one attempt and reads its reply to the end. Raises only what cancels it."""

    async def send(self, ticket: Ticket, watch: Watch) -> Reply:
        """The reply, whole; what went wrong is in it."""


class _Bell:
    """An event that can be set again after it has been heard."""

    __slots__ = ("_event",)

    def __init__(self) -> None:
        self._event = anyio.Event()

    def set(self) -> None:
        self._event.set()

    async def heard(self, until: float | None, now: float) -> None:
        """Sleep until set, or until the clock says `until`."""
        if until is None:
            await self._event.wait()
        else:
            with anyio.move_on_after(max(until - now, 0.0)):
                await self._event.wait()
        if self._event.is_set():
            self._event = anyio.Event()


class AioDriver:
    """Runs calls through `engine`, sending with `sender`. `provider` is the name for the ledger."""

    def __init__(
        self,
        engine: Engine,
        sender: Sender,
        ledger: Ledger,
        *,
        provider: str,
        retry: Retry,
        clock: Callable[[], float],
        wall: Callable[[], int],
    ) -> None:
        self._engine = engine
        self._sender = sender
        self._provider = provider
        self._retry = retry
        self._clock = clock
        self._turnstile = Turnstile(engine, ledger, clock, wall)

    async def run(
        self,
        call: Call,
        admitted: Callable[[], None] = lambda: None,
        waits: Callable[[], None] = lambda: None,
    ) -> Outcome:
        """Run one call to its end. `admitted` is called each time it leaves the line, `waits` when it will try again."""
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
                case Admit(_, number):
                    answer = await self._admit(call, number)
                    admitted()
                case Send(ticket):
                    answer = await self._send(running, ticket)
                case Pause(seconds):
                    waits()
                    await anyio.sleep(seconds + self._engine.retries.spend())
                case Settle() | Record():
                    self._turnstile.act(step)

    async def _admit(self, call: Call, number: int) -> Ticket | HeadwayError:
        bell = _Bell()
        slot = self._turnstile.join(call, number, bell)
        try:
            while slot.answer is None:
                await bell.heard(slot.wake_at, self._clock())
                if slot.answer is None and slot.wake_at is not None and self._clock() >= slot.wake_at:
                    slot.wake_at = None
                    self._turnstile.ask(slot)
            await anyio.lowlevel.checkpoint_if_cancelled()  # admitted and cancelled at once: nothing is sent
        except BaseException:
            self._turnstile.leave(slot)
            raise
        return slot.answer

    async def _send(self, running: Flow, ticket: Ticket) -> Sent:
        try:
            reply = await self._sender.send(ticket, Watch(self._turnstile, ticket))
        except BaseException as error:
            self._turnstile.wind_up(running, error)
            raise
        return Sent(reply, self._clock(), random())
