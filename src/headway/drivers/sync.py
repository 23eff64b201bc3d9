"""Runs flows with threads: each caller's own thread waits, sends and settles."""

from __future__ import annotations

from random import random
from threading import Condition
from time import sleep
from typing import Protocol

from headway.core.call import Call
from headway.core.flow import Flow, flow
from headway.core.retry import Retry
from headway.core.steps import Admit, Answer, Outcome, Pause, Record, Reply, Send, Sent, Settle, Step, Ticket
from headway.drivers.turnstile import Turnstile, Watch
from headway.errors import HeadwayError


class Sender(Protocol):
    """Sends one attempt and reads its reply to the end. Raises only what interrupts it."""

    def send(self, ticket: Ticket, watch: Watch) -> Reply | None:
        """The reply, whole; what went wrong is in it. None: the caller reads it, and `watch` will be told of its end."""


class _Bell:
    """A flag that a thread sleeps on. Set under any lock, heard by one thread."""

    __slots__ = ("_condition", "_is_set")

    def __init__(self) -> None:
        self._condition: Condition | None = None
        self._is_set = False

    def set(self) -> bool:
        self._is_set = True  # before looking for a sleeper: who goes to sleep looks at it last
        condition = self._condition
        if condition is not None:
            with condition:
                condition.notify()
        return True

    def is_lost(self) -> bool:
        return False

    def heard(self, until: float | None, now: float) -> None:
        """Sleep until set, or until the clock says `until`."""
        if self._condition is None:
            self._condition = Condition()
        with self._condition:
            if not self._is_set:
                self._condition.wait(None if until is None else max(until - now, 0.0))
            self._is_set = False


class SyncDriver:
    """Runs calls through `turnstile`, sending with `sender`. `provider` is the name for the ledger."""

    __slots__ = ("_provider", "_retry", "_sender", "_turnstile")

    def __init__(self, turnstile: Turnstile, sender: Sender, *, provider: str, retry: Retry) -> None:
        self._turnstile = turnstile
        self._sender = sender
        self._provider = provider
        self._retry = retry

    def run(self, call: Call) -> Outcome:
        """Run one call to its end, in this thread."""
        outcome = self.begin(call)
        assert outcome is not None
        return outcome

    def begin(self, call: Call) -> Outcome | None:
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
                    answer = self._admit(call, step.number)
                case Send():
                    answer = self._send(running, step.ticket)
                    if answer is None:
                        return None
                case Pause():
                    sleep(step.seconds + self._turnstile.put_off())

    def _admit(self, call: Call, number: int) -> Ticket | HeadwayError:
        bell, clock = _Bell(), self._turnstile.clock
        slot = self._turnstile.join(call, number, bell)
        if slot.answer is None:
            try:
                while slot.answer is None:
                    bell.heard(slot.wake_at, clock())
                    if slot.answer is None and slot.wake_at is not None and clock() >= slot.wake_at:
                        slot.wake_at = None
                        self._turnstile.ask(slot)
            except BaseException:
                self._turnstile.leave(slot)
                raise
        return self._turnstile.received(slot)

    def _send(self, running: Flow, ticket: Ticket) -> Sent | None:
        self._turnstile.hold(running)
        try:
            reply = self._sender.send(ticket, Watch(self._turnstile, ticket, running))
        except BaseException as error:
            self._turnstile.wind_up(running, error)
            raise
        if reply is None:
            return None  # held until the caller has read it
        self._turnstile.release(running)
        return Sent(reply, self._turnstile.clock(), random())
