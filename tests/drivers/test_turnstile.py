"""Where callers wait: who is woken, when, and by whom. On a clock that the test advances."""

from __future__ import annotations

from dataclasses import dataclass

from drivers.stand_in import OK, START, TOOK, Written, an_engine, nothing_is_left, wall
from headway.core.call import Unit
from headway.core.limit import Limit
from headway.core.steps import Settle, Ticket
from headway.drivers.turnstile import Slot, Turnstile
from headway.errors import WouldWaitTooLong
from world import POOL, a_call

ONE_A_SECOND = (Limit(Unit.REQUESTS, 60.0, burst=1.0),)


@dataclass
class Bell:
    """Counts how often it was set. `lost`: its loop was closed."""

    rings: int = 0
    lost: bool = False

    def set(self) -> bool:
        self.rings += 1
        return not self.lost

    def is_lost(self) -> bool:
        return self.lost


@dataclass
class Still:
    """A clock that stands still until it is moved."""

    now: float = START

    def __call__(self) -> float:
        return self.now


class Hall:
    """A turnstile of one call a second, with its clock and bells."""

    def __init__(self, most_in_flight: int | None = None) -> None:
        self.clock = Still()
        self.engine = an_engine(ONE_A_SECOND, most_in_flight=most_in_flight)
        self.turnstile = Turnstile(self.engine, Written(), self.clock, wall)
        self.bells: dict[str, Bell] = {}

    def join(self, name: str, max_wait_s: float | None = None) -> Slot:
        bell = self.bells[name] = Bell()
        return self.turnstile.join(a_call(name, max_wait_s=max_wait_s), 1, bell)

    def wake(self, slot: Slot) -> None:
        """What the caller does when its bell has rung: look, or sleep until the clock says so and ask."""
        if slot.wake_at is not None:
            self.clock.now = max(self.clock.now, slot.wake_at)
            self.turnstile.ask(slot)
        assert isinstance(slot.answer, Ticket)

    def settle(self, slot: Slot) -> None:
        assert isinstance(slot.answer, Ticket)
        self.turnstile.act(Settle(slot.answer, OK, TOOK, False))


def test_whoever_can_go_has_the_answer_on_joining() -> None:
    hall = Hall()
    slot = hall.join("1")
    assert isinstance(slot.answer, Ticket)
    assert hall.bells["1"].rings == 0  # nobody sleeps who need not wait


def test_only_the_head_sleeps_by_the_clock() -> None:
    hall = Hall()
    hall.join("0")
    slots = [hall.join(name) for name in "123"]
    assert slots[0].wake_at is not None
    assert START < slots[0].wake_at <= START + 1.5
    assert [slot.wake_at for slot in slots[1:]] == [None, None]
    assert all(slot.answer is None for slot in slots)


def test_when_the_head_goes_the_next_one_is_told_when_to_wake() -> None:
    hall = Hall()
    hall.join("0")
    first, second = hall.join("1"), hall.join("2")
    assert first.wake_at is not None
    hall.clock.now = first.wake_at
    hall.turnstile.ask(first)
    assert isinstance(first.answer, Ticket)
    assert second.answer is None
    assert second.wake_at is not None
    assert second.wake_at > hall.clock.now


def test_the_others_are_not_woken_for_nothing() -> None:
    hall = Hall()
    hall.join("0")
    first = hall.join("1")
    for number in range(2, 50):
        hall.join(f"{number}")
    assert first.wake_at is not None
    hall.clock.now = first.wake_at
    hall.turnstile.ask(first)
    assert sum(bell.rings for bell in hall.bells.values()) <= 5


def test_whoever_settles_wakes_who_waited_for_it() -> None:
    hall = Hall(most_in_flight=1)
    first = hall.join("1")
    second = hall.join("2")
    assert second.wake_at is None
    hall.clock.now += 10.0
    hall.settle(first)
    assert hall.bells["2"].rings == 1
    hall.wake(second)
    hall.settle(second)
    nothing_is_left(hall.engine)


def test_when_the_head_leaves_the_next_one_is_told() -> None:
    hall = Hall()
    hall.join("0")
    first, second = hall.join("1"), hall.join("2")
    hall.turnstile.leave(first)
    assert first.answer is None
    assert second.wake_at is not None
    assert hall.bells["2"].rings >= 1


def test_a_refusal_is_handed_to_whom_it_concerns() -> None:
    hall = Hall()
    hall.join("0")
    patient, hasty = hall.join("1"), hall.join("2", max_wait_s=0.5)
    hall.clock.now += 0.6
    hall.turnstile.ask(patient)
    assert isinstance(hasty.answer, WouldWaitTooLong)
    assert hall.bells["2"].rings == 1
    assert patient.answer is None


def test_leaving_with_a_ticket_in_hand_gives_it_back() -> None:
    hall = Hall(most_in_flight=1)
    first, second = hall.join("1"), hall.join("2")
    hall.clock.now += 10.0
    hall.turnstile.leave(first)
    assert hall.bells["2"].rings == 1
    hall.wake(second)
    hall.settle(second)
    nothing_is_left(hall.engine)


def test_asking_after_the_answer_changes_nothing() -> None:
    hall = Hall()
    slot = hall.join("1")
    answer, rings = slot.answer, hall.bells["1"].rings
    hall.turnstile.ask(slot)
    assert slot.answer is answer
    assert hall.bells["1"].rings == rings


def test_a_head_whose_loop_was_closed_does_not_hold_up_who_joins() -> None:
    hall = Hall()
    hall.join("0")
    dead = hall.join("1")
    assert dead.wake_at is not None
    hall.bells["1"].lost = True
    living = hall.join("2")
    assert living.wake_at == dead.wake_at
    hall.wake(living)
    hall.settle(living)
    hall.turnstile.leave(dead)
    assert len(hall.engine.pools[POOL].line) == 0


def test_a_ticket_for_somebody_who_is_gone_goes_to_the_next() -> None:
    hall = Hall(most_in_flight=1)
    first, dead, living = hall.join("1"), hall.join("2"), hall.join("3")
    hall.bells["2"].lost = True
    hall.clock.now += 10.0
    hall.settle(first)
    hall.wake(living)
    hall.turnstile.leave(dead)
    hall.settle(living)
    nothing_is_left(hall.engine)


def test_neither_the_uptime_of_the_machine_nor_idle_hours_count_as_bound() -> None:
    hall = Hall()
    hall.clock.now = 1e6  # as a monotonic clock is, days after the machine was started
    engine, turnstile = hall.engine, hall.turnstile
    for hours in range(3):
        hall.clock.now = 1e6 + 3600.0 * hours
        at_once, waits = a_call(f"{hours}-0"), a_call(f"{hours}-1")
        ticket = engine.enter(at_once, 1, hall.clock.now, wall())
        assert ticket is not None
        assert engine.enter(waits, 1, hall.clock.now, wall()) is None  # does not fit: it has to stand in line
        hall.bells[waits.id] = Bell()
        slot = turnstile.join(waits, 1, hall.bells[waits.id])
        hall.clock.now += 0.5
        hall.turnstile.act(Settle(ticket, OK, TOOK, False))
        hall.wake(slot)
        hall.settle(slot)
    assert 2.4 < sum(engine.pools[POOL].bound_s.values()) < 4.5
