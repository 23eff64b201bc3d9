"""Runs flows with threads: each caller's own thread waits, sends and settles."""

from __future__ import annotations

from collections.abc import Callable
from random import random
from threading import Condition
from time import sleep
from typing import Protocol

from headway.core.call import Call
from headway.core.engine import Engine
from headway.core.flow import Flow, flow
from headway.core.ports import Ledger
from headway.core.retry import Retry
from headway.core.steps import Admit, Answer, Outcome, Pause, Record, Reply, Send, Sent, Settle, Step, Ticket
from headway.drivers.turnstile import Turnstile, Watch
from headway.errors import HeadwayError


class Sender(Protocol):
    """Sends one attempt and reads its reply to the end. Raises only what interrupts it."""

    def send(self, ticket: Ticket, watch: Watch) -> Reply:
        """The reply, whole; what went wrong is in it."""


class _Bell:
    """A flag that a thread sleeps on. Set under any lock, heard by one thread."""

    __slots__ = ("_condition", "_is_set")

    def __init__(self) -> None:
        self._condition = Condition()
        self._is_set = False

    def set(self) -> None:
        with self._condition:
            self._is_set = True
            self._condition.notify()

    def heard(self, until: float | None, now: float) -> None:
        """Sleep until set, or until the clock says `until`."""
        with self._condition:
            if not self._is_set:
                self._condition.wait(None if until is None else max(until - now, 0.0))
            self._is_set = False


class SyncDriver:
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

    def run(self, call: Call) -> Outcome:
        """Run one call to its end, in this thread."""
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
                    answer = self._admit(call, number)
                case Send(ticket):
                    answer = self._send(running, ticket)
                case Pause(seconds):
                    sleep(seconds + self._engine.retries.spend())
                case Settle() | Record():
                    self._turnstile.act(step)

    def _admit(self, call: Call, number: int) -> Ticket | HeadwayError:
        bell = _Bell()
        slot = self._turnstile.join(call, number, bell)
        try:
            while slot.answer is None:
                bell.heard(slot.wake_at, self._clock())
                if slot.answer is None and slot.wake_at is not None and self._clock() >= slot.wake_at:
                    slot.wake_at = None
                    self._turnstile.ask(slot)
        except BaseException:
            self._turnstile.leave(slot)
            raise
        return slot.answer

    def _send(self, running: Flow, ticket: Ticket) -> Sent:
        try:
            reply = self._sender.send(ticket, Watch(self._turnstile, ticket))
        except BaseException as error:
            self._turnstile.wind_up(running, error)
            raise
        return Sent(reply, self._clock(), random())
